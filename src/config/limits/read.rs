//! Reads `inputs.0.server.limits` over the table's column.

use std::time::Duration;

use super::table::{self, Rate, Route};
use super::{Limits, Pace, RouteLimit, RouteLimits};
use crate::config::section::Section;

/// The limits. Absent or 0 takes the table's value; rates apply only when the operator asked for
/// any (see [`RouteLimit`]).
pub(in crate::config) fn limits(section: &mut Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let max_agents =
        Some(section.number("max_agents", 0_i64, i64::MIN, i64::MAX)).filter(|agents| *agents != 0);
    let column = Column { index: table::column(max_agents), applies: max_agents.is_some() };
    let (checkin, checkin_body_decompressed_bytes_max) = section.section("checkin_limit", |section| {
        let most = default.checkin_body_decompressed_bytes_max;
        (route(section, &table::CHECKIN, column), section.nonzero("max_body_decompressed", most, u64::MAX))
    });
    let upload_chunk = section.section("upload_chunk_limit", |section| upload_chunk(section, column));
    let mut of = |key, figures| section.section(key, |section| route(section, figures, column));
    let routes = RouteLimits {
        checkin,
        artifact: of("artifact_limit", &table::ARTIFACT),
        enroll: of("enroll_limit", &table::ENROLL),
        ack: of("ack_limit", &table::ACK),
        status: of("status_limit", &table::STATUS),
        opamp: of("opamp_limit", &table::OPAMP),
        upload_start: of("upload_start_limit", &table::UPLOAD_START),
        upload_chunk,
        upload_end: of("upload_end_limit", &table::UPLOAD_END),
        file_delivery: of("file_delivery_limit", &table::FILE_DELIVERY),
        pgp_retrieval: of("pgp_retrieval_limit", &table::PGP_RETRIEVAL),
        audit_unenroll: of("audit_unenroll_limit", &table::AUDIT_UNENROLL),
    };
    Limits {
        max_agents,
        header_bytes_max: section.nonzero("max_header_byte_size", default.header_bytes_max, usize::MAX),
        connections_max: section.nonzero("max_connections", table::CONNECTIONS_MAX[column.index], u32::MAX),
        file_storage_bytes_max: section.optional_number("max_file_storage_size", u64::MAX),
        checkin_body_decompressed_bytes_max,
        routes,
        action: section.section("action_limit", |section| pace(section, &table::ACTION, column)),
        policy: section.section("policy_limit", |section| pace(section, &table::POLICY, column)),
    }
}

/// The column of the fleet's size, and whether its rates apply without further keys.
#[derive(Clone, Copy)]
struct Column {
    index: usize,
    applies: bool,
}

fn route(section: &mut Section<'_, '_>, figures: &Route, column: Column) -> RouteLimit {
    let rate = applying(section, &["interval", "burst", "max"], figures.rates[column.index], column);
    RouteLimit {
        interval: section.nonzero_duration("interval", rate.interval),
        burst: section.nonzero("burst", rate.burst, u32::MAX),
        max: section.nonzero("max", rate.max, u32::MAX),
        body_bytes_max: section.nonzero("max_body_byte_size", figures.body_bytes_max, u64::MAX),
    }
}

/// The size of a chunk is part of the protocol (files.md), so it cannot be set.
fn upload_chunk(section: &mut Section<'_, '_>, column: Column) -> RouteLimit {
    let mut limit = route(section, &table::UPLOAD_CHUNK, column);
    let fixed = table::UPLOAD_CHUNK.body_bytes_max;
    if limit.body_bytes_max != fixed {
        section.warn("max_body_byte_size", format!("has no effect: it is always {fixed}"));
        section.show("max_body_byte_size", fixed);
        limit.body_bytes_max = fixed;
    }
    limit
}

fn pace(section: &mut Section<'_, '_>, rates: &[Rate], column: Column) -> Pace {
    let rate = applying(section, &["interval", "burst"], rates[column.index], column);
    Pace {
        interval: section.nonzero_duration("interval", rate.interval),
        burst: section.nonzero("burst", rate.burst, u32::MAX),
    }
}

/// The column's rate if the operator asked for a fleet size or for a rate of this limit. A body
/// size alone does not bring rates along, and 0 is as good as absent.
fn applying(section: &Section<'_, '_>, keys: &[&str], rate: Rate, column: Column) -> Rate {
    if column.applies || keys.iter().any(|key| section.is_nonzero(key)) {
        rate
    } else {
        Rate { interval: Duration::ZERO, burst: 0, max: 0 }
    }
}
