//! The time that hosts are set aside by, on threads that block anyway. The only reading of a clock in the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tells the time since some moment of the past.
pub(super) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The time since now.
#[expect(
    clippy::disallowed_methods,
    reason = "a worker that waits for the network has nobody who tells it the time"
)]
pub(super) fn from_now() -> Clock {
    let start = Instant::now();
    Arc::new(move || start.elapsed())
}
