//! Writes other than those to agents: keys, policies, tokens, actions, results.

use std::sync::Arc;

use super::state::{State, StoredAction, StoredPolicy, StoredResult};
use crate::model::{Action, ActionResult, ApiKey, NewSecret, Policy, RetiredKey};
use crate::store::{Answer, StoreError, StoreResult, documents, keys};
use crate::time::Timestamp;

impl State {
    pub(super) fn make_key(&mut self) -> ApiKey {
        let (key, sealed) = keys::make(&self.random());
        self.keys.insert(key.id.clone(), sealed);
        key
    }

    pub(super) fn invalidate_keys(&mut self, ids: &[String]) -> Answer {
        for id in ids {
            self.keys.remove(id);
        }
        Answer::Done
    }

    pub(super) fn set_secret(&mut self, secret: NewSecret) -> Answer {
        let id = secret.id.unwrap_or_else(|| documents::random_id(self.random()));
        self.secrets.insert(id.clone(), secret.value);
        Answer::SecretId(id)
    }

    pub(super) fn retire_keys(&mut self, keys: &[RetiredKey]) -> Answer {
        for key in keys {
            self.keys.remove(&key.id);
            self.secrets.remove(&key.secret_id);
        }
        Answer::Done
    }

    pub(super) fn create_revision(&mut self, policy: Policy) -> StoreResult {
        let newest = self.policy(&policy.policy_id, None);
        if newest.is_some_and(|newest| newest.revision_idx >= policy.revision_idx) {
            return Err(StoreError::Conflict);
        }
        self.sequences.policies += 1;
        self.changed_policies.entry(policy.policy_id.clone()).or_default();
        let written = Timestamp::parse(&policy.timestamp);
        let key = (policy.policy_id.clone(), policy.revision_idx);
        self.policies.insert(key, StoredPolicy { written, policy: Arc::new(policy) });
        Ok(Answer::Done)
    }

    pub(super) fn delete_policy(&mut self, policy_id: &str) -> Answer {
        let before = self.policies.len();
        self.policies.retain(|(policy, _), _| policy != policy_id);
        let deleted = before - self.policies.len();
        self.sequences.policies += i64::try_from(deleted).unwrap_or(i64::MAX);
        for token in self.tokens.iter_mut().filter(|token| token.policy_id == policy_id) {
            token.active = false;
            self.keys.remove(&token.api_key_id);
        }
        if deleted > 0 {
            self.changed_policies.entry(policy_id.to_owned()).or_default().deleted = true;
        }
        Answer::Done
    }

    pub(super) fn create_token(&mut self, policy_id: &str, name: &str, at: Timestamp) -> Answer {
        let token = documents::token(&self.make_key(), policy_id, name, at);
        self.tokens.push(token.clone());
        Answer::Token(Some(Box::new(token)))
    }

    pub(super) fn revoke_token(&mut self, api_key_id: &str) -> StoreResult {
        let token = self.tokens.iter_mut().find(|token| token.api_key_id == api_key_id);
        token.ok_or(StoreError::NotFound)?.active = false;
        self.keys.remove(api_key_id);
        Ok(Answer::Done)
    }

    pub(super) fn create_action(&mut self, action: Action) -> Answer {
        self.sequences.actions += 1;
        let seq_no = self.sequences.actions;
        let document_id = documents::random_id(self.random());
        let expiration = Timestamp::parse(&action.expiration);
        // without an expiration it is never delivered: it is over as soon as it is made
        let over = expiration.or_else(|| Timestamp::parse(&action.timestamp));
        let action = Arc::new(Action { document_id, seq_no, place: None, ..action });
        self.actions.insert(seq_no, StoredAction { expiration, over, action });
        Answer::SeqNo(Some(seq_no))
    }

    pub(super) fn create_result(&mut self, result: ActionResult) -> Answer {
        let same = |stored: &StoredResult| {
            (&stored.result.action_id, &stored.result.agent_id) == (&result.action_id, &result.agent_id)
        };
        if !self.results.iter().any(same) {
            self.results.push(StoredResult { seen: None, result });
        }
        Answer::Done
    }
}
