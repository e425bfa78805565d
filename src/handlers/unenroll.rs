//! The end of an agent (checkin.md, "Unenroll"): its keys, then its document.

use crate::model::{Agent, Patch};
use crate::store::{Operation, StoreResult};
use crate::task::Cx;

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
