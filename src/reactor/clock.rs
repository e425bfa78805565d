//! The only place that reads a clock.

use std::time::{Duration, Instant, SystemTime};

use crate::time::{Now, Timestamp};

/// Both clocks; monotonic time counts from its making.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

#[expect(clippy::disallowed_methods, reason = "the reactor is where time comes in")]
impl Clock {
    /// A clock whose monotonic time is zero now.
    pub fn start() -> Self {
        Clock { started: Instant::now() }
    }

    /// A reading of both.
    pub fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: self.elapsed(),
            wall: Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// The monotonic half alone: for budgets within a turn.
    pub(super) fn elapsed(&self) -> Duration {
        Instant::now().duration_since(self.started)
    }
}
