//! Renders new revisions on a worker and makes them the ones to deliver.

use std::sync::Arc;

use super::secrets;
use crate::fleet::render::Revision;
use crate::model::Policy;
use crate::task::{Cx, Outcome};

/// Renders `policy` and publishes it. One that cannot be rendered is logged; its policy's older revision stays in force, and
/// where there is none agents that have nothing to run on are told. One whose secrets cannot be read now is tried again later.
pub async fn publish(cx: Cx, policy: Arc<Policy>) -> Outcome {
    let (policy_id, revision_idx) = (policy.policy_id.clone(), policy.revision_idx);
    let secrets = match secrets::of_policy(&cx, &policy).await {
        Ok(secrets) => secrets,
        Err(error) => {
            ::log::warn!(
                "fleet.policy.id" = policy_id.as_str();
                "secrets of revision {revision_idx} of policy {policy_id} cannot be read, it is tried again: {error}"
            );
            let now = cx.now().mono;
            cx.fleet(|fleet| fleet.policies.publish_later(policy, now));
            return Outcome::Done;
        }
    };
    let key_making = cx.fleet(|fleet| fleet.key_making);
    match cx.work(move || Revision::render(&policy, &secrets, key_making)).await {
        Some(Ok(revision)) => {
            ::log::info!("fleet.policy.id" = policy_id.as_str(); "revision {revision_idx} of policy {policy_id} is in force");
            cx.fleet(|fleet| fleet.publish(Arc::new(revision)));
        }
        Some(Err(error)) => {
            ::log::error!(
                "fleet.policy.id" = policy_id.as_str();
                "revision {revision_idx} of policy {policy_id} cannot be delivered: {error}"
            );
            cx.fleet(|fleet| fleet.cannot_deliver(&policy_id, revision_idx));
        }
        None => ::log::error!("revision {revision_idx} of policy {policy_id} made the renderer panic"),
    }
    Outcome::Done
}
