//! Limits by fleet size and by key.

use std::time::Duration;

use super::{Sources, nothing, server};
use crate::config::{Limits, Pace, RouteLimit};

fn limits(sources: &Sources) -> Limits {
    sources.config().server.limits
}

fn limit(microseconds: u64, burst: u32, max: u32, body_bytes_max: u64) -> RouteLimit {
    RouteLimit { interval: Duration::from_micros(microseconds), burst, max, body_bytes_max }
}

const MIB: u64 = 1024 * 1024;

#[test]
fn without_a_word_nothing_but_bodies_is_limited() {
    let limits = limits(&nothing());
    assert_eq!(limits, Limits::default());
    assert_eq!(limits.routes.checkin, limit(0, 0, 0, MIB));
    assert_eq!(limits.routes.enroll, limit(0, 0, 0, MIB / 2));
    assert_eq!(limits.policy, Pace::default());
    assert_eq!((limits.header_bytes_max, limits.connections_max), (8192, 0));
    assert_eq!(limits.checkin_body_decompressed_bytes_max, 20 * MIB);
}

#[test]
fn a_fleet_size_takes_its_column() {
    let limits = limits(&server("limits.max_agents: 500"));
    assert_eq!(limits.routes.checkin, limit(5000, 100, 500, MIB));
    assert_eq!(limits.routes.audit_unenroll, limit(4000, 100, 200, 1024));
    assert_eq!(limits.action, Pace { interval: Duration::from_millis(5), burst: 1 });
    assert_eq!(limits.connections_max, 1500);
}

#[test]
fn one_agent_more_takes_the_next_column() {
    let limits = limits(&server("limits.max_agents: 501"));
    assert_eq!(limits.routes.checkin, limit(5000, 200, 1000, MIB));
}

#[test]
fn more_than_forty_thousand_take_the_last_column() {
    let limits = limits(&server("limits.max_agents: 40001"));
    assert_eq!(limits.routes.checkin, limit(250, 8000, 80_000, MIB));
    assert_eq!(limits.policy, Pace { interval: Duration::from_micros(250), burst: 1 });
}

#[test]
fn a_key_wins_over_the_column_and_the_rest_comes_from_it() {
    let limits = limits(&server("limits: {max_agents: 500, checkin_limit: {max: 7}}"));
    assert_eq!(limits.routes.checkin, limit(5000, 100, 7, MIB));
}

#[test]
fn a_rate_without_a_fleet_size_switches_that_route_on() {
    let limits = limits(&server("limits.enroll_limit.max: 7"));
    assert_eq!(limits.routes.enroll, limit(10_000, 50, 7, MIB / 2));
    assert_eq!(limits.routes.ack, limit(0, 0, 0, 2 * MIB));
}

#[test]
fn a_body_size_alone_brings_no_rates_along() {
    let limits = limits(&server("limits.enroll_limit.max_body_byte_size: 1000"));
    assert_eq!(limits.routes.enroll, limit(0, 0, 0, 1000));
}

#[test]
fn zero_takes_the_tables_value() {
    let text = "limits: {max_agents: 500, checkin_limit: {interval: 0, burst: 0, max_body_byte_size: 0}}";
    assert_eq!(limits(&server(text)).routes.checkin, limit(5000, 100, 500, MIB));
    assert_eq!(
        limits(&server("limits.checkin_limit: {interval: 0, max: 0}")).routes.checkin,
        limit(0, 0, 0, MIB)
    );
}

#[test]
fn a_negative_fleet_size_takes_the_default_column() {
    let limits = limits(&server("limits.max_agents: -1"));
    assert_eq!(limits.routes.checkin, limit(1000, 1000, 0, MIB));
    assert_eq!(limits.action, Pace { interval: Duration::ZERO, burst: 5 });
}

#[test]
fn a_fleet_size_of_zero_is_as_good_as_none() {
    assert_eq!(limits(&server("limits.max_agents: 0")), Limits::default());
}

#[test]
fn a_pace_alone_can_be_set() {
    let limits = limits(&server("limits.policy_limit.burst: 9"));
    assert_eq!(limits.policy, Pace { interval: Duration::from_millis(5), burst: 9 });
    assert_eq!(limits.action, Pace::default());
}

#[test]
fn the_size_of_a_chunk_is_fixed() {
    let sources = server("limits.upload_chunk_limit.max_body_byte_size: 1");
    assert_eq!(limits(&sources).routes.upload_chunk.body_bytes_max, 4 * MIB);
    assert_eq!(sources.warnings().len(), 1);
}

#[test]
fn the_inflated_check_in_can_be_set() {
    let limits = limits(&server("limits.checkin_limit.max_body_decompressed: 1000"));
    assert_eq!(limits.checkin_body_decompressed_bytes_max, 1000);
    assert_eq!(limits.routes.checkin, limit(0, 0, 0, MIB));
}

#[test]
fn file_storage_is_unlimited_or_off_or_a_size() {
    let storage = |text: &str| limits(&server(text)).file_storage_bytes_max;
    assert_eq!(storage("limits.max_agents: 1"), None);
    assert_eq!(storage("limits.max_file_storage_size: 0"), Some(0));
    assert_eq!(storage("limits.max_file_storage_size: 5000"), Some(5000));
}

#[test]
fn agents_send_numbers_with_a_point() {
    assert_eq!(limits(&server("limits.max_agents: 500.0")).max_agents, Some(500));
}

#[test]
fn the_cache_follows_the_fleet_size() {
    let cache = server("limits.max_agents: 20000").config().server.cache;
    assert_eq!((cache.counters, cache.bytes_max), (1_600_000, 128 * MIB));
}
