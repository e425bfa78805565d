//! Limits of routes, of deliveries and of the listener (config.md, Limits).
//!
//! Types and what they mean; the figures by fleet size are in `table`, reading is in `read`.

use std::time::Duration;

pub(super) mod read;

pub(super) mod table;

/// The `limits` section as it applies: the table's values are filled in already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `max_agents` as set by the operator; `None` when absent or 0.
    pub max_agents: Option<i64>,
    /// `max_header_byte_size`: bytes of a request head.
    pub header_bytes_max: usize,
    /// `max_connections`: requests in flight per listener, 429 beyond; 0: no limit.
    pub connections_max: u32,
    /// `max_file_storage_size`: bytes of uploads kept; `None`: no limit, `Some(0)`: uploads are off.
    pub file_storage_bytes_max: Option<u64>,
    /// `checkin_limit.max_body_decompressed`: bytes of a check-in body after inflation.
    pub checkin_body_decompressed_bytes_max: u64,
    /// The limit of each route.
    pub routes: RouteLimits,
    /// `action_limit`: paces the delivery of actions, one token an agent.
    pub action: Pace,
    /// `policy_limit`: paces the delivery of policies, one token an agent.
    pub policy: Pace,
}

/// The limit of one route.
///
/// Rate, burst and `max` are 0 (no limit) unless the operator set `max_agents` or a rate of that
/// route (interface.md, Defaults that differ from Go's); the body size always applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteLimit {
    /// Time per token; zero: no rate limit.
    pub interval: Duration,
    /// Tokens that may be saved up.
    pub burst: u32,
    /// Requests at once; 0: no limit.
    pub max: u32,
    /// Bytes of a request body; 0: no limit of its own (routes that take no body).
    pub body_bytes_max: u64,
}

/// The limit of each route, named like its `*_limit` key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLimits {
    /// `checkin_limit`
    pub checkin: RouteLimit,
    /// `artifact_limit`
    pub artifact: RouteLimit,
    /// `enroll_limit`
    pub enroll: RouteLimit,
    /// `ack_limit`
    pub ack: RouteLimit,
    /// `status_limit`
    pub status: RouteLimit,
    /// `opamp_limit`
    pub opamp: RouteLimit,
    /// `upload_start_limit`
    pub upload_start: RouteLimit,
    /// `upload_chunk_limit`; its body size is fixed
    pub upload_chunk: RouteLimit,
    /// `upload_end_limit`
    pub upload_end: RouteLimit,
    /// `file_delivery_limit`
    pub file_delivery: RouteLimit,
    /// `pgp_retrieval_limit`
    pub pgp_retrieval: RouteLimit,
    /// `audit_unenroll_limit`
    pub audit_unenroll: RouteLimit,
}

/// A rate at which agents are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Time per token; zero: no limit.
    pub interval: Duration,
    /// Tokens that may be saved up.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_agents: None,
            header_bytes_max: 8192,
            connections_max: 0,
            file_storage_bytes_max: None,
            checkin_body_decompressed_bytes_max: table::CHECKIN_DECOMPRESSED_BYTES_MAX,
            routes: RouteLimits::default(),
            action: Pace::default(),
            policy: Pace::default(),
        }
    }
}

impl RouteLimit {
    /// No rate and no concurrency limit, only a body size (0: none).
    const fn body_only(body_bytes_max: u64) -> Self {
        Self { interval: Duration::ZERO, burst: 0, max: 0, body_bytes_max }
    }
}

impl Default for RouteLimits {
    fn default() -> Self {
        let of = |route: &table::Route| RouteLimit::body_only(route.body_bytes_max);
        Self {
            checkin: of(&table::CHECKIN),
            artifact: of(&table::ARTIFACT),
            enroll: of(&table::ENROLL),
            ack: of(&table::ACK),
            status: of(&table::STATUS),
            opamp: of(&table::OPAMP),
            upload_start: of(&table::UPLOAD_START),
            upload_chunk: of(&table::UPLOAD_CHUNK),
            upload_end: of(&table::UPLOAD_END),
            file_delivery: of(&table::FILE_DELIVERY),
            pgp_retrieval: of(&table::PGP_RETRIEVAL),
            audit_unenroll: of(&table::AUDIT_UNENROLL),
        }
    }
}
