//! Reads `inputs.0.server`.

use super::{
    Bulk, FeatureFlags, Gc, GracefulForceUnenroll, INTERNAL_PORT, PGP_DIRECTORY, Pbkdf2, Pgp, Server,
    StaticPolicyToken, Timeouts,
};
use crate::config::cache::Cache;
use crate::config::instrumentation::{self, Instrumentation};
use crate::config::limits;
use crate::config::scalar;
use crate::config::section::Section;
use crate::config::store::read::proxies_of_environment;
use crate::config::tls;

use std::time::Duration;

/// The server and, since it stands inside, the instrumentation. The cache stands beside it and
/// `own_certificate` depends on the store: the caller sets both.
pub(in crate::config) fn server(section: &mut Section<'_, '_>, embedded: bool) -> (Server, Instrumentation) {
    let default = Server::default();
    section.no_effect("profiler");
    section.no_effect("runtime");
    let own_certificate = !section.has("ssl");
    section.ignore("ssl");
    let server = Server {
        host: section.text("host", &default.host).trim_matches(['[', ']']).to_owned(),
        port: section.number("port", default.port, 0, u16::MAX),
        internal_port: section.nonzero("internal_port", INTERNAL_PORT, u16::MAX),
        host_names: section.arguments().host_names.clone(),
        tls: if own_certificate { None } else { section.section("ssl", tls::read::server) },
        own_certificate,
        timeouts: section.section("timeouts", timeouts),
        bulk: section.section("bulk", bulk),
        gc: section.section("gc", |section| gc(section, embedded)),
        static_policy_tokens: section.section("static_policy_tokens", static_policy_tokens),
        pgp: section.section("pgp", pgp),
        pdkdf2: section.section("pdkdf2", pdkdf2),
        feature_flags: section.section("feature_flags", feature_flags),
        limits: section.section("limits", limits::read::limits),
        compression_level: compression_level(section),
        compression_threshold: section.number(
            "compression_threshold",
            default.compression_threshold,
            0,
            usize::MAX,
        ),
        cache: Cache::default(),
    };
    (server, section.section("instrumentation", instrumentation::read))
}

/// Go's levels: -1 is its default, 6; -2 packs without looking back, nearest to 1.
fn compression_level(section: &mut Section<'_, '_>) -> u32 {
    match section.number("compression_level", 1_i32, -2, 9) {
        -2 => 1,
        -1 => 6,
        level => level.unsigned_abs(),
    }
}

fn timeouts(section: &mut Section<'_, '_>) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        read: section.duration("read", default.read),
        read_header: section.duration("read_header", default.read_header),
        write: section.duration("write", default.write),
        idle: section.duration("idle", default.idle),
        checkin_timestamp: section.nonzero_duration("checkin_timestamp", default.checkin_timestamp),
        checkin_long_poll: section.duration("checkin_long_poll", default.checkin_long_poll),
        checkin_jitter: section.duration("checkin_jitter", default.checkin_jitter),
        checkin_max_poll: section.duration_by("checkin_max_poll", default.checkin_max_poll, |text| {
            scalar::duration(text).map(|time| time.max(MAX_POLL_LEAST))
        }),
        drain: section.duration("drain", default.drain),
    }
}

/// A lower `checkin_max_poll` counts as this.
const MAX_POLL_LEAST: Duration = Duration::from_secs(60);

/// Writes leave as soon as a worker is free, with all that has gathered until then: nothing says when, or how many.
fn bulk(section: &mut Section<'_, '_>) -> Bulk {
    for key in
        ["flush_interval", "flush_threshold_cnt", "flush_threshold_size", "flush_max_pending", "enroll"]
    {
        section.no_effect(key);
    }
    Bulk { dispatches_pending_max: section.number("max_pending_bulk_dispatches", 0, 0, usize::MAX) }
}

fn gc(section: &mut Section<'_, '_>, embedded: bool) -> Gc {
    let default = Gc::default();
    if embedded && section.has("cleanup_after_expired_interval") {
        let instead = "has no effect on the embedded store; use output.embedded.retention.expired_actions";
        section.warn("cleanup_after_expired_interval", instead);
    }
    Gc {
        schedule_interval: section.nonzero_duration("schedule_interval", default.schedule_interval),
        cleanup_after_expired: cleanup_after_expired(section, default.cleanup_after_expired),
    }
}

/// A malformed interval is the default, as in Go, but not silently.
fn cleanup_after_expired(section: &mut Section<'_, '_>, default: Duration) -> Duration {
    const KEY: &str = "cleanup_after_expired_interval";
    let interval = match section.optional_text(KEY) {
        None => default,
        Some(text) => scalar::elasticsearch_duration(&text).unwrap_or_else(|| {
            section.warn(KEY, format!("`{text}` is not a time such as 30d; 30d is used"));
            default
        }),
    };
    section.show(KEY, scalar::duration_text(interval));
    interval
}

fn static_policy_tokens(section: &mut Section<'_, '_>) -> Vec<StaticPolicyToken> {
    let enabled = section.boolean("enabled", false);
    let tokens = section.sections("policy_tokens", |section| {
        let token_key = section.secret("token_key");
        let policy_id = section.optional_text("policy_id");
        if !section.has_content("token_key") {
            section.missing("token_key");
        }
        if !section.has_content("policy_id") {
            section.missing("policy_id");
        }
        Some(StaticPolicyToken { token_key: token_key?, policy_id: policy_id? })
    });
    if enabled { tokens.into_iter().flatten().flatten().collect() } else { Vec::new() }
}

fn pgp(section: &mut Section<'_, '_>) -> Pgp {
    let default = Pgp::default();
    let dir = section.path("dir");
    let upstream_url = section.text("upstream_url", &default.upstream_url);
    // the Go server starts with any, and fails when an agent asks
    if !is_web_address(&upstream_url) {
        section.warn("upstream_url", "is no http or https URL: agents get no key from there");
    }
    Pgp {
        upstream_url,
        dir: dir.unwrap_or_else(|| section.arguments().executable_directory.join(PGP_DIRECTORY)),
        proxy: proxies_of_environment(section),
    }
}

/// Whether it begins as an http or https URL does, with a host.
fn is_web_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let has_host = !rest.is_empty() && !rest.starts_with(['/', ':', '?', '#']) && !rest.contains(' ');
    has_host && ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn pdkdf2(section: &mut Section<'_, '_>) -> Pbkdf2 {
    let default = Pbkdf2::default();
    Pbkdf2 {
        iterations: section.number("iterations", default.iterations, 1000, ITERATIONS_MAX),
        key_bytes: section.number("key_length", default.key_bytes, 14, HASH_BYTES_MAX),
        salt_bytes: section.number("salt_length", default.salt_bytes, 16, HASH_BYTES_MAX),
    }
}

/// About ten seconds of work for one hash; more can only be a mistake.
const ITERATIONS_MAX: u32 = 100_000_000;

/// Bytes of a key or salt, so that a stored hash stays small.
const HASH_BYTES_MAX: usize = 4096;

fn feature_flags(section: &mut Section<'_, '_>) -> FeatureFlags {
    let default = FeatureFlags::default();
    FeatureFlags {
        ignore_checkin_policy_id: section
            .boolean("ignore_checkin_policy_id", default.ignore_checkin_policy_id),
        enable_opamp: section.boolean("enable_opamp", default.enable_opamp),
        graceful_force_unenroll: section.section("graceful_force_unenroll", |section| {
            GracefulForceUnenroll {
                enabled: section.boolean("enabled", false),
                bytes_max: section.nonzero("max_bytes", default.graceful_force_unenroll.bytes_max, u64::MAX),
            }
        }),
    }
}
