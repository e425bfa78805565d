//! `inputs.0.server`: listeners, timeouts, batches and features (config.md, Keys).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::cache::Cache;
use super::limits::Limits;
use super::secret::Secret;
use super::store::Proxy;
use super::tls::Tls;

pub(super) mod read;

/// The `server` section of the input.
#[derive(Clone, PartialEq)]
pub struct Server {
    /// `host` of the external listener, an IPv6 address without brackets.
    pub host: String,
    /// `port` of the external listener.
    pub port: u16,
    /// `internal_port` of the listener on localhost.
    pub internal_port: u16,
    /// `--host`: further names for our own certificate; the first is that of the printed URL.
    pub host_names: Vec<String>,
    /// `ssl`; `None`: plain HTTP, or our own certificate when `own_certificate` is set.
    pub tls: Option<Tls>,
    /// Embedded store and no `ssl` section: our own CA makes the certificate.
    pub own_certificate: bool,
    /// `timeouts`
    pub timeouts: Timeouts,
    /// `bulk`
    pub bulk: Bulk,
    /// `gc`
    pub gc: Gc,
    /// `static_policy_tokens`; empty when they are not enabled.
    pub static_policy_tokens: Vec<StaticPolicyToken>,
    /// `pgp`
    pub pgp: Pgp,
    /// `pdkdf2` (the key is spelt so in Go)
    pub pdkdf2: Pbkdf2,
    /// `feature_flags`
    pub feature_flags: FeatureFlags,
    /// `limits`
    pub limits: Limits,
    /// `compression_level` of response bodies, 0 (off) to 9.
    pub compression_level: u32,
    /// `compression_threshold`: smaller bodies, in bytes, are not compressed.
    pub compression_threshold: usize,
    /// `cache`, which stands beside `server` in the input.
    pub cache: Cache,
}

/// `server.timeouts`. Zero for `read`, `read_header`, `write` or `idle`: no such timeout, as in Go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// `read`: a request, head and body.
    pub read: Duration,
    /// `read_header`: a request head.
    pub read_header: Duration,
    /// `write`: a response.
    pub write: Duration,
    /// `idle`: a connection between two requests.
    pub idle: Duration,
    /// `checkin_timestamp`: how often a parked agent's last check-in is written.
    pub checkin_timestamp: Duration,
    /// `checkin_long_poll`: how long a check-in is parked.
    pub checkin_long_poll: Duration,
    /// `checkin_jitter`: the most that is taken off the long poll at random; zero: off.
    pub checkin_jitter: Duration,
    /// `checkin_max_poll`: the longest poll that an agent may ask for, at least a minute.
    pub checkin_max_poll: Duration,
    /// `drain`: what requests get to finish in at stop.
    pub drain: Duration,
}

/// `server.bulk`: how many operations may wait for the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bulk {
    /// `max_pending_bulk_dispatches`: operations that may wait or be under way; 0: no limit set by the operator.
    pub dispatches_pending_max: usize,
}

/// `server.gc`: removal of expired actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gc {
    /// `schedule_interval`
    pub schedule_interval: Duration,
    /// `cleanup_after_expired_interval`: how long after their expiration.
    pub cleanup_after_expired: Duration,
}

/// `server.static_policy_tokens.policy_tokens`: an enrollment token that is not in the store.
#[derive(Clone, PartialEq)]
pub struct StaticPolicyToken {
    /// `token_key`: the secret part of the token.
    pub token_key: Secret,
    /// `policy_id`: the policy it enrols into.
    pub policy_id: String,
}

/// `server.pgp`: the key that agents verify upgrades with.
#[derive(Clone, PartialEq)]
pub struct Pgp {
    /// `upstream_url`: where the key is fetched from when `dir` lacks it.
    pub upstream_url: String,
    /// `dir`: keys on disk.
    pub dir: PathBuf,
    /// How it is fetched: the proxies of the environment.
    pub proxy: Proxy,
}

/// `server.pdkdf2`: hashing of replace tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pbkdf2 {
    /// `iterations`, at least 1000.
    pub iterations: u32,
    /// `key_length` in bytes, at least 14.
    pub key_bytes: usize,
    /// `salt_length` in bytes, at least 16.
    pub salt_bytes: usize,
}

/// `server.feature_flags`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureFlags {
    /// `ignore_checkin_policy_id`
    pub ignore_checkin_policy_id: bool,
    /// `enable_opamp`
    pub enable_opamp: bool,
    /// `graceful_force_unenroll`
    pub graceful_force_unenroll: GracefulForceUnenroll,
}

/// `server.feature_flags.graceful_force_unenroll`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GracefulForceUnenroll {
    /// `enabled`
    pub enabled: bool,
    /// `max_bytes`
    pub bytes_max: u64,
}

impl Server {
    /// The addresses to listen on, `HOST:PORT`: the external one, then the internal one unless the external one is there
    /// too.
    pub fn addresses(&self) -> Vec<String> {
        let external = address(&self.host, self.port);
        let internal = address("localhost", self.internal_port);
        if self.listens_once() { vec![external] } else { vec![external, internal] }
    }

    /// Whether who calls localhost at the internal port reaches the external listener.
    pub fn listens_once(&self) -> bool {
        let ip = self.host.parse::<IpAddr>();
        let is_local = match ip {
            Ok(ip) => {
                ip.is_unspecified()
                    || ip == IpAddr::V4(Ipv4Addr::LOCALHOST)
                    || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
            }
            Err(_) => self.host.is_empty() || self.host.eq_ignore_ascii_case("localhost"),
        };
        is_local && self.port == self.internal_port
    }
}

/// `HOST:PORT` with brackets around an IPv6 address.
pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 8220,
            internal_port: INTERNAL_PORT,
            host_names: Vec::new(),
            tls: None,
            own_certificate: true,
            timeouts: Timeouts::default(),
            bulk: Bulk::default(),
            gc: Gc::default(),
            static_policy_tokens: Vec::new(),
            pgp: Pgp::default(),
            pdkdf2: Pbkdf2::default(),
            feature_flags: FeatureFlags::default(),
            limits: Limits::default(),
            compression_level: 1,
            compression_threshold: 1024,
            cache: Cache::default(),
        }
    }
}

/// `internal_port` when absent or 0.
const INTERNAL_PORT: u16 = 8221;

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(60),
            read_header: Duration::from_secs(5),
            write: Duration::from_secs(10 * 60),
            idle: Duration::from_secs(35),
            checkin_timestamp: Duration::from_secs(30),
            checkin_long_poll: Duration::from_secs(5 * 60),
            checkin_jitter: Duration::from_secs(30),
            checkin_max_poll: Duration::from_secs(3600),
            drain: Duration::from_secs(10),
        }
    }
}

impl Default for Gc {
    fn default() -> Self {
        Self {
            schedule_interval: Duration::from_secs(3600),
            cleanup_after_expired: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

impl Default for Pgp {
    fn default() -> Self {
        Self {
            upstream_url: "https://artifacts.elastic.co/GPG-KEY-elastic-agent".to_owned(),
            dir: PathBuf::from(PGP_DIRECTORY),
            proxy: Proxy::None,
        }
    }
}

/// Name of the default of `pgp.dir`, in the directory of the executable.
const PGP_DIRECTORY: &str = "elastic-agent-upgrade-keys";

impl Default for Pbkdf2 {
    fn default() -> Self {
        Self { iterations: 210_000, key_bytes: 32, salt_bytes: 64 }
    }
}

impl Default for FeatureFlags {
    fn default() -> Self {
        Self {
            ignore_checkin_policy_id: false,
            enable_opamp: true,
            graceful_force_unenroll: GracefulForceUnenroll { enabled: false, bytes_max: 50_000_000 },
        }
    }
}
