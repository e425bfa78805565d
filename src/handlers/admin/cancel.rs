//! `POST /api/fleet/agents/actions/{id}/cancel`: a CANCEL action for the same agents.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::Refusal;
use super::{Answered, answer, facts};
use crate::handlers::Request;
use crate::model::{Action, Patch, raw};
use crate::store::{Operation, StoreError};
use crate::task::Cx;
use crate::time::Timestamp;

/// Writes a CANCEL for each document of the action, and takes the action's mark off its agents.
pub(super) async fn cancel(cx: Cx, request: Request) -> Answered {
    let documents = facts::action(&cx, &request.id).await?;
    let now = cx.now().wall;
    let Some(first) = documents.first() else { return Err(Refusal::Internal) };
    if first.kind == "CANCEL" {
        return Err(Refusal::BadRequest(format!("action {} is a cancellation itself", request.id)));
    }
    if Timestamp::parse(&first.expiration).is_none_or(|expiration| expiration <= now) {
        return Err(Refusal::BadRequest(format!("action {} has expired", request.id)));
    }
    let cancel_id = cx.fleet(|fleet| fleet.uuid());
    for document in documents {
        write(&cx, &cancel_id, document).await?;
    }
    answer(&json!({ "item": { "id": cancel_id, "type": "CANCEL", "data": { "target_id": request.id } } }))
}

async fn write(cx: &Cx, cancel_id: &str, target: Arc<Action>) -> Result<(), Refusal> {
    let now = cx.now().wall;
    let data: Value = json!({ "target_id": target.action_id });
    let cancel = Action {
        action_id: cancel_id.to_owned(),
        kind: "CANCEL".to_owned(),
        agents: target.agents.clone(),
        data: Some(raw::raw(&data)),
        expiration: target.expiration.clone(),
        timestamp: now.rfc3339(),
        namespaces: target.namespaces.clone(),
        ..Action::default()
    };
    let mut operations = vec![Operation::CreateAction(Box::new(cancel))];
    if let Some(patch) = unmark(&target.kind) {
        let patch = patch.set("updated_at", now.rfc3339());
        let update = |agent: &String| Operation::UpdateAgent { agent: agent.clone(), patch: patch.clone() };
        operations.extend(target.agents.iter().map(update));
    }
    for result in cx.store_all(operations).await {
        match result {
            // the agent was removed meanwhile
            Err(StoreError::NotFound) => {}
            result => drop(result?),
        }
    }
    Ok(())
}

/// An agent that is not to upgrade or leave any more does not look as if it did.
fn unmark(kind: &str) -> Option<Patch> {
    match kind {
        "UPGRADE" => Some(Patch::new().null("upgrade_started_at")),
        "UNENROLL" => Some(Patch::new().null("unenrollment_started_at")),
        _ => None,
    }
}
