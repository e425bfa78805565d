//! What the watch asks the cluster.

use std::time::Duration;

use serde_json::{Value, json};

use crate::store::elastic::ask::{self, plain};
use crate::store::elastic::client::Request;
use crate::store::elastic::search::all_of;

/// Beyond the time that the cluster is asked to wait, its answer may take so long.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// What is wanted of the statistics of indices.
const STATISTICS: &str = "indices.*.uuid,indices.*.shards.*.routing.primary,\
    indices.*.shards.*.seq_no.global_checkpoint,error,status";

/// The same as [`Asks::statistics`] of all these indices, as far as they are there.
pub(super) fn statistics_of_all(names: &[String]) -> Request {
    let query = format!("level=shards&ignore_unavailable=true&filter_path={STATISTICS}");
    plain("GET", format!("/{}/_stats/docs?{query}", names.join(",")))
}

/// One index to be followed, by its name.
pub(super) struct Asks {
    pub(super) index: String,
    /// How long the cluster waits for news before it answers that there are none.
    pub(super) poll: Duration,
}

impl Asks {
    /// The checkpoint as it is.
    pub(super) fn checkpoint(&self) -> Request {
        plain("GET", format!("/{}/_fleet/global_checkpoints", self.index))
    }

    /// The checkpoint once it is above `after`, or once the cluster has waited for long.
    pub(super) fn advance(&self, after: i64) -> Request {
        let (index, poll) = (&self.index, self.poll.as_millis());
        let path = format!(
            "/{index}/_fleet/global_checkpoints?wait_for_advance=true&wait_for_index=true&checkpoints={after}&timeout={poll}ms"
        );
        Request { timeout: Some(self.poll + ANSWER_WAIT_MAX), ..plain("GET", path) }
    }

    /// Without the module: the checkpoint as it is.
    pub(super) fn statistics(&self) -> Request {
        plain("GET", format!("/{}/_stats/docs?level=shards&filter_path={STATISTICS}", self.index))
    }

    /// Makes everything written until now searchable.
    pub(super) fn refresh(&self) -> Request {
        plain("POST", format!("/{}/_refresh", self.index))
    }

    /// A search that finds everything up to `checkpoint`: the module waits for that, without it the index was refreshed.
    pub(super) fn search(&self, body: &Value, module: bool, checkpoint: i64) -> Request {
        let index = &self.index;
        let path = match module {
            true if checkpoint >= 0 => {
                format!("/{index}/_fleet/_fleet_search?wait_for_checkpoints={checkpoint}")
            }
            true => format!("/{index}/_fleet/_fleet_search"),
            false => format!("/{index}/_search"),
        };
        ask::json("POST", path, body)
    }
}

/// Documents with `after < _seq_no <= up_to` that have not expired, `size` at most, in that order.
pub(super) fn actions(after: i64, up_to: i64, size: usize) -> Value {
    json!({
        "size": size,
        "track_total_hits": false,
        "seq_no_primary_term": true,
        "query": all_of(&[
            json!({"range": {"_seq_no": {"gt": after}}}),
            json!({"range": {"_seq_no": {"lte": up_to}}}),
            // by the clock of the cluster
            json!({"range": {"expiration": {"gt": "now"}}}),
        ]),
        "sort": [{"_seq_no": "asc"}],
    })
}

/// The ids of policies with the highest revision of each, `size` at most, from `after` on (a key of the answer before).
pub(super) fn census(after: Option<&Value>, size: usize) -> Value {
    let mut composite = json!({"size": size, "sources": [{"policy_id": {"terms": {"field": "policy_id"}}}]});
    if let Some(after) = after {
        composite["after"] = after.clone();
    }
    json!({
        "size": 0,
        "track_total_hits": false,
        "aggs": {"policies": {
            "composite": composite,
            "aggs": {"revision_idx": {"max": {"field": "revision_idx"}}},
        }},
    })
}

/// The newest revision of each of these policies.
pub(super) fn newest(policy_ids: &[&str]) -> Value {
    json!({
        "size": 0,
        "track_total_hits": false,
        "query": all_of(&[json!({"terms": {"policy_id": policy_ids}})]),
        "aggs": {"policy_id": {
            "terms": {"field": "policy_id", "size": policy_ids.len()},
            "aggs": {"revision_idx": {"top_hits": {"size": 1, "sort": [{"revision_idx": {"order": "desc"}}]}}},
        }},
    })
}
