//! Heartbeats of parked agents, gathered: one entry per agent, written together.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Hashing;

/// How long a beat waits for a commit to ride on: with two beats a minute of each, ten thousand agents fill a write in that
/// time.
pub const BEATS_WAIT_MAX: Duration = Duration::from_secs(15);
/// Agents in one write; more are written at once.
pub const BEATS_PER_WRITE_MAX: usize = 5_000;

/// Agents that were seen since the last write.
#[derive(Debug)]
pub struct Beats {
    agents: HashSet<Arc<str>, Hashing>,
    /// When the first of them was noted.
    since: Option<Duration>,
}

impl Beats {
    /// None waits; `hashing` is for ids of agents.
    pub fn new(hashing: &Hashing) -> Self {
        Beats { agents: HashSet::with_hasher(hashing.clone()), since: None }
    }

    /// The agent is here and well.
    pub fn note(&mut self, agent: Arc<str>, now: Duration) {
        self.agents.insert(agent);
        self.since.get_or_insert(now);
    }

    /// What the agent says is written with more than a beat: none is needed.
    pub fn forget(&mut self, agent: &str) {
        self.agents.remove(agent);
    }

    /// Takes them all, for one or more writes of at most [`BEATS_PER_WRITE_MAX`].
    pub fn take(&mut self) -> Vec<Vec<String>> {
        self.since = None;
        let agents = self.agents.drain().map(|agent| agent.to_string()).collect();
        self.agents.shrink_to_fit();
        in_writes(agents)
    }

    /// Takes those that are due: all once the first has waited long enough, before that as many as fill whole writes. The
    /// others wait on, as if the first of them was noted `now`.
    pub fn take_due(&mut self, now: Duration) -> Vec<Vec<String>> {
        if self.since.is_some_and(|since| since + BEATS_WAIT_MAX <= now) {
            return self.take();
        }
        if self.agents.len() < BEATS_PER_WRITE_MAX {
            return Vec::new();
        }
        let full = self.agents.len() - self.agents.len() % BEATS_PER_WRITE_MAX;
        let taken: Vec<Arc<str>> = self.agents.iter().take(full).cloned().collect();
        for agent in &taken {
            self.agents.remove(agent);
        }
        self.since = (!self.agents.is_empty()).then_some(now);
        in_writes(taken.iter().map(ToString::to_string).collect())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }
}

/// Neighbours together: they share pages of the store's index.
fn in_writes(mut agents: Vec<String>) -> Vec<Vec<String>> {
    agents.sort_unstable();
    agents.chunks(BEATS_PER_WRITE_MAX).map(<[String]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(writes: &[Vec<String>]) -> Vec<usize> {
        writes.iter().map(Vec::len).collect()
    }

    #[test]
    fn beats_of_one_agent_are_one_and_wait_for_fifteen_seconds() {
        let mut beats = Beats::new(&Hashing::default());
        beats.note("a".into(), Duration::from_secs(1));
        beats.note("a".into(), Duration::from_secs(5));
        assert!(beats.take_due(Duration::from_secs(15)).is_empty());
        assert_eq!(beats.take_due(Duration::from_secs(16)), [["a".to_owned()]]);
        assert!(beats.is_empty() && beats.take_due(Duration::from_secs(100)).is_empty());
    }

    #[test]
    fn whole_writes_do_not_wait_and_the_rest_waits_as_if_it_was_new() {
        let mut beats = Beats::new(&Hashing::default());
        for agent in 0..2 * BEATS_PER_WRITE_MAX + 1 {
            beats.note(agent.to_string().into(), Duration::from_secs(1));
        }
        assert_eq!(lengths(&beats.take_due(Duration::from_secs(2))), [BEATS_PER_WRITE_MAX; 2]);
        assert!(beats.take_due(Duration::from_secs(16)).is_empty());
        assert_eq!(lengths(&beats.take_due(Duration::from_secs(17))), [1]);
    }

    #[test]
    fn what_rides_along_is_taken_whole_in_pieces() {
        let mut beats = Beats::new(&Hashing::default());
        for agent in 0..BEATS_PER_WRITE_MAX + 1 {
            beats.note(agent.to_string().into(), Duration::from_secs(1));
        }
        assert_eq!(lengths(&beats.take()), [BEATS_PER_WRITE_MAX, 1]);
    }
}
