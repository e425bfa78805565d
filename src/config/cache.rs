//! `inputs.0.cache`: how much is cached and how long (config.md, Cache).

use std::time::Duration;

use super::limits::table;
use super::section::Section;

/// The `cache` section; sizes follow `max_agents` unless set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// `num_counters`: entries that the admission of Go's cache counts; shown, nothing depends on it.
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

/// Reads the section; sizes that are absent or 0 follow the fleet's size, times of 0 the default.
pub(super) fn read(section: &mut Section<'_, '_>, max_agents: Option<i64>) -> Cache {
    let default = Cache::default();
    let column = table::column(max_agents);
    Cache {
        counters: section.nonzero("num_counters", table::CACHE_COUNTERS[column], u64::MAX),
        bytes_max: section.nonzero("max_cost", table::CACHE_BYTES_MAX[column], u64::MAX),
        ttl_action: section.nonzero_duration("ttl_action", default.ttl_action),
        ttl_enroll_key: section.nonzero_duration("ttl_enroll_key", default.ttl_enroll_key),
        ttl_artifact: section.nonzero_duration("ttl_artifact", default.ttl_artifact),
        ttl_api_key: section.nonzero_duration("ttl_api_key", default.ttl_api_key),
        jitter_api_key: section.nonzero_duration("jitter_api_key", default.jitter_api_key),
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            counters: table::CACHE_COUNTERS[0],
            bytes_max: table::CACHE_BYTES_MAX[0],
            ttl_action: Duration::from_secs(5 * 60),
            ttl_enroll_key: Duration::from_secs(60),
            ttl_artifact: Duration::from_secs(24 * 3600),
            ttl_api_key: Duration::from_secs(15 * 60),
            jitter_api_key: Duration::from_secs(5 * 60),
        }
    }
}
