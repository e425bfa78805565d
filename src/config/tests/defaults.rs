//! What holds without a word, and which file is read.

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::{nothing, yaml};
use crate::config::{Config, Endpoint, Store};

#[test]
fn no_configuration_gives_the_default_with_absolute_paths() {
    let loaded = nothing().loaded();
    let mut expected = Config { data_directory: PathBuf::from("/srv/fleet-data"), ..Config::default() };
    expected.logging.files.path = PathBuf::from("/srv");
    expected.server.pgp.dir = PathBuf::from("/opt/bin/elastic-agent-upgrade-keys");
    assert!(loaded.config == expected);
    assert!(loaded.source.is_none());
    assert!(loaded.warnings.is_empty());
}

#[test]
fn no_configuration_logs_to_standard_error_and_opens_the_metrics_endpoint() {
    let config = nothing().config();
    assert!(config.logging.to_stderr && !config.logging.to_files);
    assert!(config.metrics.enabled && config.metrics.by_default);
    assert_eq!(config.metrics.endpoint, Endpoint::Tcp { host: "localhost".to_owned(), port: 5066 });
}

#[test]
fn a_file_brings_the_defaults_of_go() {
    let config = yaml("").config();
    assert!(!config.logging.to_stderr && config.logging.to_files);
    assert!(!config.metrics.enabled);
    assert_eq!(config.logging.level, LevelFilter::Info);
}

#[test]
fn files_asked_for_without_a_configuration_are_written() {
    let logging = nothing().set("logging.to_files=true").config().logging;
    assert!(!logging.to_stderr && logging.to_files);
}

#[test]
fn elasticsearch_without_a_file_logs_as_in_go() {
    let logging = nothing().set("output.elasticsearch.hosts=es").config().logging;
    assert!(!logging.to_stderr && logging.to_files);
}

#[test]
fn the_embedded_store_is_the_default_and_makes_its_own_certificate() {
    let config = nothing().config();
    assert!(matches!(config.store, Store::Embedded(_)));
    assert!(config.server.own_certificate && config.server.tls.is_none());
}

#[test]
fn the_embedded_store_keeps_thirty_days_and_ten_revisions() {
    let Store::Embedded(store) = nothing().config().store else { panic!("not embedded") };
    assert_eq!(store.retention.action_results, Duration::from_secs(30 * 86_400));
    assert_eq!(store.retention.policy_revisions_kept, 10);
}

#[test]
fn a_named_file_that_does_not_exist_is_an_error() {
    let mut sources = nothing();
    sources.arguments.file = Some(PathBuf::from("other.yml"));
    assert!(sources.error().starts_with("cannot read other.yml: "));
}

#[test]
fn a_named_file_is_read_and_named_as_the_operator_did() {
    let mut sources = nothing().file("/srv/etc/other.yml", "logging.level: loud");
    sources.arguments.file = Some(PathBuf::from("etc/other.yml"));
    assert!(sources.error().starts_with("etc/other.yml:1: logging.level: "));
}

#[test]
fn the_source_is_the_file_that_was_read() {
    assert_eq!(yaml("").loaded().source, Some(PathBuf::from("/srv/fleet-server.yml")));
}

#[test]
fn the_data_directory_can_be_set_without_a_warning() {
    let sources = nothing().set("path.data=/x");
    assert_eq!(sources.config().data_directory, PathBuf::from("/x"));
    assert!(sources.warnings().is_empty());
}

#[test]
fn host_names_of_the_command_line_reach_the_server() {
    let mut sources = nothing();
    sources.arguments.host_names = vec!["fleet.example".to_owned()];
    assert_eq!(sources.config().server.host_names, ["fleet.example"]);
}
