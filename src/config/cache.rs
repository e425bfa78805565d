//! `inputs.0.cache`: how much is cached and how long (config.md, Cache).

use std::time::Duration;

use super::limits::table;

/// The `cache` section; sizes follow `max_agents` unless set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// `num_counters`: entries that the admission of Go's cache counts.
    pub counters: u64,
    /// `max_cost`: bytes of all entries together.
    pub bytes_max: u64,
    /// `ttl_action`
    pub ttl_action: Duration,
    /// `ttl_enroll_key`
    pub ttl_enroll_key: Duration,
    /// `ttl_artifact`
    pub ttl_artifact: Duration,
    /// `ttl_api_key`
    pub ttl_api_key: Duration,
    /// `jitter_api_key`: the most that is taken off `ttl_api_key` at random.
    pub jitter_api_key: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            counters: table::CACHE_COUNTERS[0],
            bytes_max: table::CACHE_BYTES_MAX[0],
            ttl_action: Duration::from_secs(5 * 60),
            ttl_enroll_key: Duration::from_secs(1 * 60),
            ttl_artifact: Duration::from_secs(24 * 3600),
            ttl_api_key: Duration::from_secs(15 * 60),
            jitter_api_key: Duration::from_secs(5 * 60),
        }
    }
}
