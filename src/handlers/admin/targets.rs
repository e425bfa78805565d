//! Which agents an order is for: the one of the path, the ids of the body, or all of a policy.

use serde::Deserialize;

use super::error::Refusal;
use super::facts::{self, AgentPages};
use super::filter::Filter;
use crate::model::{Agent, Detail};
use crate::store::{Answer, Operation};
use crate::task::Cx;

/// Ids in one request; all of a policy may be any number.
const IDS_MAX: usize = 1_000;

/// `agents` of a bulk request, as Kibana has it: ids, or a text of its query language.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Selection {
    /// These.
    Ids(Vec<String>),
    /// Those that it names; only a policy can be named.
    Kuery(String),
}

/// The agents that an order is for, page by page.
pub(super) enum Targets {
    /// Whole documents, each once.
    Agents(Vec<Agent>),
    /// The active ones of a policy.
    Policy(AgentPages),
}

impl Targets {
    /// The agent `id`, or with an empty one those selected. All that are named have to be there and active.
    pub(super) async fn find(cx: &Cx, id: String, selection: Option<Selection>) -> Result<Self, Refusal> {
        match (id.is_empty(), selection) {
            (false, None) => named(cx, vec![id]).await,
            (true, Some(Selection::Ids(ids))) => named(cx, ids).await,
            (true, Some(Selection::Kuery(kuery))) => {
                let filter = Filter::parse(&kuery)?;
                let (Some(policy_id), None) = (filter.policy_id, filter.status) else {
                    return Err(Refusal::BadRequest(
                        "agents: only all of a policy can be selected by a query".into(),
                    ));
                };
                facts::policy(cx, &policy_id).await?;
                Ok(Targets::Policy(AgentPages::new(Some(policy_id), String::new())))
            }
            (true, None) => Err(Refusal::BadRequest("agents: missing".into())),
            (false, Some(_)) => Err(Refusal::BadRequest("agents: the path names the agent".into())),
        }
    }

    /// An error if a collector is named, which takes no orders. Those of a policy are left out later.
    pub(super) fn refuse_collectors(&self) -> Result<(), Refusal> {
        let Targets::Agents(agents) = self else { return Ok(()) };
        match agents.iter().find(|agent| agent.kind == Agent::COLLECTOR) {
            Some(agent) => Err(Refusal::BadRequest(format!(
                "agent {} is an OpenTelemetry collector, which takes no orders",
                agent.id
            ))),
            None => Ok(()),
        }
    }

    /// The next page of active agents, which may be empty; `None` at the end.
    pub(super) async fn next(&mut self, cx: &Cx) -> Result<Option<Vec<Agent>>, Refusal> {
        let mut agents = match self {
            Targets::Agents(agents) if agents.is_empty() => return Ok(None),
            Targets::Agents(agents) => std::mem::take(agents),
            Targets::Policy(pages) => match pages.next(cx).await? {
                None => return Ok(None),
                Some(agents) => agents,
            },
        };
        agents.retain(|agent| agent.active);
        Ok(Some(agents))
    }
}

async fn named(cx: &Cx, ids: Vec<String>) -> Result<Targets, Refusal> {
    if ids.is_empty() || ids.len() > IDS_MAX {
        return Err(Refusal::BadRequest(format!("agents: expected 1 to {IDS_MAX} ids, or all of a policy")));
    }
    let mut unique: Vec<String> = Vec::with_capacity(ids.len());
    for id in ids {
        if !unique.contains(&id) {
            unique.push(id);
        }
    }
    let answers = cx.store_all(unique.iter().cloned().map(Operation::AgentById).collect()).await;
    let mut agents = Vec::with_capacity(unique.len());
    for (id, answer) in unique.iter().zip(answers) {
        match answer? {
            Answer::Agent(Some(agent)) if agent.active => agents.push(slim(*agent)),
            Answer::Agent(Some(_)) => return Err(Refusal::BadRequest(format!("agent {id} is unenrolled"))),
            Answer::Agent(None) => return Err(Refusal::NotFound(format!("there is no agent {id}"))),
            _ => return Err(Refusal::Internal),
        }
    }
    Ok(Targets::Agents(agents))
}

/// Without what is large and not needed here.
fn slim(agent: Agent) -> Agent {
    Agent { local_metadata: Detail::Absent, components: Detail::Absent, ..agent }
}
