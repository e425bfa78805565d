//! What reads: look-ups, searches and reports, on any connection.

use std::cell::Cell;

use rusqlite::Connection;

use super::fault::{Outcome, misplaced, unavailable};
use crate::store::{Answer, Operation, StoreResult};

/// Borrows a connection to read from it.
pub(super) struct Reader<'a> {
    pub(super) sql: &'a Connection,
    /// What it read is no database.
    damage: Cell<bool>,
}

impl<'a> Reader<'a> {
    /// Reads from `sql`.
    pub(super) fn new(sql: &'a Connection) -> Self {
        Reader { sql, damage: Cell::new(false) }
    }

    /// Whether something that was read is damaged: that stays, whatever else can be read and written.
    pub(super) fn has_met_damage(&self) -> bool {
        self.damage.get()
    }

    /// Answers all of `batch` as of one moment, not earlier than this call.
    pub(super) fn batch(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        if batch.len() == 1 {
            return batch.into_iter().map(|operation| self.one(operation)).collect();
        }
        // a transaction of its own for each statement would take the locks as often
        if let Err(error) = self.begin() {
            return vec![Err(unavailable(&error)); batch.len()];
        }
        let answers = batch.into_iter().map(|operation| self.one(operation)).collect();
        if let Err(error) = self.sql.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) {
            log::error!("the embedded store could not end a read: {error}");
        }
        answers
    }

    fn begin(&self) -> rusqlite::Result<()> {
        if !self.sql.is_autocommit() {
            // an earlier read could not be ended; its moment is over
            self.sql.execute_batch("ROLLBACK")?;
        }
        self.sql.prepare_cached("BEGIN")?.execute([]).map(drop)
    }

    /// Answers one operation.
    pub(super) fn one(&self, operation: Operation) -> StoreResult {
        self.answer(operation).map_err(|fault| {
            if fault.is_damage() {
                self.damage.set(true);
            }
            fault.into()
        })
    }

    fn answer(&self, operation: Operation) -> Outcome {
        use Operation::*;
        match operation {
            Authenticate(key) => self.authenticate(&key),
            AgentById(id) | AgentCheckingIn(id) => self.agent_by_id(&id),
            AgentWhole(id) => self.agent_whole(&id),
            AgentByEnrollmentId(enrollment_id) => self.agent_by_enrollment_id(&enrollment_id),
            AgentByAccessKey(key_id) => self.agent_by_access_key(&key_id),
            TokenByKey(key_id) => Ok(Answer::Token(self.token(&key_id)?.map(Box::new))),
            Secrets(ids) => self.secrets(&ids),
            PendingActions { agent, after, up_to, now } => self.pending_actions(&agent, after, up_to, now),
            ActionById(action_id) => self.action(&action_id),
            ActionSeqNo(document_id) => self.action_seq_no(&document_id),
            ActionsCheckpoint => self.actions_checkpoint(),
            LatestPolicies => Ok(Answer::Policies(self.newest_policies()?)),
            PolicyRevision { policy_id, revision_idx } => {
                Ok(Answer::Policy(self.policy(&policy_id, revision_idx)?))
            }
            Tokens => self.tokens(),
            Agents { policy_id, from, limit, with_metadata } => {
                self.agents(policy_id.as_deref(), &from, limit, with_metadata)
            }
            Actions { limit } => self.newest_actions(limit),
            ActionDocuments(action_id) => self.action_documents(&action_id),
            ResultsOfAction(action_id) => self.results(&action_id),
            ArtifactBody(id) => self.artifact_body(&id),
            Artifacts => self.artifacts(),
            _ => Err(misplaced().into()),
        }
    }
}
