//! Requests, settings and clients for tests.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::{Elasticsearch, Secret};
use crate::store::elastic::client::clock;
use crate::store::elastic::client::dial::Waits;
use crate::store::elastic::client::{Client, Content, Request, SendError};

/// No test waits longer for what does not come.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The service token, and what no error may hold.
pub(super) const TOKEN: &str = "s3cret";

/// Settings for these hosts.
pub(super) fn settings(hosts: &[String]) -> Elasticsearch {
    Elasticsearch {
        hosts: hosts.to_vec(),
        service_token: Some(Secret::new(TOKEN)),
        timeout: PATIENCE,
        ..Elasticsearch::default()
    }
}

/// A client of these hosts.
pub(super) fn client(hosts: &[String]) -> Client {
    Client::new(&settings(hosts)).unwrap()
}

/// A clock that the test moves, in seconds.
#[derive(Clone, Default)]
pub(super) struct Hand(Arc<AtomicU64>);

impl Hand {
    /// So many seconds pass.
    pub(super) fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A client of these hosts that lives by this clock.
    pub(super) fn client(&self, hosts: &[String]) -> Client {
        self.client_of(&settings(hosts))
    }

    /// A client by these settings that lives by this clock.
    pub(super) fn client_of(&self, settings: &Elasticsearch) -> Client {
        let hand = self.clone();
        let clock = Arc::new(move || Duration::from_secs(hand.0.load(Ordering::SeqCst)));
        Client::with(settings, clock, Waits::default()).unwrap()
    }
}

/// A client that waits only for a moment while it connects.
pub(super) fn hasty(settings: &Elasticsearch) -> Client {
    let moment = Duration::from_millis(50);
    let waits = Waits { proxy: moment, handshake: moment, other_host: moment, ..Waits::default() };
    Client::with(settings, clock::from_now(), waits).unwrap()
}

/// `GET /`, which may be repeated.
pub(super) fn get() -> Request {
    Request {
        method: "GET",
        path: "/".to_owned(),
        body: Vec::new(),
        content: Content::Json,
        authorization: None,
        repeatable: true,
        small_answer: false,
        timeout: None,
    }
}

/// A write that may not be repeated.
pub(super) fn post(body: &str) -> Request {
    Request { method: "POST", path: "/_doc".to_owned(), body: body.into(), repeatable: false, ..get() }
}

/// Where nobody listens.
pub(super) fn closed_port() -> (u16, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (port, format!("http://127.0.0.1:{port}"))
}

/// The error of a request, looked through for the secret.
pub(super) fn error_of(client: &Client, request: &Request) -> SendError {
    let error = client.send(request).unwrap_err();
    let (shown, debug) = (error.to_string(), format!("{error:?}"));
    assert!(!shown.contains(TOKEN) && !debug.contains(TOKEN), "{debug}");
    error
}

/// Sends a request that must be answered with 200.
pub(super) fn succeed(client: &Client, request: &Request) {
    let response = client.send(request).unwrap();
    assert_eq!(response.status, 200);
}
