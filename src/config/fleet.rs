//! `fleet` and `inputs.0.monitor`: who we are, and how the store is watched (config.md, Keys).

use std::time::Duration;

use super::logging::LEVELS;
use super::section::Section;

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

/// Reads `fleet`.
pub(super) fn read(section: &mut Section<'_, '_>) -> Fleet {
    let (agent_id, agent_version) = section.section("agent", |section| {
        section.section("logging", |section| {
            if section.has("level") {
                section.warn("level", "has no effect; use logging.level");
                section.choice("level", log::LevelFilter::Info, &LEVELS);
            } else {
                section.ignore("level");
            }
        });
        (section.optional_text("id"), section.optional_text("version"))
    });
    let (host_id, host_name) =
        section.section("host", |section| (section.optional_text("id"), section.optional_text("name")));
    Fleet { agent_id, agent_version, host_id, host_name }
}

/// Reads `inputs.0.monitor`.
pub(super) fn read_monitor(section: &mut Section<'_, '_>) -> Monitor {
    let default = Monitor::default();
    // Zero and less mean the default.
    let size = section.number("fetch_size", i64::from(default.fetch_size), i64::MIN, FETCH_SIZE_MAX);
    let fetch_size = u32::try_from(size).ok().filter(|size| *size > 0).unwrap_or(default.fetch_size);
    section.show("fetch_size", fetch_size);
    Monitor {
        fetch_size,
        poll_timeout: section.nonzero_duration("poll_timeout", default.poll_timeout),
        policy_debounce_time: section.duration("policy_debounce_time", default.policy_debounce_time),
    }
}

/// What Elasticsearch returns at most from one search (index.max_result_window).
const FETCH_SIZE_MAX: i64 = 10_000;

impl Default for Monitor {
    fn default() -> Self {
        Self {
            fetch_size: 1000,
            poll_timeout: Duration::from_secs(4 * 60),
            policy_debounce_time: Duration::from_secs(1),
        }
    }
}
