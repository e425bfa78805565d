//! Artifacts: a document and a body each.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};

use super::fault::{Fault, Outcome};
use super::read::Reader;
use super::writer::Transaction;
use crate::model::{ArtifactBody, ArtifactFacts, ArtifactId, NewArtifact};
use crate::store::{Answer, StoreError};

/// Artifacts in a list; those beyond are not shown.
const ARTIFACTS_LISTED_MAX: i64 = 10_000;

impl Reader<'_> {
    /// As of one moment, so that document and body belong together.
    pub(super) fn artifact_body(&self, id: &ArtifactId) -> Outcome {
        let moment = self.sql.unchecked_transaction()?;
        let stored = self.artifact(id)?;
        moment.commit()?;
        let found = stored.map(|stored| ArtifactBody::found(stored.body, &stored.facts.encoded_sha256));
        Ok(Answer::ArtifactBody(found))
    }

    /// The body is read into the memory that all will share: SQLite makes no copy of its own.
    fn artifact(&self, id: &ArtifactId) -> Result<Option<NewArtifact>, Fault> {
        let sql = "SELECT number, length(body), document FROM artifacts WHERE identifier = ?1 AND decoded_sha256 = ?2";
        let mut select = self.sql.prepare_cached(sql)?;
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let row = select.query_row([&id.identifier, &id.decoded_sha256], row).optional()?;
        let Some((number, length, document)): Option<(i64, i64, String)> = row else { return Ok(None) };
        let facts: ArtifactFacts = serde_json::from_str(&document)?;
        let mut body: Arc<[u8]> = std::iter::repeat_n(0, usize::try_from(length).unwrap_or(0)).collect();
        let place = Arc::get_mut(&mut body).expect("nobody else has it yet");
        self.sql.blob_open("main", "artifacts", "body", number, true)?.read_at_exact(place, 0)?;
        Ok(Some(NewArtifact { facts, body }))
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
