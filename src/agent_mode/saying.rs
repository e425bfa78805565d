//! What is said on a check-in stream, and when: at once, at every change, and every 25 s whatever happens (agent-mode.md,
//! "Check-in stream"). Pure; one for each stream.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::chunks;
use super::messages::{CheckinObserved, SUPPORTS_CHUNKS, Timestamp, VersionInfo};
use super::startup::StartUp;
use super::units::Table;
use crate::time::{self, Now};
use crate::version::{BUILD_HASH, BUILD_TIME};

/// The agent asks for 30 s, and ends a process that is silent for three times that.
const SAID_EVERY: Duration = Duration::from_secs(25);

/// A stream that was just opened has said nothing.
pub struct Saying {
    token: String,
    chunks: bool,
    message_bytes_max: usize,
    process_id: u32,
    said: Option<CheckinObserved>,
    due: Duration,
    /// Further pieces of what is being said.
    pieces: VecDeque<CheckinObserved>,
}

impl Saying {
    /// For a new stream to the agent of `startup`.
    pub fn new(startup: &StartUp, process_id: u32) -> Self {
        Saying {
            token: startup.token.expose().to_owned(),
            chunks: startup.chunks,
            message_bytes_max: startup.message_bytes_max,
            process_id,
            said: None,
            due: Duration::ZERO,
            pieces: VecDeque::new(),
        }
    }

    /// The next message, if there is something to say at this moment.
    pub fn next(&mut self, table: &Table, now: Now) -> Option<CheckinObserved> {
        if let Some(piece) = self.pieces.pop_front() {
            return Some(piece);
        }
        let observed = table.observed();
        if self.said.as_ref() == Some(&observed) && now.mono < self.due {
            return None;
        }
        let is_first = self.said.replace(observed.clone()).is_none();
        self.due = now.mono + SAID_EVERY;
        let message = CheckinObserved {
            token: self.token.clone(),
            version_info: is_first.then(version_info),
            supports: if is_first && self.chunks { vec![SUPPORTS_CHUNKS] } else { Vec::new() },
            pid: u64::from(self.process_id),
            ..observed
        };
        if self.chunks {
            self.pieces.extend(chunks::split(message, self.message_bytes_max, timestamp(now.wall)));
            return self.pieces.pop_front();
        }
        Some(message)
    }

    /// When something is to be said even if nothing changes, as [`Now::mono`].
    pub fn due(&self) -> Duration {
        self.due
    }
}

fn version_info() -> VersionInfo {
    let meta = [("commit", BUILD_HASH), ("build_time", BUILD_TIME)];
    VersionInfo {
        name: "fleet-server".to_owned(),
        meta: BTreeMap::from(meta.map(|(key, value)| (key.to_owned(), value.to_owned()))),
        build_hash: BUILD_HASH.to_owned(),
    }
}

/// As the agent's messages tell time.
pub fn timestamp(wall: time::Timestamp) -> Timestamp {
    let nanos = wall.0.rem_euclid(1_000) * 1_000_000;
    Timestamp { seconds: wall.0.div_euclid(1_000), nanos: i32::try_from(nanos).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::super::messages::{CheckinExpected, StartUpInfo, UnitExpected};
    use super::super::startup::tests::info;
    use super::*;
    use prost::Message;

    fn saying(info: StartUpInfo) -> Saying {
        Saying::new(&StartUp::decode(&info.encode_to_vec()).unwrap(), 7)
    }

    fn at(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), wall: time::Timestamp(1_500) }
    }

    fn table(units: usize) -> Table {
        let mut table = Table::new(None);
        let unit = |index: usize| UnitExpected { id: index.to_string(), ..UnitExpected::default() };
        let units = (0..units).map(unit).collect();
        table.expected(CheckinExpected {
            units,
            features_idx: 3,
            component_idx: 4,
            ..CheckinExpected::default()
        });
        table
    }

    #[test]
    fn the_first_message_comes_at_once_and_says_who_we_are() {
        let message = saying(info()).next(&Table::new(None), at(100)).unwrap();
        assert_eq!((message.token.as_str(), message.pid, message.supports.as_slice()), ("t", 7, &[0][..]));
        let version = message.version_info.unwrap();
        assert_eq!((version.name.as_str(), version.build_hash.as_str()), ("fleet-server", BUILD_HASH));
        assert_eq!(version.meta.keys().collect::<Vec<_>>(), ["build_time", "commit"]);
        assert!(message.units.is_empty());
    }

    #[test]
    fn pieces_are_offered_only_to_an_agent_that_knows_them() {
        let info = StartUpInfo { supports: vec![], max_message_size: 10, ..info() };
        let message = saying(info).next(&table(5), at(0)).unwrap();
        assert!(message.supports.is_empty() && message.units_timestamp.is_none());
        assert_eq!(message.units.len(), 5);
    }

    #[test]
    fn it_speaks_at_every_change_and_after_25_seconds_without_one() {
        let mut saying = saying(info());
        saying.next(&table(1), at(0)).unwrap();
        assert!(saying.next(&table(1), at(24)).is_none());
        let changed = saying.next(&table(2), at(24)).unwrap();
        assert!(changed.version_info.is_none() && changed.supports.is_empty());
        assert_eq!((changed.units.len(), changed.features_idx, changed.component_idx), (2, 3, 4));
        assert!(saying.next(&table(2), at(48)).is_none());
        assert_eq!(saying.due(), Duration::from_secs(49));
        assert!(saying.next(&table(2), at(49)).is_some());
    }

    #[test]
    fn what_is_too_large_is_said_in_pieces_one_after_the_other() {
        let mut saying = saying(StartUpInfo { max_message_size: 300, ..info() });
        let table = table(20);
        let messages: Vec<_> = std::iter::from_fn(|| saying.next(&table, at(0))).collect();
        assert!(messages.len() > 2 && messages.last().unwrap().units.is_empty());
        assert_eq!(messages.iter().map(|message| message.units.len()).sum::<usize>(), 20);
        assert!(messages.iter().all(|message| message.units_timestamp.is_some_and(|at| at.seconds == 1)));
        assert!(messages.iter().all(|message| message.encoded_len() <= 300));
    }

    #[test]
    fn times_have_seconds_and_nanoseconds() {
        assert_eq!(timestamp(time::Timestamp(1_250)), Timestamp { seconds: 1, nanos: 250_000_000 });
        assert_eq!(timestamp(time::Timestamp(-1)), Timestamp { seconds: -1, nanos: 999_000_000 });
    }
}
