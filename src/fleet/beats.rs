//! Heartbeats of parked agents, gathered: one entry per agent, written together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Hashing;

/// How long a beat waits for a commit to ride on: with two beats a minute of each, ten thousand agents fill a write in that
/// time.
pub const BEATS_WAIT_MAX: Duration = Duration::from_secs(15);
/// Agents in one write; so many do not wait.
pub const BEATS_PER_WRITE_MAX: usize = 5_000;

/// Agents that were seen since the last write.
#[derive(Debug)]
pub struct Beats {
    /// When each was seen first.
    agents: HashMap<Arc<str>, Duration, Hashing>,
    /// The earliest of those times, or an earlier one.
    since: Option<Duration>,
}

impl Beats {
    /// None waits; `hashing` is for ids of agents.
    pub fn new(hashing: &Hashing) -> Self {
        Beats { agents: HashMap::with_hasher(hashing.clone()), since: None }
    }

    /// The agent is here and well.
    pub fn note(&mut self, agent: Arc<str>, now: Duration) {
        self.agents.entry(agent).or_insert(now);
        self.since.get_or_insert(now);
    }

    /// What the agent says is written with more than a beat: none is needed.
    pub fn forget(&mut self, agent: &str) {
        self.agents.remove(agent);
    }

    /// Takes them all, for one or more writes of at most [`BEATS_PER_WRITE_MAX`].
    pub fn take(&mut self) -> Vec<Vec<String>> {
        self.since = None;
        let agents = self.agents.drain().map(|(agent, _)| agent.to_string()).collect();
        self.agents.shrink_to_fit();
        in_writes(agents)
    }

    /// Takes those that are due: all once the first has waited long enough; before that as many as fill whole writes, those
    /// first that have waited longest.
    pub fn take_due(&mut self, now: Duration) -> Vec<Vec<String>> {
        if self.since.is_some_and(|since| since + BEATS_WAIT_MAX <= now) {
            return self.take();
        }
        if self.agents.len() < BEATS_PER_WRITE_MAX {
            return Vec::new();
        }
        let mut waiting: Vec<(Arc<str>, Duration)> = self.agents.drain().collect();
        waiting.sort_unstable_by_key(|(_, since)| *since);
        let left = waiting.split_off(waiting.len() - waiting.len() % BEATS_PER_WRITE_MAX);
        self.since = left.first().map(|(_, since)| *since);
        self.agents.extend(left);
        in_writes(waiting.iter().map(|(agent, _)| agent.to_string()).collect())
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
    fn whole_writes_do_not_wait_and_the_youngest_wait_on() {
        let mut beats = Beats::new(&Hashing::default());
        beats.note("young".into(), Duration::from_secs(3));
        for agent in 0..2 * BEATS_PER_WRITE_MAX {
            beats.note(agent.to_string().into(), Duration::from_secs(1));
        }
        assert_eq!(lengths(&beats.take_due(Duration::from_secs(3))), [BEATS_PER_WRITE_MAX; 2]);
        assert!(beats.take_due(Duration::from_secs(17)).is_empty());
        assert_eq!(beats.take_due(Duration::from_secs(18)), [["young".to_owned()]]);
    }

    #[test]
    fn nobody_waits_longer_however_many_come_in_bursts() {
        let mut beats = Beats::new(&Hashing::default());
        let mut noted: HashMap<String, u64> = HashMap::new();
        // each twice a minute, some hundreds a second: more than fill a write within the wait
        for second in 0..300 {
            let now = Duration::from_secs(second);
            for agent in (0..13_000).filter(|agent| (agent + second) % 30 == 0) {
                beats.note(agent.to_string().into(), now);
                noted.entry(agent.to_string()).or_insert(second);
            }
            for agent in beats.take_due(now).concat() {
                let waited = second - noted.remove(&agent).unwrap();
                assert!(waited <= BEATS_WAIT_MAX.as_secs(), "{agent} waited for {waited} s");
            }
        }
        assert!(noted.values().all(|since| 300 - since <= BEATS_WAIT_MAX.as_secs()));
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
