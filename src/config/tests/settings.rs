//! `-E`.

use std::time::Duration;

use log::LevelFilter;

use super::{Sources, nothing, yaml};
use crate::config::Store;

fn hosts(sources: &Sources) -> Vec<String> {
    match sources.config().store {
        Store::Elasticsearch(store) => store.hosts,
        Store::Embedded(_) => panic!("embedded"),
    }
}

#[test]
fn a_key_alone_is_true() {
    assert!(yaml("").set("logging.to_stderr").config().logging.to_stderr);
}

#[test]
fn a_key_without_a_value_is_ignored() {
    assert_eq!(yaml("logging.level: debug").set("logging.level=").config().logging.level, LevelFilter::Debug);
}

#[test]
fn a_setting_without_a_key_is_an_error() {
    assert!(nothing().set("=x").error().contains("not a setting"));
    assert!(nothing().set("").error().contains("not a setting"));
}

#[test]
fn settings_win_over_the_file() {
    assert_eq!(
        yaml("logging.level: debug").set("logging.level=error").config().logging.level,
        LevelFilter::Error
    );
}

#[test]
fn values_are_booleans_numbers_and_texts() {
    let sources = yaml("")
        .set("logging.pretty=on")
        .set("logging.files.keepfiles=010")
        .set("logging.files.rotateeverybytes=0x10")
        .set("inputs.0.server.timeouts.idle=5m")
        .set("fleet.host.name='a, b'")
        .set("fleet.host.id=\"x\\ny\"");
    let config = sources.config();
    assert!(config.logging.pretty);
    assert_eq!((config.logging.files.keep_files, config.logging.files.rotate_bytes), (8, 16));
    assert_eq!(config.server.timeouts.idle, Duration::from_secs(300));
    assert_eq!(config.fleet.host_name.unwrap(), "a, b");
    assert_eq!(config.fleet.host_id.unwrap(), "x\ny");
}

#[test]
fn a_list_of_hosts() {
    let sources = nothing().set("output.elasticsearch.hosts=a,b");
    assert_eq!(hosts(&sources), ["http://a:9200", "http://b:9200"]);
    let sources = nothing().set("output.elasticsearch.hosts=[a, 'b']");
    assert_eq!(hosts(&sources), ["http://a:9200", "http://b:9200"]);
}

#[test]
fn a_url_is_a_text_and_serves_as_a_list() {
    assert_eq!(hosts(&nothing().set("output.elasticsearch.hosts=https://h:9200")), ["https://h:9200"]);
}

#[test]
fn an_index_changes_one_item_of_the_files_list() {
    let sources = yaml("output.elasticsearch.hosts: [h1, h2]").set("output.elasticsearch.hosts.0=z");
    assert_eq!(hosts(&sources), ["http://z:9200", "http://h2:9200"]);
}

#[test]
fn lists_merge_by_index() {
    let sources = yaml("output.elasticsearch.hosts: [h1, h2, h3]").set("output.elasticsearch.hosts=a,b");
    assert_eq!(hosts(&sources), ["http://a:9200", "http://b:9200", "http://h3:9200"]);
}

#[test]
fn an_input_is_merged_into_and_not_replaced() {
    let sources = yaml("inputs:\n  - type: fleet-server\n    policy.id: p\n").set("inputs.0.server.port=1");
    let config = sources.config();
    assert_eq!((config.policy_id.as_deref(), config.server.port), (Some("p"), 1));
}

#[test]
fn an_input_may_come_from_settings_alone() {
    assert_eq!(nothing().set("inputs.0.policy.id=p").config().policy_id.unwrap(), "p");
}

#[test]
fn an_index_beyond_the_list_is_an_error() {
    assert!(!nothing().set("output.elasticsearch.hosts.4000000000=x").errors().is_empty());
}

#[test]
fn an_object_is_a_section() {
    let config = nothing().set("logging.files={keepfiles: 3, name: 'a.log'}").config();
    assert_eq!((config.logging.files.keep_files, config.logging.files.name.as_str()), (3, "a.log"));
}

#[test]
fn what_is_no_whole_list_is_a_text() {
    assert_eq!(nothing().set("fleet.host.name=[::1]:8220").config().fleet.host_name.unwrap(), "[::1]:8220");
}
