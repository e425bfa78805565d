//! Answers a parked agent for which something has come: actions first, else the newest revision of its policy.

use super::json;
use crate::api::{action, checkin};
use crate::fleet::{Fleet, SeatId};
use crate::http::{Body, Response};
use crate::task::{Cx, Outcome};

/// Takes the agent out of its seat and answers.
pub async fn deliver(cx: Cx, seat: SeatId) -> Outcome {
    cx.fleet(|fleet| answer(fleet, seat)).map_or(Outcome::Done, Outcome::Respond)
}

fn answer(fleet: &mut Fleet, id: SeatId) -> Option<Response> {
    let seat = fleet.lot.leave(id)?;
    let parked = seat.parked()?;
    if !seat.actions().is_empty() {
        let delivery = action::deliver(&seat.agent, seat.actions());
        fleet.counters.actions_delivered += delivery.actions.len() as u64;
        return Some(text(fleet, action::answer(delivery), parked.gzip));
    }
    let newer = |idx: i64| idx > seat.revision_idx;
    match fleet.policies.newest(&seat.policy_id).filter(|revision| newer(revision.revision_idx)).cloned() {
        None => Some(empty()),
        Some(revision) => {
            fleet.counters.policies_delivered += 1;
            let gzip = parked.gzip && compresses(fleet, revision.bytes());
            Some(encoded(revision.answer(&seat.agent, gzip), gzip))
        }
    }
}

/// The answer without news.
pub fn empty() -> Response {
    json(checkin::EMPTY_ANSWER)
}

/// The answer that holds `text`, compressed if the client takes it and it is worth it.
pub fn text(fleet: &mut Fleet, text: String, gzip: bool) -> Response {
    if gzip && compresses(fleet, text.len()) {
        return encoded(fleet.gzip(text.as_bytes()).into(), true);
    }
    encoded(text.into(), false)
}

fn compresses(fleet: &Fleet, bytes: usize) -> bool {
    fleet.config.server.compression_level != 0 && bytes > fleet.config.server.compression_threshold
}

fn encoded(body: Body, gzip: bool) -> Response {
    let response = json(body);
    if gzip { response.header("Content-Encoding", "gzip") } else { response }
}
