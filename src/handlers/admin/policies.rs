//! `/api/fleet/agent_policies`: what policies there are, what is in them, and their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::facts::{self, AgentPages};
use super::query::Query;
use super::{Answered, BODY_BYTES_MAX, answer, body, read};
use crate::handlers::{self, Request};
use crate::model::Policy;
use crate::store::Operation;
use crate::task::Cx;

/// The newest revision of each policy, by id, with the number of its agents.
pub(super) async fn list(cx: Cx, request: Request) -> Answered {
    let page = Query::read(&request.head, &["page", "perPage"])?.page()?;
    let policies = facts::policies(&cx).await?;
    let agents = active_agents(&cx, None).await?;
    let total = policies.len();
    let items = cx.work(move || {
        let shown = policies.iter().skip(page.skipped()).take(page.size);
        shown.map(|policy| item(policy, agents.get(&policy.policy_id))).collect::<Vec<_>>()
    });
    let items = items.await.ok_or(Refusal::Internal)?;
    answer(&json!({ "items": items, "total": total, "page": page.number, "perPage": page.size }))
}

/// One policy, in short.
pub(super) async fn show(cx: Cx, request: Request) -> Answered {
    let policy = facts::policy(&cx, &request.id).await?;
    let agents = active_agents(&cx, Some(request.id.clone())).await?;
    answer(&json!({ "item": item(&policy, agents.get(&request.id)) }))
}

/// One revision as it is stored, the newest unless `revision` says another.
pub(super) async fn full(cx: Cx, request: Request) -> Answered {
    let revision_idx = Query::read(&request.head, &["revision"])?.number("revision", 1)?;
    let policy = match revision_idx {
        None => facts::policy(&cx, &request.id).await?,
        Some(_) => facts::revision(&cx, &request.id, revision_idx).await?.ok_or_else(|| {
            let id = &request.id;
            let revision_idx = revision_idx.unwrap_or_default();
            Refusal::NotFound(format!(
                "there is no revision {revision_idx} of a policy {id}; old ones are removed"
            ))
        })?,
    };
    Ok(handlers::json(format!(r#"{{"item":{}}}"#, policy.data.get())))
}

/// Kibana's way to name the policy.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Named {
    agent_policy_id: String,
    /// Kibana's managed policies do not exist here.
    #[serde(rename = "force")]
    _force: Option<bool>,
}

/// [`delete`] with the id in the body, as Kibana has it.
pub(super) async fn delete_named(cx: Cx, request: Request) -> Answered {
    drop(request);
    let named: Named = read(&body(&cx, BODY_BYTES_MAX).await?)?;
    end(cx, named.agent_policy_id).await
}

/// Deletes a policy that no active agent is on, with its enrollment tokens.
pub(super) async fn delete(cx: Cx, request: Request) -> Answered {
    end(cx, request.id).await
}

async fn end(cx: Cx, id: String) -> Answered {
    facts::policy(&cx, &id).await?;
    let agents = active_agents(&cx, Some(id.clone())).await?.remove(&id).unwrap_or_default();
    if agents > 0 {
        return Err(Refusal::Conflict(format!(
            "policy {id} has active agents ({agents}): reassign or unenroll them first"
        )));
    }
    let tokens = facts::tokens(&cx).await?;
    cx.store(Operation::DeletePolicy(id.clone())).await?;
    cx.fleet(|fleet| {
        for token in tokens.iter().filter(|token| token.policy_id == id) {
            fleet.forget_key(&token.api_key_id);
        }
    });
    answer(&json!({ "id": id }))
}

/// How many active agents are on each policy, or on one.
async fn active_agents(cx: &Cx, policy_id: Option<String>) -> Result<BTreeMap<String, usize>, Refusal> {
    let mut counts = BTreeMap::new();
    let mut pages = AgentPages::new(policy_id, String::new());
    while let Some(agents) = pages.next(cx).await? {
        for agent in agents.into_iter().filter(|agent| agent.active) {
            *counts.entry(agent.policy_id).or_default() += 1;
        }
    }
    Ok(counts)
}

fn item(policy: &Arc<Policy>, agents: Option<&usize>) -> Value {
    #[derive(Default, Deserialize)]
    struct Data {
        name: Option<String>,
        inactivity_timeout: Option<u64>,
    }
    let data: Data = serde_json::from_str(policy.data.get()).unwrap_or_default();
    json!({
        "id": policy.policy_id,
        "name": data.name.as_deref().unwrap_or(&policy.policy_id),
        "revision": policy.revision_idx,
        "updated_at": policy.timestamp,
        "agents": agents.copied().unwrap_or_default(),
        "status": "active",
        "unenroll_timeout": policy.unenroll_timeout_seconds,
        "inactivity_timeout": data.inactivity_timeout,
        "namespaces": policy.namespaces,
    })
}
