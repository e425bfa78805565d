//! The end of an agent (checkin.md, "Unenroll"): its keys, then its document.

use std::time::Duration;

use crate::model::{Agent, Patch, RetiredKey};
use crate::store::{Operation, StoreResult};
use crate::task::Cx;

/// The keys of an inactive agent are not seen to again for so long.
const RETIRED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Invalidates the agent's keys (a failure is only logged) and sets its document inactive.
pub(super) async fn unenroll(cx: &Cx, agent: &Agent) -> StoreResult {
    let now = cx.now().wall.rfc3339();
    let patch = Patch::new().set("active", false).set("unenrolled_at", &now).set("updated_at", &now);
    let operations =
        vec![Operation::RetireKeys(agent.keys()), Operation::UpdateAgent { agent: agent.id.clone(), patch }];
    let mut results = cx.store_all(operations).await;
    let updated = results.pop().expect("an answer for each operation");
    if let Some(Err(error)) = results.pop() {
        ::log::warn!("fleet.agent.id" = agent.id.as_str(); "keys of an unenrolled agent could not be invalidated: {error}");
    }
    cx.fleet(|fleet| fleet.forget_key(&agent.access_api_key_id));
    updated
}

/// Whoever made an agent inactive could invalidate its keys in our own cluster only: those for other outputs are invalidated
/// when it shows up. Once a day for each agent, since nothing is written of it; a failure is only logged.
pub(super) async fn retire_far_keys(cx: &Cx, agent: &Agent) {
    let now = cx.now().mono;
    let keys: Vec<RetiredKey> = agent.keys().into_iter().filter(|key| !key.output.is_empty()).collect();
    let is_due = cx.fleet(|fleet| {
        fleet.makes_output_keys() && fleet.retired_agents.get(agent.id.as_str(), now).is_none()
    });
    if keys.is_empty() || !is_due {
        return;
    }
    match cx.store(Operation::RetireKeys(keys)).await {
        Ok(_) => cx.fleet(|fleet| fleet.retired_agents.insert(agent.id.clone(), (), now + RETIRED_FOR)),
        Err(error) => {
            ::log::warn!("fleet.agent.id" = agent.id.as_str(); "keys of an inactive agent could not be invalidated: {error}");
        }
    }
}
