//! Documents by id, as of this moment: many in one request.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Elastic;
use super::ask::{Single, json};
use super::bulk::{Version, is_id};
use super::client::Request;
use super::failure::{Cause, Trouble};
use super::indices::Index;
use crate::model::raw::Raw;
use crate::store::StoreError;

/// So many answers without sources are small: some 100 bytes each.
const VERSIONS_SMALL: usize = 8;

/// A document that is wanted.
pub(super) struct Wanted<'a> {
    /// In which index.
    pub(super) index: Index,
    /// Under which id.
    pub(super) id: &'a str,
    /// How much of it.
    pub(super) part: Part,
}

/// How much of a document is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All.
    Whole,
    /// Only that it is there, and its version.
    Version,
    /// This field.
    Field(&'static str),
    /// All but these fields.
    Without(&'static [&'static str]),
}

/// A document that is there.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// As it was read.
    pub(super) version: Version,
    /// What was wanted of it; an empty object where nothing was.
    pub(super) source: Raw,
}

#[derive(Serialize)]
struct Lookups<'a> {
    docs: Vec<Lookup<'a>>,
}

#[derive(Serialize)]
struct Lookup<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(rename = "_source", skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
}

/// Which part of the source.
#[derive(Serialize)]
#[serde(untagged)]
enum Source {
    None(bool),
    Fields([&'static str; 1]),
    AllBut { excludes: &'static [&'static str] },
}

#[derive(Deserialize)]
struct LookupsAnswer<'a> {
    #[serde(borrow)]
    docs: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct LookupAnswer<'a> {
    found: Option<bool>,
    #[serde(rename = "_seq_no")]
    seq_no: Option<i64>,
    #[serde(rename = "_primary_term")]
    primary_term: Option<i64>,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Elastic {
    /// Each document wanted, or `None` where there is positively none.
    pub(super) fn look_up(&self, wanted: &[Wanted<'_>]) -> Vec<Result<Option<Document>, StoreError>> {
        let possible: Vec<&Wanted<'_>> = wanted.iter().filter(|wanted| is_id(wanted.id)).collect();
        let mut found = self.grouped(&possible, |part| self.look_up_once(part)).into_iter();
        let answer = |wanted: &Wanted<'_>| match is_id(wanted.id) {
            true => found.next().unwrap_or_else(|| Err(Trouble::garbled("a look-up").error)),
            false => Ok(None),
        };
        wanted.iter().map(answer).collect()
    }

    /// One document.
    pub(super) fn look_up_one(&self, wanted: Wanted<'_>) -> Result<Option<Document>, StoreError> {
        self.look_up(&[wanted]).pop().unwrap_or(Ok(None))
    }

    fn look_up_once(&self, wanted: &[&&Wanted<'_>]) -> Single<Vec<Single<Option<Document>>>> {
        let docs = wanted.iter().map(|wanted| Lookup {
            index: self.indices.name(wanted.index),
            id: wanted.id,
            source: wanted.part.source(),
        });
        let small_answer =
            wanted.len() <= VERSIONS_SMALL && wanted.iter().all(|wanted| wanted.part == Part::Version);
        let request = Request { small_answer, ..json("POST", "/_mget", &Lookups { docs: docs.collect() }) };
        let answer = self.once(&request)?;
        let answer: LookupsAnswer<'_> =
            serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("look-ups"))?;
        let read = |(place, answer): (usize, &RawValue)| {
            let looked_up = looked_up(answer)?;
            if let (LookedUp::NoIndex, Some(wanted)) = (&looked_up, wanted.get(place)) {
                self.is_missing(wanted.index);
            }
            Ok(looked_up.document())
        };
        Ok(answer.docs.into_iter().enumerate().map(read).collect())
    }
}

impl Part {
    fn source(self) -> Option<Source> {
        match self {
            Part::Whole => None,
            Part::Version => Some(Source::None(false)),
            Part::Field(field) => Some(Source::Fields([field])),
            Part::Without(excludes) => Some(Source::AllBut { excludes }),
        }
    }
}

/// What a look-up came to.
enum LookedUp {
    Document(Document),
    NoDocument,
    NoIndex,
}

impl LookedUp {
    /// A missing index holds nothing.
    fn document(self) -> Option<Document> {
        match self {
            LookedUp::Document(document) => Some(document),
            LookedUp::NoDocument | LookedUp::NoIndex => None,
        }
    }
}

/// One answer. An error is no "none", but for a missing index.
fn looked_up(answer: &RawValue) -> Single<LookedUp> {
    let answer: LookupAnswer<'_> =
        serde_json::from_str(answer.get()).map_err(|_| Trouble::garbled("a look-up"))?;
    if let Some(error) = answer.error {
        let cause = Cause::read(error);
        return match cause.is_missing_index() {
            true => Ok(LookedUp::NoIndex),
            false => Err(Trouble::unknown(cause.text())),
        };
    }
    match (answer.found, answer.seq_no, answer.primary_term) {
        (Some(false), ..) => Ok(LookedUp::NoDocument),
        (Some(true), Some(seq_no), Some(primary_term)) => {
            let source = answer
                .source
                .map_or_else(|| crate::model::raw::raw(&serde_json::json!({})), RawValue::to_owned);
            Ok(LookedUp::Document(Document { version: Version { seq_no, primary_term }, source }))
        }
        _ => Err(Trouble::garbled("a look-up")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Single<Option<Document>> {
        looked_up(&RawValue::from_string(json.to_owned()).unwrap()).map(LookedUp::document)
    }

    #[test]
    fn only_what_says_so_is_none() {
        assert!(read(r#"{"found":false}"#).unwrap().is_none());
        assert!(read(r#"{"error":{"type":"index_not_found_exception"}}"#).unwrap().is_none());
        for unknown in [
            "{}",
            "7",
            r#"{"found":true}"#,
            r#"{"found":"no"}"#,
            r#"{"error":{"type":"no_shard_available_action_exception"}}"#,
            r#"{"error":7,"found":false}"#,
        ] {
            assert!(read(unknown).is_err(), "{unknown}");
        }
    }
}
