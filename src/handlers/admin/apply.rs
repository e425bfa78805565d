//! `PUT /api/fleet/agent_policies/{id}/full` (ours): a new revision of a policy, unless nothing changed.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::Refusal;
use super::policy_text::{self, PolicyText};
use super::{Answered, answer, body, facts};
use crate::fleet::render::{RenderError, Revision};
use crate::handlers::Request;
use crate::model::{Policy, Secrets, raw};
use crate::store::{Operation, StoreError};
use crate::task::Cx;
use crate::time::Timestamp;

/// So often another revision may slip in between the look and the write.
const ATTEMPTS_MAX: usize = 5;

/// What becomes of a text.
enum Verdict {
    /// The newest revision says the same.
    Unchanged,
    /// This is to be written.
    Write(Box<Policy>),
}

/// Stores the text of the body as the newest revision.
pub(super) async fn apply(cx: Cx, request: Request) -> Answered {
    let id: Arc<str> = Arc::from(request.id);
    policy_text::check_id(&id).map_err(Refusal::BadRequest)?;
    let text = body(&cx, policy_text::TEXT_BYTES_MAX).await?;
    let text = cx.work(move || read(&text)).await.ok_or(Refusal::Internal)??;
    let text = Arc::new(text);
    for _ in 0..ATTEMPTS_MAX {
        let newest = facts::revision(&cx, &id, None).await?;
        let revision_idx = newest.as_ref().map_or(0, |newest| newest.revision_idx);
        let (text, id_of_policy, now) = (text.clone(), id.clone(), cx.now().wall);
        let makes_keys = cx.fleet(|fleet| fleet.makes_output_keys);
        let verdict = cx.work(move || judge(&text, &id_of_policy, newest.as_deref(), now, makes_keys));
        let policy = match verdict.await.ok_or(Refusal::Internal)?? {
            Verdict::Unchanged => return applied(&id, revision_idx, "unchanged"),
            Verdict::Write(policy) => policy,
        };
        match cx.store(Operation::CreateRevision(policy)).await {
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if revision_idx == 0 => return applied(&id, 1, "created"),
            Ok(_) => return applied(&id, revision_idx + 1, "updated"),
        }
    }
    Err(Refusal::Conflict(format!("policy {id} is being changed by others all the time: try again")))
}

fn applied(id: &str, revision_idx: i64, action: &str) -> Answered {
    answer(&json!({ "action": action, "item": { "id": id, "revision": revision_idx } }))
}

fn read(text: &[u8]) -> Result<PolicyText, Refusal> {
    let text =
        std::str::from_utf8(text).map_err(|_| Refusal::BadRequest("the policy is not UTF-8".into()))?;
    PolicyText::read(text).map_err(|error| Refusal::BadRequest(error.to_string()))
}

fn judge(
    text: &PolicyText,
    id: &str,
    newest: Option<&Policy>,
    now: Timestamp,
    makes_keys: bool,
) -> Result<Verdict, Refusal> {
    let mut data = text.fields.clone();
    data.insert("id".into(), id.into());
    data.remove("revision");
    if newest.is_some_and(|newest| without_revision(newest).as_ref() == Some(&data)) {
        return Ok(Verdict::Unchanged);
    }
    let revision_idx = newest.map_or(0, |newest| newest.revision_idx) + 1;
    data.insert("revision".into(), revision_idx.into());
    let policy = Policy {
        policy_id: id.to_owned(),
        revision_idx,
        timestamp: now.rfc3339(),
        data: raw::raw(&data),
        unenroll_timeout_seconds: text.seconds("unenroll_timeout"),
        namespaces: newest.map(|newest| newest.namespaces.clone()).unwrap_or_default(),
        default_fleet_server: newest.is_some_and(|newest| newest.default_fleet_server),
    };
    // what cannot be rendered would be stored and never delivered
    Revision::render(&policy, &Secrets::default(), makes_keys)
        .map_err(|error| undeliverable(text, &error))?;
    Ok(Verdict::Write(Box::new(policy)))
}

fn without_revision(policy: &Policy) -> Option<serde_json::Map<String, Value>> {
    let mut data: serde_json::Map<String, Value> = serde_json::from_str(policy.data.get()).ok()?;
    data.remove("revision");
    Some(data)
}

fn undeliverable(text: &PolicyText, error: &RenderError) -> Refusal {
    Refusal::BadRequest(text.wrong("outputs", format!("the policy cannot be delivered: {error}")).to_string())
}
