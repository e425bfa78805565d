//! `http`: the metrics endpoint (config.md, Keys and Metrics).

use std::path::PathBuf;

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

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true, endpoint: Endpoint::default(), by_default: true }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::Tcp { host: "localhost".to_owned(), port: 5066 }
    }
}
