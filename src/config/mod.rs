//! The configuration: files, `-E` settings and environment to finished types.
//!
//! Reads no file by itself (a function to read one comes in), knows no socket, no TLS library and
//! no store: others build from [`Config`]. Nothing is global: a reload calls [`load`] again.

use std::path::PathBuf;

mod cache;
mod fleet;
mod instrumentation;
pub mod limits;
mod logging;
mod metrics;
mod secret;
mod server;
mod store;
mod tls;

pub use cache::Cache;
pub use fleet::{Fleet, Monitor};
pub use instrumentation::Instrumentation;
pub use limits::{Limits, Pace, RouteLimit, RouteLimits};
pub use logging::{LogFiles, Logging};
pub use metrics::{Endpoint, Metrics};
pub use secret::Secret;
pub use server::{
    Bulk, FeatureFlags, Gc, GracefulForceUnenroll, Pbkdf2, Pgp, Server, StaticPolicyToken, Timeouts,
};
pub use store::{Elasticsearch, EmbeddedStore, EnvironmentProxies, Header, Proxy, Retention, Store};
pub use tls::{ClientAuthentication, ClientIdentity, ClientTls, PemSource, Protocol, Tls, VerificationMode};

/// The finished configuration. [`Config::default`] is what no configuration at all gives, with
/// paths relative to the working directory.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// `path.data`: the data directory, default `./fleet-data`.
    pub data_directory: PathBuf,
    /// `output`
    pub store: Store,
    /// `fleet`
    pub fleet: Fleet,
    /// `inputs.0.server`
    pub server: Server,
    /// `inputs.0.policy.id`: the policy this server runs under.
    pub policy_id: Option<String>,
    /// `inputs.0.monitor`
    pub monitor: Monitor,
    /// `logging`
    pub logging: Logging,
    /// `http`
    pub metrics: Metrics,
    /// `inputs.0.server.instrumentation`
    pub instrumentation: Instrumentation,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_directory: PathBuf::from(DATA_DIRECTORY),
            store: Store::default(),
            fleet: Fleet::default(),
            server: Server::default(),
            policy_id: None,
            monitor: Monitor::default(),
            logging: Logging::default(),
            metrics: Metrics::default(),
            instrumentation: Instrumentation::default(),
        }
    }
}

/// Default of `path.data`, in the working directory.
const DATA_DIRECTORY: &str = "fleet-data";
