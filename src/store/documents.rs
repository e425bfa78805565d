//! Documents as JSON text under the field names of the Elasticsearch indices (elasticsearch.md, "Indices and mappings"),
//! and partial updates of them. The reading side is in [`crate::model`].

use std::collections::BTreeMap;

use serde::de::value::MapDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::StoreError;
use crate::model::raw::{Raw, raw};
use crate::model::{Action, ApiKey, Change, EnrollmentToken, Policy, Signed};
use crate::time::Timestamp;

/// A document opened at its top level; the values stay as they were written.
pub(super) type Object<'a> = BTreeMap<&'a str, &'a RawValue>;

/// At most so many actions answer one search for pending actions (checkin.md, "Order of work", 7).
pub(super) const PENDING_ACTIONS_MAX: usize = 100;

/// Opens a document.
pub(super) fn open(json: &str) -> Result<Object<'_>, serde_json::Error> {
    serde_json::from_str(json)
}

/// A document as text.
pub(super) fn text(object: &Object<'_>) -> String {
    raw(object).get().to_owned()
}

/// What follows the first brace of a document; an error unless it is an object.
pub(super) fn members(document: &RawValue) -> Result<&str, StoreError> {
    let members = document.get().strip_prefix('{');
    members
        .ok_or_else(|| StoreError::Failed { status: 500, reason: "a document is not a JSON object".into() })
}

/// A document with one more field, which it does not have yet, without reading the others.
pub(super) fn with_field(
    document: &RawValue,
    field: &'static str,
    value: &RawValue,
) -> Result<String, StoreError> {
    let members = members(document)?.trim_start();
    let comma = if members.starts_with('}') { "" } else { "," };
    Ok([r#"{""#, field, r#"":"#, value.get(), comma, members].concat())
}

/// Applies one change of a partial update.
pub(super) fn change<'a>(object: &mut Object<'a>, field: &'a str, change: &'a Change) {
    match change {
        Change::Set(value) => object.insert(field, value),
        Change::Remove => object.remove(field),
    };
}

/// A text field; empty where absent or malformed.
pub(super) fn string(object: &Object<'_>, field: &str) -> String {
    object.get(field).and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

/// A time; `None` where absent or malformed.
pub(super) fn time(object: &Object<'_>, field: &str) -> Option<Timestamp> {
    Timestamp::parse(&string(object, field))
}

/// What is stored as the time of a check-in or a heartbeat is never later than the next one by more than this, unless a clock was
/// ahead that has been put right: then it counts no more, for the agent's document would stand still until that time.
pub(super) const CLOCK_AHEAD_SECONDS_MAX: i64 = 600;

/// The later of the stored time of a check-in and another one, in seconds since 1970.
pub(super) fn latest_checkin(stored: Option<i64>, at: i64) -> i64 {
    stored
        .filter(|stored| *stored <= at.saturating_add(CLOCK_AHEAD_SECONDS_MAX))
        .map_or(at, |stored| stored.max(at))
}

/// How the documents hold times: whole seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1000)
}

/// The text of a time that was kept as [`seconds`].
pub(super) fn rfc3339(seconds: i64) -> String {
    Timestamp(seconds.saturating_mul(1000)).rfc3339()
}

/// JSON text that came from [`text`] or [`raw`], without checking it a second time: for 8 kB that costs more than reading them.
pub(super) fn trusted(json: &str) -> Result<Raw, serde_json::Error> {
    // how serde_json itself hands a RawValue its text; should that change, the text is checked after all
    let parts = std::iter::once(("$serde_json::private::RawValue", json));
    let unchecked = Raw::deserialize(MapDeserializer::<_, serde::de::value::Error>::new(parts));
    unchecked.or_else(|_| RawValue::from_string(json.to_owned()))
}

/// Why nothing can be made of a document.
pub(super) fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Failed { status: 500, reason: format!("a document is not a JSON object: {error}") }
}

#[derive(Serialize)]
struct ActionDocument<'a> {
    action_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    input_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Raw>,
    #[serde(skip_serializing_if = "str::is_empty")]
    expiration: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    start_time: &'a str,
    rollout_duration_seconds: i64,
    timeout: i64,
    #[serde(rename = "@timestamp")]
    timestamp: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    traceparent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<&'a Signed>,
    namespaces: &'a [String],
    secret_references: Vec<SecretReference<'a>>,
}

#[derive(Serialize)]
struct SecretReference<'a> {
    id: &'a str,
}

/// An action's document without `agents`.
pub(super) fn action(action: &Action) -> Raw {
    let references = action.secret_references.iter();
    raw(&ActionDocument {
        action_id: &action.action_id,
        kind: &action.kind,
        input_type: &action.input_type,
        data: action.data.as_ref(),
        expiration: &action.expiration,
        start_time: &action.start_time,
        rollout_duration_seconds: action.rollout_duration_seconds,
        timeout: action.timeout,
        timestamp: &action.timestamp,
        traceparent: &action.traceparent,
        signed: action.signed.as_ref(),
        namespaces: &action.namespaces,
        secret_references: references.map(|id| SecretReference { id }).collect(),
    })
}

#[derive(Serialize)]
struct PolicyDocument<'a> {
    policy_id: &'a str,
    revision_idx: i64,
    /// Kibana writes 0: there are no coordinators any more, which once made further revisions of one.
    coordinator_idx: i64,
    #[serde(rename = "@timestamp")]
    timestamp: &'a str,
    data: &'a Raw,
    unenroll_timeout: i64,
    namespaces: &'a [String],
    default_fleet_server: bool,
}

/// A revision's document.
pub(super) fn policy(policy: &Policy) -> Raw {
    raw(&PolicyDocument {
        policy_id: &policy.policy_id,
        revision_idx: policy.revision_idx,
        coordinator_idx: 0,
        timestamp: &policy.timestamp,
        data: &policy.data,
        unenroll_timeout: policy.unenroll_timeout_seconds,
        namespaces: &policy.namespaces,
        default_fleet_server: policy.default_fleet_server,
    })
}

/// An active enrollment token for `policy_id`.
pub(super) fn token(key: &ApiKey, policy_id: &str, name: &str, at: Timestamp) -> EnrollmentToken {
    EnrollmentToken {
        api_key_id: key.id.clone(),
        api_key: key.token(),
        policy_id: policy_id.to_owned(),
        active: true,
        name: name.to_owned(),
        namespaces: Vec::new(),
        created_at: at.rfc3339(),
    }
}

/// An id for what nobody gave one.
pub(super) fn random_id(random: [u8; 16]) -> String {
    uuid::Builder::from_random_bytes(random).into_uuid().to_string()
}

/// Id of the policy that the first start makes.
pub const DEFAULT_POLICY_ID: &str = "default";

/// The policy that the first start makes (interface.md, "First start on the embedded store").
pub fn default_policy(now: Timestamp) -> Policy {
    let data = serde_json::json!({
        "id": DEFAULT_POLICY_ID,
        "revision": 1,
        "outputs": {"default": {"type": "elasticsearch", "hosts": ["http://localhost:9200"]}},
        "inputs": [],
        "agent": {"monitoring": {"enabled": false}},
    });
    Policy {
        policy_id: DEFAULT_POLICY_ID.to_owned(),
        revision_idx: 1,
        timestamp: now.rfc3339(),
        data: raw(&data),
        unenroll_timeout_seconds: 0,
        namespaces: Vec::new(),
        default_fleet_server: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_added_to_an_object_as_it_is() {
        let with = |document: &str| {
            let document = RawValue::from_string(document.to_owned()).unwrap();
            with_field(&document, "a", &raw(&1))
        };
        assert_eq!(with("{}").unwrap(), r#"{"a":1}"#);
        assert_eq!(with("{ }").unwrap(), r#"{"a":1}"#);
        assert_eq!(with("{ \"b\": 1.50 }").unwrap(), r#"{"a":1,"b": 1.50 }"#);
        for other in ["[]", "7", "null"] {
            assert!(with(other).is_err(), "{other}");
        }
    }

    #[test]
    fn trusted_text_is_not_checked_again() {
        let taken = trusted("not json").unwrap();
        assert_eq!(taken.get(), "not json");
        assert_eq!(trusted("{\"a\": 1}").unwrap().get(), "{\"a\": 1}");
    }
}
