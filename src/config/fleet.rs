//! `fleet` and `inputs.0.monitor`: who we are, and how the store is watched (config.md, Keys).

use std::time::Duration;

use super::logging::LEVELS;
use super::section::Section;

/// The `fleet` section as an agent sends it. Without an agent nothing depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// `agent.id`: the agent that runs us has enrolled.
    pub agent_id: Option<String>,
    /// `agent.version`; shown, nothing depends on it, here and below.
    pub agent_version: Option<String>,
    /// `host.id`
    pub host_id: Option<String>,
    /// `host.name`
    pub host_name: Option<String>,
}

/// `inputs.0.monitor`: watching Elasticsearch for changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
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

/// Reads `inputs.0.monitor`. The embedded store tells of its changes at once and by itself.
pub(super) fn read_monitor(section: &mut Section<'_, '_>, embedded: bool) -> Monitor {
    let default = Monitor::default();
    section.no_effect("fetch_size");
    for key in ["poll_timeout", "policy_debounce_time"] {
        if embedded && section.has(key) {
            section.warn(key, "has no effect on the embedded store");
        }
    }
    Monitor {
        poll_timeout: section.nonzero_duration("poll_timeout", default.poll_timeout),
        policy_debounce_time: section.duration("policy_debounce_time", default.policy_debounce_time),
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self { poll_timeout: Duration::from_secs(4 * 60), policy_debounce_time: Duration::from_secs(1) }
    }
}
