//! `PUT /api/fleet/agent_policies/{id}/full` (ours): a new revision of a policy, unless nothing changed. Where Kibana keeps
//! policies it would overwrite this one: there it is refused without `force=true`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::Refusal;
use super::policy_text::{self, PolicyText};
use super::query::Query;
use super::{Answered, answer, body, facts};
use crate::fleet::render::{RenderError, Revision};
use crate::handlers::Request;
use crate::model::{KeyMaking, Policy, Secrets, raw};
use crate::store::{Operation, StoreError};
use crate::task::Cx;
use crate::time::Timestamp;

/// So often another revision may slip in between the look and the write.
const ATTEMPTS_MAX: usize = 5;

/// What becomes of a text.
struct Verdict {
    /// What is to be written; nothing if the newest revision says the same.
    write: Option<Box<Policy>>,
    /// Why no agent will get it as it is.
    warning: Option<String>,
}

/// Stores the text of the body as the newest revision.
pub(super) async fn apply(cx: Cx, request: Request) -> Answered {
    let id: Arc<str> = Arc::from(request.id.as_str());
    policy_text::check_id(&id).map_err(Refusal::BadRequest)?;
    let force = Query::read(&request.head, &["force"])?.flag("force")?;
    if !force
        && let Some(holds_kibana) = cx.fleet(|fleet| fleet.cluster.as_ref().map(|facts| facts.holds_kibana))
    {
        check_kibana(&id, holds_kibana)?;
    }
    let text = body(&cx, policy_text::TEXT_BYTES_MAX).await?;
    let text = cx.work(move || read(&text)).await.ok_or(Refusal::Internal)??;
    let text = Arc::new(text);
    for _ in 0..ATTEMPTS_MAX {
        let newest = facts::revision(&cx, &id, None).await?;
        let revision_idx = newest.as_ref().map_or(0, |newest| newest.revision_idx);
        let (text, id_of_policy, now) = (text.clone(), id.clone(), cx.now().wall);
        let key_making = cx.fleet(|fleet| fleet.key_making);
        let verdict = cx.work(move || judge(&text, &id_of_policy, newest.as_deref(), now, key_making));
        let Verdict { write, warning } = verdict.await.ok_or(Refusal::Internal)??;
        let Some(policy) = write else { return applied(&id, revision_idx, "unchanged", warning) };
        match cx.store(Operation::CreateRevision(policy)).await {
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if revision_idx == 0 => return applied(&id, 1, "created", warning),
            Ok(_) => return applied(&id, revision_idx + 1, "updated", warning),
        }
    }
    Err(Refusal::Conflict(format!("policy {id} is being changed by others all the time: try again")))
}

/// Kibana keeps policies itself, and overwrites what others write.
fn check_kibana(id: &str, holds_kibana: Option<bool>) -> Result<(), Refusal> {
    match holds_kibana {
        Some(false) => Ok(()),
        Some(true) => Err(Refusal::Conflict(format!(
            "the cluster holds Kibana's saved objects, and Kibana would overwrite policy {id}: change it there, or use --force"
        ))),
        None => Err(Refusal::Conflict(format!(
            "whether the cluster holds Kibana's saved objects cannot be found out, and Kibana would overwrite policy {id}: \
             try again, or use --force"
        ))),
    }
}

fn applied(id: &str, revision_idx: i64, action: &str, warning: Option<String>) -> Answered {
    let mut body = json!({ "action": action, "item": { "id": id, "revision": revision_idx } });
    if let Some(warning) = warning {
        body["warnings"] = json!([warning]);
    }
    answer(&body)
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
    key_making: KeyMaking,
) -> Result<Verdict, Refusal> {
    let mut data = text.fields.clone();
    data.insert("id".into(), id.into());
    data.remove("revision");
    let is_same = newest.is_some_and(|newest| without_revision(newest).as_ref() == Some(&data));
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
    let warning = match Revision::render(&policy, &Secrets::default(), key_making) {
        Ok(_) => None,
        // what is missing is the cluster's business, and Kibana's where that writes policies
        Err(error @ RenderError::Permissions { .. }) => Some(undeliverable(text, &error)),
        // what cannot be rendered would be stored and never delivered
        Err(error) => return Err(Refusal::BadRequest(undeliverable(text, &error))),
    };
    Ok(Verdict { write: (!is_same).then(|| Box::new(policy)), warning })
}

fn without_revision(policy: &Policy) -> Option<serde_json::Map<String, Value>> {
    let mut data: serde_json::Map<String, Value> = serde_json::from_str(policy.data.get()).ok()?;
    data.remove("revision");
    Some(data)
}

fn undeliverable(text: &PolicyText, error: &RenderError) -> String {
    text.wrong("outputs", format!("the policy cannot be delivered: {error}")).to_string()
}
