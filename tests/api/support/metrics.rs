//! The metrics endpoint of a server, as those who look at it see it.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::stream::unix;
use super::{Connection, Options, Request, Response, Server};

/// An endpoint on a socket in a directory of its own.
pub(crate) struct Metrics {
    pub(crate) path: PathBuf,
    _directory: TempDir,
}

impl Metrics {
    /// A server with these options, and its endpoint.
    pub(crate) fn of_server(options: Options) -> (Server, Metrics) {
        let (options, metrics) = Metrics::of(options);
        (Server::with(options), metrics)
    }

    /// Options of a server that is to show its metrics on a socket.
    pub(crate) fn of(options: Options) -> (Options, Metrics) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.sock");
        let host = format!("unix://{}", path.display());
        (options.set("http.enabled", true).set("http.host", host), Metrics { path, _directory: directory })
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::new(unix(&self.path).unwrap())
    }

    pub(crate) fn ask(&self, request: &Request) -> Response {
        self.connect().ask(request)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask(&Request::get(target))
    }

    pub(crate) fn stats(&self) -> Value {
        self.get("/stats").ok()
    }

    pub(crate) fn scrape(&self) -> Scrape {
        Scrape::of(&self.get("/metrics"))
    }
}

/// The text of one look at `/metrics`.
pub(crate) struct Scrape(pub(crate) String);

impl Scrape {
    pub(crate) fn of(response: &Response) -> Scrape {
        assert_eq!(response.status, 200);
        Scrape(response.text().to_owned())
    }

    /// The value of one line, told by all that stands before it.
    #[track_caller]
    pub(crate) fn value(&self, sample: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in\n{}", self.0)).parse().unwrap()
    }
}
