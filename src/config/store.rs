//! Which store: the embedded one with its retention, or Elasticsearch (config.md, Keys; interface.md, Which store).

use std::time::Duration;

use super::secret::Secret;
use super::tls::ClientTls;

mod host;
pub(super) mod read;

/// The `output` section.
#[derive(Clone, PartialEq)]
pub enum Store {
    /// No `output` at all or `output.embedded`: SQLite in the data directory.
    Embedded(EmbeddedStore),
    /// `output.elasticsearch`
    Elasticsearch(Box<Elasticsearch>),
}

impl Default for Store {
    fn default() -> Self {
        Self::Embedded(EmbeddedStore::default())
    }
}

/// `output.embedded`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EmbeddedStore {
    /// `retention`
    pub retention: Retention,
}

/// `output.embedded.retention`: how long what is no longer needed is kept. Zero: for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// `action_results`, 30 days: results of actions.
    pub action_results: Duration,
    /// `policy_revisions`, 30 days: revisions that are neither among the newest nor on any agent.
    pub policy_revisions: Duration,
    /// `policy_revisions_kept`, 10: so many newest revisions of a policy stay whatever their age.
    pub policy_revisions_kept: u32,
    /// `unenrolled_agents`, 30 days: agents after they were unenrolled.
    pub unenrolled_agents: Duration,
    /// `expired_actions`, 30 days: actions after their expiration.
    pub expired_actions: Duration,
    /// `uploads`, 7 days: what agents sent, from when they began.
    pub uploads: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Retention {
    fn default() -> Self {
        Self {
            action_results: DAY * 30,
            policy_revisions: DAY * 30,
            policy_revisions_kept: 10,
            unenrolled_agents: DAY * 30,
            expired_actions: DAY * 30,
            uploads: DAY * 7,
        }
    }
}

/// Longest `index_suffix`.
pub const INDEX_SUFFIX_BYTES_MAX: usize = 64;

/// Whether index names may end in `suffix`.
pub fn is_index_suffix(suffix: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !suffix.is_empty() && suffix.len() <= INDEX_SUFFIX_BYTES_MAX && suffix.bytes().all(allowed)
}

/// `output.elasticsearch`
#[derive(Clone, PartialEq)]
pub struct Elasticsearch {
    /// `hosts` as whole URLs with scheme, port and path: `https://es:9200/path`.
    pub hosts: Vec<String>,
    /// `headers`, sent with each request.
    pub headers: Vec<Header>,
    /// `service_token` or the trimmed content of `service_token_path`.
    pub service_token: Option<Secret>,
    /// `proxy_url`, `proxy_disable`, or the proxies of the environment.
    pub proxy: Proxy,
    /// `proxy_headers`, sent with CONNECT.
    pub proxy_headers: Vec<Header>,
    /// `timeout` of a request.
    pub timeout: Duration,
    /// `max_conn_per_host`
    pub connections_per_host_max: u32,
    /// `max_content_length`: bytes of a request body.
    pub request_bytes_max: u64,
    /// `index_suffix`, ours: a fleet of its own beside others in one cluster, in `.fleet-agents-SUFFIX` and so on; empty: the
    /// indices that Kibana knows. At most [`INDEX_SUFFIX_BYTES_MAX`] of `a-z`, `0-9`, `-` and `_`.
    pub index_suffix: String,
    /// `ssl`; `None`: no section, `https` hosts are verified against the system's roots.
    pub tls: Option<ClientTls>,
}

/// An HTTP header field that the operator gave.
#[derive(Clone, PartialEq)]
pub struct Header {
    /// The field's name.
    pub name: String,
    /// Its value, which may be a credential.
    pub value: Secret,
}

/// How requests leave. URLs are secrets since they may carry a password.
#[derive(Clone, PartialEq, Default)]
pub enum Proxy {
    /// No proxy.
    #[default]
    None,
    /// `proxy_url`: for every request.
    Url(Secret),
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the environment.
    Environment(EnvironmentProxies),
}

/// The proxies of the environment.
#[derive(Clone, PartialEq, Default)]
pub struct EnvironmentProxies {
    /// For `http` hosts.
    pub http: Option<Secret>,
    /// For `https` hosts.
    pub https: Option<Secret>,
    /// Hosts, domains and networks that are reached directly.
    pub except: Vec<String>,
}

impl Default for Elasticsearch {
    fn default() -> Self {
        Self {
            hosts: vec!["http://localhost:9200".to_owned()],
            headers: Vec::new(),
            service_token: None,
            proxy: Proxy::None,
            proxy_headers: Vec::new(),
            timeout: Duration::from_secs(90),
            connections_per_host_max: 128,
            request_bytes_max: 100 * 1024 * 1024,
            index_suffix: String::new(),
            tls: None,
        }
    }
}
