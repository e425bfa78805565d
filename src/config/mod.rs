//! The configuration: files, `-E` settings and environment to finished types.
//!
//! Reads no file by itself (a function to read one comes in), knows no socket, no TLS library and
//! no store: others build from [`Config`]. Nothing is global: a reload calls [`load()`] again.

use std::path::PathBuf;

mod cache;
mod difference;
mod fleet;
mod instrumentation;
pub mod limits;
mod load;
mod logging;
mod metrics;
mod reference;
mod report;
mod scalar;
mod secret;
mod section;
mod sent;
mod server;
mod setting;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod tree;
mod yaml;

pub use cache::Cache;
pub use difference::Difference;
pub use fleet::{Fleet, Monitor};
pub use instrumentation::Instrumentation;
pub use limits::{Limits, Pace, RouteLimit, RouteLimits};
pub use load::{load, load_with};
pub use logging::{LogFiles, Logging};
pub use metrics::{Endpoint, Metrics};
pub use report::{Error, Errors, Fault, Origin, ReferenceFault, Warning};
pub use scalar::go_duration;
pub use secret::Secret;
pub use server::{
    Bulk, FeatureFlags, Gc, GracefulForceUnenroll, Pbkdf2, Pgp, Server, StaticPolicyToken, Timeouts,
};
pub use store::{
    Elasticsearch, EmbeddedStore, EnvironmentProxies, Header, INDEX_SUFFIX_BYTES_MAX, Proxy, Retention,
    Store, is_index_suffix,
};
pub use tls::{ClientAuthentication, ClientIdentity, ClientTls, PemSource, Protocol, Tls, VerificationMode};

/// What the command line and the process bring.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// `-c FILE`
    pub file: Option<PathBuf>,
    /// `-E key=value`, in order.
    pub settings: Vec<String>,
    /// `--agent-mode`: no file is read.
    pub agent_mode: bool,
    /// Relative paths start here.
    pub working_directory: PathBuf,
    /// Where the executable lies; `pgp.dir` is in it by default.
    pub executable_directory: PathBuf,
    /// `--host NAME`
    pub host_names: Vec<String>,
}

/// A configuration that can be used.
#[derive(Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// To be shown at start.
    pub warnings: Vec<Warning>,
    /// The file that was read, if any.
    pub source: Option<PathBuf>,
    /// All files that were looked for: the configuration itself, and those that its keys name.
    pub files: Vec<PathBuf>,
    /// Key by key what is in effect, without secrets.
    effective: serde_json::Value,
}

/// The effective configuration as JSON (which is YAML, too) with secrets redacted, for `check-config`.
pub fn redacted(loaded: &Loaded) -> String {
    format!("{:#}", loaded.effective)
}

/// Reads any bytes as a configuration file and `-E` settings, for the fuzzer: must not panic.
///
/// The text up to the first NUL is the file, each further piece a setting.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut pieces = text.split('\0');
    let file = pieces.next().unwrap_or_default();
    let arguments = Arguments { settings: pieces.map(str::to_owned).collect(), ..Arguments::default() };
    let variable = |name: &str| (name.len() % 2 == 1).then(|| name.to_owned());
    let read_file = |_: &std::path::Path| Ok(file.to_owned());
    match load(&arguments, &variable, &read_file) {
        Ok(loaded) => drop(redacted(&loaded)),
        Err(errors) => drop(errors.to_string()),
    }
}

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
    /// `--agent-mode`: an agent configures the server and hears how it does.
    pub under_agent: bool,
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
            under_agent: false,
        }
    }
}

/// Default of `path.data`, in the working directory.
const DATA_DIRECTORY: &str = "fleet-data";
