//! `POST /api/fleet/agents/{id}/acks`: what became of actions and policies (checkin.md, "POST acks").

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Request, answered, authenticate, json, read_body, unenroll};
use crate::api::acks::{self, AckEvent, AckItem, AcksAnswer, policy_of};
use crate::api::route::Operation as Route;
use crate::api::{ApiError, authorization};
use crate::fleet::ActionFacts;
use crate::model::{ActionResult, Agent, Patch};
use crate::store::{ActionLookup, Answer, Operation, StoreError, StoreResult};
use crate::task::{Cx, Outcome};

/// Actions looked up at once for one request.
const LOOKUPS_AT_ONCE_MAX: usize = 256;

/// What is known of the action of an event.
enum Known {
    Action(ActionFacts),
    /// It has outlived its time: the acknowledgement is fine.
    Gone,
    /// It may still appear: the agent is to try again.
    Unknown,
    Failed(StoreError),
}

/// Writes results, and answers each event in its place.
pub async fn acks(cx: Cx, request: Request) -> Outcome {
    answered(async {
        let key = authorization::api_key(&request.head)?;
        let agent = authenticate::agent(&cx, &key, &request.id).await?;
        let events = read_body(&cx, Route::Acks, acks::read).await?;
        cx.fleet(|fleet| fleet.counters.acks += events.len() as u64);
        let items = acknowledge(&cx, &agent, &events).await?;
        let (status, answer) = AcksAnswer::of(items);
        let mut response = json(serde_json::to_vec(&answer).unwrap_or_default());
        response.status = status;
        Ok(Outcome::Respond(response))
    })
    .await
}

async fn acknowledge(cx: &Cx, agent: &Agent, events: &[AckEvent]) -> Result<Vec<AckItem>, ApiError> {
    let known = look_up(cx, agent, events).await;
    let mut items = Vec::with_capacity(events.len());
    let mut operations = Vec::new();
    // which event an operation is of; several may be of one
    let mut owners = Vec::new();
    let mut leaves = false;
    for (position, event) in events.iter().enumerate() {
        let (item, writes) = judge(cx, agent, event, known.get(event.action_id.as_str()));
        owners.extend(writes.iter().map(|_| position));
        operations.extend(writes);
        items.push(item);
        leaves |=
            event.error.is_empty() && is_end(known.get(event.action_id.as_str())) && is_own(agent, event);
    }
    if let Some(acknowledged) = policy_acknowledged(cx, agent, events) {
        // first, so that a failure leaves the agent to say it again
        clean_output_keys(cx, agent).await?;
        operations.push(acknowledged);
    }
    let results = if operations.is_empty() { Vec::new() } else { cx.store_all(operations).await };
    for (position, result) in owners.iter().zip(&results) {
        if let Err(error) = result {
            items[*position] = failed(error);
        }
    }
    // the operation behind the events' own is the policy's
    if let Some(Err(error)) = results.get(owners.len()) {
        return Err(error.clone().into());
    }
    if leaves {
        unenroll::unenroll(cx, agent).await?;
    }
    Ok(items)
}

fn is_own(agent: &Agent, event: &AckEvent) -> bool {
    event.agent_id.is_empty() || event.agent_id == agent.id
}

fn is_end(known: Option<&Known>) -> bool {
    matches!(known, Some(Known::Action(action)) if matches!(action.kind.as_str(), "UNENROLL" | "MIGRATE"))
}

/// The item of one event, and what is to be written for it.
fn judge(cx: &Cx, agent: &Agent, event: &AckEvent, known: Option<&Known>) -> (AckItem, Vec<Operation>) {
    if !is_own(agent, event) {
        return (AckItem::status(400), Vec::new());
    }
    match known {
        _ if event.action_id.starts_with("policy:") => (AckItem::status(200), Vec::new()),
        None | Some(Known::Unknown) => (AckItem::status(404), Vec::new()),
        Some(Known::Gone) => (AckItem::status(200), Vec::new()),
        Some(Known::Failed(error)) => (failed(error), Vec::new()),
        Some(Known::Action(action)) => {
            let mut writes = vec![Operation::CreateResult(Box::new(result(agent, event, action)))];
            if action.kind == "UPGRADE"
                && let Some(patch) = upgraded(agent, event, &cx.now().wall.rfc3339())
            {
                writes.push(Operation::UpdateAgent { agent: agent.id.clone(), patch });
            }
            (AckItem::status(200), writes)
        }
    }
}

fn failed(error: &StoreError) -> AckItem {
    let (status, name, _) = ApiError::from(error.clone()).row();
    AckItem { message: name.into_owned(), status }
}

/// Finds the actions of all events, each once.
async fn look_up<'a>(cx: &Cx, agent: &Agent, events: &'a [AckEvent]) -> BTreeMap<&'a str, Known> {
    let now = cx.now().mono;
    let mut known = BTreeMap::new();
    let mut wanted = BTreeSet::new();
    for event in events.iter().filter(|event| is_own(agent, event)) {
        let id = event.action_id.as_str();
        if id.is_empty() || id.starts_with("policy:") || known.contains_key(id) {
            continue;
        }
        match cx.fleet(|fleet| fleet.actions.get(id, now).cloned()) {
            Some(facts) => {
                known.insert(id, Known::Action(facts));
            }
            None => {
                wanted.insert(id);
            }
        }
    }
    let ttl = cx.fleet(|fleet| fleet.config.server.cache.ttl_action);
    let wanted: Vec<&str> = wanted.into_iter().collect();
    // in pieces, so that others' searches have their turn
    for wanted in wanted.chunks(LOOKUPS_AT_ONCE_MAX) {
        let lookups = wanted.iter().map(|id| Operation::ActionById((*id).to_owned())).collect();
        for (id, result) in wanted.iter().zip(cx.store_all(lookups).await) {
            known.insert(*id, remember(cx, id, result, now + ttl));
        }
    }
    known
}

fn remember(cx: &Cx, id: &str, result: StoreResult, expires: Duration) -> Known {
    match result {
        Ok(Answer::Action(ActionLookup::Found(action))) => {
            let facts = ActionFacts { kind: action.kind.clone(), namespaces: action.namespaces.clone() };
            cx.fleet(|fleet| fleet.actions.insert(id.to_owned(), facts.clone(), expires));
            Known::Action(facts)
        }
        Ok(Answer::Action(ActionLookup::Gone)) => Known::Gone,
        Ok(_) => Known::Unknown,
        Err(error) => Known::Failed(error),
    }
}

fn result(agent: &Agent, event: &AckEvent, action: &ActionFacts) -> ActionResult {
    let mut result = ActionResult {
        action_id: event.action_id.clone(),
        agent_id: agent.id.clone(),
        namespaces: action.namespaces.clone(),
        error: event.error.clone(),
        timestamp: event.timestamp.clone(),
        ..ActionResult::default()
    };
    match action.kind.as_str() {
        "REQUEST_DIAGNOSTICS" => result.data.clone_from(&event.data),
        "INPUT_ACTION" => {
            result.action_input_type.clone_from(&event.action_input_type);
            result.action_data.clone_from(&event.action_data);
            result.action_response.clone_from(&event.action_response);
            result.started_at.clone_from(&event.started_at);
            result.completed_at.clone_from(&event.completed_at);
        }
        _ => {}
    }
    result
}

/// What an older agent's UPGRADE acknowledgement changes in its document.
fn upgraded(agent: &Agent, event: &AckEvent, now: &str) -> Option<Patch> {
    let patch = Patch::new().null("upgrade_started_at");
    match (event.error.is_empty(), event.retry) {
        (false, true) => None,
        (false, false) => Some(patch),
        (true, _) if agent.upgrade_details.is_some() => Some(patch.set("upgraded_at", now)),
        (true, _) => Some(patch.set("upgraded_at", now).null("upgrade_attempts")),
    }
}

/// The agent runs on its newest keys: what was kept for the older ones goes.
async fn clean_output_keys(cx: &Cx, agent: &Agent) -> Result<(), ApiError> {
    let has_keys = agent.outputs.values().any(|output| !output.api_key_id.is_empty());
    if has_keys && cx.fleet(|fleet| fleet.makes_output_keys()) {
        cx.store(Operation::CleanOutputKeys(agent.id.clone())).await?;
    }
    Ok(())
}

/// The highest revision acknowledged without an error, if it is news.
fn policy_acknowledged(cx: &Cx, agent: &Agent, events: &[AckEvent]) -> Option<Operation> {
    let fine = events.iter().filter(|event| event.error.is_empty() && is_own(agent, event));
    let revisions = fine.filter_map(|event| policy_of(&event.action_id));
    let revision_idx =
        revisions.filter(|(policy, _)| *policy == agent.policy_id).map(|(_, idx)| idx).max()?;
    (revision_idx > agent.policy_revision_idx).then(|| Operation::PolicyAcknowledged {
        agent: agent.id.clone(),
        policy_id: agent.policy_id.clone(),
        revision_idx,
        at: cx.now().wall,
    })
}
