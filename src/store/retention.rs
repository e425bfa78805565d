//! How long a store of ours keeps what is no longer needed.

use std::time::Duration;

use crate::time::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long what is no longer needed is kept. Zero: for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Results of actions.
    pub action_results: Duration,
    /// Revisions that are neither among the newest nor on any agent, after a newer one replaced them.
    pub policy_revisions: Duration,
    /// So many newest revisions of a policy stay whatever their age; at least the newest does.
    pub policy_revisions_kept: u32,
    /// Agents after they were unenrolled.
    pub unenrolled_agents: Duration,
    /// Actions after their expiration.
    pub expired_actions: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            action_results: DAY * 30,
            policy_revisions: DAY * 30,
            policy_revisions_kept: 10,
            unenrolled_agents: DAY * 30,
            expired_actions: DAY * 30,
        }
    }
}

/// Ids of removed actions that are remembered; beyond that the oldest are forgotten.
pub(super) const GONE_ACTIONS_MAX: usize = 10_000;

/// What was over by then has outlived `kept`; `None` if it is kept for ever.
pub(super) fn outlived(now: Timestamp, kept: Duration) -> Option<Timestamp> {
    (kept > Duration::ZERO).then(|| now.minus(kept))
}
