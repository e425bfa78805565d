//! API keys: checking, making, invalidating. They are the cluster's; where it has none, our own.
//!
//! The cluster's list of keys lags: a key just made is good at once, but cannot be invalidated before the security index
//! was refreshed. So keys made lately are known here by their ids, and are waited for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Elastic;
use super::ask::{self, Single, plain};
use super::client::{Client, Response};
use super::failure::{Cause, Trouble};
use crate::config::Secret;
use crate::model::ApiKey;
use crate::model::raw::{Raw, raw};
use crate::store::{Answer, StoreError, StoreResult};

/// Keys invalidated by one request.
const KEYS_PER_REQUEST_MAX: usize = 500;
/// Ids of keys made lately that are known; beyond that the oldest are forgotten, which are long visible.
const YOUNG_KEYS_MAX: usize = 10_000;
/// Longest name of a key.
const NAME_CHARS_MAX: usize = 256;

/// What a key is made for.
pub(super) struct KeyPurpose<'a> {
    /// For people.
    pub(super) name: &'a str,
    /// The name of its only role, which allows nothing but to be recognised.
    pub(super) role: &'a str,
    /// What is told of it.
    pub(super) metadata: Value,
}

/// Keys made lately, oldest first.
#[derive(Default)]
pub(super) struct YoungKeys(VecDeque<YoungKey>);

struct YoungKey {
    id: String,
    /// The cluster has shown it once. Another copy of its list may lag still.
    shown: bool,
}

#[derive(Deserialize)]
struct Authenticated {
    enabled: bool,
}

#[derive(Deserialize)]
struct MadeKey {
    id: String,
    api_key: String,
}

#[derive(Deserialize)]
struct Invalidated {
    invalidated_api_keys: Vec<String>,
    #[serde(default)]
    previously_invalidated_api_keys: Vec<String>,
    error_count: u64,
}

#[derive(Deserialize)]
struct KeysFound {
    api_keys: Vec<KeyFound>,
}

/// A key as the cluster shows it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyFound {
    /// It is no good any more.
    pub(super) invalidated: bool,
    /// What it may do, by role.
    pub(super) role_descriptors: BTreeMap<String, Raw>,
}

#[derive(Serialize)]
struct NewKey<'a> {
    name: &'a str,
    role_descriptors: &'a Raw,
    metadata: &'a Value,
}

/// What is known of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    Invalidated,
    Unknown,
}

impl YoungKeys {
    fn remember(&mut self, id: &str) {
        if self.0.len() >= YOUNG_KEYS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(YoungKey { id: id.to_owned(), shown: false });
    }

    fn get(&self, id: &str) -> Option<&YoungKey> {
        self.0.iter().find(|young| young.id == id)
    }

    fn is_shown(&mut self, id: &str) {
        if let Some(young) = self.0.iter_mut().find(|young| young.id == id) {
            young.shown = true;
        }
    }
}

impl Elastic {
    /// Whether a key is good.
    pub(super) fn authenticate(&self, key: &ApiKey) -> StoreResult {
        if !self.facts()?.has_keys {
            return self.authenticate_own(key);
        }
        let authorization = Secret::new(format!("ApiKey {}", key.token()));
        let mut request = plain("GET", "/_security/_authenticate");
        request.authorization = Some(authorization);
        // outside trouble, inside what the cluster thinks of the key
        self.patiently(|| judged(&self.response(&request)?))?
    }

    /// Makes a key that never expires and may do nothing.
    pub(super) fn make_key(&self, purpose: &KeyPurpose<'_>) -> Result<ApiKey, StoreError> {
        if !self.facts()?.has_keys {
            return self.make_own_key();
        }
        let nothing = json!([{"application": "fleet", "privileges": ["no-privileges"], "resources": ["*"]}]);
        let roles = raw(&json!({purpose.role: {"cluster": [], "applications": nothing}}));
        self.make_key_on(&self.client, purpose.name, &roles, &purpose.metadata)
    }

    /// Makes a key with these roles in any cluster.
    pub(super) fn make_key_on(
        &self,
        client: &Client,
        name: &str,
        roles: &Raw,
        metadata: &Value,
    ) -> Result<ApiKey, StoreError> {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let body = NewKey { name: &name, role_descriptors: roles, metadata };
        let mut request = ask::json("PUT", "/_security/api_key?refresh=false", &body);
        // a second one would be nobody's
        request.repeatable = false;
        let made = self.call_on(client, &request)?;
        let made: MadeKey =
            serde_json::from_slice(&made).map_err(|_| Trouble::garbled("the making of a key").error)?;
        self.young_keys().remember(&made.id);
        Ok(ApiKey { id: made.id, secret: made.api_key })
    }

    /// Makes keys unusable; unknown ones are fine. Keys made lately by this store are waited for.
    pub(super) fn invalidate(&self, ids: &[String]) -> Result<(), StoreError> {
        if !self.facts()?.has_keys {
            return self.delete_own_keys(ids);
        }
        let (young, old): (Vec<String>, Vec<String>) = {
            let young = self.young_keys();
            ids.iter().filter(|id| !id.is_empty()).cloned().partition(|id| young.get(id).is_some())
        };
        self.invalidate_visible(&self.client, &old)?;
        self.invalidate_young(young)
    }

    /// Invalidates keys that were made a moment ago, as soon as the cluster shows them.
    pub(super) fn invalidate_young(&self, ids: Vec<String>) -> Result<(), StoreError> {
        if !self.facts()?.has_keys {
            return self.delete_own_keys(&ids);
        }
        let mut left: Vec<String> = ids.into_iter().filter(|id| !id.is_empty()).collect();
        for look in 0..=self.patience.key_looks_max {
            if look > 0 && !left.is_empty() {
                self.patience.before_key_look();
            }
            let done = self.invalidate_visible(&self.client, &left)?;
            let waiting: Vec<String> = left.into_iter().filter(|id| !done.contains(id)).collect();
            left = Vec::new();
            for id in waiting {
                if self.standing(&id)? != Standing::Invalidated {
                    left.push(id);
                }
            }
            if left.is_empty() {
                return Ok(());
            }
        }
        // after a minute there is no such key
        ::log::warn!(
            "these keys were to be invalidated, and the cluster does not know them: {}",
            left.join(", ")
        );
        Ok(())
    }

    /// Invalidates those of the keys that the cluster shows; which these were.
    pub(super) fn invalidate_visible(
        &self,
        client: &Client,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let mut done = Vec::new();
        for ids in ids.chunks(KEYS_PER_REQUEST_MAX) {
            done.extend(self.invalidate_some(client, ids)?);
        }
        Ok(done)
    }

    fn invalidate_some(&self, client: &Client, ids: &[String]) -> Result<Vec<String>, StoreError> {
        let garbled = || Trouble::garbled("the invalidation of keys").error;
        let request = ask::json("DELETE", "/_security/api_key", &json!({"ids": ids, "owner": true}));
        let answer: Invalidated =
            serde_json::from_slice(&self.call_on(client, &request)?).map_err(|_| garbled())?;
        if answer.error_count > 0 {
            let reason = format!("{} keys could not be invalidated", answer.error_count);
            return Err(StoreError::Failed { status: 500, reason });
        }
        let mut done = answer.invalidated_api_keys;
        done.extend(answer.previously_invalidated_api_keys);
        self.young_keys().0.retain(|young| !done.contains(&young.id));
        Ok(done)
    }

    /// What is known of a key of ours. Trouble is not "unknown".
    fn standing(&self, id: &str) -> Result<Standing, StoreError> {
        Ok(match self.find_key(&self.client, id)? {
            None => Standing::Unknown,
            Some(key) if key.invalidated => Standing::Invalidated,
            Some(_) => Standing::Good,
        })
    }

    /// A key of ours in any cluster, as far as that shows it.
    pub(super) fn find_key(&self, client: &Client, id: &str) -> Result<Option<KeyFound>, StoreError> {
        let request = plain("GET", format!("/_security/api_key?id={}&owner=true", percent_encoded(id)));
        match self.call_on(client, &request) {
            Ok(answer) => {
                let found: KeysFound =
                    serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("a key").error)?;
                let found = found.api_keys.into_iter().next();
                if found.is_some() {
                    self.young_keys().is_shown(id);
                }
                Ok(found)
            }
            Err(StoreError::Failed { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a key was made so lately that the cluster may not show it yet.
    pub(super) fn is_young(&self, id: &str) -> bool {
        self.young_keys().get(id).is_some()
    }

    /// Whether a key is as it was made: what the cluster has never shown nobody has changed.
    pub(super) fn is_as_made(&self, id: &str) -> bool {
        self.young_keys().get(id).is_some_and(|young| !young.shown)
    }

    fn young_keys(&self) -> std::sync::MutexGuard<'_, YoungKeys> {
        self.young_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer says of a key. It is bad only if Elasticsearch itself says so: not a proxy, and not an Elasticsearch that
/// could not read its own index.
fn judged(response: &Response) -> Single<StoreResult> {
    match response.status {
        200..300 => {
            let answer: Authenticated =
                serde_json::from_slice(&response.body).map_err(|_| Trouble::garbled("a key"))?;
            Ok(Ok(Answer::Authenticated { enabled: answer.enabled }))
        }
        429 => Ok(Err(StoreError::AuthenticationLimited)),
        401 if is_positive(response) => Ok(Err(StoreError::KeyRejected)),
        _ => Err(Trouble::refused(response)),
    }
}

fn is_positive(response: &Response) -> bool {
    /// How Elasticsearch tells that it failed to look at the key, as it does of every key while it starts.
    const FAILED: &[u8] = b"encountered a failure";
    let by_elasticsearch = Cause::of(response).is_some_and(|cause| cause.kind == "security_exception");
    by_elasticsearch && !response.body.windows(FAILED.len()).any(|part| part == FAILED)
}

/// A value of a query string, or a segment of a path.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Result<bool, Option<StoreError>> {
        match judged(&Response { status, body: body.into() }) {
            Ok(Ok(Answer::Authenticated { enabled })) => Ok(enabled),
            Ok(Ok(other)) => panic!("{other:?}"),
            Ok(Err(error)) => Err(Some(error)),
            Err(_) => Err(None),
        }
    }

    #[test]
    fn a_key_is_bad_only_if_elasticsearch_says_so() {
        let security = |reason: &str| {
            format!(
                r#"{{"error":{{"type":"security_exception","reason":"no","additional_unsuccessful_credentials":"API key: {reason}"}},"status":401}}"#
            )
        };
        assert_eq!(verdict(200, r#"{"enabled":true}"#), Ok(true));
        assert_eq!(verdict(200, r#"{"enabled":false}"#), Ok(false));
        assert_eq!(
            verdict(401, &security("unable to find apikey with id x")),
            Err(Some(StoreError::KeyRejected))
        );
        assert_eq!(verdict(429, ""), Err(Some(StoreError::AuthenticationLimited)));
        assert_eq!(verdict(401, "<html>who are you?</html>"), Err(None));
        assert_eq!(
            verdict(401, &security("apikey authentication for id [x] encountered a failure")),
            Err(None)
        );
        for status in [400, 403, 404, 500, 503] {
            assert_eq!(verdict(status, &security("x")), Err(None), "{status}");
        }
        assert_eq!(verdict(200, "{}"), Err(None));
    }

    #[test]
    fn a_value_of_a_query_is_encoded() {
        assert_eq!(percent_encoded("aZ09-_.~&=ü "), "aZ09-_.~%26%3D%C3%BC%20");
    }
}
