//! Enrollment tokens: documents as Kibana writes them, each with the key that it stands for.

use std::ops::ControlFlow;

use serde_json::json;

use super::Elastic;
use super::bulk::{Item, Refresh};
use super::indices::Index;
use super::keys::{KeyMetadata, KeyPurpose};
use super::script::CHANGE;
use super::search::{Found, Hit, Search, all_of, term};
use crate::model::EnrollmentToken;
use crate::model::raw::{Fields, raw};
use crate::store::documents::{self, unreadable};
use crate::store::{Answer, StoreError, StoreResult};
use crate::time::Timestamp;

/// Tokens in one answer of a list.
const TOKENS_PER_PAGE: usize = 1_000;
/// Tokens in all.
const TOKENS_MAX: usize = 10_000;

/// The token whose key has this id, revoked ones included.
pub(super) fn by_key(key_id: &str) -> Search {
    let body = json!({
        "query": all_of(&[term("api_key_id", key_id)]),
        // active ones first: two of them are none
        "sort": [{"active": {"order": "desc", "unmapped_type": "boolean"}}],
        "size": 2,
        "track_total_hits": false,
    });
    Search::new(Index::Tokens, body)
}

/// The token in what a search found; none where the key stands for several, since nobody knows which. Where the index is gone,
/// it is not known whether the key enrols: to be told so by 401 ends an agent's enrolment for good.
pub(super) fn found(found: Found) -> StoreResult {
    if found.no_index {
        return Err(StoreError::Unavailable("the index of enrollment tokens is missing".to_owned()));
    }
    let tokens: Result<Vec<EnrollmentToken>, _> = found.hits.iter().map(read).collect();
    let mut tokens = tokens.map_err(|error| unreadable(&error))?;
    if let [first, second] = &tokens[..]
        && first.active
        && second.active
    {
        ::log::warn!("fleet.apikey.id" = first.api_key_id.as_str(); "a key of several active enrollment tokens enrols nobody");
        return Ok(Answer::Token(None));
    }
    tokens.truncate(1);
    Ok(Answer::Token(tokens.pop().map(Box::new)))
}

fn read(hit: &Hit) -> Result<EnrollmentToken, serde_json::Error> {
    let fields = Fields::open("enrollment token", hit.source.get().as_bytes())?;
    Ok(EnrollmentToken {
        api_key_id: fields.take("api_key_id"),
        api_key: fields.take("api_key"),
        policy_id: fields.take("policy_id"),
        active: fields.take("active"),
        name: fields.take("name"),
        namespaces: fields.list("namespaces"),
        created_at: fields.take("created_at"),
    })
}

impl Elastic {
    /// Makes a token.
    pub(super) fn create_token(&self, policy_id: &str, name: &str, at: Timestamp) -> StoreResult {
        self.ensure(Index::Tokens)?;
        // a key's name must not begin or end with a blank
        let title = format!("enrollment token {name} of policy {policy_id}");
        let key = self.make_key(&KeyPurpose {
            name: title.trim(),
            role: "fleet-apikey-enroll",
            metadata: KeyMetadata::enroll(policy_id),
        })?;
        let token = documents::token(&key, policy_id, name, at);
        let item = Item::create(self.indices.name(Index::Tokens), &key.id, raw(&token).get());
        // 409: an earlier try whose answer was lost, no two keys have one id
        if let Err(error) = self.write_one(item, Refresh::Now) {
            if let Err(undone) = self.invalidate_young(vec![key.id.clone()]) {
                ::log::warn!("fleet.apikey.id" = key.id.as_str(); "the key of a failed token stays: {undone}");
            }
            return Err(error);
        }
        Ok(Answer::Token(Some(Box::new(token))))
    }

    /// All tokens, oldest first.
    pub(super) fn tokens(&self) -> StoreResult {
        let body = json!({
            "query": {"match_all": {}},
            // `_seq_no` tells apart what was made within one second
            "sort": [{"created_at": {"order": "asc", "unmapped_type": "date"}}, {"_seq_no": "asc"}],
            "size": TOKENS_PER_PAGE,
            "track_total_hits": false,
        });
        let mut tokens = Vec::new();
        self.walk(Index::Tokens, body, |hit| {
            match read(&hit) {
                Ok(token) => tokens.push(token),
                Err(error) => ::log::warn!("the enrollment token {} is left out: {error}", hit.id),
            }
            if tokens.len() < TOKENS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(Answer::Tokens(tokens))
    }

    /// Sets a token inactive and invalidates its key.
    pub(super) fn revoke_token(&self, api_key_id: &str) -> StoreResult {
        let found = self.search(Search::new(
            Index::Tokens,
            json!({"query": all_of(&[term("api_key_id", api_key_id)]), "size": 10}),
        ))?;
        if found.hits.is_empty() {
            return Err(StoreError::NotFound);
        }
        self.revoke(&found.hits)?;
        Ok(Answer::Done)
    }

    /// Revokes all tokens of a policy that are still active.
    pub(super) fn revoke_tokens_of(&self, policy_id: &str) -> Result<(), StoreError> {
        // those that somebody is just making
        self.refresh(Index::Tokens)?;
        let body = json!({
            "query": all_of(&[term("policy_id", policy_id), term("active", true)]),
            "sort": [{"_seq_no": "asc"}],
            "size": TOKENS_PER_PAGE,
            "track_total_hits": false,
        });
        let mut hits = Vec::new();
        self.walk(Index::Tokens, body, |hit| {
            hits.push(hit);
            if hits.len() < TOKENS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.revoke(&hits)
    }

    /// The documents first: an inactive token enrols nobody, whatever becomes of its key, which may not be ours.
    fn revoke(&self, hits: &[Hit]) -> Result<(), StoreError> {
        let index = self.indices.name(Index::Tokens);
        let params = json!({"doc": {"active": false}, "remove": []});
        let items: Vec<Item> = hits.iter().map(|hit| Item::update(index, &hit.id, CHANGE, &params)).collect();
        self.bulk(&items, Refresh::Now).into_iter().collect::<Result<Vec<_>, _>>()?;
        let keys: Result<Vec<String>, serde_json::Error> =
            hits.iter().map(|hit| read(hit).map(|token| token.api_key_id)).collect();
        let keys = keys.map_err(|error| unreadable(&error))?;
        self.invalidate(&keys)
    }
}
