//! `/v1/opamp`: OpenTelemetry collectors (opamp.md). A request with a message is answered with one; any other is taken for the
//! beginning of a WebSocket, on which each message is answered in the same way.

use std::sync::Arc;

use prost::Message;

use super::{Request, authenticate, body_bounds, enroll};
use crate::api::ApiError;
use crate::api::authorization;
use crate::api::opamp::message::{
    ACCEPTS_EFFECTIVE_CONFIG, ACCEPTS_STATUS, AgentIdentification, CustomCapabilities, OFFERS_REMOTE_CONFIG,
    REPORT_FULL_STATE, ServerToAgent,
};
use crate::api::opamp::{Failure, Health, MESSAGE_HEADER, NewCollector, Report, Unreadable, with_offer};
use crate::api::route::Operation as Route;
use crate::connection::BodyError;
use crate::fleet::collectors::{Collector, Speaker, Told, Upgrade};
use crate::fleet::render::Offer;
use crate::http::encoding::accepts_gzip;
use crate::http::{Body, RequestHead, Response, Segment};
use crate::model::file::hex;
use crate::model::{Agent, EnrollmentToken, Patch};
use crate::store::{Answer, Operation, StoreError};
use crate::task::{Cx, Outcome};
use crate::websocket;

const CONTENT_TYPE: &str = "application/x-protobuf";
/// A message above this is read on a worker thread: what a collector runs is YAML, of which a millisecond reads so much.
const MESSAGE_INLINE_BYTES_MAX: usize = 16 * 1024;
/// Nothing above this is compressed: what many collectors share is not worth a millisecond for each.
const COMPRESSED_BYTES_MAX: usize = 64 * 1024;

/// Answers a message, or makes a WebSocket of the connection.
pub async fn opamp(cx: Cx, request: Request) -> Outcome {
    let token = match authorised(&cx, &request.head).await {
        Ok(token) => token,
        Err(error) => return Outcome::Respond(bare(refusal(&error))),
    };
    let is_message = request.head.single("content-type").ok().flatten() == Some(CONTENT_TYPE);
    if is_message && request.head.method() == "POST" {
        return Outcome::Respond(over_http(&cx, &request.head, &token).await.unwrap_or_else(|answer| answer));
    }
    match websocket::accept(&request.head) {
        Ok(accept) => Outcome::Upgrade(Box::new(Upgrade { accept, token })),
        Err(refused) => Outcome::Respond(refused.response()),
    }
}

/// Answers a message that came over a WebSocket.
pub async fn message(cx: Cx, token: Arc<EnrollmentToken>, mut message: Vec<u8>) -> Outcome {
    let report = if message.first() == Some(&MESSAGE_HEADER) {
        message.remove(0);
        read(&cx, message).await
    } else {
        Err(Unreadable::Garbled)
    };
    let mut told = match report {
        Ok(report) => answer(&cx, &token, report).await,
        Err(error) => {
            ::log::info!("a message of a collector is refused: {error}");
            Told::failed(Failure::Unreadable, Vec::new())
        }
    };
    told.message.insert(0, MESSAGE_HEADER);
    Outcome::Told(Box::new(told))
}

/// The token of whoever asks: an active enrollment token or a static one, and nothing else.
async fn authorised(cx: &Cx, head: &RequestHead) -> Result<Arc<EnrollmentToken>, ApiError> {
    let key = authorization::api_key(head)?;
    authenticate::key(cx, &key).await?;
    enroll::enrollment_token(cx, &key).await
}

/// The status that tells a collector why it is not let in.
fn refusal(error: &ApiError) -> u16 {
    match error.row().0 {
        429 => 429,
        500.. => 503,
        _ => 401,
    }
}

/// An answer without a body.
fn bare(status: u16) -> Response {
    response(status, "")
}

fn response(status: u16, body: impl Into<Body>) -> Response {
    Response::new(status, body).header("Content-Type", CONTENT_TYPE)
}

/// `Err` is an answer too: to what is no message.
async fn over_http(cx: &Cx, head: &RequestHead, token: &EnrollmentToken) -> Result<Response, Response> {
    let body = cx.body(cx.fleet(|fleet| body_bounds(Route::OpAmp, fleet))).await;
    let body = body.map_err(|error| match error {
        BodyError::Corrupt => bare(400),
        error => ApiError::from(error).response(),
    })?;
    let report = read(cx, body).await.map_err(|error| {
        ::log::info!("a message of a collector is refused: {error}");
        bare(400)
    })?;
    let told = answer(cx, token, report).await;
    if let Some(failure) = told.failure {
        cx.fleet(|fleet| fleet.counters.told_error(Route::OpAmp.name(), failure.name()));
    }
    let compresses = accepts_gzip(head.header("accept-encoding")) && told.bytes() <= COMPRESSED_BYTES_MAX;
    if !compresses || cx.fleet(|fleet| fleet.config.server.compression_level == 0) {
        return Ok(response(200, body_of(told)));
    }
    let mut message = told.message;
    message.extend_from_slice(told.offer.as_ref().map_or(&[], |offer| &offer.message));
    let compressed = cx.fleet(|fleet| fleet.gzip(&message));
    Ok(response(200, compressed).header("Content-Encoding", "gzip"))
}

fn body_of(told: Told) -> Body {
    let offer = told.offer.map(|offer| Segment::Shared(offer.message.clone()));
    std::iter::once(Segment::Owned(told.message)).chain(offer).collect()
}

/// A message, read; a large one on a worker.
async fn read(cx: &Cx, message: Vec<u8>) -> Result<Box<Report>, Unreadable> {
    if message.len() <= MESSAGE_INLINE_BYTES_MAX {
        return Report::read(&message).map(Box::new);
    }
    let read = cx.work(move || Report::read(&message).map(Box::new)).await;
    read.unwrap_or(Err(Unreadable::Garbled))
}

/// The answer to a message (opamp.md, "Message").
async fn answer(cx: &Cx, token: &EnrollmentToken, report: Box<Report>) -> Told {
    let instance_uid = report.instance_uid.clone();
    // boxed: it is more than all the rest
    match Box::pin(answer_well(cx, token, report)).await {
        Ok(told) => told,
        Err(failure) => Told::failed(failure, instance_uid),
    }
}

async fn answer_well(cx: &Cx, token: &EnrollmentToken, report: Box<Report>) -> Result<Told, Failure> {
    let id = report.agent_id().ok_or(Failure::InstanceUid)?;
    let known = look_up(cx, &id).await?;
    if report.disconnects {
        return say_goodbye(cx, known.filter(|_| !report.requests_uid).ok_or(Failure::UnknownDisconnects)?)
            .await
            .map(|()| goodbye(report.instance_uid));
    }
    let (agent, is_new) = match known {
        Some(known) if !report.requests_uid => (known, false),
        known => enrolled(cx, token, &report, id, known).await?,
    };
    let is_offered = offer_for(cx, token, &report).is_some();
    update(cx, &agent, &report, is_offered).await?;
    // a newer one may have come meanwhile, and is pushed to nobody who is being answered
    Ok(told(&agent, is_new, &report, offer_for(cx, token, &report)))
}

/// 2. The collector of that id, if there is one.
async fn look_up(cx: &Cx, id: &str) -> Result<Option<Box<Agent>>, Failure> {
    match cx.store(Operation::AgentById(id.to_owned())).await {
        // a token that enrols shall not write to agents that have a key of their own
        Ok(Answer::Agent(Some(agent))) if agent.kind != Agent::COLLECTOR => Err(Failure::AnotherKind),
        Ok(Answer::Agent(agent)) => Ok(agent),
        Ok(_) => Err(Failure::Search),
        Err(error) => Err(trouble("looked up", id, &error, Failure::Search)),
    }
}

fn trouble(what: &str, id: &str, error: &StoreError, failure: Failure) -> Failure {
    ::log::warn!("fleet.agent.id" = id; "a collector could not be {what}: {error}");
    failure
}

/// 4. A collector goes.
async fn say_goodbye(cx: &Cx, agent: Box<Agent>) -> Result<(), Failure> {
    let patch = Patch::new().set("last_checkin_status", "disconnected");
    check_in(cx, &agent.id, patch).await
}

fn goodbye(instance_uid: Vec<u8>) -> Told {
    let speaker = speaker(&instance_uid, None);
    let answer = ServerToAgent { instance_uid, ..ServerToAgent::default() };
    Told { message: answer.encode_to_vec(), offer: None, speaker, failure: None }
}

/// 5. A collector that nobody knows, or one that wants another name: its document, and whether that was made just now.
async fn enrolled(
    cx: &Cx,
    token: &EnrollmentToken,
    report: &Report,
    id: String,
    known: Option<Box<Agent>>,
) -> Result<(Box<Agent>, bool), Failure> {
    let now = cx.now();
    if !cx.fleet(|fleet| fleet.admission.enter_collector(now.mono)) {
        return Err(Failure::Enroll);
    }
    let id = if report.requests_uid { cx.fleet(|fleet| fleet.time_uuid(now)).to_string() } else { id };
    let enrolled_at = now.wall.rfc3339();
    let (policy_id, namespaces) = (token.policy_id.as_str(), token.namespaces.as_slice());
    let collector = NewCollector { id: &id, policy_id, namespaces, enrolled_at: &enrolled_at };
    let document = collector.document(report.description.as_ref());
    match cx.store(Operation::CreateAgent { agent: id.clone(), document }).await {
        Ok(_) => cx.fleet(|fleet| fleet.counters.enrolments += 1),
        // another message of it came first
        Err(StoreError::Conflict) => {
            let agent = look_up(cx, &id).await.map_err(|_| Failure::Enroll)?.ok_or(Failure::Enroll)?;
            return Ok((agent, false));
        }
        Err(error) => return Err(trouble("enrolled", &id, &error, Failure::Enroll)),
    }
    if let Some(known) = known {
        note_new_name(cx, &known).await;
    }
    Ok((Box::new(Agent { id, ..Agent::default() }), true))
}

/// The document of a collector that has another name now says so, unless it says already why it is left.
async fn note_new_name(cx: &Cx, known: &Agent) {
    const REASON: &str = "reenrolled";
    if matches!(known.audit_unenrolled_reason.as_deref(), Some("orphaned" | REASON)) {
        return;
    }
    let now = cx.now().wall.rfc3339();
    let patch = Patch::new()
        .set("audit_unenrolled_reason", REASON)
        .set("audit_unenrolled_time", &now)
        .set("updated_at", &now);
    if let Err(error) = cx.store(Operation::UpdateAgent { agent: known.id.clone(), patch }).await {
        trouble("noted as enrolled anew", &known.id, &error, Failure::Update);
    }
}

/// What the collector may be offered: what its token's policy says, if it takes anything.
fn offer_for(cx: &Cx, token: &EnrollmentToken, report: &Report) -> Option<Arc<Offer>> {
    let newest = |policy_id: &str| cx.fleet(|fleet| fleet.policies.newest(policy_id)?.offer.clone());
    report.accepts_remote_config().then(|| newest(&token.policy_id)).flatten()
}

/// 6. What it says of itself is stored.
async fn update(cx: &Cx, agent: &Agent, report: &Report, is_offered: bool) -> Result<(), Failure> {
    let (status, message) = match &report.health {
        Some(health) => (health.status, health.message.as_str()),
        None => (Health::UNTOLD, ""),
    };
    let mut patch = Patch::new()
        .set("last_checkin_status", status)
        .set("last_checkin_message", message)
        .set("sequence_num", report.sequence_num)
        .set("capabilities", report.capabilities());
    if let Some(health) = &report.health {
        patch = patch.set("health", &health.document);
    }
    match &report.effective_config {
        Some(Ok(config)) => patch = patch.set("effective_config", config),
        Some(Err(error)) => {
            ::log::info!("fleet.agent.id" = agent.id.as_str(); "{error}");
            return Err(Failure::Update);
        }
        None => {}
    }
    if let Some(status) = report.remote_config.as_ref().filter(|_| is_offered) {
        patch = patch.set("remote_config_status", &status.document);
    }
    if agent.audit_unenrolled_reason.is_some() {
        patch =
            patch.remove("audit_unenrolled_reason").remove("audit_unenrolled_time").remove("unenrolled_at");
    }
    check_in(cx, &agent.id, patch).await
}

async fn check_in(cx: &Cx, agent: &str, patch: Patch) -> Result<(), Failure> {
    let at = cx.now().wall;
    // what is written is more than a heartbeat
    cx.fleet(|fleet| fleet.beats.forget(agent));
    match cx.store(Operation::CheckIn { agent: agent.to_owned(), at, patch }).await {
        Ok(_) => Ok(()),
        Err(error) => Err(trouble("updated", agent, &error, Failure::Update)),
    }
}

/// The answer when all went well.
fn told(agent: &Agent, is_new: bool, report: &Report, newest: Option<Arc<Offer>>) -> Told {
    let uid = uuid::Uuid::parse_str(&agent.id).unwrap_or_default().into_bytes();
    let collector = Collector {
        agent: Arc::from(agent.id.as_str()),
        instance_uid: uid,
        accepts_config: report.accepts_remote_config(),
        config_hash: newest.as_ref().map(|offer| offer.hash.to_vec()).unwrap_or_default(),
    };
    let offers = if newest.is_some() { OFFERS_REMOTE_CONFIG } else { 0 };
    let has = |offer: &Offer| match &report.remote_config {
        Some(status) => status.hash == offer.hash,
        None => agent.collector.as_ref().is_some_and(|it| it.config_hash() == hex(&offer.hash)),
    };
    let offer = newest.filter(|offer| !has(offer));
    let is_connected =
        matches!(agent.last_checkin_status.as_deref(), Some("online" | "error" | "degraded")) && !is_new;
    // what the server can do is said again where it may be news: when it was last said, nothing may have been offered
    let is_told = is_connected && offer.is_none();
    let identification = AgentIdentification { new_instance_uid: uid.to_vec() };
    // one that has just said everything is not asked again: clients answer that question at once, and would for ever
    let is_full = report.description.is_some() && !is_new;
    let answer = ServerToAgent {
        instance_uid: report.instance_uid.clone(),
        flags: if is_full { 0 } else { REPORT_FULL_STATE },
        capabilities: if is_told { 0 } else { ACCEPTS_STATUS | ACCEPTS_EFFECTIVE_CONFIG | offers },
        agent_identification: report.requests_uid.then_some(identification),
        custom_capabilities: Some(CustomCapabilities::default()),
        ..ServerToAgent::default()
    };
    let message = with_offer(&answer, offer.as_ref().map(|offer| offer.message.len()));
    Told { message, offer, speaker: speaker(&report.instance_uid, Some(collector)), failure: None }
}

fn speaker(instance_uid: &[u8], collector: Option<Collector>) -> Option<Speaker> {
    Some(Speaker { instance_uid: instance_uid.try_into().ok()?, collector })
}

/// The message, encoded with its header, that brings a configuration to a collector which did not ask.
pub fn push(collector: &Collector, offer: &Offer) -> Vec<u8> {
    let answer = ServerToAgent {
        instance_uid: collector.instance_uid.to_vec(),
        capabilities: ACCEPTS_STATUS | ACCEPTS_EFFECTIVE_CONFIG | OFFERS_REMOTE_CONFIG,
        ..ServerToAgent::default()
    };
    let mut message = vec![MESSAGE_HEADER];
    message.extend(with_offer(&answer, Some(offer.message.len())));
    message
}
