//! Finding and listing agents.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::Elastic;
use super::ask::plain;
use super::indices::Index;
use super::lookup::{Document, Part, Wanted};
use super::search::{Found, Search, all_of, term};
use crate::model::Agent;
use crate::store::documents::unreadable;
use crate::store::{Answer, StoreError, StoreResult};

/// Agents in one answer of a list.
const AGENTS_PER_PAGE: usize = 500;
/// What a list leaves out, beside `local_metadata` where it is not wanted: what is large and nobody asks a list for.
const LEFT_OUT: [&str; 5] =
    ["components", "effective_config", "health", "identifying_attributes", "non_identifying_attributes"];

/// What is most of an agent's document, and wanted by its check-ins alone.
pub(super) const DETAILS: [&str; 2] = ["components", "local_metadata"];

/// An agent by its id.
pub(super) fn by_id(id: &str, part: Part) -> Wanted<'_> {
    Wanted { index: Index::Agents, id, part }
}

/// The agent in a document that was looked up.
pub(super) fn looked_up(id: &str, document: Option<Document>) -> StoreResult {
    let read = |document: Document| Agent::read(id, document.source.get().as_bytes());
    let agent = document.map(read).transpose().map_err(|error| unreadable(&error))?;
    Ok(Answer::Agent(agent.map(Box::new)))
}

/// The agent enrolled under this enrollment_id; the newest, should there be several.
pub(super) fn by_enrollment_id(enrollment_id: &str) -> Search {
    newest(&term("enrollment_id", enrollment_id))
}

/// The agent whose access key has this id.
pub(super) fn by_access_key(key_id: &str) -> Search {
    newest(&term("access_api_key_id", key_id))
}

fn newest(clause: &Value) -> Search {
    // `_seq_no` tells apart what was enrolled within one second
    let sort = json!([{"enrolled_at": {"order": "desc", "unmapped_type": "date"}}, {"_seq_no": "desc"}]);
    let body = json!({
        "query": all_of(std::slice::from_ref(clause)), "sort": sort, "size": 1, "track_total_hits": false,
        "_source": {"excludes": DETAILS},
    });
    Search::new(Index::Agents, body)
}

/// The agent in what a search found.
pub(super) fn found(found: Found) -> StoreResult {
    let read = |hit: &super::search::Hit| Agent::read(&hit.id, hit.source.get().as_bytes());
    let agent = found.hits.first().map(read).transpose().map_err(|error| unreadable(&error))?;
    Ok(Answer::Agent(agent.map(Box::new)))
}

impl Elastic {
    /// Makes everything written to agents so far visible to searches.
    pub(super) fn refresh(&self, index: Index) -> Result<(), StoreError> {
        let path = format!("/{}/_refresh?ignore_unavailable=true", self.indices.name(index));
        self.call(&plain("POST", path)).map(drop)
    }

    /// A page of agents by id. The cluster cannot sort by `_id`, so they come by `agent.id`, which is the same; documents
    /// without it, which no agent can use either, are not listed.
    pub(super) fn page_of_agents(
        &self,
        policy_id: Option<&str>,
        from: &str,
        limit: usize,
        with_metadata: bool,
    ) -> StoreResult {
        if limit == 0 {
            return Ok(Answer::Agents(Vec::new()));
        }
        let mut clauses = vec![json!({"range": {"agent.id": {"gt": from}}})];
        clauses.extend(policy_id.map(|policy_id| term("policy_id", policy_id)));
        let metadata = (!with_metadata).then_some("local_metadata");
        let left_out: Vec<&str> = LEFT_OUT.into_iter().chain(metadata).collect();
        let body = json!({
            "query": all_of(&clauses),
            "sort": [{"agent.id": {"order": "asc", "unmapped_type": "keyword"}}],
            "size": limit.min(AGENTS_PER_PAGE),
            "track_total_hits": false,
            "_source": {"excludes": left_out},
        });
        // check-ins are not visible at once, and a list begins with what there is
        if from.is_empty() {
            self.refresh(Index::Agents)?;
        }
        let mut agents = Vec::new();
        self.walk(Index::Agents, body, |hit| {
            match Agent::read(&hit.id, hit.source.get().as_bytes()) {
                Ok(agent) => agents.push(agent),
                Err(error) => {
                    ::log::warn!("fleet.agent.id" = hit.id.as_str(); "an agent is not listed: {error}")
                }
            }
            if agents.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(Answer::Agents(agents))
    }
}
