//! Output keys that are as they have to be: those of many agents are read in two requests, the documents and the secrets; and
//! once the agents run on them two requests tell that nothing is left to be cleaned. After a new revision that is what nearly
//! all agents need, thousands at once. Whoever needs more is seen to one by one (`output_keys`, `retiring`).

use super::Elastic;
use super::indices::Index;
use super::key_roles::current;
use super::lookup::Wanted;
use super::output_keys::{self, Outputs};
use crate::model::{AgentOutput, ApiKey, KeyNeed, KeysWanted, OutputCluster, Secrets};
use crate::store::Operation;

impl Elastic {
    /// For each operation the keys wanted, in the order of the needs, if all are there and none has to be changed.
    pub(super) fn known_keys(&self, part: &[Operation]) -> Vec<Option<Vec<Option<ApiKey>>>> {
        let wanted: Vec<Option<&KeysWanted>> = part.iter().map(wanted).collect();
        let agents: Vec<Option<&str>> =
            wanted.iter().map(|wanted| wanted.map(|wanted| wanted.agent.as_str())).collect();
        let outputs = self.outputs_of_all(&agents);
        let stored: Vec<Option<Vec<&AgentOutput>>> = wanted
            .iter()
            .zip(&outputs)
            .map(|(wanted, outputs)| stored_as_needed((*wanted)?, outputs.as_ref()?))
            .collect();
        let ids: Vec<String> = stored
            .iter()
            .flatten()
            .flatten()
            .filter_map(|output| Some(output.secret_id()?.to_owned()))
            .collect();
        // without them each is read, and its trouble told, on its own
        let secrets = if ids.is_empty() { Ok(Secrets::default()) } else { self.secrets(&ids) };
        let Ok(secrets) = secrets else { return part.iter().map(|_| None).collect() };
        let keys = |stored: &AgentOutput| output_keys::key_of(stored, &secrets).map(Some);
        stored.into_iter().map(|stored| stored?.into_iter().map(keys).collect()).collect()
    }

    /// For each operation whether it wants an agent's keys cleaned of which nothing is left to be cleaned: no key was
    /// replaced, none has roles that only an older revision needed.
    pub(super) fn are_clean(&self, part: &[Operation]) -> Vec<bool> {
        let agents: Vec<Option<&str>> = part.iter().map(to_be_cleaned).collect();
        let outputs = self.outputs_of_all(&agents);
        let ids = |outputs: &Outputs| key_ids(outputs).map(str::to_owned).collect::<Vec<_>>();
        let to_ask: Vec<String> =
            outputs.iter().flatten().flat_map(ids).filter(|id| !self.is_as_made(id)).collect();
        // without them each is asked for, and its trouble told, on its own
        let Ok(shown) = self.find_keys(&to_ask) else { return vec![false; part.len()] };
        let is_clean = |id: &str| match shown.get(id) {
            Some(key) => key.invalidated || current(&key.role_descriptors).is_none(),
            // or of another cluster, or gone
            None => self.is_as_made(id),
        };
        let are_clean = |outputs: &Outputs| {
            let none_replaced = outputs.values().all(|output| output.to_retire_api_key_ids.is_empty());
            none_replaced && key_ids(outputs).all(is_clean)
        };
        outputs.iter().map(|outputs| outputs.as_ref().is_some_and(are_clean)).collect()
    }

    /// What the documents of agents say of their outputs; `None` for whom nothing is known.
    fn outputs_of_all(&self, agents: &[Option<&str>]) -> Vec<Option<Outputs>> {
        let look_ups: Vec<Wanted<'_>> = agents
            .iter()
            .flatten()
            .map(|id| Wanted { index: Index::Agents, id, part: output_keys::PART })
            .collect();
        let mut documents = if look_ups.len() > 1 { self.look_up(&look_ups) } else { Vec::new() }.into_iter();
        let mut outputs = |_: &str| output_keys::outputs_in(&documents.next()?.ok()??).ok();
        agents.iter().map(|agent| outputs((*agent)?)).collect()
    }
}

fn wanted(operation: &Operation) -> Option<&KeysWanted> {
    match operation {
        // a key elsewhere may have to be asked for there
        Operation::OutputKeys(wanted) if wanted.needs.iter().all(is_here) => Some(wanted),
        _ => None,
    }
}

fn to_be_cleaned(operation: &Operation) -> Option<&str> {
    match operation {
        Operation::CleanOutputKeys(agent) => Some(agent),
        _ => None,
    }
}

fn key_ids(outputs: &Outputs) -> impl Iterator<Item = &str> {
    outputs.values().map(|output| output.api_key_id.as_str()).filter(|id| !id.is_empty())
}

fn is_here(need: &KeyNeed) -> bool {
    matches!(need.cluster, OutputCluster::Own)
}

/// What is stored for each need, if it is just that and nothing else.
fn stored_as_needed<'a>(wanted: &KeysWanted, outputs: &'a Outputs) -> Option<Vec<&'a AgentOutput>> {
    let stored = |need: &KeyNeed| {
        outputs.get(&need.output).filter(|output| output.permissions_hash == need.permissions_hash)
    };
    (outputs.len() == wanted.needs.len()).then(|| wanted.needs.iter().map(stored).collect())?
}
