//! One cluster over HTTP: which host next, the service's credentials, and how long an answer may be. Knows no query and
//! never sleeps: what may be tried again later is an error that says so.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};

mod error;
mod request;

pub(super) use error::{ClientError, SendError};
pub(super) use request::{Request, Response};

use crate::config::{Elasticsearch, Secret};

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// For a connection to be made.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// The cluster. Shared by all that ask it something.
pub(super) struct Client {
    agent: Agent,
    hosts: Vec<String>,
    next: AtomicUsize,
    timeout: Duration,
    service_token: RwLock<Option<Secret>>,
}

impl Client {
    /// A client of the cluster in the settings; connects to nothing yet.
    pub(super) fn new(settings: &Elasticsearch) -> Result<Client, ClientError> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_WAIT_MAX))
            .build();
        Ok(Client {
            agent: config.new_agent(),
            hosts: settings.hosts.clone(),
            next: AtomicUsize::new(0),
            timeout: settings.timeout,
            service_token: RwLock::new(settings.service_token.clone()),
        })
    }

    /// Uses another token from the next request on.
    pub(super) fn set_service_token(&self, token: Option<Secret>) {
        *self.service_token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Sends a request and waits for the whole answer. An answer of any status is `Ok`.
    pub(super) fn send(&self, request: &Request) -> Result<Response, SendError> {
        let host = &self.hosts[self.next.fetch_add(1, Ordering::Relaxed) % self.hosts.len()];
        let unknown =
            |error: ureq::Error| SendError::Unknown { host: host.clone(), reason: error.to_string() };
        let mut built = ureq::http::Request::builder()
            .method(request.method)
            .uri(format!("{host}{}", request.path))
            .header("X-elastic-product-origin", "fleet");
        if let Some(authorization) = self.authorization(request) {
            built = built.header(AUTHORIZATION, authorization.expose());
        }
        if !request.body.is_empty() {
            let kind = if request.lines { "application/x-ndjson" } else { "application/json" };
            built = built.header(CONTENT_TYPE, kind);
        }
        let body = if request.body.is_empty() { None } else { Some(&request.body[..]) };
        let timeout = Some(request.timeout.unwrap_or(self.timeout));
        let answer = match body {
            None => {
                let built = built.body(()).map_err(|error| unknown(error.into()))?;
                self.agent.run(self.agent.configure_request(built).timeout_recv_response(timeout).build())
            }
            Some(body) => {
                let built = built.body(body).map_err(|error| unknown(error.into()))?;
                self.agent.run(self.agent.configure_request(built).timeout_recv_response(timeout).build())
            }
        };
        let answer = answer.map_err(unknown)?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        let read = answer.into_body().into_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        match read {
            Ok(_) => Ok(Response { status, body: bytes }),
            Err(error) => Err(SendError::Answer { host: host.clone(), reason: error.to_string() }),
        }
    }

    fn authorization(&self, request: &Request) -> Option<Secret> {
        if request.authorization.is_some() {
            return request.authorization.clone();
        }
        let token = self.service_token.read().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().map(|token| Secret::new(format!("Bearer {}", token.expose())))
    }
}
