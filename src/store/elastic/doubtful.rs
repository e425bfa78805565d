//! Keys of which it is not known whether an agent's document names them: the write that was to say so had no answer, or one
//! that says nothing. Such a write may still be carried out, so the document is looked at later, twice; only a key that it
//! names neither time is taken back (elasticsearch.md, "Output keys"). Kept in memory only: what a restart forgets is a key
//! that nobody has.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Elastic;
use super::client::Client;
use super::output_keys::Outputs;
use crate::store::StoreError;
use crate::time::Timestamp;

/// Before the first look, in milliseconds.
const FIRST_LOOK_MILLIS: i64 = 600_000;
/// Between two looks.
const NEXT_LOOK_MILLIS: i64 = 300_000;
/// So many looks that do not find the key.
const LOOKS: u32 = 2;
/// Keys in doubt; beyond, the oldest is only logged.
const DOUBTS_MAX: usize = 10_000;

/// A key in doubt.
#[derive(Clone)]
pub(super) struct Doubt {
    /// Whose it would be.
    pub(super) agent: String,
    /// What it would be for.
    pub(super) output: String,
    /// Its id.
    pub(super) key_id: String,
    /// What holds it.
    pub(super) secret_id: String,
    /// Where it was made; none: in our own cluster.
    pub(super) remote: Option<Arc<Client>>,
}

/// Keys in doubt, oldest first.
#[derive(Default)]
pub(super) struct Doubts(VecDeque<Looked>);

struct Looked {
    doubt: Doubt,
    /// When it is to be looked at.
    due: Timestamp,
    looks: u32,
}

impl Doubts {
    fn add(&mut self, doubt: Doubt, at: Timestamp) {
        if self.0.len() >= DOUBTS_MAX
            && let Some(oldest) = self.0.pop_front()
        {
            ::log::error!("fleet.agent.id" = oldest.doubt.agent.as_str(), "fleet.apikey.id" = oldest.doubt.key_id.as_str();
                "a key for the output {} that nobody may have stays", oldest.doubt.output);
        }
        self.0.push_back(Looked { doubt, due: Timestamp(at.0 + FIRST_LOOK_MILLIS), looks: 0 });
    }

    /// Takes out what is to be looked at now.
    fn take_due(&mut self, at: Timestamp) -> VecDeque<Looked> {
        let (due, later) = std::mem::take(&mut self.0).into_iter().partition(|looked| looked.due <= at);
        self.0 = later;
        due
    }

    /// Puts back what was looked at.
    fn look_again(&mut self, looked: Looked, at: Timestamp) {
        self.0.push_back(Looked { due: Timestamp(at.0 + NEXT_LOOK_MILLIS), ..looked });
    }
}

impl Elastic {
    /// A key may have become an agent's, or not.
    pub(super) fn doubt(&self, doubt: Doubt, at: Timestamp) {
        ::log::warn!("fleet.agent.id" = doubt.agent.as_str(), "fleet.apikey.id" = doubt.key_id.as_str();
            "it is not known whether the agent got a new key for the output {}: it is looked at again", doubt.output);
        self.doubts().add(doubt, at);
    }

    /// Looks at the keys in doubt whose time has come.
    pub(super) fn look_at_doubts(&self, at: Timestamp) {
        let due = self.doubts().take_due(at);
        for mut looked in due {
            match self.outputs_of(&looked.doubt.agent) {
                Ok(outputs) if is_named(outputs.as_ref(), &looked.doubt) => {}
                Ok(_) if looked.looks + 1 >= LOOKS => self.take_back_doubt(&looked.doubt),
                Ok(_) => {
                    looked.looks += 1;
                    self.doubts().look_again(looked, at);
                }
                // that the document cannot be had says nothing of it
                Err(_) => self.doubts().look_again(looked, at),
            }
        }
    }

    fn take_back_doubt(&self, doubt: &Doubt) {
        let secret = std::slice::from_ref(&doubt.secret_id);
        let done = self.take_key_back(doubt.remote.as_ref(), &doubt.key_id, secret);
        log_taken_back(&doubt.agent, &doubt.key_id, done);
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an agent's document names a key, be it to be retired.
fn is_named(outputs: Option<&Outputs>, doubt: &Doubt) -> bool {
    outputs.into_iter().flat_map(|outputs| outputs.values()).any(|output| {
        output.api_key_id == doubt.key_id
            || output.to_retire_api_key_ids.iter().any(|retired| retired.id == doubt.key_id)
    })
}

/// Whether a write that failed may have been carried out all the same.
pub(super) fn is_in_doubt(error: &StoreError) -> bool {
    match error {
        // the cluster said what it did not do
        StoreError::NotFound | StoreError::Conflict | StoreError::Busy => false,
        StoreError::Failed { status, .. } => !(400..500).contains(status) || *status == 408,
        _ => true,
    }
}

/// Says what an operator has to remove by hand.
pub(super) fn log_taken_back(agent: &str, key_id: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        ::log::warn!("fleet.agent.id" = agent, "fleet.apikey.id" = key_id;
            "a key that nobody has could not be taken back: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(key_id: &str) -> Doubt {
        let text = str::to_owned;
        Doubt {
            agent: text("a"),
            output: text("o"),
            key_id: text(key_id),
            secret_id: text("s"),
            remote: None,
        }
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp(minutes * 60_000)
    }

    #[test]
    fn a_key_is_looked_at_after_ten_minutes_and_again_after_five() {
        let mut doubts = Doubts::default();
        doubts.add(doubt("k"), at(0));
        doubts.add(doubt("l"), at(1));
        assert!(doubts.take_due(at(9)).is_empty());
        let due = doubts.take_due(at(10));
        assert_eq!(due.iter().map(|looked| looked.doubt.key_id.as_str()).collect::<Vec<_>>(), ["k"]);
        doubts.look_again(due.into_iter().next().unwrap(), at(10));
        assert_eq!(doubts.take_due(at(14)).len(), 1, "only the other one");
        assert_eq!(doubts.take_due(at(15)).len(), 1);
        assert!(doubts.take_due(at(99)).is_empty());
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let mut doubts = Doubts::default();
        for number in 0..=DOUBTS_MAX {
            doubts.add(doubt(&number.to_string()), at(0));
        }
        assert_eq!((doubts.0.len(), doubts.0[0].doubt.key_id.as_str()), (DOUBTS_MAX, "1"));
    }

    #[test]
    fn only_a_cluster_that_refuses_has_not_done_it() {
        let failed = |status| StoreError::Failed { status, reason: String::new() };
        for error in [StoreError::Unavailable("cut off".into()), failed(408), failed(500), failed(503)] {
            assert!(is_in_doubt(&error), "{error:?}");
        }
        for error in [StoreError::NotFound, StoreError::Conflict, failed(400), failed(404), failed(429)] {
            assert!(!is_in_doubt(&error), "{error:?}");
        }
    }
}
