//! The end of an agent (checkin.md, "Unenroll"): its document, then its keys.

use std::time::Duration;

use crate::model::{Agent, Patch, RetiredKey};
use crate::store::{Operation, StoreError, StoreResult};
use crate::task::Cx;

/// The keys of an inactive agent are not seen to again for so long.
const RETIRED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Sets the agent's document inactive and invalidates its keys (a failure of that is only logged). In this order: an agent whose
/// document could not be written says it again, and needs its key for that.
pub(super) async fn unenroll(cx: &Cx, agent: &Agent) -> StoreResult {
    let now = cx.now().wall.rfc3339();
    let patch = Patch::new().set("active", false).set("unenrolled_at", &now).set("updated_at", &now);
    let updated = match cx.store(Operation::UpdateAgent { agent: agent.id.clone(), patch }).await {
        Err(error) if error != StoreError::NotFound => return Err(error),
        updated => updated,
    };
    if let Err(error) = cx.store(Operation::RetireKeys(agent.keys())).await {
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
