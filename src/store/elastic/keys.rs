//! API keys: checking, making, invalidating. They are the cluster's; where it has none, our own.
//!
//! The cluster's list of keys lags: a key just made is good at once, but cannot be invalidated before the security index
//! was refreshed. So keys made lately are known here by their ids, and are waited for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Elastic;
use super::ask::{self, Single, plain};
use super::client::{Client, Identity, Response};
use super::failure::{Cause, Trouble};
use crate::config::Secret;
use crate::model::ApiKey;
use crate::model::raw::Raw;
use crate::store::{Answer, StoreError, StoreResult};

/// Keys invalidated by one request.
const KEYS_PER_REQUEST_MAX: usize = 500;
/// So long after it was made a cluster may not show a key yet.
const YOUNG_FOR: Duration = Duration::from_secs(60);
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
    pub(super) metadata: KeyMetadata<'a>,
}

/// What is told of a key (elasticsearch.md, "Calls").
#[derive(Serialize)]
pub(super) struct KeyMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_id: Option<&'a str>,
    managed: bool,
    managed_by: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> KeyMetadata<'a> {
    /// By which an agent proves who it is.
    pub(super) fn access(agent: &'a str) -> Self {
        Self::ours("access", agent)
    }

    /// By which an agent writes to an output.
    pub(super) fn output(agent: &'a str) -> Self {
        Self::ours("output", agent)
    }

    fn ours(kind: &'static str, agent: &'a str) -> Self {
        let managed_by = "fleet-server";
        KeyMetadata { agent_id: Some(agent), policy_id: None, managed: true, managed_by, kind }
    }

    /// Of an enrollment token, as Kibana tells it.
    pub(super) fn enroll(policy_id: &'a str) -> Self {
        let (managed_by, kind) = ("fleet", "enroll");
        KeyMetadata { agent_id: None, policy_id: Some(policy_id), managed: true, managed_by, kind }
    }
}

/// Keys made lately.
#[derive(Default)]
pub(super) struct YoungKeys {
    /// By their ids.
    keys: BTreeMap<String, YoungKey>,
    /// Ids and when they were made, oldest first; also of some that are known to be visible by now.
    order: VecDeque<(Duration, String)>,
}

struct YoungKey {
    /// Where it was made.
    cluster: Identity,
    /// That cluster has shown it once. Another copy of its list may lag still.
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
    id: String,
    /// It is no good any more.
    pub(super) invalidated: bool,
    /// What it may do, by role.
    pub(super) role_descriptors: BTreeMap<String, Raw>,
}

#[derive(Serialize)]
struct NewKey<'a, R> {
    name: &'a str,
    role_descriptors: &'a R,
    metadata: &'a KeyMetadata<'a>,
}

/// A role that allows nothing; without one a key could do all that its maker can.
#[derive(Serialize)]
struct Role {
    cluster: [&'static str; 0],
    applications: [Application; 1],
}

#[derive(Serialize)]
struct Application {
    application: &'static str,
    privileges: [&'static str; 1],
    resources: [&'static str; 1],
}

const NOTHING: Role = Role {
    cluster: [],
    applications: [Application { application: "fleet", privileges: ["no-privileges"], resources: ["*"] }],
};

/// What is known of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    Invalidated,
    Unknown,
}

impl YoungKeys {
    fn remember(&mut self, id: &str, cluster: Identity, now: Duration) {
        self.forget_old(now);
        if self.order.len() >= YOUNG_KEYS_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.order.push_back((now, id.to_owned()));
        self.keys.insert(id.to_owned(), YoungKey { cluster, shown: false });
    }

    /// The key, if it is young.
    fn get(&mut self, id: &str, now: Duration) -> Option<&mut YoungKey> {
        self.forget_old(now);
        self.keys.get_mut(id)
    }

    fn forget_old(&mut self, now: Duration) {
        while let Some((made, id)) = self.order.front()
            && *made + YOUNG_FOR < now
        {
            self.keys.remove(id);
            self.order.pop_front();
        }
    }

    fn forget(&mut self, ids: &[String]) {
        for id in ids {
            self.keys.remove(id);
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
        request.small_answer = true;
        // outside trouble, inside what the cluster thinks of the key
        self.patiently(|| judged(&self.response(&request)?))?
    }

    /// Makes a key that never expires and may do nothing.
    pub(super) fn make_key(&self, purpose: &KeyPurpose<'_>) -> Result<ApiKey, StoreError> {
        if !self.facts()?.has_keys {
            return self.make_own_key();
        }
        let roles = BTreeMap::from([(purpose.role, NOTHING)]);
        self.make_key_on(&self.client, purpose.name, &roles, &purpose.metadata)
    }

    /// Makes a key with these roles in any cluster.
    pub(super) fn make_key_on(
        &self,
        client: &Client,
        name: &str,
        roles: &impl Serialize,
        metadata: &KeyMetadata<'_>,
    ) -> Result<ApiKey, StoreError> {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let body = NewKey { name: &name, role_descriptors: roles, metadata };
        let mut request = ask::json("PUT", "/_security/api_key?refresh=false", &body);
        // a second one would be nobody's
        request.repeatable = false;
        request.small_answer = true;
        let made = self.call_on(client, &request)?;
        let made: MadeKey =
            serde_json::from_slice(&made).map_err(|_| Trouble::garbled("the making of a key").error)?;
        let now = self.client.now();
        self.young_keys().remember(&made.id, client.identity(), now);
        Ok(ApiKey { id: made.id, secret: made.api_key })
    }

    /// Makes keys unusable; unknown ones are fine. Keys made lately by this store are waited for.
    pub(super) fn invalidate(&self, ids: &[String]) -> Result<(), StoreError> {
        if !self.facts()?.has_keys {
            return self.delete_own_keys(ids);
        }
        let ids = ids.iter().filter(|id| !id.is_empty()).cloned();
        let (young, old): (Vec<String>, Vec<String>) = ids.partition(|id| self.is_young(&self.client, id));
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
        self.young_keys().forget(&done);
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
        match self.call_on_unless_missing(client, &request) {
            Ok(None) => Ok(None),
            Ok(Some(answer)) => {
                let found: KeysFound =
                    serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("a key").error)?;
                let found = found.api_keys.into_iter().next();
                if found.is_some()
                    && let Some(young) = self.young_keys().get(id, self.client.now())
                {
                    young.shown = true;
                }
                Ok(found)
            }
            Err(error) => Err(error),
        }
    }

    /// Those of these keys of ours that the cluster shows, by their ids.
    pub(super) fn find_keys(&self, ids: &[String]) -> Result<BTreeMap<String, KeyFound>, StoreError> {
        let mut found = BTreeMap::new();
        for ids in ids.chunks(KEYS_PER_REQUEST_MAX) {
            let wanted = json!({"query": {"ids": {"values": ids}}, "size": ids.len()});
            let answer = self.call(&ask::json("POST", "/_security/_query/api_key", &wanted))?;
            let keys: KeysFound =
                serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("keys").error)?;
            found.extend(keys.api_keys.into_iter().map(|key| (key.id.clone(), key)));
        }
        Ok(found)
    }

    /// Whether a key was made in this cluster so lately that it may not show it yet.
    pub(super) fn is_young(&self, client: &Client, id: &str) -> bool {
        let now = self.client.now();
        self.young_keys().get(id, now).is_some_and(|young| young.cluster == client.identity())
    }

    /// Whether a key was made a moment ago, wherever, and is as it was made: what no cluster has shown nobody has changed.
    pub(super) fn is_as_made(&self, id: &str) -> bool {
        let now = self.client.now();
        self.young_keys().get(id, now).is_some_and(|young| !young.shown)
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
    /// What Elasticsearch thinks of a key that is bad. It says other things of keys that it cannot look at.
    const BAD: [&str; 4] = ["unable to find", "invalidated", "expired", "invalid credentials"];
    let Some(cause) = Cause::of(response).filter(|cause| cause.kind == "security_exception") else {
        return false;
    };
    match cause.unsuccessful_credentials {
        Some(told) => BAD.iter().any(|bad| told.contains(bad)) && !told.contains("encountered a failure"),
        // older ones do not tell more
        None => cause.reason.starts_with("unable to authenticate with provided credentials"),
    }
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
        for bad in [
            "unable to find apikey with id x",
            "api key [x] has been invalidated",
            "api key is expired",
            "invalid credentials for API key [x]",
        ] {
            assert_eq!(verdict(401, &security(bad)), Err(Some(StoreError::KeyRejected)), "{bad}");
        }
        let older = r#"{"error":{"type":"security_exception","reason":"unable to authenticate with provided credentials and anonymous access is not allowed for this request"}}"#;
        assert_eq!(verdict(401, older), Err(Some(StoreError::KeyRejected)));
        let dropped = r#"{"error":{"type":"security_exception","reason":"missing authentication credentials for REST request [/_security/_authenticate]"}}"#;
        assert_eq!(verdict(401, dropped), Err(None), "somebody took our header away");
        assert_eq!(verdict(401, &security("api keys are not enabled")), Err(None));
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
