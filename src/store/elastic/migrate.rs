//! Documents of agents as servers of old wrote them, brought up to date (elasticsearch.md, "Cleanup"). Each step finds only what
//! is yet to be done, so that it can be repeated, and done by several servers at once.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Elastic;
use super::ask::json as json_request;
use super::failure::Trouble;
use super::indices::Index;
use super::script::{NAME_AGENT, RETIRE_DEFAULT_KEY, Script};
use crate::store::StoreError;
use crate::time::Timestamp;

/// Documents changed by one request.
const DOCUMENTS_PER_REQUEST_MAX: u64 = 5_000;
/// Requests in all; what is left is for the next time.
const REQUESTS_MAX: usize = 1_000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Updated {
    updated: Option<u64>,
    version_conflicts: u64,
    timed_out: bool,
    failures: Vec<serde::de::IgnoredAny>,
}

impl Elastic {
    /// Does all that is left to be done.
    pub(super) fn migrate_agents(&self, at: Timestamp) -> Result<(), StoreError> {
        let nameless = json!({"bool": {"must_not": {"exists": {"field": "agent.id"}}}});
        self.update_all(&nameless, NAME_AGENT, &json!({}))?;
        let with_key = json!({"exists": {"field": "default_api_key_id"}});
        self.update_all(&with_key, RETIRE_DEFAULT_KEY, &json!({"at": at.rfc3339()}))
    }

    /// Runs `script` over all that `query` finds, until it finds nothing more.
    fn update_all(&self, query: &Value, script: Script, params: &Value) -> Result<(), StoreError> {
        let path = format!(
            "/{}/_update_by_query?ignore_unavailable=true&conflicts=proceed&refresh=true&max_docs={DOCUMENTS_PER_REQUEST_MAX}",
            self.indices.name(Index::Agents)
        );
        let request = json_request("POST", path, &json!({"query": query, "script": script.value(params)}));
        let unfinished = |reason: &str| StoreError::Failed { status: 503, reason: reason.to_owned() };
        for _ in 0..REQUESTS_MAX {
            let garbled = || Trouble::garbled("an update").error;
            let answer = match self.call(&request) {
                // there is no such index yet
                Err(StoreError::Failed { status: 404, .. }) => return Ok(()),
                answer => answer?,
            };
            let answer: Updated = serde_json::from_slice(&answer).map_err(|_| garbled())?;
            let updated = answer.updated.ok_or_else(garbled)?;
            if answer.timed_out || !answer.failures.is_empty() {
                return Err(unfinished("not every document could be changed"));
            }
            if updated > 0 {
                ::log::info!("{updated} documents of agents were brought up to date");
            }
            // what somebody changed meanwhile is looked at again
            if answer.version_conflicts == 0 && updated < DOCUMENTS_PER_REQUEST_MAX {
                return Ok(());
            }
        }
        Err(unfinished("there is no end of documents that change meanwhile"))
    }
}
