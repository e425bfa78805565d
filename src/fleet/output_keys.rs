//! Keys of agents for outputs that the store told a while ago: a revision that needs no other ones costs no question.

use std::sync::Arc;
use std::time::Duration;

use super::Hashing;
use super::cache::Cache;
use crate::model::{Agent, ApiKey, KeyNeed, OutputCluster};

/// Agents whose keys are kept, at some 300 bytes each.
const AGENTS_MAX: usize = 20_000;
/// Each check-in holds what is kept against the agent's document, so it need not be short.
const KEPT: Duration = Duration::from_secs(6 * 3_600);

/// The keys of those agents that were delivered to last.
#[derive(Debug)]
pub struct OutputKeys {
    agents: Cache<String, Kept>,
}

#[derive(Debug)]
struct Kept {
    needs: Arc<[KeyNeed]>,
    keys: Vec<Option<ApiKey>>,
}

impl OutputKeys {
    /// Nothing is known.
    pub fn new(hashing: &Hashing) -> Self {
        OutputKeys { agents: Cache::new(AGENTS_MAX, hashing) }
    }

    /// The keys for exactly these needs.
    pub fn get(&mut self, agent: &str, needs: &Arc<[KeyNeed]>, now: Duration) -> Option<Vec<Option<ApiKey>>> {
        let kept = self.agents.get(agent, now)?;
        let same = Arc::ptr_eq(&kept.needs, needs)
            || (kept.needs.len() == needs.len() && kept.needs.iter().zip(needs.iter()).all(is_same));
        same.then(|| kept.keys.clone())
    }

    /// Keeps what the store told. Where a key is missing it is asked again.
    pub fn put(&mut self, agent: &str, needs: Arc<[KeyNeed]>, keys: Vec<Option<ApiKey>>, now: Duration) {
        if keys.len() == needs.len() && keys.iter().all(Option::is_some) {
            self.agents.insert(agent.to_owned(), Kept { needs, keys }, now + KEPT);
        }
    }

    /// Forgets what the agent's document no longer says: another server has changed it.
    pub fn hold_against(&mut self, agent: &Agent, now: Duration) {
        let Some(kept) = self.agents.get(agent.id.as_str(), now) else { return };
        let is_current = |(need, key): (&KeyNeed, &Option<ApiKey>)| {
            agent.outputs.get(&need.output).is_some_and(|output| {
                output.permissions_hash == need.permissions_hash
                    && key.as_ref().is_some_and(|key| key.id == output.api_key_id)
            })
        };
        if !kept.needs.iter().zip(&kept.keys).all(is_current) {
            self.agents.remove(agent.id.as_str());
        }
    }
}

fn is_same((one, other): (&KeyNeed, &KeyNeed)) -> bool {
    let same_cluster = match (&one.cluster, &other.cluster) {
        (OutputCluster::Own, OutputCluster::Own) => true,
        (OutputCluster::Remote(one), OutputCluster::Remote(other)) => one == other,
        _ => false,
    };
    same_cluster && one.output == other.output && one.permissions_hash == other.permissions_hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::model::AgentOutput;

    const NOW: Duration = Duration::from_secs(1);

    fn need(output: &str, hash: &str, remote: Option<&str>) -> KeyNeed {
        KeyNeed {
            output: output.to_owned(),
            cluster: remote.map_or(OutputCluster::Own, |block| OutputCluster::Remote(Secret::new(block))),
            roles: crate::model::raw::null(),
            permissions_hash: hash.to_owned(),
        }
    }

    fn keys(id: &str) -> Vec<Option<ApiKey>> {
        vec![Some(ApiKey { id: id.to_owned(), secret: "s".to_owned() })]
    }

    fn kept() -> OutputKeys {
        let mut kept = OutputKeys::new(&Hashing::default());
        kept.put("a", [need("o", "h", None)].into(), keys("k"), NOW);
        kept
    }

    #[test]
    fn only_the_same_needs_of_the_same_agent_have_the_same_keys() {
        let mut kept = kept();
        assert_eq!(kept.get("a", &[need("o", "h", None)].into(), NOW), Some(keys("k")));
        for other in [
            vec![],
            vec![need("o", "i", None)],
            vec![need("p", "h", None)],
            vec![need("o", "h", Some("x"))],
            vec![need("o", "h", None), need("p", "h", None)],
        ] {
            assert_eq!(kept.get("a", &other.into(), NOW), None);
        }
        assert_eq!(kept.get("b", &[need("o", "h", None)].into(), NOW), None);
    }

    #[test]
    fn a_missing_key_is_not_kept() {
        let mut kept = OutputKeys::new(&Hashing::default());
        let needs: Arc<[KeyNeed]> = [need("o", "h", Some("x"))].into();
        kept.put("a", needs.clone(), vec![None], NOW);
        assert_eq!(kept.get("a", &needs, NOW), None);
    }

    #[test]
    fn what_the_document_says_otherwise_is_forgotten() {
        let output = |id: &str, hash: &str| AgentOutput {
            api_key_id: id.to_owned(),
            permissions_hash: hash.to_owned(),
            ..AgentOutput::default()
        };
        let agent = |output: AgentOutput| Agent {
            id: "a".to_owned(),
            outputs: [("o".to_owned(), output)].into(),
            ..Agent::default()
        };
        let needs: Arc<[KeyNeed]> = [need("o", "h", None)].into();
        for (output, stays) in
            [(output("k", "h"), true), (output("l", "h"), false), (output("k", "i"), false)]
        {
            let mut kept = kept();
            kept.hold_against(&agent(output), NOW);
            assert_eq!(kept.get("a", &needs, NOW).is_some(), stays);
        }
    }
}
