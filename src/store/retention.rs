//! How long a store of ours keeps what is no longer needed.

use std::time::Duration;

use crate::time::Timestamp;

pub use crate::config::Retention;

/// Ids of removed actions that are remembered; beyond that the oldest are forgotten.
pub(super) const GONE_ACTIONS_MAX: usize = 10_000;

/// An upload that is not complete after so long never will be (files.md).
pub const UPLOAD_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Files in one list.
pub(super) const FILES_LISTED_MAX: usize = 1_000;

/// What was over by then has outlived `kept`; `None` if it is kept for ever.
pub(super) fn outlived(now: Timestamp, kept: Duration) -> Option<Timestamp> {
    (kept > Duration::ZERO).then(|| now.minus(kept))
}
