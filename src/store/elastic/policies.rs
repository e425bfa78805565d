//! Policies: a document for each revision, as Kibana writes them.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Elastic;
use super::ask::json as json_request;
use super::bulk::{Item, Outcome, Refresh};
use super::failure::Trouble;
use super::indices::Index;
use super::search::{Hit, HitAnswer, Hits, PAGES_MAX, Search, all_of, endless, term};
use crate::model::Policy;
use crate::store::documents::{self, unreadable};
use crate::store::{Answer, StoreError, StoreResult};

/// Policies in one answer; each may have a megabyte.
const POLICIES_PER_PAGE: usize = 50;

/// Buckets of a page of policies, and where the next one begins.
#[derive(Deserialize)]
struct Newest<'a> {
    #[serde(borrow)]
    policies: Buckets<'a>,
}

#[derive(Deserialize)]
struct Buckets<'a> {
    after_key: Option<Value>,
    #[serde(borrow)]
    buckets: Vec<Bucket<'a>>,
}

#[derive(Deserialize)]
struct Bucket<'a> {
    #[serde(borrow)]
    newest: TopHits<'a>,
}

#[derive(Deserialize)]
struct TopHits<'a> {
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Deleted {
    deleted: Option<u64>,
    timed_out: Option<bool>,
    failures: Option<Vec<serde::de::IgnoredAny>>,
    version_conflicts: Option<u64>,
}

impl Elastic {
    /// The newest revision of each policy.
    pub(super) fn latest_policies(&self) -> Result<Vec<Arc<Policy>>, StoreError> {
        let mut policies = Vec::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let found = self.search(Search::new(Index::Policies, newest_of_each(after.as_ref())))?;
            // the index is missing
            let Some(aggregations) = found.aggregations else { return Ok(policies) };
            let page: Newest<'_> =
                serde_json::from_str(aggregations.get()).map_err(|_| Trouble::garbled("policies").error)?;
            let count = page.policies.buckets.len();
            let hits = page.policies.buckets.into_iter().flat_map(|bucket| bucket.newest.hits.hits);
            policies.extend(hits.map(HitAnswer::hit).filter_map(|hit| readable(&hit)));
            after = page.policies.after_key;
            if after.is_none() || count < POLICIES_PER_PAGE {
                return Ok(policies);
            }
        }
        Err(endless())
    }

    /// A given revision, or the newest.
    pub(super) fn policy(
        &self,
        policy_id: &str,
        revision_idx: Option<i64>,
    ) -> Result<Option<Arc<Policy>>, StoreError> {
        let mut clauses = vec![term("policy_id", policy_id)];
        clauses.extend(revision_idx.map(|revision_idx| term("revision_idx", revision_idx)));
        let body = json!({
            "query": all_of(&clauses),
            "sort": [{"revision_idx": {"order": "desc", "unmapped_type": "integer"}}],
            "size": 1,
            "track_total_hits": false,
        });
        let found = self.search(Search::new(Index::Policies, body))?;
        let policy = found.hits.first().map(read).transpose().map_err(|error| unreadable(&error))?;
        Ok(policy.flatten())
    }

    /// Creates a revision above all others of its policy.
    pub(super) fn create_revision(&self, policy: &Policy) -> StoreResult {
        self.ensure(Index::Policies)?;
        // Kibana's writes are not visible at once
        self.refresh(Index::Policies)?;
        let newest = self.policy(&policy.policy_id, None)?;
        if newest.is_some_and(|newest| newest.revision_idx >= policy.revision_idx) {
            return Err(StoreError::Conflict);
        }
        // one id for each revision: of two who write the same at once one is told
        let id = format!("{}:{}", policy.policy_id, policy.revision_idx);
        let document = documents::policy(policy);
        let item = Item::create(self.indices.name(Index::Policies), &id, document.get());
        match self.write_one(item, Refresh::Now)? {
            Outcome { status: 409, .. } => self.conflict(policy),
            _ => Ok(Answer::Done),
        }
    }

    /// The revision is there: written by an earlier try whose answer was lost, or by somebody else.
    fn conflict(&self, policy: &Policy) -> StoreResult {
        let there = self.policy(&policy.policy_id, Some(policy.revision_idx))?;
        match there
            .filter(|there| there.data.get() == policy.data.get() && there.timestamp == policy.timestamp)
        {
            Some(_) => Ok(Answer::Done),
            None => Err(StoreError::Conflict),
        }
    }

    /// Deletes all revisions of a policy. Its tokens are revoked first: what fails in between leaves a policy that nobody
    /// can enrol into, not agents without a policy.
    pub(super) fn delete_policy(&self, policy_id: &str) -> StoreResult {
        self.revoke_tokens_of(policy_id)?;
        self.refresh(Index::Policies)?;
        self.delete_by_query(Index::Policies, &all_of(&[term("policy_id", policy_id)]))?;
        Ok(Answer::Done)
    }

    /// Deletes what a query finds, a bounded number in one request; how many that were in all.
    pub(super) fn delete_by_query(&self, index: Index, query: &Value) -> Result<usize, StoreError> {
        /// Documents deleted by one request.
        const DOCUMENTS_PER_REQUEST_MAX: u64 = 5_000;
        /// Requests in all: what is left is deleted the next time.
        const REQUESTS_MAX: usize = 1_000;
        let path = format!(
            "/{}/_delete_by_query?ignore_unavailable=true&conflicts=proceed&refresh=true&max_docs={DOCUMENTS_PER_REQUEST_MAX}",
            self.indices.name(index)
        );
        let request = json_request("POST", path, &json!({"query": query}));
        let mut total = 0;
        for _ in 0..REQUESTS_MAX {
            let garbled = || Trouble::garbled("a deletion").error;
            let answer: Deleted = serde_json::from_slice(&self.call(&request)?).map_err(|_| garbled())?;
            let deleted = answer.deleted.ok_or_else(garbled)?;
            total += usize::try_from(deleted).unwrap_or(usize::MAX);
            if answer.timed_out != Some(false) || answer.failures.is_none_or(|failures| !failures.is_empty())
            {
                let reason = "not everything could be deleted".to_owned();
                return Err(StoreError::Failed { status: 503, reason });
            }
            // what somebody changed meanwhile is found again
            if deleted + answer.version_conflicts.unwrap_or(0) < DOCUMENTS_PER_REQUEST_MAX {
                break;
            }
        }
        Ok(total)
    }
}

/// A page of the newest revision of each policy, in the order of their ids.
fn newest_of_each(after: Option<&Value>) -> Value {
    let newest = json!({"top_hits": {
        "size": 1,
        "sort": [{"revision_idx": {"order": "desc", "unmapped_type": "integer"}}],
    }});
    let mut composite = json!({
        "size": POLICIES_PER_PAGE,
        "sources": [{"policy_id": {"terms": {"field": "policy_id"}}}],
    });
    if let Some(after) = after {
        composite["after"] = after.clone();
    }
    let policies = json!({"composite": composite, "aggs": {"newest": newest}});
    json!({"size": 0, "track_total_hits": false, "aggs": {"policies": policies}})
}

/// The revision; one that cannot be read does not hide the others.
fn readable(hit: &Hit) -> Option<Arc<Policy>> {
    read(hit)
        .inspect_err(|error| ::log::warn!("the policy document {} is left out: {error}", hit.id))
        .ok()
        .flatten()
}

fn read(hit: &Hit) -> Result<Option<Arc<Policy>>, serde_json::Error> {
    Ok(Policy::read(hit.source.get().as_bytes())?.map(Arc::new))
}
