//! One request and its answer: what is remembered of it, how it is routed, what every answer carries.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::api::ApiError;
use crate::api::route::{API_VERSION, Operation, Routed, limited_operation, route};
use crate::connection::{ConnectionId, Listener};
use crate::fleet::Fleet;
use crate::fleet::limits::Refusal;
use crate::handlers::{self, Request, deliver};
use crate::http::{BadRequest, BodyKind, RequestHead, Response};
use crate::metrics::Counters;
use crate::time::Now;

use super::Server;
use super::body::Collector;

/// A request under way.
pub(super) struct Exchange {
    started: Duration,
    /// The route whose limits it counts for.
    limited: Option<Operation>,
    /// Whether it was let in, and has to be counted out.
    entered: bool,
    answered: bool,
    /// The answer's body is not there yet: the request counts until it is out.
    streams: bool,
    /// Whether the answer names the version of the API.
    versioned: bool,
    /// For the log; empty once parked.
    line: Box<str>,
    /// The client's own; without one an id is made for the answer.
    request_id: Option<Box<str>>,
    pub(super) body_kind: BodyKind,
    /// Whether Content-Encoding says gzip.
    pub(super) gzip: bool,
    /// The body came to its end before anybody asked for it: it has none.
    pub(super) body_ended: bool,
    /// Set once the handler asked for the body.
    pub(super) body: Option<Box<Collector>>,
}

impl Exchange {
    fn new(head: &RequestHead, now: Now) -> Self {
        let coding = head.single("content-encoding").ok().flatten().unwrap_or_default().trim();
        Exchange {
            line: format!("{} {}", head.method(), head.path()).into(),
            body_kind: head.body(),
            gzip: coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip"),
            body_ended: false,
            ..Exchange::unreadable(head.single("x-request-id").ok().flatten(), now)
        }
    }

    /// What came could not be read as a request, but for the id that it may have.
    pub(super) fn unreadable(request_id: Option<&str>, now: Now) -> Self {
        Exchange {
            started: now.mono,
            limited: None,
            entered: false,
            answered: false,
            streams: false,
            versioned: false,
            line: "".into(),
            request_id: request_id.filter(|id| !id.is_empty()).map(Box::from),
            body_kind: BodyKind::None,
            gzip: false,
            body_ended: true,
            body: None,
        }
    }

    /// Whether the body is being inflated and more of it cannot be taken.
    pub(super) fn is_behind(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.is_behind())
    }

    /// Whether it counts no more.
    pub(super) fn is_over(&self) -> bool {
        self.answered && !self.streams
    }

    /// Whether more of the answer's body is to come, or to go out.
    pub(super) fn streams(&self) -> bool {
        self.streams
    }

    /// The last of a body that was not there at once is out.
    pub(super) fn end_stream(&mut self, fleet: &mut Fleet, listener: Listener) {
        if std::mem::take(&mut self.streams) {
            self.leave(fleet, listener);
        }
    }

    /// What a parked agent does not need is given back.
    pub(super) fn park(&mut self) {
        self.line = "".into();
        self.body = None;
    }

    /// Counts the request out of its limits.
    pub(super) fn leave(&self, fleet: &mut Fleet, listener: Listener) {
        if self.entered {
            fleet.admission.leave(listener, self.limited);
        }
    }

    /// The answer as it goes out: with what every answer carries; counted and logged.
    pub(super) fn complete(
        &mut self,
        response: Response,
        fleet: &mut Fleet,
        listener: Listener,
        peer: Option<SocketAddr>,
        now: Now,
    ) -> Response {
        let request_id = self.request_id.take().map_or_else(|| fleet.uuid(), String::from);
        self.answered = true;
        self.streams = !response.body.is_complete();
        if !self.streams {
            self.leave(fleet, listener);
        }
        self.body = None;
        self.log(&response, &request_id, peer, now);
        self.count(&response, &mut fleet.counters, listener);
        let response =
            response.header("X-Request-Id", request_id).header("Date", fleet.date.at(now.wall).to_owned());
        let mut response =
            if self.versioned { response.header("Elastic-Api-Version", API_VERSION) } else { response };
        response.close |= fleet.stopping;
        response
    }

    pub(super) fn is_check_in(&self) -> bool {
        self.limited == Some(Operation::CheckIn)
    }

    /// The route of the request as metrics name it: that of its limits, for agents.
    pub(super) fn route(&self, listener: Listener) -> &'static str {
        match self.limited {
            Some(operation) => operation.name(),
            None if listener.is_for_agents() => "other",
            None => listener.name(),
        }
    }

    fn count(&self, response: &Response, counters: &mut Counters, listener: Listener) {
        let name = self.route(listener);
        let route = counters.route(name);
        route.body_out_bytes += response.body.len().unwrap_or(0);
        if response.status < 400 {
            counters.succeeded += 1;
            return;
        }
        route.failed += 1;
        counters.failed += 1;
        counters.told_error(name, response.error_name());
    }

    /// The answer after which the connection speaks another protocol: the request counts until that ends.
    pub(super) fn switch(
        &mut self,
        response: Response,
        fleet: &mut Fleet,
        peer: Option<SocketAddr>,
        now: Now,
    ) -> Response {
        let request_id = self.request_id.take().map_or_else(|| fleet.uuid(), String::from);
        self.log(&response, &request_id, peer, now);
        fleet.counters.succeeded += 1;
        self.answered = true;
        self.park();
        response.header("X-Request-Id", request_id)
    }

    /// Who asked for what, and what came of it (config.md, "Keys": logging).
    fn log(&self, response: &Response, request_id: &str, peer: Option<SocketAddr>, now: Now) {
        let status = response.status;
        let level = if (200..300).contains(&status) { ::log::Level::Debug } else { ::log::Level::Info };
        if level > ::log::max_level() {
            return;
        }
        let (method, path) = self.line.split_once(' ').unwrap_or_default();
        let error = (status >= 400).then(|| error_message(response)).flatten();
        ::log::log!(
            level,
            "http.request.id" = request_id,
            "http.request.method" = method,
            "url.full" = path,
            "http.response.status_code" = status,
            "error.message" = error.as_deref(),
            "event.duration" = u64::try_from(now.mono.saturating_sub(self.started).as_nanos()).unwrap_or(u64::MAX),
            "client.address" = peer.map(|peer| peer.to_string()).as_deref(),
            "fleet.agent.id" = agent_of(path);
            "HTTP request"
        );
    }
}

/// The error's name and message, as the client is told them.
fn error_message(response: &Response) -> Option<String> {
    #[derive(Deserialize)]
    struct Told {
        error: String,
        message: String,
    }
    let Told { error, message } = serde_json::from_slice(response.body.whole()?).ok()?;
    Some(format!("{error}: {message}"))
}

/// The agent that a path names, as it is written there.
fn agent_of(path: &str) -> Option<&str> {
    path.strip_prefix("/api/fleet/agents/")?.split_once('/').map(|(id, _)| id)
}

/// The answer to what cannot be served as HTTP.
pub(super) fn bad_request(bad: &BadRequest) -> Response {
    let body =
        serde_json::json!({ "statusCode": bad.status(), "error": "BadRequest", "message": bad.to_string() });
    Response::new(bad.status(), body.to_string())
        .header("Content-Type", "application/json; charset=utf-8")
        .header("X-Content-Type-Options", "nosniff")
        .telling("BadRequest")
        .closing()
}

/// What becomes of a request once its head is known.
enum Verdict {
    /// With what its path names.
    Handle(Operation, String, String),
    Operator,
    Metrics,
    Answer(Response),
}

impl Server {
    /// A request begins: limits, route, headers, handler, in this order (http-api.md, "Order of checks").
    pub(super) fn begin(&mut self, id: ConnectionId, head: Box<RequestHead>) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (listener, is_encrypted) = (connection.listener, connection.is_encrypted);
        connection.let_in = false;
        let mut exchange = Box::new(Exchange::new(&head, now));
        let fleet = self.fleet.as_deref_mut().expect("the fleet is here while no task is polled");
        fleet.counters.requests += 1;
        let verdict = judge(fleet, listener, &head, &mut exchange, now);
        fleet.counters.route(exchange.route(listener)).requests += 1;
        connection.exchange = Some(exchange);
        let request = |id_of_path: String, part: String| Request {
            connection: id,
            listener,
            is_encrypted,
            head,
            id: id_of_path,
            part,
            started: now,
        };
        match verdict {
            Verdict::Answer(response) => self.answer_now(id, response),
            Verdict::Handle(operation, id_of_path, part) => {
                let request = request(id_of_path, part);
                self.spawn(Some(id), |cx| handlers::start(operation, cx, request));
            }
            Verdict::Operator => {
                let request = request(String::new(), String::new());
                self.spawn(Some(id), |cx| handlers::admin::start(cx, request));
            }
            Verdict::Metrics => {
                let request = request(String::new(), String::new());
                self.spawn(Some(id), |cx| handlers::metrics::start(cx, request));
            }
        }
    }
}

fn judge(
    fleet: &mut Fleet,
    listener: Listener,
    head: &RequestHead,
    exchange: &mut Exchange,
    now: Now,
) -> Verdict {
    if !listener.is_for_agents() {
        exchange.entered = fleet.admission.enter(listener, None, false, now.mono).is_ok();
        return if listener == Listener::Admin { Verdict::Operator } else { Verdict::Metrics };
    }
    let (mut routed, mut limited) = (route(head.method(), head.path()), limited_operation(head.path()));
    if limited == Some(Operation::OpAmp) && !fleet.config.server.feature_flags.enable_opamp {
        (routed, limited) = (Routed::NotFound, None);
    }
    exchange.limited = limited;
    // a parked agent's newer check-in takes over its place
    let takes_over = match &routed {
        Routed::Found { operation: Operation::CheckIn, id, .. } => fleet.lot.seat_of(id).is_some(),
        _ => false,
    };
    if let Err(refusal) = fleet.admission.enter(listener, exchange.limited, takes_over, now.mono) {
        fleet.counters.refused += 1;
        let route = fleet.counters.route(exchange.route(listener));
        let (counter, error) = match refusal {
            Refusal::Rate => (&mut route.refused_rate, ApiError::RateLimit),
            Refusal::Max => (&mut route.refused_max, ApiError::MaxLimit),
            Refusal::Connections => (&mut route.refused_connections, ApiError::MaxLimit),
        };
        *counter += 1;
        return Verdict::Answer(error.response());
    }
    exchange.entered = true;
    let (operation, id, part) = match routed {
        Routed::Found { operation, id, part } => (operation, id, part),
        Routed::NotFound => return Verdict::Answer(ApiError::NotFound.response()),
        Routed::WrongMethod { allow } => {
            return Verdict::Answer(Response::new(405, "").header("Allow", allow));
        }
    };
    // collectors know nothing of agents' headers
    if operation != Operation::OpAmp {
        exchange.versioned = true;
        if let Err(error) = check_headers(head) {
            return Verdict::Answer(error.response());
        }
    }
    if fleet.stopping && operation == Operation::CheckIn {
        // it comes back in a moment and finds the next server
        return Verdict::Answer(deliver::empty().closing());
    }
    Verdict::Handle(operation, id, part)
}

/// Headers that may come once only, and the version of the API.
fn check_headers(head: &RequestHead) -> Result<(), ApiError> {
    for name in ["x-request-id", "content-encoding", "user-agent", "elastic-api-version"] {
        head.single(name).map_err(|error| ApiError::bad(format!("header {name}: {error}")))?;
    }
    let version = head.single("elastic-api-version").ok().flatten().unwrap_or_default();
    match version {
        "" | API_VERSION => Ok(()),
        other if is_date(other) => Err(ApiError::ApiVersionUnsupported(other.to_owned())),
        other => Err(ApiError::ApiVersionFormat(other.to_owned())),
    }
}

fn is_date(text: &str) -> bool {
    let dashes_at = [4, 7];
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if dashes_at.contains(&at) { byte == b'-' } else { byte.is_ascii_digit() })
}
