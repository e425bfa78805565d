//! `POST /api/fleet/agents/{id}/checkin`: the long poll (checkin.md, "POST checkin"; the steps are numbered as there).

use std::time::Duration;

use super::{JSON_INLINE_BYTES_MAX, Request, answered, authenticate, deliver, read_body, secrets, unenroll};
use crate::api::action::{self, Delivery};
use crate::api::authorization;
use crate::api::body::check_stored;
use crate::api::checkin::{CheckInRequest, poll_times, says_the_same, unhealthy_reasons};
use crate::api::route::Operation as Route;
use crate::api::upgrade::UpgradeDetails;
use crate::api::user_agent::agent_version;
use crate::api::{ApiError, checkin};
use crate::fleet::lot::Parked;
use crate::fleet::strikes::Strike;
use crate::fleet::{Fleet, SeatId};
use crate::http::encoding::accepts_gzip;
use crate::model::raw::{Raw, is_null};
use crate::model::{Agent, AgentInfo, Detail, Fingerprint, KeyNeed, KeysWanted, OutputCluster, Patch};
use crate::store::{ActionLookup, Answer, Operation};
use crate::task::{Cx, Outcome};
use crate::time::Timestamp;

const ACK_TOKEN_LIVES: Duration = Duration::from_secs(24 * 3_600);

/// Answers with what is pending, or parks the agent.
pub async fn check_in(cx: Cx, request: Request) -> Outcome {
    match authorised(&cx, &request).await {
        Ok(agent) => answered(check_in_agent(&cx, &request, agent)).await,
        Err(error) => Outcome::Respond(refuse(&cx, &request.id, error)),
    }
}

// 1. key and agent
async fn authorised(cx: &Cx, request: &Request) -> Result<Box<Agent>, ApiError> {
    let key = authorization::api_key(&request.head)?;
    let agent = authenticate::active_or_not(cx, &key, Operation::AgentCheckingIn(request.id.clone())).await?;
    if agent.active {
        return Ok(agent);
    }
    // boxed: it is rare, and the future of each check-in would hold the place
    Box::pin(unenroll::retire_far_keys(cx, &agent)).await;
    Err(ApiError::AgentInactive)
}

async fn check_in_agent(cx: &Cx, request: &Request, agent: Box<Agent>) -> Result<Outcome, ApiError> {
    let user_agent =
        request.head.single("user-agent").map_err(|_| ApiError::bad("several User-Agent headers"))?;
    let version = agent_version(user_agent, cx.fleet(|fleet| fleet.newest_agent))?;
    let said = read_body(cx, Route::CheckIn, CheckInRequest::read).await?;
    take_upgrade_details(cx, &agent, said.upgrade_details.as_ref()).await?;
    let acknowledged = seq_no_of(cx, &said.ack_token).await?;
    if has_old_keys(cx, &agent, &said) {
        Box::pin(retire_keys(cx, &agent.id)).await;
    }
    let revision_idx = revision_had(cx, &agent, &said).await;
    let after = match acknowledged {
        Some(seq_no) => seq_no,
        None if cx.fleet(|fleet| fleet.is_beyond_news(agent.action_seq_no)) => {
            // boxed: it is rare
            Box::pin(actions_had(cx, agent.action_seq_no)).await
        }
        None => agent.action_seq_no,
    };
    // 5. the seat comes first: what happens from here on is kept in it
    let ignores_policy = cx.fleet(|fleet| fleet.config.server.feature_flags.ignore_checkin_policy_id);
    let poll_timeout = said.poll_timeout;
    let (agent, changes) = if is_large(&said) {
        // boxed: it is rare, and its arguments would be held by every check-in
        Box::pin(changes_of_large(cx, agent, said, version, acknowledged, ignores_policy)).await?
    } else {
        changes_of(agent, said, &version, acknowledged, ignores_policy, cx.now().wall)?
    };
    let seat = cx.fleet(|fleet| fleet.claim(&agent.id, &agent.policy_id, revision_idx, after));
    let pending = record_and_search(cx, &agent, seat, changes, after).await;
    let gzip = accepts_gzip(request.head.header("accept-encoding"));
    match pending {
        Ok(delivery) if !delivery.ack_token.is_empty() => Ok(cx.fleet(|fleet| {
            fleet.lot.leave(seat);
            fleet.counters.actions_delivered += delivery.actions.len() as u64;
            Outcome::Respond(deliver::text(fleet, action::answer(delivery), gzip))
        })),
        Ok(_) => Ok(park(cx, request, seat, poll_timeout, gzip)),
        Err(error) => {
            cx.fleet(|fleet| fleet.lot.leave(seat));
            Err(error)
        }
    }
}

/// 3. What the agent says of its upgrade, stored at once when it is news.
async fn take_upgrade_details(cx: &Cx, agent: &Agent, said: Option<&Raw>) -> Result<(), ApiError> {
    // as of now, however long the store takes for the question in between
    let at = cx.now().wall;
    let Some(said) = said else {
        if agent.upgrade_details.is_none() {
            return Ok(());
        }
        let patch = Patch::new().null("upgrade_details").null("upgrade_started_at");
        let patch = patch.set("upgraded_at", at.rfc3339());
        cx.store(Operation::Upgrading { agent: agent.id.clone(), at, patch }).await?;
        return Ok(());
    };
    let details = UpgradeDetails::read(said)?;
    if agent.upgrade_details.as_ref().is_some_and(|stored| same_json(stored, &details.document)) {
        return Ok(());
    }
    let known = cx.store(Operation::ActionById(details.action_id.clone())).await?;
    if matches!(known, Answer::Action(ActionLookup::Unknown)) {
        ::log::warn!("fleet.agent.id" = agent.id.as_str(); "upgrade details of an unknown action {} are ignored", details.action_id);
        return Ok(());
    }
    let mut patch = Patch::new().set("upgrade_details", &details.document);
    if details.state == "UPG_WATCHING" && agent.has_upgrade_attempts {
        patch = patch.null("upgrade_attempts");
    }
    cx.store(Operation::Upgrading { agent: agent.id.clone(), at, patch }).await?;
    Ok(())
}

/// The `_seq_no` that an ack token stands for; none for one that nobody knows.
async fn seq_no_of(cx: &Cx, ack_token: &str) -> Result<Option<i64>, ApiError> {
    if ack_token.is_empty() {
        return Ok(None);
    }
    let now = cx.now().mono;
    if let Some(seq_no) = cx.fleet(|fleet| fleet.ack_tokens.get(ack_token, now).copied()) {
        return Ok(Some(seq_no));
    }
    let Answer::SeqNo(seq_no) = cx.lookup(Operation::ActionSeqNo(ack_token.to_owned())).await? else {
        return Err(ApiError::Internal);
    };
    if let Some(seq_no) = seq_no {
        cx.fleet(|fleet| fleet.ack_tokens.insert(ack_token.to_owned(), seq_no, now + ACK_TOKEN_LIVES));
    }
    Ok(seq_no)
}

/// 4. The revision that the agent has, as far as it counts: newer ones are for it.
async fn revision_had(cx: &Cx, agent: &Agent, said: &CheckInRequest) -> i64 {
    let now = cx.now();
    let has = cx.fleet(|fleet| {
        fleet.output_keys.hold_against(agent, now.mono);
        revision_of(fleet, agent, said)
    });
    let revision_idx = match has {
        Has::This(revision_idx) => revision_idx,
        // boxed, as below: it is rare
        Has::Unknown(revision_idx) => Box::pin(look_for_revision(cx, &agent.policy_id, revision_idx)).await,
    };
    match cx.fleet(|fleet| keys_missed(fleet, agent, revision_idx, now.wall)) {
        None => revision_idx,
        Some(wanted) => Box::pin(revision_without_keys(cx, wanted, revision_idx)).await,
    }
}

/// The revision that an agent has.
enum Has {
    /// This one.
    This(i64),
    /// It says this one, and nobody has told us of it.
    Unknown(i64),
}

/// The revision that the agent says it has, or its document.
fn revision_of(fleet: &Fleet, agent: &Agent, said: &CheckInRequest) -> Has {
    match &said.policy {
        _ if fleet.config.server.feature_flags.ignore_checkin_policy_id => {
            Has::This(agent.policy_revision_idx)
        }
        None => Has::This(agent.policy_revision_idx),
        Some((policy_id, _)) if *policy_id != agent.policy_id => Has::This(0),
        Some((_, reported)) => match fleet.policies.heard(&agent.policy_id) {
            Some(heard) if *reported > heard => Has::Unknown(*reported),
            _ => Has::This(*reported),
        },
    }
}

/// A revision that we have not heard of is in the store if another server was told of it first: then the agent has it, and
/// is not sent back to an older one. If it is not there, the policy started over.
async fn look_for_revision(cx: &Cx, policy_id: &str, revision_idx: i64) -> i64 {
    let wanted =
        Operation::PolicyRevision { policy_id: policy_id.to_owned(), revision_idx: Some(revision_idx) };
    match cx.lookup(wanted).await {
        Ok(Answer::Policy(None)) => 0,
        Ok(_) => revision_idx,
        Err(error) => {
            ::log::warn!("fleet.policy.id" = policy_id; "whether there is a revision {revision_idx} of policy {policy_id} is not known: {error}");
            revision_idx
        }
    }
}

/// The keys of an agent that has its newest revision, if it misses some: its document says so, or another cluster could not
/// make them when it got that revision. An output that the policy does not have, of an older policy or of a document that was
/// migrated, is none of its business.
fn keys_missed(fleet: &Fleet, agent: &Agent, revision_idx: i64, at: Timestamp) -> Option<KeysWanted> {
    let revision = fleet.policies.newest(&agent.policy_id)?;
    let is_missed = |need: &KeyNeed| match agent.outputs.get(&need.output) {
        Some(output) => output.api_key.is_empty(),
        None => matches!(need.cluster, OutputCluster::Remote(_)),
    };
    let misses = revision.revision_idx <= revision_idx && revision.needs.iter().any(is_missed);
    misses.then(|| KeysWanted { agent: agent.id.clone(), needs: revision.needs.clone(), at })
}

/// What the revision of an agent that misses keys counts for: it gets the policy once more when there are all of them, and not
/// before, or it would come back for it again and again.
async fn revision_without_keys(cx: &Cx, wanted: KeysWanted, revision_idx: i64) -> i64 {
    match deliver::ask_keys(cx, wanted).await {
        Ok(keys) if keys.iter().all(Option::is_some) => 0,
        Ok(_) => revision_idx,
        Err(error) => {
            ::log::debug!("keys that an agent misses cannot be had now: {error}");
            revision_idx
        }
    }
}

/// The `_seq_no` up to which an agent has its actions whose document names one that we have not heard of: another server was
/// told of it first, unless the index itself has not come so far. Then it is another one, and the agent has nothing of it.
async fn actions_had(cx: &Cx, stored: i64) -> i64 {
    match cx.lookup(Operation::ActionsCheckpoint).await {
        Ok(Answer::SeqNo(Some(checkpoint))) if checkpoint < stored => -1,
        _ => stored,
    }
}

/// Whether there is too much to look at for the loop.
fn is_large(said: &CheckInRequest) -> bool {
    let bytes = |raw: &Option<Raw>| raw.as_ref().map_or(0, |raw| raw.get().len());
    bytes(&said.local_metadata) + bytes(&said.components) > JSON_INLINE_BYTES_MAX
}

/// As [`changes_of`], on a worker.
async fn changes_of_large(
    cx: &Cx,
    agent: Box<Agent>,
    said: CheckInRequest,
    version: String,
    acknowledged: Option<i64>,
    ignores_policy: bool,
) -> Result<(Box<Agent>, Patch), ApiError> {
    let at = cx.now().wall;
    let work = move || changes_of(agent, said, &version, acknowledged, ignores_policy, at);
    cx.work(work).await.ok_or(ApiError::Internal)?
}

/// Step 4: an agent that says that it runs the newest revision has no use for keys that were replaced nor for what only an
/// older one needed, even if its acknowledgement was lost or is yet to come.
fn has_old_keys(cx: &Cx, agent: &Agent, said: &CheckInRequest) -> bool {
    let Some((policy_id, revision_idx)) = &said.policy else { return false };
    let is_news =
        agent.agent_policy_id.as_ref() != Some(policy_id) || agent.policy_revision_idx != *revision_idx;
    let has_keys = agent.outputs.values().any(|output| !output.api_key_id.is_empty());
    let has_retired = agent.outputs.values().any(|output| !output.to_retire_api_key_ids.is_empty());
    (has_retired || (has_keys && is_news))
        && cx.fleet(|fleet| {
            let newest = fleet.policies.newest(&agent.policy_id).map(|revision| revision.revision_idx);
            fleet.makes_output_keys() && *policy_id == agent.policy_id && Some(*revision_idx) == newest
        })
}

/// A failure is only logged: the next check-in or acknowledgement tries again.
async fn retire_keys(cx: &Cx, agent: &str) {
    if let Err(error) = cx.store(Operation::CleanOutputKeys(agent.to_owned())).await {
        ::log::warn!("fleet.agent.id" = agent; "keys that were replaced are still good: {error}");
    }
}

/// As [`update`]. The agent comes back without what only the comparison needed: most of what a check-in would hold while it
/// waits for the store.
fn changes_of(
    mut agent: Box<Agent>,
    said: CheckInRequest,
    version: &str,
    acknowledged: Option<i64>,
    ignores_policy: bool,
    at: Timestamp,
) -> Result<(Box<Agent>, Patch), ApiError> {
    let changes = update(&agent, &said, version, acknowledged, ignores_policy, at)?;
    agent.local_metadata = Detail::Absent;
    agent.components = Detail::Absent;
    Ok((agent, changes))
}

/// What the check-in changes in the agent's document; nothing if a heartbeat says it all.
fn update(
    agent: &Agent,
    said: &CheckInRequest,
    version: &str,
    acknowledged: Option<i64>,
    ignores_policy: bool,
    at: Timestamp,
) -> Result<Patch, ApiError> {
    let mut patch = Patch::new();
    if let Some(info) = agent.agent.as_ref().filter(|info| info.version != version) {
        patch = patch.set("agent", AgentInfo { version: version.to_owned(), ..info.clone() });
        // whoever tells no details says with its version that the upgrade is done, should its acknowledgement be lost
        let tells_no_details = agent.upgrade_details.is_none() && said.upgrade_details.is_none();
        if agent.upgrade_started_at.is_some() && tells_no_details {
            patch = upgrade_done(patch, at);
        }
    }
    if let Some(seq_no) = acknowledged.filter(|seq_no| *seq_no != agent.action_seq_no) {
        patch = patch.set("action_seq_no", [seq_no]);
    }
    if let Some(metadata) = said.local_metadata.as_ref().filter(|said| differs(&agent.local_metadata, said)) {
        check_stored("local_metadata", metadata)?;
        patch = patch.set("local_metadata", metadata);
    }
    let components = said.components.as_ref().filter(|said| differs(&agent.components, said));
    let mut reasons = agent.unhealthy_reason.clone();
    if let Some(components) = components {
        check_stored("components", components)?;
        patch = patch.set("components", components);
        reasons = Some(unhealthy_reasons(components)).filter(|reasons| !reasons.is_empty()).or(reasons);
    }
    if let Some((policy_id, revision_idx)) = said.policy.as_ref().filter(|_| !ignores_policy) {
        let same =
            agent.agent_policy_id.as_ref() == Some(policy_id) && agent.policy_revision_idx == *revision_idx;
        if !same {
            patch = patch.set("agent_policy_id", policy_id).set("policy_revision_idx", revision_idx);
        }
    }
    if let Some(rollbacks) = rollbacks(agent, said) {
        let mut upgrade = agent.upgrade.clone();
        upgrade.insert("rollbacks".to_owned(), rollbacks);
        patch = patch.set("upgrade", upgrade);
    }
    if agent.audit_unenrolled_reason.is_some() || agent.unenrolled_at.is_some() {
        patch =
            patch.remove("audit_unenrolled_reason").remove("audit_unenrolled_time").remove("unenrolled_at");
    }
    if patch.is_empty() && says_the_same(agent, said) {
        return Ok(patch);
    }
    Ok(patch
        .set("last_checkin_status", &said.status)
        .set("last_checkin_message", &said.message)
        .set("unhealthy_reason", reasons)
        .set("sequence_num", 0))
}

/// The same as the acknowledgement of an upgrade that went well.
fn upgrade_done(patch: Patch, at: Timestamp) -> Patch {
    patch.null("upgrade_started_at").null("upgrade_attempts").set("upgraded_at", at.rfc3339())
}

/// Rollbacks to store: those said, `[]` where some are stored and none are said.
fn rollbacks(agent: &Agent, said: &CheckInRequest) -> Option<Raw> {
    let none = || crate::model::raw::raw(&serde_json::json!([]));
    let stored =
        agent.upgrade.get("rollbacks").filter(|stored| !is_null(stored)).cloned().unwrap_or_else(none);
    let said = said.rollbacks.clone().unwrap_or_else(none);
    (!same_json(&stored, &said)).then_some(said)
}

fn differs(stored: &Detail, said: &Raw) -> bool {
    match stored {
        Detail::Absent => true,
        Detail::Whole(stored) => !same_json(stored, said),
        // equal values written differently are written again, which does no harm
        Detail::Fingerprint(stored) => *stored != Fingerprint::of(said.get()),
    }
}

/// Equal as JSON values. Nearly always the bytes are equal, which is quick.
fn same_json(one: &Raw, other: &Raw) -> bool {
    let value = |raw: &Raw| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
    // large ones are not taken apart on the loop: to write what is the same does no harm
    let small = one.get().len() + other.get().len() <= JSON_INLINE_BYTES_MAX;
    one.get() == other.get() || (small && value(one).is_some_and(|one| Some(one) == value(other)))
}

/// 5 and 7. Writes the check-in and searches what is pending, at once.
async fn record_and_search(
    cx: &Cx,
    agent: &Agent,
    seat: SeatId,
    patch: Patch,
    after: i64,
) -> Result<Delivery, ApiError> {
    let now = cx.now();
    let mut operations = Vec::with_capacity(2);
    let up_to = cx.fleet(|fleet| {
        if patch.is_empty() {
            let shared = fleet.lot.get(seat).map(|seat| seat.agent.clone());
            fleet.beats.note(shared.unwrap_or_else(|| agent.id.as_str().into()), now.mono);
        } else {
            fleet.beats.forget(&agent.id);
            operations.push(Operation::CheckIn { agent: agent.id.clone(), at: now.wall, patch });
        }
        fleet.search_bound()
    });
    let search = |after| Operation::PendingActions { agent: agent.id.clone(), after, up_to, now: now.wall };
    if up_to > after {
        operations.push(search(after));
    }
    let mut delivery = Delivery::default();
    while !operations.is_empty() {
        for result in cx.store_all(std::mem::take(&mut operations)).await {
            if let Answer::Actions(actions) = result? {
                // boxed: few have any, and the future of each check-in would hold the place
                let actions = match secrets::are_in(&actions) {
                    true => Box::pin(secrets::in_actions(cx, &actions)).await?,
                    false => actions,
                };
                delivery = action::deliver(&agent.id, &actions);
                // a search finds so many at most: behind those that no agent gets there may be others
                let last = actions.last().filter(|_| delivery.ack_token.is_empty());
                operations.extend(last.map(|last| search(last.seq_no)));
            }
        }
    }
    remember_token(cx, &delivery);
    Ok(delivery)
}

/// The agent will come back with this token in a moment.
fn remember_token(cx: &Cx, delivery: &Delivery) {
    let expires = cx.now().mono + ACK_TOKEN_LIVES;
    if let Some(seq_no) = delivery.seq_no {
        cx.fleet(|fleet| fleet.ack_tokens.insert(delivery.ack_token.clone(), seq_no, expires));
    }
}

/// 6 and 8. Nothing pending: wait.
fn park(cx: &Cx, request: &Request, seat: SeatId, asked: Option<Duration>, gzip: bool) -> Outcome {
    let now = cx.now();
    cx.fleet(|fleet| {
        let timeouts = &fleet.config.server.timeouts;
        let poll = poll_times(asked, timeouts.checkin_long_poll, timeouts.checkin_max_poll);
        let ends_at = fleet.poll_ends_at(request.started.mono, poll, now);
        let parked = fleet.park(seat, Parked { connection: request.connection, ends_at, gzip, rests: false });
        // a newer check-in of this agent has the seat
        if parked { Outcome::Parked(seat) } else { Outcome::Respond(deliver::empty()) }
    })
}

/// An agent that must go is told so gracefully where the operator wants it (checkin.md, "Graceful force-unenroll").
fn refuse(cx: &Cx, agent: &str, error: ApiError) -> crate::http::Response {
    let must_go = matches!(error, ApiError::Unauthorized | ApiError::KeyNotEnabled | ApiError::AgentInactive);
    let now = cx.now();
    cx.fleet(|fleet| {
        if !must_go || !fleet.config.server.feature_flags.graceful_force_unenroll.enabled {
            return error.response();
        }
        let (kind, data) = match fleet.strikes.strike(agent, now.mono) {
            Strike::EmptyPolicy => ("POLICY_CHANGE", serde_json::json!({ "policy": {} })),
            Strike::Unenroll => ("UNENROLL", serde_json::Value::Null),
            Strike::Out => return error.response(),
        };
        let farewell = serde_json::json!({
            "agent_id": agent,
            "created_at": now.wall.rfc3339(),
            "data": data,
            "id": fleet.uuid(),
            "input_type": "",
            "type": kind,
        });
        super::json(checkin::farewell(farewell))
    })
}
