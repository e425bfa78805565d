//! Actions as agents get them (checkin.md, "Actions"). Only well-formed actions leave here: the agent stores ack_token before
//! it decodes them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::model::Action;
use crate::model::raw::{Raw, raw};
use crate::time::Timestamp;

/// Actions chosen for one answer.
#[derive(Debug, Default)]
pub struct Delivery {
    /// The actions as JSON, in order; may be empty although there is a token.
    pub actions: Vec<Raw>,
    /// `_id` of the last action that passed the type filter; empty if none did.
    pub ack_token: String,
    /// `_seq_no` of that action.
    pub seq_no: Option<i64>,
}

/// Chooses from `actions` (by `_seq_no`) what `agent` gets.
pub fn deliver(agent: &str, actions: &[Arc<Action>]) -> Delivery {
    let mut delivery = Delivery::default();
    for action in actions.iter().filter(|action| is_delivered(&action.kind)) {
        delivery.ack_token.clone_from(&action.document_id);
        delivery.seq_no = Some(action.seq_no);
        match data(action) {
            Ok(data) => delivery.actions.push(message(agent, action, &data)),
            Err(reason) => ::log::warn!("action {} is not delivered: {reason}", action.action_id),
        }
    }
    delivery
}

/// The whole answer to a check-in.
pub fn answer(delivery: Delivery) -> String {
    let Delivery { ack_token, actions, .. } = delivery;
    raw(&Answer { ack_token, action: "checkin", actions }).get().to_owned()
}

#[derive(Serialize)]
struct Answer {
    ack_token: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Raw>,
}

/// What an agent is told of an action.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(flatten)]
    fields: Value,
    /// As it is, down to the way in which its numbers are written.
    data: &'a RawValue,
}

/// Whether agents get actions of this type at all.
pub fn is_delivered(kind: &str) -> bool {
    SHAPES.iter().any(|(known, _)| *known == kind)
}

fn message(agent: &str, action: &Action, data: &RawValue) -> Raw {
    let mut fields = json!({
        "agent_id": agent,
        "created_at": action.timestamp,
        "id": action.action_id,
        "input_type": action.input_type,
        "type": action.kind,
    });
    let mut set = |key: &str, text: &str| {
        if !text.is_empty() {
            fields[key] = text.into();
        }
    };
    set("start_time", &start_time(agent, action).unwrap_or_default());
    set("expiration", &action.expiration);
    set("traceparent", &action.traceparent);
    if action.timeout != 0 {
        fields["timeout"] = action.timeout.into();
    }
    if let Some(signed) = &action.signed {
        fields["signed"] = json!({ "data": signed.data, "signature": signed.signature });
    }
    raw(&Message { fields, data })
}

/// When this agent starts, in whole seconds: with a rollout duration d, agent i of n starts d*i/n later. `None` without a
/// start time or for one that cannot be read, be it moved or not.
fn start_time(agent: &str, action: &Action) -> Option<String> {
    let start = Timestamp::parse(&action.start_time)?;
    if action.rollout_duration_seconds <= 0 {
        return Some(start.rfc3339());
    }
    let (place, of) = action.place_of(agent)?;
    let seconds = i128::from(action.rollout_duration_seconds) * place as i128 / of.max(1) as i128;
    Some(start.plus(Duration::from_secs(u64::try_from(seconds).ok()?)).rfc3339())
}

/// What a type's data may hold.
enum Shape {
    /// Null, whatever is stored.
    Null,
    /// Any object, unchanged.
    Any,
    /// These keys; others are cut.
    Keys(&'static [Key]),
    /// As `Keys`, and null when none are stored.
    NullOrKeys(&'static [Key]),
}

struct Key {
    name: &'static str,
    kind: Kind,
    required: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Raw,
    Texts,
    User,
}

const fn required(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: true }
}

const fn optional(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: false }
}

/// The types delivered, and their data (checkin.md, "Actions").
const SHAPES: [(&str, Shape); 9] = [
    (
        "UPGRADE",
        Shape::Keys(&[
            required("version", Kind::Text),
            optional("source_uri", Kind::Text),
            optional("rollback", Kind::Flag),
        ]),
    ),
    ("UNENROLL", Shape::Null),
    ("POLICY_REASSIGN", Shape::Keys(&[required("policy_id", Kind::Text)])),
    ("SETTINGS", Shape::Keys(&[optional("log_level", Kind::Text)])),
    ("INPUT_ACTION", Shape::Any),
    ("CANCEL", Shape::Keys(&[required("target_id", Kind::Text)])),
    (
        "REQUEST_DIAGNOSTICS",
        Shape::NullOrKeys(&[
            optional("additional_metrics", Kind::Texts),
            optional("exclude_events_log", Kind::Flag),
        ]),
    ),
    (
        "MIGRATE",
        Shape::Keys(&[
            required("target_uri", Kind::Text),
            required("enrollment_token", Kind::Text),
            optional("settings", Kind::Raw),
        ]),
    ),
    (
        "PRIVILEGE_LEVEL_CHANGE",
        Shape::Keys(&[required("unprivileged", Kind::Flag), optional("user_info", Kind::User)]),
    ),
];

const USER_INFO: [Key; 3] =
    [optional("username", Kind::Text), optional("groupname", Kind::Text), optional("password", Kind::Text)];

fn data(action: &Action) -> Result<Raw, String> {
    let shape = SHAPES.iter().find(|(kind, _)| *kind == action.kind).map(|(_, shape)| shape);
    let keys = match (shape, &action.data) {
        (None, _) => return Err("its type is not known".into()),
        (Some(Shape::Null), _) | (Some(Shape::NullOrKeys(_)), None) => return Ok(raw(&())),
        (Some(_), None) => return Err("it has no data".into()),
        (Some(Shape::Any), Some(_)) => None,
        (Some(Shape::Keys(keys) | Shape::NullOrKeys(keys)), Some(_)) => Some(*keys),
    };
    let stored = action.data.as_ref().map_or("null", |data| data.get());
    let nothing_stored = stored == "null" && matches!(shape, Some(Shape::NullOrKeys(_)));
    if nothing_stored {
        return Ok(raw(&()));
    }
    let read: Option<Map<String, Value>> =
        serde_json::from_str(stored).map_err(|_| "its data is not an object")?;
    match (keys, &action.data, read) {
        (None, Some(stored), Some(_)) => Ok(stored.clone()),
        (keys, _, read) => Ok(raw(&pick(keys.unwrap_or_default(), &read.unwrap_or_default())?)),
    }
}

fn pick(keys: &[Key], stored: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut picked = Map::new();
    for key in keys {
        match stored.get(key.name).filter(|value| !value.is_null()) {
            None if key.required => {
                let nothing = if key.kind == Kind::Flag { json!(false) } else { json!("") };
                picked.insert(key.name.to_owned(), nothing);
            }
            None => {}
            Some(value) => {
                if let Some(value) = checked(key, value)? {
                    picked.insert(key.name.to_owned(), value);
                }
            }
        }
    }
    Ok(picked)
}

/// The value if it is of the key's kind; nothing for one that says nothing (an optional false or empty text).
fn checked(key: &Key, value: &Value) -> Result<Option<Value>, String> {
    let of_kind = match key.kind {
        Kind::Text => value.is_string(),
        Kind::Flag => value.is_boolean(),
        Kind::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        Kind::Raw => true,
        Kind::User => value.is_object(),
    };
    if !of_kind {
        return Err(format!("{} is of a wrong type", key.name));
    }
    if let (Kind::User, Some(user)) = (key.kind, value.as_object()) {
        return pick(&USER_INFO, user).map(|user| Some(user.into()));
    }
    let says_nothing = *value == json!(false) || *value == json!("");
    Ok((key.required || !says_nothing).then(|| value.clone()))
}

#[cfg(test)]
mod tests;
