//! Searches: many in one request, each with an answer of its own; and walks through all hits of one, page by page.

use std::borrow::Cow;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Elastic;
use super::ask::{Single, lines};
use super::failure::{Cause, Trouble};
use super::indices::Index;
use crate::model::raw::{Raw, raw};
use crate::store::StoreError;

/// Where searches go.
const PLAIN_ROUTE: &str = "/_msearch";
/// Where searches go that wait for a checkpoint.
const FLEET_ROUTE: &str = "/_fleet/_fleet_msearch";

/// More pages are no list: the cluster repeats itself.
pub(super) const PAGES_MAX: usize = 250;

/// The failure of a list that has more than [`PAGES_MAX`] pages.
pub(super) fn endless() -> StoreError {
    Trouble::garbled("a list, which has no end,").error
}

/// One search.
pub(super) struct Search {
    /// In which index.
    pub(super) index: Index,
    /// Query, size, sort and what else.
    pub(super) body: Value,
    /// Everything up to this `_seq_no` must be found: the search waits for it, where the cluster can.
    pub(super) checkpoint: Option<i64>,
}

/// What a search found. Empty only if the cluster positively found nothing.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order asked for.
    pub(super) hits: Vec<Hit>,
    /// As answered.
    pub(super) aggregations: Option<Raw>,
    /// There is nothing because there is no index.
    pub(super) no_index: bool,
}

/// One document found.
#[derive(Debug)]
pub(super) struct Hit {
    /// `_id`
    pub(super) id: String,
    /// `_seq_no`, if it was asked for; else -1.
    pub(super) seq_no: i64,
    /// `_source`; an empty object where it was not asked for.
    pub(super) source: Raw,
    /// What a search after this hit begins with.
    pub(super) sort: Option<Raw>,
    /// The field `place` of the search, if it has one.
    pub(super) place: Option<(usize, usize)>,
}

/// A query of clauses that must all hold.
pub(super) fn all_of(clauses: &[Value]) -> Value {
    json!({"bool": {"filter": clauses}})
}

/// A clause: the field has this value.
pub(super) fn term(field: &str, value: impl Serialize) -> Value {
    json!({"term": {field: value}})
}

impl Search {
    /// A search for everything there is by now.
    pub(super) fn new(index: Index, body: Value) -> Self {
        Search { index, body, checkpoint: None }
    }

    fn waits(&self) -> bool {
        self.checkpoint.is_some_and(|checkpoint| checkpoint >= 0)
    }
}

#[derive(Serialize)]
struct Header<'a> {
    index: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_for_checkpoints: Option<[i64; 1]>,
}

#[derive(Deserialize)]
struct SearchesAnswer<'a> {
    #[serde(borrow)]
    responses: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct SearchAnswer<'a> {
    status: Option<u16>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    timed_out: Option<bool>,
    #[serde(rename = "_shards")]
    shards: Option<Shards>,
    #[serde(borrow)]
    hits: Option<Hits<'a>>,
    #[serde(borrow)]
    aggregations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Shards {
    failed: Option<u64>,
}

/// The hits of a search or of a `top_hits`.
#[derive(Deserialize)]
pub(super) struct Hits<'a> {
    #[serde(borrow)]
    pub(super) hits: Vec<HitAnswer<'a>>,
}

#[derive(Deserialize)]
pub(super) struct HitAnswer<'a> {
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "_seq_no")]
    seq_no: Option<i64>,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    sort: Option<&'a RawValue>,
    #[serde(borrow)]
    fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PlaceField {
    /// Not found in the list: -1.
    place: Option<(i64, i64)>,
}

impl Elastic {
    /// What each search found.
    pub(super) fn searches(&self, searches: &[Search]) -> Vec<Result<Found, StoreError>> {
        let all: Vec<&Search> = searches.iter().collect();
        // without the module the watch tells only of checkpoints after which it has refreshed the index
        let can_wait = match all.iter().any(|search| search.waits()) {
            true => self.facts().map(|facts| facts.fleet_module),
            false => Ok(false),
        };
        match can_wait {
            Ok(false) => self.grouped(&all, |part| self.searches_once(part, PLAIN_ROUTE)),
            Ok(true) => self.searches_by_route(&all),
            Err(error) => all.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn searches_by_route(&self, all: &[&Search]) -> Vec<Result<Found, StoreError>> {
        let (waiting, plain): (Vec<&Search>, Vec<&Search>) = all.iter().partition(|search| search.waits());
        let mut waited = self.wait_and_search(&waiting).into_iter();
        let mut found = self.grouped(&plain, |part| self.searches_once(part, PLAIN_ROUTE)).into_iter();
        let answer = |search: &&Search| {
            let next = if search.waits() { waited.next() } else { found.next() };
            next.unwrap_or_else(|| Err(Trouble::garbled("a search").error))
        };
        all.iter().map(answer).collect()
    }

    /// What searches found that wait for their checkpoints. The module refuses to wait for a number that was never given out:
    /// then the index is another one, and the watch will tell. Such a search finds what there is.
    fn wait_and_search(&self, waiting: &[&Search]) -> Vec<Result<Found, StoreError>> {
        let is_refused =
            |found: &Result<Found, StoreError>| matches!(found, Err(StoreError::Failed { status: 400, .. }));
        let mut found = self.grouped(waiting, |part| self.searches_once(part, FLEET_ROUTE));
        let refused: Vec<usize> = (0..found.len()).filter(|place| is_refused(&found[*place])).collect();
        let again: Vec<&Search> = refused.iter().map(|place| waiting[*place]).collect();
        let again = self.grouped(&again, |part| self.searches_once(part, PLAIN_ROUTE));
        for (place, answer) in refused.into_iter().zip(again) {
            found[place] = answer;
        }
        found
    }

    /// What one search found.
    pub(super) fn search(&self, search: Search) -> Result<Found, StoreError> {
        self.searches(&[search]).pop().unwrap_or_else(|| Err(Trouble::garbled("a search").error))
    }

    /// Hands over all hits of a search in the order of its `sort`, `size` at a time, until there are none or `each` has
    /// enough.
    pub(super) fn walk(
        &self,
        index: Index,
        mut body: Value,
        mut each: impl FnMut(Hit) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let size = body["size"].as_u64().unwrap_or(0);
        for _ in 0..PAGES_MAX {
            let hits = self.search(Search::new(index, body.clone()))?.hits;
            let last = hits.last().and_then(|hit| hit.sort.clone());
            let full = u64::try_from(hits.len()).is_ok_and(|count| count >= size);
            for hit in hits {
                if each(hit).is_break() {
                    return Ok(());
                }
            }
            let Some(last) = last.filter(|_| full) else { return Ok(()) };
            body["search_after"] = serde_json::from_str(last.get()).unwrap_or_default();
        }
        Err(endless())
    }

    fn searches_once(&self, searches: &[&&Search], route: &str) -> Single<Vec<Single<Found>>> {
        let mut body = String::new();
        for search in searches {
            let checkpoint = search.checkpoint.filter(|_| route == FLEET_ROUTE);
            let header = Header {
                index: self.indices.name(search.index),
                wait_for_checkpoints: checkpoint.map(|checkpoint| [checkpoint]),
            };
            // values of ours always have a JSON text, without a line break
            body += &serde_json::to_string(&header).unwrap_or_default();
            body.push('\n');
            body += &search.body.to_string();
            body.push('\n');
        }
        let answer = self.once(&lines(route, body))?;
        let answer: SearchesAnswer<'_> =
            serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("searches"))?;
        Ok(answer.responses.into_iter().map(found).collect())
    }
}

/// One answer. Only a search that truly succeeded has found nothing; a missing index holds nothing.
fn found(answer: &RawValue) -> Single<Found> {
    let garbled = || Trouble::garbled("a search");
    let answer: SearchAnswer<'_> = serde_json::from_str(answer.get()).map_err(|_| garbled())?;
    if let Some(error) = answer.error {
        let cause = Cause::read(error);
        let status = answer.status.unwrap_or(503);
        return if status == 404 && cause.is_missing_index() {
            Ok(Found { no_index: true, ..Found::default() })
        } else {
            Err(Trouble::failed(status, cause.text()))
        };
    }
    let (timed_out, shards) = (answer.timed_out.ok_or_else(garbled)?, answer.shards.ok_or_else(garbled)?);
    let failed = shards.failed.ok_or_else(garbled)?;
    if timed_out || failed > 0 {
        let reason =
            if timed_out { "the search timed out".into() } else { format!("{failed} shards failed") };
        return Err(Trouble::unknown(reason));
    }
    let hits = answer.hits.ok_or_else(garbled)?.hits.into_iter().map(HitAnswer::hit).collect();
    Ok(Found { hits, aggregations: answer.aggregations.map(RawValue::to_owned), no_index: false })
}

impl HitAnswer<'_> {
    /// The hit, whatever of it was asked for.
    pub(super) fn hit(self) -> Hit {
        let fields = self.fields.and_then(|fields| serde_json::from_str::<PlaceField>(fields.get()).ok());
        let place = fields.and_then(|fields| fields.place);
        let place = place.and_then(|(at, count)| Some((at.try_into().ok()?, count.try_into().ok()?)));
        Hit {
            id: self.id.into_owned(),
            seq_no: self.seq_no.unwrap_or(-1),
            source: self.source.map_or_else(|| raw(&json!({})), RawValue::to_owned),
            sort: self.sort.map(RawValue::to_owned),
            place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Single<Found> {
        found(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn only_a_search_that_succeeded_has_found_nothing() {
        let nothing = r#"{"status":200,"timed_out":false,"_shards":{"failed":0},"hits":{"hits":[]}}"#;
        assert!(read(nothing).unwrap().hits.is_empty());
        let missing = r#"{"status":404,"error":{"type":"index_not_found_exception"}}"#;
        assert!(read(missing).unwrap().hits.is_empty());
        for unknown in [
            "{}",
            r#"{"status":200}"#,
            r#"{"status":503,"error":{"type":"no_shard_available_action_exception"}}"#,
            r#"{"status":404,"error":{"type":"other"}}"#,
            r#"{"status":200,"timed_out":true,"_shards":{"failed":0},"hits":{"hits":[]}}"#,
            r#"{"status":200,"timed_out":false,"_shards":{"failed":1},"hits":{"hits":[]}}"#,
            r#"{"status":200,"timed_out":false,"hits":{"hits":[]}}"#,
            r#"{"status":200,"_shards":{"failed":0},"hits":{"hits":[]}}"#,
            r#"{"status":200,"timed_out":false,"_shards":{"failed":0}}"#,
        ] {
            assert!(read(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_hit_is_read_whatever_of_it_was_asked_for() {
        let answer = r#"{"timed_out":false,"_shards":{"failed":0},"hits":{"hits":[
            {"_id":"a","_seq_no":7,"_source":{"x": 1.0},"sort":[7],"fields":{"place":[-1,3]}},
            {"_id":"b\n","fields":{"other":[1]}}]}}"#;
        let hits = read(answer).unwrap().hits;
        assert_eq!((hits[0].id.as_str(), hits[0].seq_no, hits[0].source.get()), ("a", 7, r#"{"x": 1.0}"#));
        assert_eq!((hits[0].sort.as_ref().unwrap().get(), hits[0].place), ("[7]", None));
        assert_eq!((hits[1].id.as_str(), hits[1].seq_no, hits[1].source.get()), ("b\n", -1, "{}"));
    }
}
