//! `GET /api/fleet/agents/action_status`: what became of the actions, with each agent's result where one action is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::error::Refusal;
use super::query::{PER_PAGE_MAX, Query};
use super::{Answered, answer, facts};
use crate::handlers::{self, Request};
use crate::model::raw::Raw;
use crate::model::{Action, ActionResult};
use crate::task::Cx;
use crate::time::Timestamp;

/// Errors shown of each action where the client does not say.
const ERRORS_SHOWN: usize = 5;

/// Newest first; `actionId` (ours) asks for one.
pub(super) async fn list(cx: Cx, request: Request) -> Answered {
    let query = Query::read(&request.head, &["page", "perPage", "errorSize", "actionId"])?;
    let cancels = facts::newest_actions(&cx).await?;
    let cancelled = Arc::new(cancellations(&cancels));
    if let Some(action_id) = query.text("actionId") {
        let group = Group { documents: facts::action(&cx, action_id).await? };
        let results = facts::results(&cx, action_id).await?;
        let now = cx.now().wall;
        let text = cx.work(move || json!({ "item": whole(&group, results, &cancelled, now) }).to_string());
        return Ok(handlers::json(text.await.ok_or(Refusal::Internal)?));
    }
    let page = query.page()?;
    let errors_max = query.number("errorSize", 0)?.unwrap_or(ERRORS_SHOWN).min(PER_PAGE_MAX);
    let groups: Vec<Group> = groups(cancels).into_iter().skip(page.skipped()).take(page.size).collect();
    let mut items = Vec::with_capacity(groups.len());
    for group in groups {
        let results = facts::results(&cx, group.id()).await?;
        let (cancelled, now) = (cancelled.clone(), cx.now().wall);
        let item = cx.work(move || group.item(&results, errors_max, &cancelled, now));
        items.push(item.await.ok_or(Refusal::Internal)?);
    }
    answer(&json!({ "items": items }))
}

/// The documents of one action; at least one.
struct Group {
    documents: Vec<Arc<Action>>,
}

/// When an action was cancelled, by its id.
type Cancellations = BTreeMap<String, String>;

fn cancellations(actions: &[Arc<Action>]) -> Cancellations {
    let target = |action: &Action| {
        let data: Value = serde_json::from_str(action.data.as_ref()?.get()).ok()?;
        data["target_id"].as_str().map(str::to_owned)
    };
    let cancels = actions.iter().filter(|action| action.kind == "CANCEL");
    cancels.filter_map(|action| Some((target(action)?, action.timestamp.clone()))).collect()
}

/// Actions in the order of their newest documents. As in Kibana cancellations show at what they cancel.
fn groups(actions: Vec<Arc<Action>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places = BTreeMap::new();
    for action in actions.into_iter().filter(|action| action.kind != "CANCEL") {
        let place = *places.entry(action.action_id.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.documents.push(action),
            None => groups.push(Group { documents: vec![action] }),
        }
    }
    groups
}

impl Group {
    fn first(&self) -> &Action {
        &self.documents[0]
    }

    fn id(&self) -> &str {
        &self.first().action_id
    }

    fn agents(&self) -> BTreeSet<&str> {
        self.documents.iter().flat_map(|action| action.agents.iter().map(String::as_str)).collect()
    }

    fn item(
        &self,
        results: &[ActionResult],
        errors_max: usize,
        cancelled: &Cancellations,
        now: Timestamp,
    ) -> Value {
        let action = self.first();
        let actioned = self.agents().len();
        let failed = results.iter().filter(|result| !result.error.is_empty());
        let failures = failed.clone().count();
        let cancelled = cancelled.get(self.id());
        let is_complete = results.len() >= actioned;
        let is_over = Timestamp::parse(&action.expiration).is_none_or(|expiration| expiration <= now);
        let status = match (is_complete, cancelled) {
            (true, _) if failures > 0 => "FAILED",
            (true, _) => "COMPLETE",
            (false, Some(_)) => "CANCELLED",
            (false, None) if is_over => "EXPIRED",
            (false, None) => "IN_PROGRESS",
        };
        let completed = results.iter().map(|result| result.timestamp.as_str()).max().filter(|_| is_complete);
        let errors = failed.rev().take(errors_max);
        let errors: Vec<Value> = errors.map(|result| outcome(&result.agent_id, Some(result))).collect();
        let data = action.data.as_ref().map(readable).unwrap_or_default();
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "actionId": action.action_id,
            "type": action.kind,
            "status": status,
            "nbAgentsActionCreated": actioned,
            "nbAgentsActioned": actioned,
            "nbAgentsAck": results.len() - failures,
            "nbAgentsFailed": failures,
            "creationTime": action.timestamp,
            "expiration": action.expiration,
            "startTime": given(&action.start_time),
            "completionTime": completed,
            "cancellationTime": cancelled,
            "version": data.get("version"),
            "newPolicyId": data.get("policy_id"),
            "hasRolloutPeriod": action.rollout_duration_seconds > 0,
            "latestErrors": errors,
        })
    }
}

/// The action with its data and what each agent answered, in the order of the agents' ids.
fn whole(group: &Group, results: Vec<ActionResult>, cancelled: &Cancellations, now: Timestamp) -> Value {
    let mut item = group.item(&results, ERRORS_SHOWN, cancelled, now);
    let by_agent: BTreeMap<&str, &ActionResult> =
        results.iter().map(|result| (result.agent_id.as_str(), result)).collect();
    let outcomes = group.agents().into_iter().map(|agent| outcome(agent, by_agent.get(agent).copied()));
    item["results"] = outcomes.collect();
    item["data"] = json!(group.first().data.as_ref().map(readable));
    item
}

fn outcome(agent: &str, result: Option<&ActionResult>) -> Value {
    let Some(result) = result else { return json!({ "agentId": agent, "status": "pending" }) };
    let mut outcome = json!({ "agentId": agent, "status": "acknowledged", "timestamp": result.timestamp });
    if !result.error.is_empty() {
        outcome["status"] = "failed".into();
        outcome["error"] = result.error.as_str().into();
    }
    for (field, raw) in [("data", &result.data), ("action_response", &result.action_response)] {
        if let Some(raw) = raw {
            outcome[field] = readable(raw);
        }
    }
    outcome
}

/// What is stored, as a value; null for what no reader of JSON takes, which others than we may have written.
fn readable(stored: &Raw) -> Value {
    serde_json::from_str(stored.get()).unwrap_or_default()
}
