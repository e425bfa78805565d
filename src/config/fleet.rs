//! `fleet` and `inputs.0.monitor`: who we are, and how the store is watched (config.md, Keys).

use std::time::Duration;

/// The `fleet` section as configured. Standalone, the agent's id and version are replaced at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// `agent.id`
    pub agent_id: Option<String>,
    /// `agent.version`
    pub agent_version: Option<String>,
    /// `host.id`
    pub host_id: Option<String>,
    /// `host.name`
    pub host_name: Option<String>,
}

/// `inputs.0.monitor`: watching for changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    /// `fetch_size`: documents a search brings.
    pub fetch_size: u32,
    /// `poll_timeout`: how long one wait for a change lasts.
    pub poll_timeout: Duration,
    /// `policy_debounce_time`: changes of policies within it are one.
    pub policy_debounce_time: Duration,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            fetch_size: 1000,
            poll_timeout: Duration::from_secs(4 * 60),
            policy_debounce_time: Duration::from_secs(1),
        }
    }
}
