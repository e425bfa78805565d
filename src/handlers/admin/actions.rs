//! Writes the actions that Kibana would write, and the marks that it leaves in the documents of the agents concerned.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::error::Refusal;
use super::targets::Targets;
use crate::handlers::unenroll as leave;
use crate::model::{Action, Agent, Patch, raw};
use crate::store::{Operation, StoreError};
use crate::task::Cx;
use crate::time::Timestamp;

/// Kibana lets most actions live for 30 days.
const LIVES: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// But a request for diagnostics for three hours.
const DIAGNOSTICS_LIVE: Duration = Duration::from_secs(3 * 60 * 60);

/// The end of an agent.
pub(super) const UNENROLL: &str = "UNENROLL";

/// What agents are to do.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// UPGRADE, ...
    pub(super) kind: &'static str,
    /// For the agent; Kibana leaves it out where there is none.
    pub(super) data: Option<Value>,
    /// RFC 3339; empty for at once.
    pub(super) start_time: String,
    /// Over how many seconds the start is spread.
    pub(super) rollout_duration_seconds: i64,
    /// What is noted in each agent's document.
    pub(super) mark: Patch,
}

impl Order {
    /// An order to be followed at once.
    pub(super) fn new(kind: &'static str, data: Option<Value>, mark: Patch) -> Self {
        Order { kind, data, start_time: String::new(), rollout_duration_seconds: 0, mark }
    }

    /// Whether it would change nothing for this agent.
    fn is_done(&self, agent: &Agent) -> bool {
        let policy_id = self.data.as_ref().and_then(|data| data.get("policy_id"));
        self.kind == "POLICY_REASSIGN" && policy_id.and_then(Value::as_str) == Some(agent.policy_id.as_str())
    }

    fn lives(&self) -> Duration {
        if self.kind == "REQUEST_DIAGNOSTICS" { DIAGNOSTICS_LIVE } else { LIVES }
    }
}

/// Writes the order for all targets, a document a page under one action id, which is returned. Collectors take no orders: they
/// can only be unenrolled, and are at once; `None` if there was nobody else.
pub(super) async fn issue(
    cx: &Cx,
    order: Arc<Order>,
    mut targets: Targets,
) -> Result<Option<String>, Refusal> {
    let action_id = cx.fleet(|fleet| fleet.uuid());
    let (mut count, mut ended) = (0, 0);
    while let Some(agents) = targets.next(cx).await? {
        let (collectors, mut agents): (Vec<Agent>, Vec<Agent>) =
            agents.into_iter().partition(|agent| agent.kind == Agent::COLLECTOR);
        for collector in collectors.iter().filter(|_| order.kind == UNENROLL) {
            leave::unenroll(cx, collector).await?;
            ended += 1;
        }
        agents.retain(|agent| !order.is_done(agent));
        if agents.is_empty() {
            continue;
        }
        count += agents.len();
        write(cx, &order, &action_id, agents.into_iter().map(|agent| agent.id).collect()).await?;
    }
    match count {
        0 if ended > 0 => Ok(None),
        0 if order.kind == "POLICY_REASSIGN" => {
            Err(Refusal::BadRequest("every agent selected is on that policy already".into()))
        }
        0 => Err(Refusal::BadRequest("no active agent is selected".into())),
        _ => Ok(Some(action_id)),
    }
}

/// First the marks, then the action: an agent that is quick must not be marked after it is done.
async fn write(cx: &Cx, order: &Order, action_id: &str, agents: Vec<String>) -> Result<(), Refusal> {
    let now = cx.now().wall;
    let mut operations = Vec::with_capacity(agents.len() + 1);
    if !order.mark.is_empty() {
        let mark =
            |agent: &String| Operation::UpdateAgent { agent: agent.clone(), patch: order.mark.clone() };
        operations.extend(agents.iter().map(mark));
    }
    operations.push(Operation::CreateAction(Box::new(document(order, action_id, agents, now))));
    for result in cx.store_all(operations).await {
        match result {
            // it was removed meanwhile
            Err(StoreError::NotFound) => {}
            result => drop(result?),
        }
    }
    Ok(())
}

fn document(order: &Order, action_id: &str, agents: Vec<String>, now: Timestamp) -> Action {
    Action {
        action_id: action_id.to_owned(),
        kind: order.kind.to_owned(),
        agents,
        data: order.data.as_ref().map(raw::raw),
        expiration: expires(order, now).rfc3339(),
        start_time: order.start_time.clone(),
        rollout_duration_seconds: order.rollout_duration_seconds,
        timestamp: now.rfc3339(),
        ..Action::default()
    }
}

/// A start in the future does not shorten an action's life.
fn expires(order: &Order, now: Timestamp) -> Timestamp {
    let start = Timestamp::parse(&order.start_time).filter(|start| *start > now).unwrap_or(now);
    start.plus(order.lives())
}
