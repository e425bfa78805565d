//! Artifacts: documents as Kibana writes them, each with its body in base64.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Elastic;
use super::bulk::{Item, Outcome, Refresh};
use super::failure::Trouble;
use super::indices::Index;
use super::search::{Hit, Search, all_of, term};
use crate::model::raw::raw;
use crate::model::{ArtifactBody, ArtifactFacts, ArtifactId, NewArtifact};
use crate::store::{Answer, StoreError, StoreResult};

/// Artifacts in one answer of a list.
const ARTIFACTS_PER_PAGE: usize = 1_000;
/// Artifacts in all.
const ARTIFACTS_MAX: usize = 10_000;

/// What of a document is asked for when it is to be sent.
#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    encoded_sha256: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    facts: &'a ArtifactFacts,
    body: String,
}

impl Elastic {
    /// The body of an artifact. One that is no base64 is not what its document says.
    pub(super) fn artifact_body(&self, id: &ArtifactId) -> StoreResult {
        let body = json!({
            "query": of(id),
            "size": 1,
            "track_total_hits": false,
            "_source": ["body", "encoded_sha256"],
        });
        let found = self.search(Search::new(Index::Artifacts, body))?;
        let Some(hit) = found.hits.into_iter().next() else { return Ok(Answer::ArtifactBody(None)) };
        let stored: Stored<'_> =
            serde_json::from_str(hit.source.get()).map_err(|_| Trouble::garbled("an artifact").error)?;
        let hash = stored.encoded_sha256.unwrap_or_default();
        let decoded = STANDARD.decode(stored.body.unwrap_or_default().as_bytes());
        // the document's text goes before the body is made one that many share
        drop(hit);
        Ok(Answer::ArtifactBody(Some(match decoded {
            Ok(bytes) => ArtifactBody::found(bytes.into(), &hash),
            Err(_) => ArtifactBody { bytes: Arc::default(), is_intact: false },
        })))
    }

    /// All artifacts, without their bodies.
    pub(super) fn artifacts(&self) -> StoreResult {
        self.refresh(Index::Artifacts)?;
        let ascending = json!({"order": "asc", "unmapped_type": "keyword"});
        let body = json!({
            "query": {"match_all": {}},
            "sort": [{"identifier": ascending}, {"decoded_sha256": ascending}],
            "size": ARTIFACTS_PER_PAGE,
            "track_total_hits": false,
            "_source": {"excludes": ["body"]},
        });
        let mut artifacts = Vec::new();
        self.walk(Index::Artifacts, body, |hit| {
            match serde_json::from_str(hit.source.get()) {
                Ok(facts) => artifacts.push(facts),
                Err(error) => ::log::warn!("the artifact {} is left out: {error}", hit.id),
            }
            if artifacts.len() < ARTIFACTS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(Answer::Artifacts(artifacts))
    }

    /// Keeps an artifact in place of those that have its name.
    pub(super) fn put_artifact(&self, artifact: &NewArtifact) -> StoreResult {
        self.ensure(Index::Artifacts)?;
        let facts = &artifact.facts;
        let document = raw(&Document { facts, body: STANDARD.encode(&artifact.body) });
        let index = self.indices.name(Index::Artifacts);
        let id = document_id(facts);
        let others = self.named(&facts.id())?.into_iter().filter(|hit| hit.id != id);
        let mut items: Vec<Item> = others.map(|hit| Item::delete(index, &hit.id)).collect();
        items.push(Item::put(index, &id, document.get()));
        self.bulk(&items, Refresh::Now).into_iter().collect::<Result<Vec<Outcome>, _>>()?;
        Ok(Answer::Done)
    }

    /// Removes an artifact.
    pub(super) fn delete_artifact(&self, id: &ArtifactId) -> StoreResult {
        self.refresh(Index::Artifacts)?;
        let hits = self.named(id)?;
        if hits.is_empty() {
            return Err(StoreError::NotFound);
        }
        let index = self.indices.name(Index::Artifacts);
        let items: Vec<Item> = hits.iter().map(|hit| Item::delete(index, &hit.id)).collect();
        self.bulk(&items, Refresh::Now).into_iter().collect::<Result<Vec<Outcome>, _>>()?;
        Ok(Answer::Done)
    }

    /// The documents of that name; whoever made them, there should be one.
    fn named(&self, id: &ArtifactId) -> Result<Vec<Hit>, StoreError> {
        let body = json!({"query": of(id), "size": 10, "track_total_hits": false, "_source": false});
        Ok(self.search(Search::new(Index::Artifacts, body))?.hits)
    }
}

fn of(id: &ArtifactId) -> Value {
    all_of(&[term("decoded_sha256", &id.decoded_sha256), term("identifier", &id.identifier)])
}

/// As Kibana makes it.
fn document_id(facts: &ArtifactFacts) -> String {
    format!("{}:{}-{}", facts.package_name, facts.identifier, facts.decoded_sha256)
}
