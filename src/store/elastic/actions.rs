//! Actions and what agents answered to them: finding and listing.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Elastic;
use super::indices::Index;
use super::lookup::{Part, Wanted};
use super::script::PLACE;
use super::search::{Found, Hit, Search, all_of, term};
use crate::model::raw::Fields;
use crate::model::{Action, ActionResult};
use crate::store::documents::{PENDING_ACTIONS_MAX, unreadable};
use crate::store::{ActionLookup, Answer, StoreError, StoreResult};
use crate::time::Timestamp;

/// Actions in one answer of a list; each may name ten thousand agents.
const ACTIONS_PER_PAGE: usize = 50;
/// Documents of one action in all.
const ACTION_DOCUMENTS_MAX: usize = 1_000;
/// Results in one answer of a list.
const RESULTS_PER_PAGE: usize = 1_000;
/// Results of one action in all.
const RESULTS_MAX: usize = 100_000;

/// An action by the id of its document: only whether it is there, and its `_seq_no`.
pub(super) fn by_document_id(document_id: &str) -> Wanted<'_> {
    Wanted { index: Index::Actions, id: document_id, part: Part::Version }
}

/// What waits for an agent.
pub(super) fn pending(agent: &str, after: i64, up_to: i64, now: Timestamp) -> Search {
    let clauses = [
        json!({"range": {"_seq_no": {"gt": after}}}),
        json!({"range": {"_seq_no": {"lte": up_to}}}),
        json!({"range": {"expiration": {"gt": now.rfc3339_millis()}}}),
        json!({"terms": {"agents": [agent]}}),
    ];
    let body = json!({
        "query": all_of(&clauses),
        "sort": [{"_seq_no": "asc"}],
        "size": PENDING_ACTIONS_MAX,
        "seq_no_primary_term": true,
        "track_total_hits": false,
        "_source": {"excludes": ["agents"]},
        "script_fields": {"place": {"script": PLACE.value(&json!({"agent": agent}))}},
    });
    // without a bound there is nothing to wait for: no document will ever have that number
    Search { index: Index::Actions, body, checkpoint: Some(up_to).filter(|_| has_bound(up_to)) }
}

/// Whether a search for what waits has an end: it has none before the watch has told where the index stands.
pub(super) fn has_bound(up_to: i64) -> bool {
    up_to < i64::MAX
}

/// An action by `action_id`: its newest document.
pub(super) fn by_action_id(action_id: &str) -> Search {
    let body = json!({
        "query": all_of(&[term("action_id", action_id)]),
        "sort": [{"_seq_no": "desc"}],
        "size": 1,
        "seq_no_primary_term": true,
        "track_total_hits": false,
        "_source": {"excludes": ["agents"]},
    });
    Search::new(Index::Actions, body)
}

/// Whether any agent ever answered an action.
fn was_answered(action_id: &str) -> Search {
    let body = json!({
        "query": all_of(&[term("action_id", action_id)]),
        "size": 1,
        "track_total_hits": false,
        "_source": false,
    });
    Search::new(Index::Results, body)
}

/// The newest document of an action, if there is one.
pub(super) fn found(found: &Found) -> Result<Option<Arc<Action>>, StoreError> {
    found.hits.first().map(read).transpose().map_err(|error| unreadable(&error))
}

/// The actions found; one that cannot be read does not hide the others.
pub(super) fn all_found(found: &Found) -> Vec<Arc<Action>> {
    found.hits.iter().filter_map(readable).collect()
}

fn readable(hit: &Hit) -> Option<Arc<Action>> {
    read(hit).inspect_err(|error| ::log::warn!("the action document {} is left out: {error}", hit.id)).ok()
}

fn read(hit: &Hit) -> Result<Arc<Action>, serde_json::Error> {
    let action = Action::read(&hit.id, hit.seq_no, hit.source.get().as_bytes())?;
    Ok(Arc::new(Action { place: hit.place, ..action }))
}

impl Elastic {
    /// What is known of actions that are not there. Elasticsearch remembers nothing that was deleted; but agents' answers
    /// stay longer than the actions do, and none is written for an action that was not there. So one that was answered is
    /// gone, and one that nobody answered may still appear.
    pub(super) fn look_for_traces(&self, action_ids: &[&String]) -> Vec<Result<ActionLookup, StoreError>> {
        let searches: Vec<Search> = action_ids.iter().map(|id| was_answered(id)).collect();
        let lookup = |found: Result<Found, StoreError>| match found?.hits.is_empty() {
            true => Ok(ActionLookup::Unknown),
            false => Ok(ActionLookup::Gone),
        };
        self.searches(&searches).into_iter().map(lookup).collect()
    }

    /// The newest actions, with their agents.
    pub(super) fn newest_actions(&self, limit: usize) -> StoreResult {
        let body = list(json!({"match_all": {}}), "desc");
        Ok(Answer::Actions(self.list_actions(body, limit)?))
    }

    /// All documents of an action, oldest first, with their agents.
    pub(super) fn action_documents(&self, action_id: &str) -> StoreResult {
        let body = list(all_of(&[term("action_id", action_id)]), "asc");
        Ok(Answer::Actions(self.list_actions(body, ACTION_DOCUMENTS_MAX)?))
    }

    fn list_actions(&self, body: Value, limit: usize) -> Result<Vec<Arc<Action>>, StoreError> {
        let mut actions = Vec::new();
        if limit == 0 {
            return Ok(actions);
        }
        self.walk(Index::Actions, body, |hit| {
            actions.extend(readable(&hit));
            if actions.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(actions)
    }

    /// All results of an action, oldest first.
    pub(super) fn results(&self, action_id: &str) -> StoreResult {
        let body = json!({
            "query": all_of(&[term("action_id", action_id)]),
            // a data stream may have several indices, each with `_seq_no` of its own
            "sort": [
                {"@timestamp": {"order": "asc", "unmapped_type": "date"}},
                {"_seq_no": "asc"},
                {"agent_id": {"order": "asc", "unmapped_type": "keyword"}},
            ],
            "size": RESULTS_PER_PAGE,
            "track_total_hits": false,
        });
        let mut results: Vec<ActionResult> = Vec::new();
        self.walk(Index::Results, body, |hit| {
            match read_result(&hit) {
                Ok(result) => results.push(result),
                Err(error) => ::log::warn!("the result {} is left out: {error}", hit.id),
            }
            if results.len() < RESULTS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(Answer::Results(results))
    }
}

fn read_result(hit: &Hit) -> Result<ActionResult, serde_json::Error> {
    let fields = Fields::open("result document", hit.source.get().as_bytes())?;
    Ok(ActionResult {
        action_id: fields.take("action_id"),
        agent_id: fields.take("agent_id"),
        namespaces: fields.list("namespaces"),
        error: fields.take("error"),
        timestamp: fields.take("@timestamp"),
        data: fields.raw("data"),
        action_input_type: fields.optional("action_input_type"),
        action_data: fields.raw("action_data"),
        action_response: fields.raw("action_response"),
        started_at: fields.optional("started_at"),
        completed_at: fields.optional("completed_at"),
    })
}

fn list(query: Value, order: &str) -> Value {
    json!({
        "query": query,
        "sort": [{"_seq_no": order}],
        "size": ACTIONS_PER_PAGE,
        "seq_no_primary_term": true,
        "track_total_hits": false,
    })
}
