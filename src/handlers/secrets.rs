//! Secrets on their way into policies and actions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::fleet::render::secret_ids;
use crate::model::secret::may_refer;
use crate::model::{Action, Policy, Secrets};
use crate::store::{Answer, Operation, StoreError};
use crate::task::Cx;

/// Questions for the secrets of one revision; the cluster takes 32 reads at once from all (elasticsearch.md, "Calls"), and the
/// store's lane makes no more than 16.
const QUESTIONS_AT_ONCE: usize = 16;
/// So few are not worth a second question.
const SECRETS_PER_QUESTION_MIN: usize = 4;

/// An action with its secrets is for many agents, one after another.
const RESOLVED_ACTION_LIVES: Duration = Duration::from_secs(60);

/// The secrets that a revision refers to; one that is missing is logged and left out.
pub(super) async fn of_policy(cx: &Cx, policy: &Arc<Policy>) -> Result<Secrets, StoreError> {
    if !policy.data.get().contains("secret_references") {
        return Ok(Secrets::default());
    }
    let read = policy.clone();
    let ids = cx.work(move || secret_ids(&read)).await.unwrap_or_default();
    if ids.is_empty() {
        return Ok(Secrets::default());
    }
    let secrets = read_at_once(cx, &ids).await?;
    for id in ids.iter().filter(|id| secrets.get(id).is_none()) {
        ::log::warn!(
            "fleet.policy.id" = policy.policy_id.as_str();
            "revision {} of policy {} refers to the secret {id}, which is missing: it is left out",
            policy.revision_idx, policy.policy_id
        );
    }
    Ok(secrets)
}

/// The actions with secrets put in their data, in the same order. Those are read once for all agents of an action.
pub(super) async fn in_actions(cx: &Cx, actions: &[Arc<Action>]) -> Result<Vec<Arc<Action>>, StoreError> {
    let now = cx.now().mono;
    let wanted: BTreeSet<String> = cx.fleet(|fleet| {
        let unresolved = actions.iter().filter(|action| {
            refers(action) && fleet.resolved_actions.get(action.document_id.as_str(), now).is_none()
        });
        unresolved.flat_map(|action| action.secret_references.iter().cloned()).collect()
    });
    let secrets = match wanted.is_empty() {
        true => Secrets::default(),
        false => read_all(cx, wanted.into_iter().collect()).await?,
    };
    let resolve = |action: &Arc<Action>| {
        if !refers(action) {
            return action.clone();
        }
        let data = cx.fleet(|fleet| fleet.resolved_actions.get(action.document_id.as_str(), now).cloned());
        let data = data.unwrap_or_else(|| {
            let data = action.data.as_ref().map(|data| secrets.resolve_json(data));
            let expires = now + RESOLVED_ACTION_LIVES;
            cx.fleet(|fleet| {
                fleet.resolved_actions.insert(action.document_id.clone(), data.clone(), expires)
            });
            data
        });
        Arc::new(Action { data, ..Action::clone(action) })
    };
    Ok(actions.iter().map(resolve).collect())
}

/// Whether one of the actions refers to a secret.
pub(super) fn are_in(actions: &[Arc<Action>]) -> bool {
    actions.iter().any(|action| refers(action))
}

fn refers(action: &Action) -> bool {
    !action.secret_references.is_empty() && action.data.as_ref().is_some_and(|data| may_refer(data.get()))
}

/// Many, in several questions at once: a cluster with the fleet module tells one secret at a time.
async fn read_at_once(cx: &Cx, ids: &[String]) -> Result<Secrets, StoreError> {
    let parts = ids.chunks(ids.len().div_ceil(QUESTIONS_AT_ONCE).max(SECRETS_PER_QUESTION_MIN));
    let answers = cx.store_all(parts.map(|part| Operation::Secrets(part.to_vec())).collect()).await;
    let mut all = Secrets::default();
    for answer in answers {
        all.extend(secrets_of(answer?)?);
    }
    Ok(all)
}

/// One question for all who want the same at once.
async fn read_all(cx: &Cx, ids: Vec<String>) -> Result<Secrets, StoreError> {
    secrets_of(cx.lookup(Operation::Secrets(ids)).await?)
}

fn secrets_of(answer: Answer) -> Result<Secrets, StoreError> {
    match answer {
        Answer::Secrets(secrets) => Ok(secrets),
        _ => Err(StoreError::Unavailable("no secrets were answered".to_owned())),
    }
}
