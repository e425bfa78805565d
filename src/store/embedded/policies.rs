//! Policies and enrollment tokens.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};

use super::fault::{Fault, Outcome};
use super::read::Reader;
use super::writer::Transaction;
use crate::model::{EnrollmentToken, Policy, raw};
use crate::store::{Answer, StoreError, documents};
use crate::time::Timestamp;

impl Transaction<'_> {
    pub(super) fn create_revision(&mut self, policy: &Policy) -> Outcome {
        let newer = "SELECT 1 FROM policies WHERE policy_id = ?1 AND revision_idx >= ?2";
        if self.sql.prepare_cached(newer)?.exists(params![policy.policy_id, policy.revision_idx])? {
            return Err(StoreError::Conflict.into());
        }
        self.sequences.policies += 1;
        self.execute(
            "INSERT INTO policies (policy_id, revision_idx, seq_no, written, unenroll_timeout, document)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                policy.policy_id,
                policy.revision_idx,
                self.sequences.policies,
                Timestamp::parse(&policy.timestamp).map(|time| time.0),
                policy.unenroll_timeout_seconds,
                documents::policy(policy).get(),
            ],
        )?;
        self.policies.entry(policy.policy_id.clone()).or_default();
        Ok(Answer::Done)
    }

    pub(super) fn delete_policy(&mut self, policy_id: &str) -> Outcome {
        let revisions = self.execute("DELETE FROM policies WHERE policy_id = ?1", [policy_id])?;
        self.sequences.policies += i64::try_from(revisions).unwrap_or(i64::MAX);
        for token in self.tokens_of(policy_id)? {
            self.deactivate(token)?;
        }
        if revisions > 0 {
            self.policies.entry(policy_id.to_owned()).or_default().deleted = true;
        }
        Ok(Answer::Done)
    }

    pub(super) fn create_token(&mut self, policy_id: &str, name: &str, at: Timestamp) -> Outcome {
        let key = self.make_key()?;
        let token = documents::token(&key, policy_id, name, at);
        self.execute(
            "INSERT INTO tokens (api_key_id, policy_id, document) VALUES (?1, ?2, ?3)",
            params![token.api_key_id, token.policy_id, raw::raw(&token).get()],
        )?;
        Ok(Answer::Token(Some(Box::new(token))))
    }

    pub(super) fn revoke_token(&mut self, api_key_id: &str) -> Outcome {
        let token = Reader::new(self.sql).token(api_key_id)?.ok_or(StoreError::NotFound)?;
        self.deactivate(token)?;
        Ok(Answer::Done)
    }

    fn deactivate(&self, mut token: EnrollmentToken) -> Result<(), Fault> {
        token.active = false;
        self.execute(
            "UPDATE tokens SET document = ?2 WHERE api_key_id = ?1",
            params![token.api_key_id, raw::raw(&token).get()],
        )?;
        Ok(self.delete_key(&token.api_key_id)?)
    }

    fn tokens_of(&self, policy_id: &str) -> Result<Vec<EnrollmentToken>, Fault> {
        let mut select = self.sql.prepare_cached("SELECT document FROM tokens WHERE policy_id = ?1")?;
        let mut rows = select.query([policy_id])?;
        let mut tokens = Vec::new();
        while let Some(row) = rows.next()? {
            tokens.push(token(row)?);
        }
        Ok(tokens)
    }
}

impl Reader<'_> {
    pub(super) fn newest_policies(&self) -> Result<Vec<Arc<Policy>>, Fault> {
        let mut select = self.sql.prepare_cached(
            "SELECT document FROM policies
             WHERE (policy_id, revision_idx) IN (SELECT policy_id, max(revision_idx) FROM policies GROUP BY policy_id)
             ORDER BY policy_id",
        )?;
        let mut rows = select.query([])?;
        let mut policies = Vec::new();
        while let Some(row) = rows.next()? {
            policies.extend(policy(row)?);
        }
        Ok(policies)
    }

    /// A given revision, or the newest.
    pub(super) fn policy(
        &self,
        policy_id: &str,
        revision_idx: Option<i64>,
    ) -> Result<Option<Arc<Policy>>, Fault> {
        let mut select = self.sql.prepare_cached(
            "SELECT document FROM policies WHERE policy_id = ?1 AND revision_idx = coalesce(?2, revision_idx)
             ORDER BY revision_idx DESC LIMIT 1",
        )?;
        let mut rows = select.query(params![policy_id, revision_idx])?;
        rows.next()?.map_or(Ok(None), policy)
    }

    pub(super) fn token(&self, api_key_id: &str) -> Result<Option<EnrollmentToken>, Fault> {
        let mut select = self.sql.prepare_cached("SELECT document FROM tokens WHERE api_key_id = ?1")?;
        select.query_row([api_key_id], |row| Ok(token(row))).optional()?.transpose()
    }

    pub(super) fn tokens(&self) -> Outcome {
        let mut select = self.sql.prepare_cached("SELECT document FROM tokens ORDER BY number")?;
        let mut rows = select.query([])?;
        let mut tokens = Vec::new();
        while let Some(row) = rows.next()? {
            tokens.push(token(row)?);
        }
        Ok(Answer::Tokens(tokens))
    }
}

fn policy(row: &Row<'_>) -> Result<Option<Arc<Policy>>, Fault> {
    let document = row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
    Ok(Policy::read(document)?.map(Arc::new))
}

fn token(row: &Row<'_>) -> Result<EnrollmentToken, Fault> {
    let document = row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?;
    Ok(serde_json::from_slice(document)?)
}
