//! How often and how long the store waits before it asks again. A worker that waits takes no further batch, so what the
//! cluster refuses for a while gathers in its lane.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Times and numbers of waiting (elasticsearch.md, "Connection").
pub(super) struct Patience {
    /// Tries after the first one.
    pub(super) retries_max: u32,
    /// Before the first of them; each further wait is half as long again.
    retry_wait_first: Duration,
    /// No wait is longer, but for the spread.
    retry_wait_max: Duration,
    /// Looks for a key just made, which the security index shows only after its next refresh.
    pub(super) key_looks_max: u32,
    /// Between them.
    key_look_wait: Duration,
    /// So long an index that was seen is taken to be there still.
    pub(super) index_believed: Duration,
    /// No key is begun later in a batch of enrolments: those that have none by then come again, and nobody waits for all.
    pub(super) keys_made_for: Duration,
    /// Nobody waits any more.
    over: Mutex<bool>,
    bell: Condvar,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            retries_max: 5,
            retry_wait_first: Duration::from_millis(500),
            retry_wait_max: Duration::from_secs(10),
            key_looks_max: 60,
            key_look_wait: Duration::from_secs(1),
            index_believed: Duration::from_secs(10),
            keys_made_for: Duration::from_secs(30),
            over: Mutex::default(),
            bell: Condvar::default(),
        }
    }
}

impl Patience {
    /// The same numbers, without waiting.
    #[cfg(test)]
    pub(super) fn without_waits() -> Self {
        let patience = Patience::default();
        patience.end();
        patience
    }

    /// Believes in no index that it does not see.
    #[cfg(test)]
    pub(super) fn without_belief(self) -> Self {
        Patience { index_believed: Duration::ZERO, ..self }
    }

    /// Has no time for a second key in a batch.
    #[cfg(test)]
    pub(super) fn for_one_key(self) -> Self {
        Patience { keys_made_for: Duration::ZERO, ..self }
    }

    /// Waits before the retry with this number, from 0 on.
    pub(super) fn before_retry(&self, retry: u32) {
        let wait = self.retry_wait_first.mul_f64(1.5_f64.powi(retry.min(100).cast_signed()));
        self.wait(wait.min(self.retry_wait_max).mul_f64(spread()));
    }

    /// Waits before the next look for a key.
    pub(super) fn before_key_look(&self) {
        self.wait(self.key_look_wait);
    }

    /// Ends all waits, for ever.
    pub(super) fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    fn wait(&self, wait: Duration) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.bell.wait_timeout_while(over, wait, |over| !*over));
    }
}

/// Between a half and one and a half, so that many who were refused at once do not come back at once.
fn spread() -> f64 {
    // without entropy all wait equally long
    getrandom::u32().map_or(1.0, |random| 0.5 + f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_by_half() {
        for _ in 0..1_000 {
            assert!((0.5..=1.5).contains(&spread()));
        }
    }

    #[test]
    fn no_wait_is_left_once_waiting_is_over() {
        let patience = std::sync::Arc::new(Patience { key_look_wait: Duration::MAX, ..Patience::default() });
        let waiting = std::sync::Arc::clone(&patience);
        let thread = std::thread::Builder::new().spawn(move || waiting.before_key_look()).unwrap();
        patience.end();
        thread.join().unwrap();
    }
}
