//! Heartbeats of parked agents, gathered: one entry per agent, written together.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Hashing;

/// How long a beat waits for a commit to ride on.
pub const BEATS_WAIT_MAX: Duration = Duration::from_secs(10);
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

    /// When they have waited long enough.
    pub fn due_at(&self) -> Option<Duration> {
        let full = self.agents.len() >= BEATS_PER_WRITE_MAX;
        self.since
            .filter(|_| !self.agents.is_empty())
            .map(|since| if full { since } else { since + BEATS_WAIT_MAX })
    }

    /// Takes them all, for one or more writes of at most [`BEATS_PER_WRITE_MAX`].
    pub fn take(&mut self) -> Vec<Vec<String>> {
        self.since = None;
        let mut agents: Vec<String> = self.agents.drain().map(|agent| agent.to_string()).collect();
        self.agents.shrink_to_fit();
        // neighbours share pages of the store's index
        agents.sort_unstable();
        agents.chunks(BEATS_PER_WRITE_MAX).map(<[String]>::to_vec).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_of_one_agent_are_one_and_wait_for_ten_seconds() {
        let mut beats = Beats::new(&Hashing::default());
        beats.note("a".into(), Duration::from_secs(1));
        beats.note("a".into(), Duration::from_secs(5));
        assert_eq!(beats.due_at(), Some(Duration::from_secs(11)));
        assert_eq!(beats.take(), [["a".to_owned()]]);
        assert_eq!(beats.due_at(), None);
    }

    #[test]
    fn many_beats_do_not_wait_and_are_written_in_pieces() {
        let mut beats = Beats::new(&Hashing::default());
        for agent in 0..BEATS_PER_WRITE_MAX + 1 {
            beats.note(agent.to_string().into(), Duration::from_secs(1));
        }
        assert_eq!(beats.due_at(), Some(Duration::from_secs(1)));
        assert_eq!(beats.take().iter().map(Vec::len).collect::<Vec<_>>(), [BEATS_PER_WRITE_MAX, 1]);
    }
}
