//! Artifacts: a document and a body each.

use std::sync::Arc;

use rusqlite::params;

use super::fault::{Fault, Outcome};
use super::read::Reader;
use super::writer::Transaction;
use crate::model::{ArtifactBody, ArtifactFacts, ArtifactId, NewArtifact};
use crate::store::{Answer, StoreError};

/// Artifacts in a list; those beyond are not shown.
const ARTIFACTS_LISTED_MAX: i64 = 10_000;

impl Reader<'_> {
    pub(super) fn artifact_body(&self, id: &ArtifactId) -> Outcome {
        let sql = "SELECT document, body FROM artifacts WHERE identifier = ?1 AND decoded_sha256 = ?2";
        let mut select = self.sql.prepare_cached(sql)?;
        let mut rows = select.query([&id.identifier, &id.decoded_sha256])?;
        let Some(row) = rows.next()? else { return Ok(Answer::ArtifactBody(None)) };
        let document = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        let facts: ArtifactFacts = serde_json::from_str(document)?;
        let bytes: Arc<[u8]> = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?.into();
        // SQLite's own copy of the body goes before the hash is made
        drop(rows);
        Ok(Answer::ArtifactBody(Some(ArtifactBody::found(bytes, &facts.encoded_sha256))))
    }

    pub(super) fn artifacts(&self) -> Outcome {
        let sql = "SELECT document FROM artifacts ORDER BY identifier, decoded_sha256 LIMIT ?1";
        let mut select = self.sql.prepare_cached(sql)?;
        let documents = select.query_map([ARTIFACTS_LISTED_MAX], |row| row.get::<_, String>(0))?;
        let read = |document: rusqlite::Result<String>| Ok(serde_json::from_str(&document?)?);
        let artifacts = documents.map(read).collect::<Result<Vec<ArtifactFacts>, Fault>>()?;
        Ok(Answer::Artifacts(artifacts))
    }
}

impl Transaction<'_> {
    pub(super) fn put_artifact(&mut self, artifact: &NewArtifact) -> Outcome {
        let facts = &artifact.facts;
        let sql = "INSERT INTO artifacts (identifier, decoded_sha256, document, body) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (identifier, decoded_sha256) DO UPDATE SET document = ?3, body = ?4";
        let document = serde_json::to_string(facts)?;
        self.execute(sql, params![facts.identifier, facts.decoded_sha256, document, &*artifact.body])?;
        Ok(Answer::Done)
    }

    pub(super) fn delete_artifact(&mut self, id: &ArtifactId) -> Outcome {
        let sql = "DELETE FROM artifacts WHERE identifier = ?1 AND decoded_sha256 = ?2";
        match self.execute(sql, [&id.identifier, &id.decoded_sha256])? {
            0 => Err(StoreError::NotFound.into()),
            _ => Ok(Answer::Done),
        }
    }
}
