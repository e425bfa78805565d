//! Searches for files and their chunks, which go by the names of indices or patterns of them, and changes by query: documents
//! of data streams are not changed in any other way.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Elastic;
use super::ask::json as json_request;
use super::failure::Trouble;
use crate::model::raw::Raw;
use crate::store::StoreError;

/// One document found.
#[derive(Debug, Deserialize)]
pub(super) struct FileHit {
    /// `_index`: of a data stream, the one of its indices that it stands in.
    #[serde(rename = "_index")]
    pub(super) index: String,
    /// `_id`
    #[serde(rename = "_id")]
    pub(super) id: String,
    /// `_seq_no`, if it was asked for: another for each write.
    #[serde(rename = "_seq_no")]
    pub(super) seq_no: Option<u64>,
    /// `_source`, if it was asked for.
    #[serde(rename = "_source")]
    pub(super) source: Option<Raw>,
    /// Fields that were asked for, each a list.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, Vec<Value>>,
}

#[derive(Deserialize)]
struct Answer {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Hits,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<FileHit>,
}

#[derive(Deserialize)]
struct Changed {
    timed_out: bool,
    #[serde(default)]
    updated: u64,
    failures: Vec<Value>,
}

impl FileHit {
    /// The first value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).and_then(|values| values.first())
    }
}

impl Elastic {
    /// What a search in `indices` (a name or a pattern) finds; indices that are missing hold nothing. Only a search that
    /// truly succeeded has found nothing.
    pub(super) fn search_files(&self, indices: &str, body: &Value) -> Result<Vec<FileHit>, StoreError> {
        let path = format!("/{indices}/_search?ignore_unavailable=true&allow_no_indices=true");
        let answer = self.call(&json_request("POST", path, body))?;
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("a search for files").error)?;
        if answer.timed_out || answer.shards.failed > 0 {
            let reason = "the search for files did not reach all shards".to_owned();
            return Err(StoreError::Failed { status: 503, reason });
        }
        Ok(answer.hits.hits)
    }

    /// Changes what `query` finds by `script`; how many documents it changed. The next search finds them so.
    pub(super) fn change_files(
        &self,
        indices: &str,
        query: &Value,
        script: &Value,
    ) -> Result<u64, StoreError> {
        let body = json!({"query": query, "script": script});
        self.by_query(indices, "_update_by_query", &body)
    }

    /// Deletes what `query` finds; the next search does not find it.
    pub(super) fn delete_files(&self, indices: &str, query: &Value) -> Result<(), StoreError> {
        self.by_query(indices, "_delete_by_query", &json!({"query": query})).map(drop)
    }

    fn by_query(&self, indices: &str, route: &str, body: &Value) -> Result<u64, StoreError> {
        let path = format!(
            "/{indices}/{route}?ignore_unavailable=true&allow_no_indices=true&conflicts=proceed&refresh=true"
        );
        let answer = self.call(&json_request("POST", path, body))?;
        let changed: Changed =
            serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("a change of files").error)?;
        if changed.timed_out || !changed.failures.is_empty() {
            let reason = "not all documents of the file could be changed".to_owned();
            return Err(StoreError::Failed { status: 503, reason });
        }
        Ok(changed.updated)
    }

    /// Has the next search find all that was written.
    pub(super) fn refresh_files(&self, indices: &str) -> Result<(), StoreError> {
        let path = format!("/{indices}/_refresh?ignore_unavailable=true&allow_no_indices=true");
        self.call(&super::ask::plain("POST", path)).map(drop)
    }
}
