//! `http`: the metrics endpoint (config.md, Keys and Metrics).

use std::path::PathBuf;

use super::report::Fault;
use super::section::Section;

/// The `http` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// `enabled`; without a configuration file the endpoint is on, with one this key decides.
    pub enabled: bool,
    /// `host` and `port`
    pub endpoint: Endpoint,
    /// Nobody asked for this endpoint or address: a busy port is a warning, not an error.
    pub by_default: bool,
}

/// Where the metrics endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A host name or address, IPv6 without brackets, and a port.
    Tcp {
        /// Host
        host: String,
        /// Port
        port: u16,
    },
    /// `unix:///PATH`: a socket; an old one is removed, mode 0740.
    Unix(PathBuf),
}

/// Reads the section. Without a configuration file (`alone`) the endpoint is on.
pub(super) fn read(section: &mut Section<'_, '_>, alone: bool) -> Metrics {
    let by_default = !section.has("enabled") && !section.has("host") && !section.has("port");
    section.windows_only("named_pipe");
    Metrics { enabled: section.boolean("enabled", alone), endpoint: endpoint(section), by_default }
}

fn endpoint(section: &mut Section<'_, '_>) -> Endpoint {
    let host = section.text("host", "localhost");
    let port = section.number("port", PORT, 0, u16::MAX);
    if let Some(path) = host.strip_prefix("unix://") {
        return Endpoint::Unix(section.arguments().working_directory.join(path));
    }
    if host.starts_with("npipe:") {
        section.error("host", Fault::WindowsOnly);
        return Endpoint::default();
    }
    let address = host.strip_prefix("http://").unwrap_or(&host).trim_end_matches('/');
    split(address, port).unwrap_or_else(|| {
        let expected = "a host, http://HOST:PORT or unix:///PATH".to_owned();
        section.error("host", Fault::Type { expected, found: format!("`{host}`") });
        Endpoint::default()
    })
}

const PORT: u16 = 5066;

/// `HOST`, `HOST:PORT`, `ADDRESS` or `[ADDRESS]:PORT`.
fn split(address: &str, default_port: u16) -> Option<Endpoint> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None if address.matches(':').count() > 1 => (address, None),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None => default_port,
    };
    let valid = !host.is_empty() && !host.contains(['/', '[', ']', ' ']);
    valid.then(|| Endpoint::Tcp { host: host.to_owned(), port })
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true, endpoint: Endpoint::default(), by_default: true }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::Tcp { host: "localhost".to_owned(), port: PORT }
    }
}
