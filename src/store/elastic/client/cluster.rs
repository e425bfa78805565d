//! The cluster by one set of settings: which host next, and a request to it from its first byte to the answer's last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use ureq::http::{self, Uri};
use ureq::{Agent, AsSendBody, Body};

use super::clock::Clock;
use super::counts::Counts;
use super::dial::{Dialer, Later, Waits};
use super::error::{ClientError, Failure, SendError};
use super::hosts::Hosts;
use super::proxy::Proxies;
use super::request::{Request, Response};
use super::security::Security;
use super::slots::Slots;
use super::{answer, headers};
use crate::config::Elasticsearch;

/// Bytes of an answer's head.
pub(super) const ANSWER_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Hosts that one request is tried on.
const ATTEMPTS_MAX: usize = 6;
/// A connection that nobody used for so long is closed.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(60);
/// What only Elasticsearch says.
const PRODUCT: &str = "x-elastic-product";

/// The cluster by one set of settings.
pub(super) struct Cluster {
    agent: Agent,
    /// For requests with a time of their own: a long poll ends at once when other settings are in force.
    patient_agent: Agent,
    /// We have ended long polls, or everything: what fails from then on is not the hosts' fault.
    long_polls_ended: AtomicBool,
    closed: AtomicBool,
    hosts: Vec<Host>,
    health: Mutex<Hosts>,
    headers: HeaderMap,
    service_token: Option<HeaderValue>,
    timeout: Duration,
    /// Instead of it where another host works.
    hasty_timeout: Duration,
    request_bytes_max: u64,
    clock: Clock,
}

/// One host of the configuration.
struct Host {
    /// As configured: scheme, host, port, path.
    url: String,
    slots: Slots,
    /// For requests with a time of their own: a long poll shall not take the place of a write. The Go server has a second
    /// client for them.
    patient_slots: Slots,
}

impl Cluster {
    /// Connects to nothing yet.
    pub(super) fn new(
        settings: &Elasticsearch,
        clock: &Clock,
        waits: Waits,
        product: &str,
    ) -> Result<Self, ClientError> {
        let hosts: Result<Vec<Host>, ClientError> =
            settings.hosts.iter().map(|url| Host::new(url, settings.connections_per_host_max)).collect();
        let hosts = hosts?;
        let agent = || -> Result<Agent, ClientError> {
            let dialer = dialer(settings, clock, waits)?;
            Ok(Agent::with_parts(agent_config(settings), dialer, Later))
        };
        Ok(Cluster {
            agent: agent()?,
            patient_agent: agent()?,
            long_polls_ended: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            health: Mutex::new(Hosts::new(hosts.len())),
            hosts,
            headers: headers::common(&settings.headers, product)?,
            service_token: settings.service_token.as_ref().map(headers::bearer).transpose()?,
            timeout: settings.timeout,
            hasty_timeout: waits.other_host,
            request_bytes_max: settings.request_bytes_max,
            clock: Arc::clone(clock),
        })
    }

    /// Whether one of the hosts works as far as is known: where none does, a request would only wait.
    pub(super) fn is_reachable(&self) -> bool {
        self.health().any_works(self.now())
    }

    fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Ends long polls; what else is under way ends by itself.
    pub(super) fn end_long_polls(&self) {
        self.long_polls_ended.store(true, Ordering::Release);
        self.patient_agent.clone().shutdown();
    }

    /// Ends all requests, also those that other threads wait for; none is sent any more.
    pub(super) fn close(&self) {
        self.end_long_polls();
        self.closed.store(true, Ordering::Release);
        self.agent.clone().shutdown();
    }

    fn is_ended_for(&self, request: &Request) -> bool {
        let ended = if request.timeout.is_some() { &self.long_polls_ended } else { &self.closed };
        ended.load(Ordering::Acquire)
    }

    /// See [`super::Client::send`]; an answer has at most `answer_bytes_max`, and each try is counted.
    pub(super) fn send(
        &self,
        request: &Request,
        answer_bytes_max: u64,
        counts: &Counts,
    ) -> Result<Response, SendError> {
        let bytes = u64::try_from(request.body.len()).unwrap_or(u64::MAX);
        if bytes > self.request_bytes_max {
            let reason = format!("it has {bytes} bytes, more than max_content_length");
            return Err(SendError::NotSent { reason });
        }
        let mut tried = Vec::new();
        let mut last = SendError::NotSent { reason: "there are no hosts".to_owned() };
        while tried.len() < ATTEMPTS_MAX {
            let Some(place) = self.health().pick(self.now(), &tried) else { break };
            tried.push(place);
            // one that has frozen must not hold up what another does at once
            let is_hasty = request.repeatable
                && request.timeout.is_none()
                && self.health().another_works(self.now(), &tried);
            let wait = if is_hasty { self.timeout.min(self.hasty_timeout) } else { self.timeout };
            let attempt = self.attempt(place, request, wait, answer_bytes_max);
            counts.count(&request.path, attempt.is_ok());
            match attempt {
                Ok(response) => return Ok(response),
                Err(failure) => {
                    let at_once = failure.at_once || (is_hasty && failure.of_host);
                    let again = at_once && failure.error.may_be_repeated(request);
                    last = failure.error;
                    if !again {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// Sends to one host and keeps its record.
    fn attempt(
        &self,
        place: usize,
        request: &Request,
        wait: Duration,
        answer_bytes_max: u64,
    ) -> Result<Response, Failure> {
        let host = &self.hosts[place];
        let result = self.exchange(host, place, request, wait, answer_bytes_max);
        match &result {
            Err(failure) if failure.of_host && !self.is_ended_for(request) => {
                if let Some(aside) = self.health().failed(place, self.now()) {
                    // where there is only one, it is asked again all the same
                    let aside = match self.hosts.len() {
                        1 => String::new(),
                        _ => format!("; it is set aside for {} s", aside.as_secs()),
                    };
                    log::warn!("{}{aside}", failure.error);
                }
            }
            Err(_) => {}
            Ok(_) => {
                if self.health().answered(place) {
                    log::info!("{} answers again", host.url);
                }
            }
        }
        result
    }

    fn exchange(
        &self,
        host: &Host,
        place: usize,
        request: &Request,
        wait: Duration,
        answer_bytes_max: u64,
    ) -> Result<Response, Failure> {
        let timeout = request.timeout.unwrap_or(wait);
        let slots = if request.timeout.is_some() { &host.patient_slots } else { &host.slots };
        let _slot = slots.take(self.timeout).ok_or_else(|| host.is_busy())?;
        let answer = self.call(host, request, timeout).map_err(|error| Failure::of(error, &host.url))?;
        let (head, body) = answer.into_parts();
        if head.status.is_success() && !self.health().is_known(place) {
            let product = head.headers.get(PRODUCT);
            if product.is_none_or(|product| product != "Elasticsearch") {
                return Err(host.is_something_else());
            }
            self.health().make_known(place);
        }
        match answer::read(&head.headers, body, answer_bytes_max) {
            Ok(body) => Ok(Response { status: head.status.as_u16(), body }),
            Err(error) => Err(error.into_failure(&host.url)),
        }
    }

    fn call(
        &self,
        host: &Host,
        request: &Request,
        timeout: Duration,
    ) -> Result<http::Response<Body>, ureq::Error> {
        let mut built = http::Request::builder().method(request.method);
        built = built.uri(format!("{}{}", host.url, request.path));
        if let Some(headers) = built.headers_mut() {
            headers.clone_from(&self.headers);
            if let Some(authorization) = self.authorization(request)? {
                headers.insert(AUTHORIZATION, authorization);
            }
            if request.small_answer {
                headers.remove(ACCEPT_ENCODING);
            }
            if !request.body.is_empty() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(request.content.mime_type()));
            }
        }
        let agent = if request.timeout.is_some() { &self.patient_agent } else { &self.agent };
        // an empty body has a length, no body has none: POST and PUT say 0, or a proxy may wait for it
        if request.body.is_empty() && !matches!(request.method, "POST" | "PUT") {
            run(agent, built.body(())?, timeout)
        } else {
            run(agent, built.body(&request.body[..])?, timeout)
        }
    }

    fn authorization(&self, request: &Request) -> Result<Option<HeaderValue>, http::Error> {
        match &request.authorization {
            None => Ok(self.service_token.clone()),
            Some(own) => {
                let mut value = HeaderValue::from_str(own.expose())?;
                value.set_sensitive(true);
                Ok(Some(value))
            }
        }
    }

    fn health(&self) -> MutexGuard<'_, Hosts> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    fn new(url: &str, connections_max: u32) -> Result<Self, ClientError> {
        let bad = |reason: String| ClientError::Host { host: url.to_owned(), reason };
        let parsed: Uri = url.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none() {
            return Err(bad("it needs http or https, and a host".to_owned()));
        }
        let slots = || Slots::new(connections_max);
        Ok(Host { url: url.trim_end_matches('/').to_owned(), slots: slots(), patient_slots: slots() })
    }

    fn is_busy(&self) -> Failure {
        let error = SendError::NotReached {
            host: self.url.clone(),
            reason: "max_conn_per_host requests are under way".to_owned(),
        };
        Failure { error, of_host: false, at_once: false }
    }

    fn is_something_else(&self) -> Failure {
        let error =
            SendError::Answer { host: self.url.clone(), reason: "it is not Elasticsearch".to_owned() };
        Failure { error, of_host: true, at_once: true }
    }
}

/// Runs a request. For one that has another time than the agent gives to each, ureq copies all its settings.
fn run(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    timeout: Duration,
) -> Result<http::Response<Body>, ureq::Error> {
    if agent.config().timeouts().recv_response == Some(timeout) {
        return agent.run(request);
    }
    agent.run(agent.configure_request(request).timeout_recv_response(Some(timeout)).build())
}

fn agent_config(settings: &Elasticsearch) -> ureq::config::Config {
    let connections_max = usize::try_from(settings.connections_per_host_max).unwrap_or(usize::MAX);
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // ours; without this ureq would take those of the environment as well
        .proxy(None)
        .max_response_header_size(ANSWER_HEAD_BYTES_MAX)
        .max_idle_connections(connections_max.saturating_mul(settings.hosts.len()))
        .max_idle_connections_per_host(connections_max)
        .max_idle_age(IDLE_WAIT_MAX)
        // each step has its own time; that of connecting is in `dial`
        .timeout_send_request(Some(settings.timeout))
        .timeout_send_body(Some(settings.timeout))
        .timeout_recv_response(Some(settings.timeout))
        .timeout_recv_body(Some(settings.timeout))
        .build()
}

/// What makes connections by these settings.
pub(super) fn dialer(settings: &Elasticsearch, clock: &Clock, waits: Waits) -> Result<Dialer, ClientError> {
    let proxies = Proxies::new(settings)?;
    let is_https = |url: &String| url.starts_with("https:");
    let security = if settings.hosts.iter().any(is_https) || proxies.any_https() {
        Some(Security::read(settings.tls.clone().unwrap_or_default())?)
    } else {
        None
    };
    Ok(Dialer { proxies, security, clock: Arc::clone(clock), waits })
}
