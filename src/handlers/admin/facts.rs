//! What the procedures ask the store for, each as one question with the answer it has.

use std::sync::Arc;

use super::agent_status::InactivityTimeouts;
use super::error::Refusal;
use crate::model::{Action, ActionResult, Agent, EnrollmentToken, Policy};
use crate::store::{Answer, Operation};
use crate::task::Cx;

/// Agents that one question to the store brings, and that one action is for.
pub(super) const AGENTS_PER_PAGE: usize = 1_000;
/// Documents of newest actions that are looked at.
const ACTIONS_MAX: usize = 500;

/// All agents, or those of a policy, page by page in the order of their ids.
pub(super) struct AgentPages {
    policy_id: Option<String>,
    /// The last id seen; `None` after the last page.
    from: Option<String>,
    with_metadata: bool,
}

impl AgentPages {
    /// All pages after the agent `from`.
    pub(super) fn new(policy_id: Option<String>, from: String) -> Self {
        AgentPages { policy_id, from: Some(from), with_metadata: false }
    }

    /// The same with what the agents say of their hosts.
    pub(super) fn with_metadata(self) -> Self {
        AgentPages { with_metadata: true, ..self }
    }

    /// The next page; never an empty one.
    pub(super) async fn next(&mut self, cx: &Cx) -> Result<Option<Vec<Agent>>, Refusal> {
        let Some(from) = self.from.take() else { return Ok(None) };
        let (policy_id, with_metadata) = (self.policy_id.clone(), self.with_metadata);
        let page = Operation::Agents { policy_id, from, limit: AGENTS_PER_PAGE, with_metadata };
        let Answer::Agents(agents) = cx.store(page).await? else { return Err(Refusal::Internal) };
        if agents.len() == AGENTS_PER_PAGE {
            self.from = agents.last().map(|agent| agent.id.clone());
        }
        Ok(Some(agents).filter(|agents| !agents.is_empty()))
    }
}

/// The agent, whole.
pub(super) async fn agent(cx: &Cx, id: &str) -> Result<Box<Agent>, Refusal> {
    match cx.store(Operation::AgentWhole(id.to_owned())).await? {
        Answer::Agent(Some(agent)) => Ok(agent),
        Answer::Agent(None) => Err(Refusal::NotFound(format!("there is no agent {id}"))),
        _ => Err(Refusal::Internal),
    }
}

/// A revision of a policy, or its newest; `None` if there is none.
pub(super) async fn revision(
    cx: &Cx,
    policy_id: &str,
    revision_idx: Option<i64>,
) -> Result<Option<Arc<Policy>>, Refusal> {
    match cx.store(Operation::PolicyRevision { policy_id: policy_id.to_owned(), revision_idx }).await? {
        Answer::Policy(policy) => Ok(policy),
        _ => Err(Refusal::Internal),
    }
}

/// The newest revision of a policy, which has to exist.
pub(super) async fn policy(cx: &Cx, policy_id: &str) -> Result<Arc<Policy>, Refusal> {
    let none = || Refusal::NotFound(format!("there is no policy {policy_id}"));
    revision(cx, policy_id, None).await?.ok_or_else(none)
}

/// The newest revision of each policy.
pub(super) async fn policies(cx: &Cx) -> Result<Vec<Arc<Policy>>, Refusal> {
    match cx.store(Operation::LatestPolicies).await? {
        Answer::Policies(policies) => Ok(policies),
        _ => Err(Refusal::Internal),
    }
}

/// When agents of which policy count as inactive.
pub(super) async fn inactivity_timeouts(cx: &Cx) -> Result<InactivityTimeouts, Refusal> {
    let policies = policies(cx).await?;
    cx.work(move || InactivityTimeouts::read(&policies)).await.ok_or(Refusal::Internal)
}

/// All enrollment tokens, oldest first.
pub(super) async fn tokens(cx: &Cx) -> Result<Vec<EnrollmentToken>, Refusal> {
    match cx.store(Operation::Tokens).await? {
        Answer::Tokens(tokens) => Ok(tokens),
        _ => Err(Refusal::Internal),
    }
}

/// Documents of the newest actions, newest first.
pub(super) async fn newest_actions(cx: &Cx) -> Result<Vec<Arc<Action>>, Refusal> {
    match cx.store(Operation::Actions { limit: ACTIONS_MAX }).await? {
        Answer::Actions(actions) => Ok(actions),
        _ => Err(Refusal::Internal),
    }
}

/// All documents of an action, which has to exist.
pub(super) async fn action(cx: &Cx, action_id: &str) -> Result<Vec<Arc<Action>>, Refusal> {
    match cx.store(Operation::ActionDocuments(action_id.to_owned())).await? {
        Answer::Actions(documents) if documents.is_empty() => {
            Err(Refusal::NotFound(format!("there is no action {action_id}; old ones are removed")))
        }
        Answer::Actions(documents) => Ok(documents),
        _ => Err(Refusal::Internal),
    }
}

/// All results of an action, oldest first.
pub(super) async fn results(cx: &Cx, action_id: &str) -> Result<Vec<ActionResult>, Refusal> {
    match cx.store(Operation::ResultsOfAction(action_id.to_owned())).await? {
        Answer::Results(results) => Ok(results),
        _ => Err(Refusal::Internal),
    }
}
