//! The one writer: a batch is a transaction, a commit is a sync, answers come after it.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::{Fault, Outcome, misplaced, unavailable};
use crate::model::{ApiKey, EnrollmentToken};
use crate::store::news::{News, PolicyMark};
use crate::store::{Answer, Operation, StoreError, StoreResult, documents, keys};
use crate::time::Timestamp;

/// Name of the token that the first start makes.
const FIRST_TOKEN_NAME: &str = "Default";

/// Owns the writing connection.
pub(super) struct Writer {
    connection: Connection,
    /// As of the last commit.
    sequences: Sequences,
}

/// `_seq_no` of the newest write or delete of each index; -1 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequences {
    pub(super) agents: i64,
    pub(super) actions: i64,
    pub(super) policies: i64,
}

/// A transaction under way.
pub(super) struct Transaction<'a> {
    pub(super) sql: &'a Connection,
    pub(super) sequences: Sequences,
    /// For the watch, once committed.
    pub(super) policies: BTreeMap<String, PolicyMark>,
}

impl Writer {
    /// Takes over a connection to a database with our tables.
    pub(super) fn new(connection: Connection) -> rusqlite::Result<Self> {
        let sequences = Sequences::read(&connection)?;
        Ok(Writer { connection, sequences })
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// `_seq_no` of the newest write or delete of an action, as committed.
    pub(super) fn actions_checkpoint(&self) -> i64 {
        self.sequences.actions
    }

    /// Runs all operations in one transaction; each fails alone, or all with the disk.
    pub(super) fn batch(&mut self, news: &News, batch: Vec<Operation>) -> Vec<StoreResult> {
        let count = batch.len();
        let run = |transaction: &mut Transaction<'_>| {
            batch
                .into_iter()
                .map(|operation| transaction.isolated(operation))
                .collect::<Result<Vec<_>, Fault>>()
        };
        self.transact(news, run).unwrap_or_else(|error| vec![Err(error); count])
    }

    /// Runs `body` in a transaction and commits what it did. If it fails nothing is changed.
    pub(super) fn transact<T>(
        &mut self,
        news: &News,
        body: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let result = self.commit(body);
        match &result {
            Ok((_, policies)) => {
                news.committed(policies.clone(), self.sequences.actions);
                news.health(Ok(()));
            }
            Err(fault) => {
                self.roll_back();
                if let Fault::Trouble(error) = fault {
                    news.health(Err(&unavailable(error).to_string()));
                }
            }
        }
        Ok(result?.0)
    }

    /// Whether a commit works, without changing anything.
    pub(super) fn probe(&mut self, news: &News) {
        // an update to the same value still writes its page
        let touch = |transaction: &mut Transaction<'_>| {
            transaction.execute("UPDATE sequences SET last = last WHERE name = 'agents'", [])?;
            Ok(())
        };
        // the outcome is told through the news
        let _ = self.transact(news, touch);
    }

    /// Remembers that the operator was told of what the first start made.
    pub(super) fn has_greeted(&mut self, news: &News) -> Result<(), StoreError> {
        let greeted = |transaction: &mut Transaction<'_>| {
            transaction.execute("UPDATE sequences SET last = 1 WHERE name = 'greeted'", [])?;
            Ok(())
        };
        self.transact(news, greeted)
    }

    /// Copies the WAL into the database and cuts it to nothing, unless a reader still needs it.
    pub(super) fn truncate_wal(&self) {
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            log::warn!("the embedded store could not shorten its log: {error}");
        }
    }

    fn commit<T>(
        &mut self,
        body: impl FnOnce(&mut Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<(T, BTreeMap<String, PolicyMark>), Fault> {
        if !self.connection.is_autocommit() {
            // left open by a panic
            self.connection.execute_batch("ROLLBACK")?;
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut transaction =
            Transaction { sql: &self.connection, sequences: self.sequences, policies: BTreeMap::new() };
        let value = body(&mut transaction)?;
        let Transaction { sequences, policies, .. } = transaction;
        sequences.write(&self.connection, self.sequences)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.sequences = sequences;
        Ok((value, policies))
    }

    fn roll_back(&mut self) {
        // SQLite has rolled back by itself after most troubles
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::error!("the embedded store could not roll back: {error}");
        }
    }
}

impl Sequences {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let last = |name: &str| {
            connection.query_row("SELECT last FROM sequences WHERE name = ?1", [name], |row| row.get(0))
        };
        Ok(Sequences { agents: last("agents")?, actions: last("actions")?, policies: last("policies")? })
    }

    fn write(self, connection: &Connection, before: Self) -> rusqlite::Result<()> {
        let mut update = connection.prepare_cached("UPDATE sequences SET last = ?2 WHERE name = ?1")?;
        let each = [
            ("agents", before.agents, self.agents),
            ("actions", before.actions, self.actions),
            ("policies", before.policies, self.policies),
        ];
        for (name, before, after) in each {
            if before != after {
                update.execute(params![name, after])?;
            }
        }
        Ok(())
    }
}

impl Transaction<'_> {
    /// Runs one operation; if it fails by itself nothing of it is left.
    fn isolated(&mut self, operation: Operation) -> Result<StoreResult, Fault> {
        let sequences = self.sequences;
        self.execute("SAVEPOINT operation", [])?;
        let outcome = match self.apply(operation) {
            Err(Fault::Trouble(error)) => return Err(Fault::Trouble(error)),
            Err(Fault::Own(error)) => {
                self.execute("ROLLBACK TO operation", [])?;
                self.sequences = sequences;
                Err(error)
            }
            Ok(answer) => Ok(answer),
        };
        self.execute("RELEASE operation", [])?;
        Ok(outcome)
    }

    fn apply(&mut self, operation: Operation) -> Outcome {
        use Operation::*;
        match operation {
            Enroll(enrollment) => self.enroll(*enrollment),
            UndoEnrollment { agent, access_key, created } => {
                self.undo_enrollment(&agent, &access_key, created)
            }
            CreateAgent { agent, document } => self.create_agent(&agent, &document),
            UpdateAgent { agent, patch } => self.update_agent(&agent, &patch),
            CheckIn { agent, at, patch } | Upgrading { agent, at, patch } => {
                self.check_in(&agent, at, &patch)
            }
            Heartbeats { agents, at } => self.heartbeats(&agents, at),
            PolicyAcknowledged { agent, policy_id, revision_idx, at } => {
                self.policy_acknowledged(&agent, &policy_id, revision_idx, at)
            }
            CreateResult(result) => self.create_result(&result),
            InvalidateKeys(ids) => self.invalidate_keys(&ids),
            SetSecret(secret) => self.set_secret(secret),
            RetireKeys(keys) => self.retire_keys(&keys),
            // there is nothing to clean where none are made, and nobody else has ever written here
            CleanOutputKeys(_) | MindOutputs { .. } | MigrateAgents { .. } => Ok(Answer::Done),
            CreateRevision(policy) => self.create_revision(&policy),
            DeletePolicy(policy_id) => self.delete_policy(&policy_id),
            CreateToken { policy_id, name, at } => self.create_token(&policy_id, &name, at),
            RevokeToken(api_key_id) => self.revoke_token(&api_key_id),
            CreateAction(action) => self.create_action(*action),
            PutArtifact(artifact) => self.put_artifact(&artifact),
            DeleteArtifact(id) => self.delete_artifact(&id),
            _ => Err(misplaced().into()),
        }
    }

    /// Runs one statement; how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.sql.prepare_cached(sql)?.execute(params)
    }

    /// Makes a key and keeps its hash.
    pub(super) fn make_key(&self) -> Result<ApiKey, Fault> {
        let (key, sealed) = keys::make(&keys::random_bytes()?);
        self.execute(
            "INSERT INTO keys (id, salt, hash) VALUES (?1, ?2, ?3)",
            params![key.id, sealed.salt, sealed.hash],
        )?;
        Ok(key)
    }

    /// Makes a key unusable; that there is none is fine.
    pub(super) fn delete_key(&self, id: &str) -> rusqlite::Result<()> {
        self.execute("DELETE FROM keys WHERE id = ?1", [id]).map(drop)
    }
}

/// Writes what the first start gives: the default policy and a token for it.
pub(super) fn first_start(sql: &Connection, now: Timestamp) -> Result<Option<Box<EnrollmentToken>>, Fault> {
    let before = Sequences::read(sql)?;
    let mut transaction = Transaction { sql, sequences: before, policies: BTreeMap::new() };
    let policy = documents::default_policy(now);
    transaction.create_revision(&policy)?;
    let answer = transaction.create_token(&policy.policy_id, FIRST_TOKEN_NAME, now)?;
    transaction.sequences.write(sql, before)?;
    transaction.execute("UPDATE sequences SET last = 0 WHERE name = 'greeted'", [])?;
    match answer {
        Answer::Token(token) => Ok(token),
        _ => Ok(None),
    }
}

/// The token of a first start that ended before anybody was told of it.
pub(super) fn not_greeted(sql: &Connection) -> Result<Option<Box<EnrollmentToken>>, Fault> {
    let greeted = "SELECT 1 FROM sequences WHERE name = 'greeted' AND last = 0";
    if !sql.prepare_cached(greeted)?.exists([])? {
        return Ok(None);
    }
    let mut tokens = sql.prepare_cached("SELECT document FROM tokens ORDER BY number LIMIT 1")?;
    let document: Option<String> = tokens.query_row([], |row| row.get(0)).optional()?;
    let token: Option<EnrollmentToken> = document.as_deref().map(serde_json::from_str).transpose()?;
    Ok(token.filter(|token| token.active).map(Box::new))
}
