//! What reads: keys, tokens, policies, actions.

use std::sync::Arc;

use super::state::State;
use crate::model::{Action, ApiKey, Policy, Secrets};
use crate::store::documents::PENDING_ACTIONS_MAX;
use crate::store::{ActionLookup, Answer, StoreError, StoreResult, keys};
use crate::time::Timestamp;

impl State {
    pub(super) fn authenticate(&self, key: &ApiKey) -> StoreResult {
        match self.keys.get(&key.id) {
            Some(sealed) if keys::matches(&sealed.salt, &sealed.hash, &key.secret) => {
                Ok(Answer::Authenticated { enabled: true })
            }
            _ => Err(StoreError::KeyRejected),
        }
    }

    pub(super) fn token_by_key(&self, key_id: &str) -> Answer {
        let token = self.tokens.iter().find(|token| token.api_key_id == key_id);
        Answer::Token(token.map(|token| Box::new(token.clone())))
    }

    pub(super) fn secrets_of(&self, ids: &[String]) -> Secrets {
        let found = ids.iter().filter_map(|id| Some((id.clone(), self.secrets.get(id)?.to_owned().into())));
        found.collect()
    }

    pub(super) fn newest_policies(&self) -> Vec<Arc<Policy>> {
        let mut newest: Vec<Arc<Policy>> = Vec::new();
        for stored in self.policies.values() {
            newest.pop_if(|last| last.policy_id == stored.policy.policy_id);
            newest.push(Arc::clone(&stored.policy));
        }
        newest
    }

    /// A given revision, or the newest.
    pub(super) fn policy(&self, policy_id: &str, revision_idx: Option<i64>) -> Option<Arc<Policy>> {
        let key = |revision| (policy_id.to_owned(), revision);
        let (from, to) = (revision_idx.unwrap_or(i64::MIN), revision_idx.unwrap_or(i64::MAX));
        let (_, stored) = self.policies.range(key(from)..=key(to)).next_back()?;
        Some(Arc::clone(&stored.policy))
    }

    pub(super) fn pending_actions(&self, agent: &str, after: i64, up_to: i64, now: Timestamp) -> Answer {
        let pending = self.actions.iter().filter(|(seq_no, stored)| {
            **seq_no > after
                && **seq_no <= up_to
                && stored.expiration.is_some_and(|expiration| expiration > now)
        });
        let place = |stored: &Arc<Action>| {
            let place = Some(stored.place_of(agent)?);
            Some(Arc::new(Action { agents: Vec::new(), place, ..Action::clone(stored) }))
        };
        Answer::Actions(
            pending.filter_map(|(_, stored)| place(&stored.action)).take(PENDING_ACTIONS_MAX).collect(),
        )
    }

    pub(super) fn action_by_id(&self, action_id: &str) -> Answer {
        let newest = self.actions.values().rfind(|stored| stored.action.action_id == action_id);
        Answer::Action(match newest {
            Some(stored) => {
                ActionLookup::Found(Arc::new(Action { agents: Vec::new(), ..Action::clone(&stored.action) }))
            }
            None if self.gone_actions.iter().any(|gone| gone == action_id) => ActionLookup::Gone,
            None => ActionLookup::Unknown,
        })
    }

    pub(super) fn action_seq_no(&self, document_id: &str) -> Answer {
        let found = self.actions.values().find(|stored| stored.action.document_id == document_id);
        Answer::SeqNo(found.map(|stored| stored.action.seq_no))
    }

    pub(super) fn newest_actions(&self, limit: usize) -> Answer {
        let newest = self.actions.values().rev().take(limit);
        Answer::Actions(newest.map(|stored| Arc::clone(&stored.action)).collect())
    }

    pub(super) fn action_documents(&self, action_id: &str) -> Answer {
        let documents = self.actions.values().filter(|stored| stored.action.action_id == action_id);
        Answer::Actions(documents.map(|stored| Arc::clone(&stored.action)).collect())
    }

    /// Actions with `after < _seq_no <= up_to`, in that order.
    pub(super) fn actions_between(&self, after: i64, up_to: i64) -> Vec<Arc<Action>> {
        let between = self.actions.range(after.saturating_add(1)..=up_to.max(after.saturating_add(1)));
        let between = between.filter(|(seq_no, _)| **seq_no <= up_to);
        between.map(|(_, stored)| Arc::clone(&stored.action)).collect()
    }

    pub(super) fn results_of(&self, action_id: &str) -> Answer {
        let results = self.results.iter().map(|stored| &stored.result);
        Answer::Results(results.filter(|result| result.action_id == action_id).cloned().collect())
    }
}
