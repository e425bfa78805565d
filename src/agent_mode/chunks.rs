//! Messages that come, or go, in pieces because they are too large for one (agent-mode.md, "Chunks"): pieces of a set have the
//! same timestamp, and one without units ends it.

use prost::Message;

use super::messages::{CheckinExpected, CheckinObserved, Timestamp, UnitExpected};

/// Bytes of a set that is put together.
const SET_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a unit costs in a message beside its own bytes: the field's number and the unit's length.
const UNIT_EXTRA_BYTES_MAX: usize = 11;

/// Puts together what a stream brings in pieces.
#[derive(Default)]
pub struct Sets {
    open: Option<Set>,
}

struct Set {
    timestamp: Timestamp,
    whole: CheckinExpected,
    bytes: usize,
}

impl Sets {
    /// A message came; what it completes. One without a timestamp is whole.
    pub fn take(&mut self, mut piece: CheckinExpected) -> Option<CheckinExpected> {
        let Some(timestamp) = piece.units_timestamp.take() else { return Some(piece) };
        let ends = piece.units.is_empty();
        let bytes = piece.encoded_len();
        match &mut self.open {
            Some(open) if timestamp < open.timestamp => return None,
            Some(open) if timestamp == open.timestamp => open.add(piece.units, bytes),
            _ => self.open = Some(Set { timestamp, whole: piece, bytes }),
        }
        let whole = if ends { self.open.take() } else { None }?;
        if whole.bytes > SET_BYTES_MAX {
            log::warn!("what the agent expects is larger than {SET_BYTES_MAX} bytes: it is left out");
            return None;
        }
        Some(whole.whole)
    }
}

impl Set {
    /// Of one that is too large only the size is kept.
    fn add(&mut self, mut units: Vec<UnitExpected>, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > SET_BYTES_MAX {
            self.whole = CheckinExpected::default();
        } else {
            self.whole.units.append(&mut units);
        }
    }
}

/// The messages to send for one that may be larger than `bytes_max`. What cannot be cut, since it is one unit, goes whole.
pub fn split(mut whole: CheckinObserved, bytes_max: usize, now: Timestamp) -> Vec<CheckinObserved> {
    if whole.encoded_len() <= bytes_max || whole.units.len() < 2 {
        return vec![whole];
    }
    // the first message has other fields too: it gets the smallest unit
    let mut units = std::mem::take(&mut whole.units);
    units.sort_by_key(Message::encoded_len);
    let next = CheckinObserved {
        token: whole.token.clone(),
        units_timestamp: Some(now),
        ..CheckinObserved::default()
    };
    whole.units_timestamp = Some(now);
    let mut messages = vec![whole];
    let mut bytes = messages[0].encoded_len();
    for unit in units {
        let more = unit.encoded_len() + UNIT_EXTRA_BYTES_MAX;
        let last = messages.last_mut().expect("there is always one");
        if bytes + more > bytes_max && !last.units.is_empty() {
            bytes = next.encoded_len() + more;
            messages.push(CheckinObserved { units: vec![unit], ..next.clone() });
        } else {
            bytes += more;
            last.units.push(unit);
        }
    }
    messages.push(next);
    messages
}

#[cfg(test)]
mod tests {
    use super::super::messages::UnitObserved;
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn piece(seconds: i64, ids: &[&str], features_idx: u64) -> CheckinExpected {
        let units =
            ids.iter().map(|id| UnitExpected { id: (*id).into(), ..UnitExpected::default() }).collect();
        CheckinExpected { units, units_timestamp: at(seconds), features_idx, ..CheckinExpected::default() }
    }

    fn ids(whole: Option<CheckinExpected>) -> Vec<String> {
        whole.expect("a whole set").units.into_iter().map(|unit| unit.id).collect()
    }

    #[test]
    fn what_has_no_timestamp_is_whole() {
        let mut sets = Sets::default();
        let message = CheckinExpected { units_timestamp: None, ..piece(0, &["a"], 1) };
        assert_eq!(ids(sets.take(message)), ["a"]);
    }

    #[test]
    fn units_are_added_to_the_first_piece_until_one_has_none() {
        let mut sets = Sets::default();
        assert!(sets.take(piece(2, &["a"], 7)).is_none());
        assert!(sets.take(piece(2, &["b", "c"], 0)).is_none());
        let whole = sets.take(piece(2, &[], 0)).expect("it is whole");
        assert_eq!((whole.features_idx, whole.units_timestamp), (7, None));
        assert_eq!(ids(Some(whole)), ["a", "b", "c"]);
    }

    #[test]
    fn an_older_piece_is_ignored_and_a_newer_one_begins_anew() {
        let mut sets = Sets::default();
        assert!(sets.take(piece(2, &["a"], 0)).is_none());
        assert!(sets.take(piece(1, &["old"], 0)).is_none());
        assert!(sets.take(piece(1, &[], 0)).is_none());
        assert!(sets.take(piece(3, &["b"], 0)).is_none());
        assert_eq!(ids(sets.take(piece(3, &[], 0))), ["b"]);
    }

    #[test]
    fn a_set_of_no_units_is_whole_at_once() {
        assert!(ids(Sets::default().take(piece(2, &[], 0))).is_empty());
    }

    fn observed(bytes: &[usize]) -> CheckinObserved {
        let unit = |(index, bytes): (usize, &usize)| UnitObserved {
            id: index.to_string(),
            message: "m".repeat(*bytes),
            ..UnitObserved::default()
        };
        CheckinObserved {
            token: "t".into(),
            units: bytes.iter().enumerate().map(unit).collect(),
            pid: 9,
            ..CheckinObserved::default()
        }
    }

    #[test]
    fn what_fits_goes_whole() {
        let messages = split(observed(&[100, 100]), 1_000, Timestamp::default());
        assert!(messages == [observed(&[100, 100])]);
    }

    #[test]
    fn what_is_too_large_goes_in_pieces_that_fit_with_an_empty_one_at_the_end() {
        let messages = split(observed(&[700, 100, 200, 900]), 1_000, Timestamp { seconds: 5, nanos: 0 });
        let ids: Vec<Vec<&str>> = messages
            .iter()
            .map(|message| message.units.iter().map(|unit| unit.id.as_str()).collect())
            .collect();
        assert_eq!(ids, [vec!["1", "2"], vec!["0"], vec!["3"], vec![]]);
        assert!(messages.iter().all(|message| message.encoded_len() <= 1_000));
        assert!(messages.iter().all(|message| message.token == "t" && message.units_timestamp == at(5)));
        assert_eq!(messages.iter().map(|message| message.pid).collect::<Vec<_>>(), [9, 0, 0, 0]);
    }

    #[test]
    fn one_unit_goes_whole_however_large_it_is() {
        assert_eq!(split(observed(&[5_000]), 1_000, Timestamp::default()).len(), 1);
    }
}
