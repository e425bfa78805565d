//! What an Elastic Agent passes in agent mode.

use std::path::PathBuf;

use log::LevelFilter;

use super::{Sources, yaml};
use crate::config::Endpoint;

/// The arguments that an Elastic Agent passes (agent-mode.md, Process), with a file beside it.
fn agent() -> Sources {
    let mut sources = yaml("logging.level: error")
        .set("logging.level=debug")
        .set("logging.to_stderr=true")
        .set("http.enabled=true")
        .set("http.host=unix:///run/agent/fleet.sock")
        .set("logging.metrics.enabled=false")
        .set("path.data=/var/agent");
    sources.arguments.agent_mode = true;
    sources
}

#[test]
fn an_agents_settings_are_taken_without_a_warning() {
    let loaded = agent().loaded();
    assert!(loaded.warnings.is_empty());
    assert_eq!(loaded.config.logging.level, LevelFilter::Debug);
    assert!(loaded.config.logging.to_stderr);
    assert_eq!(loaded.config.data_directory, PathBuf::from("/var/agent"));
    assert_eq!(loaded.config.metrics.endpoint, Endpoint::Unix(PathBuf::from("/run/agent/fleet.sock")));
}

#[test]
fn no_file_is_read_in_agent_mode() {
    assert!(agent().loaded().source.is_none());
}

#[test]
fn an_agent_that_asks_for_no_metrics_gets_none() {
    let mut sources = super::nothing();
    sources.arguments.agent_mode = true;
    assert!(!sources.config().metrics.enabled);
}

#[test]
fn an_unknown_setting_of_an_agent_is_not_fatal() {
    assert_eq!(agent().set("new.key=1").loaded().warnings.len(), 1);
}
