//! Many writes in one request, each with an answer of its own. Every write here may be repeated: it creates under an id of
//! ours, sets fields to given values, or deletes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Elastic;
use super::ask::{Single, lines};
use super::client::Request;
use super::failure::{Cause, Cure, Trouble};
use super::script::Script;
use crate::store::StoreError;

/// Bytes of one request; a single larger write goes alone. Five thousand heartbeats fit in.
const BULK_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How often the cluster repeats an update that met another.
const RETRY_ON_CONFLICT: u32 = 3;
/// Longest `_id` that Elasticsearch takes.
const ID_BYTES_MAX: usize = 512;
/// Nothing else of the answer is read.
const ANSWER: &str = "filter_path=errors,items.*.status,items.*.error,items.*._seq_no";

/// What is answered to so many writes is small: some 40 bytes each.
const ITEMS_SMALL: usize = 16;

/// Whether there can be a document of this id. One that cannot be would fail the whole request.
pub(super) fn is_id(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len())
}

/// Whether what is written is found by the next search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// At once.
    Now,
    /// When the index is refreshed next.
    Later,
}

/// One write.
pub(super) struct Item {
    /// Of the document.
    id: String,
    /// The line that says what, and that with the document or the script, if there is one.
    lines: String,
    /// Why it is not sent at all.
    refused: Option<StoreError>,
}

/// What came of one write that the cluster has seen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// 200 or 201; 404 if there is no such document; 409 if one is there that should not be, or that changed.
    pub(super) status: u16,
    /// Of the document after it.
    pub(super) seq_no: Option<i64>,
}

/// A document as it was read: a write that depends on it meets 409 if another came in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// `_seq_no`.
    pub(super) seq_no: i64,
    /// `_primary_term`.
    pub(super) primary_term: i64,
}

#[derive(Serialize)]
struct Target<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_on_conflict: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_seq_no: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_primary_term: Option<i64>,
}

impl Item {
    /// A new document; 409 if there is one.
    pub(super) fn create(index: &str, id: &str, document: &str) -> Self {
        Item::new("create", Target::new(index, id), Some(document))
    }

    /// A whole document, in place of one of that id.
    pub(super) fn put(index: &str, id: &str, document: &str) -> Self {
        Item::new("index", Target::new(index, id), Some(document))
    }

    /// A whole document in place of the one that was read; 409 if that changed.
    pub(super) fn replace(index: &str, id: &str, read: Version, document: &str) -> Self {
        let target = Target {
            if_seq_no: Some(read.seq_no),
            if_primary_term: Some(read.primary_term),
            ..Target::new(index, id)
        };
        Item::new("index", target, Some(document))
    }

    /// What a script makes of a document; 404 if there is none.
    pub(super) fn update(index: &str, id: &str, script: Script, params: &impl Serialize) -> Self {
        let target = Target { retry_on_conflict: Some(RETRY_ON_CONFLICT), ..Target::new(index, id) };
        Item::new("update", target, Some(&script.with(params)))
    }

    /// The end of a document; 404 if there is none.
    pub(super) fn delete(index: &str, id: &str) -> Self {
        Item::new("delete", Target::new(index, id), None)
    }

    fn new(action: &str, target: Target<'_>, body: Option<&str>) -> Self {
        let id = target.id.to_owned();
        let refused = (!is_id(target.id)).then(|| StoreError::Failed {
            status: 400,
            reason: format!("an id of {} bytes: at least 1 and at most {ID_BYTES_MAX}", target.id.len()),
        });
        // our own types always have a JSON text
        let target = serde_json::to_string(&target).unwrap_or_default();
        let mut lines = format!("{{\"{action}\":{target}}}\n");
        if let Some(body) = body {
            lines.reserve_exact(body.len() + 1);
            // between the tokens of JSON a line break is a blank; within a text it cannot be
            match body.contains(['\n', '\r']) {
                true => lines.push_str(&body.replace(['\n', '\r'], " ")),
                false => lines.push_str(body),
            }
            lines.push('\n');
        }
        Item { id, lines, refused }
    }
}

impl<'a> Target<'a> {
    fn new(index: &'a str, id: &'a str) -> Self {
        Target { index, id, retry_on_conflict: None, if_seq_no: None, if_primary_term: None }
    }
}

#[derive(Deserialize)]
struct BulkAnswer<'a> {
    #[serde(borrow)]
    items: Vec<ItemAnswer<'a>>,
}

/// One entry: `{"update":{"status":200}}`.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ItemAnswer<'a> {
    #[serde(borrow)]
    Create(ItemOutcome<'a>),
    #[serde(borrow)]
    Index(ItemOutcome<'a>),
    #[serde(borrow)]
    Update(ItemOutcome<'a>),
    #[serde(borrow)]
    Delete(ItemOutcome<'a>),
}

#[derive(Deserialize)]
struct ItemOutcome<'a> {
    status: u16,
    #[serde(rename = "_seq_no")]
    seq_no: Option<i64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Elastic {
    /// Writes all, in their order, in as few requests as their size allows; what came of each in its place.
    pub(super) fn bulk(&self, items: &[Item], refresh: Refresh) -> Vec<Result<Outcome, StoreError>> {
        let mut answers: Vec<Option<Result<Outcome, StoreError>>> =
            items.iter().map(|item| item.refused.clone().map(Err)).collect();
        for round in rounds(items) {
            let sent: Vec<&Item> = round.iter().map(|place| &items[*place]).collect();
            for (place, answer) in round.iter().zip(self.grouped(&sent, |part| self.bulk_once(part, refresh)))
            {
                answers[*place] = Some(answer);
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(Trouble::garbled("a write").error)))
            .collect()
    }

    /// One write.
    pub(super) fn write_one(&self, item: Item, refresh: Refresh) -> Result<Outcome, StoreError> {
        self.bulk(&[item], refresh).pop().unwrap_or_else(|| Err(Trouble::garbled("a write").error))
    }

    fn bulk_once(&self, items: &[&&Item], refresh: Refresh) -> Single<Vec<Single<Outcome>>> {
        let bytes: usize = items.iter().map(|item| item.lines.len()).sum();
        let too_large =
            u64::try_from(bytes).is_ok_and(|bytes| bytes > self.request_bytes_max.load(Ordering::Relaxed));
        if too_large || (bytes > BULK_BYTES_MAX && items.len() > 1) {
            return Err(Trouble::failed(413, format!("{bytes} bytes are more than max_content_length")));
        }
        let mut body = String::with_capacity(bytes);
        items.iter().for_each(|item| body.push_str(&item.lines));
        let refresh = if refresh == Refresh::Now { "&refresh=true" } else { "" };
        let small_answer = items.len() <= ITEMS_SMALL;
        let request = Request { small_answer, ..lines(format!("/_bulk?{ANSWER}{refresh}"), body) };
        let answer = self.once(&request)?;
        let answer: BulkAnswer<'_> =
            serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("writes"))?;
        Ok(answer.items.into_iter().map(ItemAnswer::judge).collect())
    }
}

/// The places of what can be sent, in rounds that follow one another: of the writes to one document each has a round of its
/// own, so that one that has to wait is not overtaken by a later one. Nearly always that is a single round.
fn rounds(items: &[Item]) -> Vec<Vec<usize>> {
    let mut earlier: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for (place, item) in items.iter().enumerate().filter(|(_, item)| item.refused.is_none()) {
        let round = earlier.entry(&item.id).and_modify(|round| *round += 1).or_default();
        if rounds.len() <= *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(place);
    }
    rounds
}

impl ItemAnswer<'_> {
    /// 404 and 409 mean something else for each kind of write: who asked for it knows.
    fn judge(self) -> Single<Outcome> {
        let (outcome, is_update, makes) = match self {
            ItemAnswer::Create(outcome) | ItemAnswer::Index(outcome) => (outcome, false, true),
            ItemAnswer::Delete(outcome) => (outcome, false, false),
            ItemAnswer::Update(outcome) => (outcome, true, false),
        };
        match outcome.status {
            // there is no index that it could be written to, and the cluster makes none
            404 if makes => {
                let trouble = outcome.trouble(Cure::None);
                Err(Trouble { error: StoreError::Unavailable(trouble.error.to_string()), ..trouble })
            }
            // it met others again and again: they will be done soon
            409 if is_update => Err(outcome.trouble(Cure::Wait)),
            status @ (200..300 | 404 | 409) => Ok(Outcome { status, seq_no: outcome.seq_no }),
            // the others of its request have been written: to ask for it in parts makes no sense
            _ => Err(outcome.trouble(Cure::None)),
        }
    }
}

impl ItemOutcome<'_> {
    fn trouble(self, otherwise: Cure) -> Trouble {
        let cause = self.error.map(Cause::read).unwrap_or_default();
        let trouble = Trouble::failed(self.status, cause.text());
        let cure = if trouble.cure == Cure::Wait { Cure::Wait } else { otherwise };
        Trouble { cure, ..trouble }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_one_line_or_two_whatever_is_in_it() {
        let item = Item::create("i", "a\n\"b", "{\"x\":\n 1,\r\n\"y\":\"\\n\"}");
        assert_eq!(
            item.lines,
            "{\"create\":{\"_index\":\"i\",\"_id\":\"a\\n\\\"b\"}}\n{\"x\":  1,  \"y\":\"\\n\"}\n"
        );
        assert_eq!(Item::delete("i", "a").lines, "{\"delete\":{\"_index\":\"i\",\"_id\":\"a\"}}\n");
    }

    #[test]
    fn writes_to_one_document_follow_one_another() {
        let items = ["a", "b", "a", "c", "", "a"].map(|id| Item::delete("i", id));
        assert_eq!(rounds(&items), [vec![0, 1, 3], vec![2], vec![5]]);
        assert!(rounds(&[]).is_empty());
    }

    #[test]
    fn an_id_that_cannot_be_is_not_sent() {
        assert!(Item::delete("i", "").refused.is_some());
        assert!(Item::delete("i", &"x".repeat(513)).refused.is_some());
        assert!(Item::delete("i", &"x".repeat(512)).refused.is_none());
    }
}
