//! Answers a parked agent for which something has come: actions first, else the newest revision of its policy.
//!
//! What has to be asked of the store for that (the agent's own keys, secrets) is asked while the seat is kept, and then the
//! seat is looked at anew: a newer check-in may have it, or more may have come.

use std::sync::Arc;

use super::{json, secrets};
use crate::api::{ApiError, action, checkin};
use crate::fleet::render::Revision;
use crate::fleet::{Fleet, SeatId};
use crate::http::{Body, Response};
use crate::model::{Action, ApiKey, KeysWanted};
use crate::store::{Answer, Operation, StoreError};
use crate::task::{Cx, Outcome};
use crate::time::Now;

/// So often something else may have come while the store was asked; then the agent is answered empty and comes back.
const ROUNDS_MAX: usize = 4;

/// What was asked for one delivery.
#[derive(Default)]
struct Known {
    /// The seat's actions, with secrets.
    actions: Vec<Arc<Action>>,
    /// A revision, and the agent's keys for it.
    keys: Option<(Arc<Revision>, Vec<Option<ApiKey>>)>,
}

/// What is to be done next.
enum Step {
    /// Somebody else has the seat, or answered.
    Gone,
    Respond(Response),
    Resolve(Vec<Arc<Action>>),
    Ask(Arc<Revision>, KeysWanted),
}

/// Takes the agent out of its seat and answers.
pub async fn deliver(cx: Cx, seat: SeatId) -> Outcome {
    let mut known = Known::default();
    for _ in 0..ROUNDS_MAX {
        let now = cx.now();
        let asked = match cx.fleet(|fleet| step(fleet, seat, &known, now)) {
            Step::Gone => return Outcome::Done,
            Step::Respond(response) => return Outcome::Respond(response),
            Step::Resolve(actions) => {
                secrets::in_actions(&cx, &actions).await.map(|actions| known.actions = actions)
            }
            Step::Ask(revision, wanted) => {
                ask_keys(&cx, wanted).await.map(|keys| known.keys = Some((revision, keys)))
            }
        };
        if let Err(error) = asked {
            return wait_or_refuse(&cx, seat, trouble(error));
        }
    }
    cx.fleet(|fleet| fleet.lot.leave(seat)).map_or(Outcome::Done, |_| Outcome::Respond(empty()))
}

/// Who came because of it is told of the trouble (checkin.md, "Policy delivery"). Who rests here stays: it would be away for
/// one to two minutes, and is served as soon as the store gives what is needed.
fn wait_or_refuse(cx: &Cx, seat: SeatId, error: ApiError) -> Outcome {
    cx.fleet(|fleet| {
        let Some(parked) = fleet.lot.get(seat).and_then(|seat| seat.parked()) else { return Outcome::Done };
        if parked.rests && parked.ends_at > cx.now().mono {
            fleet.serve_later(seat);
            return Outcome::Parked(seat);
        }
        fleet.lot.leave(seat);
        Outcome::Respond(error.response())
    })
}

/// The agent's own key is good, whatever the store says: nothing here may look like a refusal.
fn trouble(error: StoreError) -> ApiError {
    match error {
        StoreError::Busy | StoreError::Unreachable(_) | StoreError::Unavailable(_) => error.into(),
        other => StoreError::Unavailable(other.to_string()).into(),
    }
}

/// The agent's keys, which are kept for its next delivery if all are there.
pub(super) async fn ask_keys(cx: &Cx, wanted: KeysWanted) -> Result<Vec<Option<ApiKey>>, StoreError> {
    let (agent, needs) = (wanted.agent.clone(), wanted.needs.clone());
    match cx.lookup(Operation::OutputKeys(Box::new(wanted))).await? {
        Answer::OutputKeys(keys) => {
            let now = cx.now().mono;
            cx.fleet(|fleet| fleet.output_keys.put(&agent, needs, keys.clone(), now));
            Ok(keys)
        }
        _ => Err(StoreError::Unavailable("no keys were answered".to_owned())),
    }
}

fn step(fleet: &mut Fleet, id: SeatId, known: &Known, now: Now) -> Step {
    let Some(seat) = fleet.lot.get(id) else { return Step::Gone };
    let Some(gzip) = seat.parked().map(|parked| parked.gzip) else { return Step::Gone };
    let agent = seat.agent.clone();
    let actions = seat.actions();
    if !actions.is_empty() {
        let are_known = actions.len() == known.actions.len();
        if !are_known && secrets::are_in(actions) {
            return Step::Resolve(actions.to_vec());
        }
        let delivery = action::deliver(&agent, if are_known { &known.actions } else { actions });
        fleet.lot.leave(id);
        fleet.counters.actions_delivered += delivery.actions.len() as u64;
        return Step::Respond(text(fleet, action::answer(delivery), gzip));
    }
    let revision_idx = seat.revision_idx;
    let newest = fleet.policies.newest(&seat.policy_id);
    let Some(revision) = newest.filter(|revision| revision.revision_idx > revision_idx).cloned() else {
        let has_none_to_get = revision_idx == 0 && fleet.policies.fails(&seat.policy_id);
        fleet.lot.leave(id);
        return Step::Respond(if has_none_to_get {
            ApiError::PolicyUndeliverable.response()
        } else {
            empty()
        });
    };
    let Some(keys) = keys_of(fleet, &agent, &revision, known, now) else {
        let wanted = KeysWanted { agent: agent.as_ref().into(), needs: revision.needs.clone(), at: now.wall };
        return Step::Ask(revision, wanted);
    };
    fleet.lot.leave(id);
    let gzip_above = gzip_above(fleet).filter(|_| gzip);
    match revision.answer(&agent, &keys, gzip_above) {
        Some(answer) => {
            fleet.counters.policies_delivered += 1;
            fleet.policies.count_delivery(&revision.policy_id);
            Step::Respond(encoded(answer.body, answer.gzip))
        }
        None => {
            ::log::error!("fleet.agent.id" = &*agent; "revision {} cannot be delivered: an exporter has no key", revision.revision_idx);
            Step::Respond(ApiError::Internal.response())
        }
    }
}

fn keys_of(
    fleet: &mut Fleet,
    agent: &str,
    revision: &Arc<Revision>,
    known: &Known,
    now: Now,
) -> Option<Vec<Option<ApiKey>>> {
    if revision.needs.is_empty() {
        return Some(Vec::new());
    }
    match &known.keys {
        Some((of, keys)) if Arc::ptr_eq(of, revision) => Some(keys.clone()),
        _ => fleet.output_keys.get(agent, &revision.needs, now.mono),
    }
}

/// The answer without news.
pub fn empty() -> Response {
    json(checkin::EMPTY_ANSWER)
}

/// The answer that holds `text`, compressed if the client takes it and it is worth it.
pub fn text(fleet: &mut Fleet, text: String, gzip: bool) -> Response {
    if gzip && gzip_above(fleet).is_some_and(|bytes| text.len() > bytes) {
        return encoded(fleet.gzip(text.as_bytes()).into(), true);
    }
    encoded(text.into(), false)
}

/// The bytes above which an answer is compressed; None: never.
fn gzip_above(fleet: &Fleet) -> Option<usize> {
    let server = &fleet.config.server;
    (server.compression_level != 0).then_some(server.compression_threshold)
}

fn encoded(body: Body, gzip: bool) -> Response {
    let response = json(body);
    if gzip { response.header("Content-Encoding", "gzip") } else { response }
}
