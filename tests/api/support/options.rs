//! How a server is started: its settings, and what the test's clients have to know of them.

use std::path::{Path, PathBuf};

use super::Pair;

/// How a server is started.
#[derive(Clone)]
pub(crate) struct Options {
    pub(super) settings: Vec<String>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// A program that is given the server's command line.
    pub(super) wrapper: Vec<String>,
    pub(super) tls: bool,
    pub(super) authority: Option<PathBuf>,
    /// What clients show.
    pub(super) shown: Option<Pair>,
    /// Nobody reads what it says of itself.
    pub(super) unread: bool,
    pub(super) port: Option<u16>,
    /// The port is a setting of the command line.
    pub(super) sets_ports: bool,
    pub(super) data: Option<PathBuf>,
    /// On Elasticsearch: under the names that Kibana writes to.
    pub(super) is_kibanas: bool,
    /// On the embedded store, whichever store this program is for.
    pub(super) is_embedded: bool,
}

impl Default for Options {
    fn default() -> Self {
        let fixed = [
            "inputs.0.server.host=localhost",
            "inputs.0.server.timeouts.checkin_jitter=0",
            "logging.to_stderr=true",
            "http.enabled=false",
        ];
        Options {
            settings: fixed.map(str::to_owned).to_vec(),
            arguments: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            tls: true,
            authority: None,
            shown: None,
            unread: false,
            port: None,
            sets_ports: true,
            data: None,
            is_kibanas: false,
            is_embedded: false,
        }
    }
}

impl Options {
    /// Without TLS.
    pub(crate) fn plain() -> Self {
        Options { tls: false, ..Options::default() }.server("ssl.enabled", "false")
    }

    /// `-E KEY=VALUE`
    pub(crate) fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.push(format!("{key}={}", value.to_string()));
        self
    }

    /// With a certificate that the configuration file names, from this CA.
    pub(crate) fn trusting(authority: &Path) -> Self {
        Options { authority: Some(authority.to_owned()), ..Options::default() }
    }

    /// On this port, which the configuration file names.
    pub(crate) fn ports_in_file(mut self, port: u16) -> Self {
        self.sets_ports = false;
        self.port(port)
    }

    /// Without what was set for this key.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.settings.retain(|setting| setting.split('=').next() != Some(key));
        self
    }

    /// A setting below `inputs.0.server`.
    pub(crate) fn server(self, key: &str, value: impl ToString) -> Self {
        self.set(&format!("inputs.0.server.{key}"), value)
    }

    pub(crate) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn wrapper(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Its standard error is a pipe that nobody reads.
    pub(crate) fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// This port, not a free one.
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// This data directory, not one of its own.
    pub(crate) fn data(mut self, directory: &Path) -> Self {
        self.data = Some(directory.to_owned());
        self
    }

    /// On Elasticsearch: under the names that Kibana writes to; one test at a time.
    pub(crate) fn beside_kibana(mut self) -> Self {
        self.is_kibanas = true;
        self
    }

    /// On the embedded store, whichever store this program is for.
    pub(crate) fn embedded(mut self) -> Self {
        self.is_embedded = true;
        self
    }

    /// Clients show this certificate.
    pub(crate) fn showing(mut self, pair: &Pair) -> Self {
        self.shown = Some(pair.clone());
        self
    }

    /// With this certificate, from this CA.
    pub(crate) fn certificate(mut self, pair: &Pair, authority: &Path) -> Self {
        self.authority = Some(authority.to_owned());
        self.server("ssl.certificate", pair.certificate.display()).server("ssl.key", pair.key.display())
    }
}
