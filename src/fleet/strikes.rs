//! Graceful force-unenroll (checkin.md): how often an agent that must go was told so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A count starts over after this.
const STRIKES_LIVE: Duration = Duration::from_secs(3_600);
/// What the Go server reckons per entry of `max_bytes`.
const ENTRY_BYTES: u64 = 250;
/// No agent has a longer id; strikes are counted by what stands in the path, before any key is good.
const AGENT_BYTES_MAX: usize = 128;

/// What to tell the agent this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// An empty policy, so that it stops its inputs.
    EmptyPolicy,
    /// UNENROLL.
    Unenroll,
    /// 401.
    Out,
}

/// Strikes by agent id, as many as fit; the longest known go first.
#[derive(Debug)]
pub struct Strikes {
    agents: BTreeMap<String, (Duration, u32)>,
    by_age: BTreeSet<(Duration, String)>,
    entries_max: usize,
}

impl Strikes {
    /// None yet; `bytes_max` as configured.
    pub fn new(bytes_max: u64) -> Self {
        Strikes { agents: BTreeMap::new(), by_age: BTreeSet::new(), entries_max: entries_max(bytes_max) }
    }

    /// From now on as many as fit into `bytes_max`.
    pub fn bind(&mut self, bytes_max: u64) {
        self.entries_max = entries_max(bytes_max);
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.agents.len() > self.entries_max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.agents.remove(&oldest);
        }
    }

    /// Counts one more for this agent.
    pub fn strike(&mut self, agent: &str, now: Duration) -> Strike {
        if agent.len() > AGENT_BYTES_MAX {
            return Strike::Out;
        }
        let (since, count) = match self.agents.get(agent) {
            Some((since, count)) if *since + STRIKES_LIVE > now => (*since, count.saturating_add(1)),
            Some((since, _)) => {
                self.by_age.remove(&(*since, agent.to_owned()));
                (now, 1)
            }
            None => (now, 1),
        };
        self.agents.insert(agent.to_owned(), (since, count));
        self.by_age.insert((since, agent.to_owned()));
        self.forget_oldest();
        match count {
            1 => Strike::EmptyPolicy,
            2 => Strike::Unenroll,
            _ => Strike::Out,
        }
    }
}

fn entries_max(bytes_max: u64) -> usize {
    usize::try_from(bytes_max / ENTRY_BYTES).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_strikes_and_then_out_until_an_hour_has_gone() {
        let mut strikes = Strikes::new(1_000_000);
        let at = Duration::from_secs;
        let told: Vec<Strike> = (0..4).map(|n| strikes.strike("a", at(n))).collect();
        assert_eq!(told, [Strike::EmptyPolicy, Strike::Unenroll, Strike::Out, Strike::Out]);
        assert_eq!(strikes.strike("a", at(3_600)), Strike::EmptyPolicy);
        assert_eq!(strikes.strike("a", at(3_601)), Strike::Unenroll);
    }

    #[test]
    fn an_id_that_no_agent_has_is_not_counted() {
        let mut strikes = Strikes::new(1_000_000);
        let long = "a".repeat(AGENT_BYTES_MAX + 1);
        assert_eq!(strikes.strike(&long, Duration::ZERO), Strike::Out);
        assert!(strikes.agents.is_empty() && strikes.by_age.is_empty());
        assert_eq!(strikes.strike(&long[1..], Duration::ZERO), Strike::EmptyPolicy);
    }

    #[test]
    fn the_number_of_agents_counted_is_bounded() {
        let mut strikes = Strikes::new(250 * 10);
        for n in 0..100 {
            strikes.strike(&n.to_string(), Duration::from_secs(n));
        }
        assert_eq!((strikes.agents.len(), strikes.by_age.len()), (10, 10));
        assert_eq!(strikes.strike("99", Duration::from_secs(100)), Strike::Unenroll);
    }
}
