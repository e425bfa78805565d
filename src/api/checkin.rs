//! The check-in request and the answers that hold no policy (checkin.md, "POST checkin").

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ApiError;
use super::body::Fields;
use crate::model::Agent;
use crate::model::raw::Raw;

/// What an agent says of itself.
#[derive(Debug, Default)]
pub struct CheckInRequest {
    /// online, error, degraded, starting, disconnected; other text is kept as it is.
    pub status: String,
    /// Empty when absent.
    pub message: String,
    /// `_id` of the last action it has.
    pub ack_token: String,
    /// As sent; whether it can be stored is to be checked first.
    pub local_metadata: Option<Raw>,
    /// An array, as sent; whether it can be stored is to be checked first.
    pub components: Option<Raw>,
    /// The policy it runs, and its revision: both or nothing.
    pub policy: Option<(String, i64)>,
    /// The array `upgrade.rollbacks` as sent; `None` when absent, empty or unreadable.
    pub rollbacks: Option<Raw>,
    /// As sent.
    pub upgrade_details: Option<Raw>,
    /// How long the client is going to wait.
    pub poll_timeout: Option<Duration>,
}

impl CheckInRequest {
    /// Reads a request body.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let fields = Fields::open(body)?;
        let status: String = fields.take("status")?;
        if status.is_empty() {
            return Err(ApiError::bad("status: required"));
        }
        Ok(CheckInRequest {
            status,
            message: fields.take("message")?,
            ack_token: fields.take("ack_token")?,
            local_metadata: fields.raw("local_metadata").map(ToOwned::to_owned),
            components: components(&fields)?,
            policy: policy(&fields)?,
            rollbacks: rollbacks(&fields),
            upgrade_details: fields.stored("upgrade_details")?,
            poll_timeout: poll_timeout(&fields)?,
        })
    }
}

fn components(fields: &Fields<'_>) -> Result<Option<Raw>, ApiError> {
    match fields.raw("components") {
        Some(raw) if !raw.get().starts_with('[') => Err(ApiError::bad("components: not an array")),
        components => Ok(components.map(ToOwned::to_owned)),
    }
}

fn policy(fields: &Fields<'_>) -> Result<Option<(String, i64)>, ApiError> {
    let id: Option<String> = fields.optional("agent_policy_id")?;
    let revision_idx: Option<i64> = fields.optional("policy_revision_idx")?;
    if revision_idx.is_some_and(|revision_idx| revision_idx < 0) {
        return Err(ApiError::bad("policy_revision_idx: negative"));
    }
    Ok(id.zip(revision_idx))
}

/// Unreadable ones are logged and ignored.
fn rollbacks(fields: &Fields<'_>) -> Option<Raw> {
    let upgrade = fields
        .object("upgrade")
        .inspect_err(|error| ::log::warn!("upgrade is ignored: {error:?}"))
        .ok()??;
    let rollbacks = upgrade
        .stored("rollbacks")
        .inspect_err(|error| ::log::warn!("upgrade.rollbacks is ignored: {error:?}"))
        .ok()??;
    if !rollbacks.get().starts_with('[') {
        ::log::warn!("upgrade.rollbacks is ignored: not an array");
        return None;
    }
    Some(rollbacks)
}

fn poll_timeout(fields: &Fields<'_>) -> Result<Option<Duration>, ApiError> {
    let Some(text) = fields.optional::<String>("poll_timeout")? else { return Ok(None) };
    let nanos = go_duration_nanos(&text)
        .ok_or_else(|| ApiError::bad("poll_timeout: not a duration such as \"5m0s\""))?;
    // zero is as if absent; a negative one is the shortest
    Ok((nanos != 0).then(|| Duration::from_nanos(u64::try_from(nanos).unwrap_or(1))))
}

/// A duration as Go writes it ("1h2m3.5s"), signed, in nanoseconds.
fn go_duration_nanos(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let duration = crate::config::go_duration(rest)?;
    i64::try_from(duration.as_nanos()).ok().map(|nanos| sign * nanos)
}

/// Why an agent is not healthy, by its components: `input` or `output` when a failing component has a failing unit of that
/// type, `other` when it has neither. Empty when none fails.
pub fn unhealthy_reasons(components: &Raw) -> Vec<String> {
    let reasons: Reasons = serde_json::from_str(components.get()).unwrap_or_default();
    let named = [(reasons.input, "input"), (reasons.output, "output"), (reasons.other, "other")];
    named.into_iter().filter(|(found, _)| *found).map(|(_, name)| name.to_owned()).collect()
}

/// Where components fail, found in one pass that keeps one component at a time.
#[derive(Default)]
struct Reasons {
    input: bool,
    output: bool,
    other: bool,
}

impl Reasons {
    fn note(&mut self, component: &RawValue) {
        let Ok(component) = serde_json::from_str::<Failing<'_>>(component.get()) else { return };
        if !component.fails() {
            return;
        }
        let of = |units: &RawValue| serde_json::from_str::<UnitReasons>(units.get()).unwrap_or_default();
        let units = component.units.map(of).unwrap_or_default();
        self.input |= units.input;
        self.output |= units.output;
        self.other |= !units.input && !units.output;
    }
}

/// As much of a component or a unit as tells whether it fails; the rest is skipped, not kept.
#[derive(Deserialize)]
struct Failing<'a> {
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    units: Option<&'a RawValue>,
}

impl Failing<'_> {
    fn fails(&self) -> bool {
        self.status.is_some_and(|status| matches!(status.get(), r#""FAILED""# | r#""DEGRADED""#))
    }
}

/// Of which type failing units are.
#[derive(Default)]
struct UnitReasons {
    input: bool,
    output: bool,
}

impl<'de> Deserialize<'de> for UnitReasons {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Units)
    }
}

struct Units;

impl<'de> Visitor<'de> for Units {
    type Value = UnitReasons;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("units")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut units: A) -> Result<UnitReasons, A::Error> {
        let mut reasons = UnitReasons::default();
        while let Some(unit) = units.next_element::<&RawValue>()? {
            let Ok(unit) = serde_json::from_str::<Failing<'_>>(unit.get()) else { continue };
            let kind = unit.kind.map(RawValue::get).filter(|_| unit.fails());
            reasons.input |= kind == Some(r#""input""#);
            reasons.output |= kind == Some(r#""output""#);
        }
        Ok(reasons)
    }
}

impl<'de> Deserialize<'de> for Reasons {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Components)
    }
}

struct Components;

impl<'de> Visitor<'de> for Components {
    type Value = Reasons;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("components")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut components: A) -> Result<Reasons, A::Error> {
        let mut reasons = Reasons::default();
        while let Some(component) = components.next_element::<&RawValue>()? {
            reasons.note(component);
        }
        Ok(reasons)
    }
}

/// How long to hold a check-in, and until when its answer may be written (checkin.md, step 2).
pub fn poll_times(asked: Option<Duration>, long_poll: Duration, max_poll: Duration) -> Duration {
    const SHORTEST: Duration = Duration::from_secs(60);
    /// The answer has to arrive before the client gives up.
    const MARGIN: Duration = Duration::from_secs(120);
    match asked {
        None => long_poll,
        Some(asked) => asked.saturating_sub(MARGIN).min(max_poll).max(SHORTEST),
    }
}

/// Whether the agent's document says the same already, so that a heartbeat is enough.
pub fn says_the_same(agent: &Agent, request: &CheckInRequest) -> bool {
    agent.last_checkin.is_some()
        && agent.last_checkin_status.as_deref() == Some(request.status.as_str())
        && agent.last_checkin_message.as_deref().unwrap_or_default() == request.message
}

/// The answer when nothing came.
pub const EMPTY_ANSWER: &str = r#"{"ack_token":"","action":"checkin"}"#;

/// The answer that sends an agent away: one action and no token.
pub fn farewell(action: serde_json::Value) -> String {
    serde_json::json!({ "action": "checkin", "actions": [action] }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(text: &str) -> Result<Option<Duration>, ApiError> {
        let body = format!(r#"{{"status":"online","poll_timeout":"{text}"}}"#);
        CheckInRequest::read(body.as_bytes()).map(|request| request.poll_timeout)
    }

    #[test]
    fn a_status_is_required() {
        assert!(CheckInRequest::read(b"{}").is_err());
        assert!(CheckInRequest::read(br#"{"status":""}"#).is_err());
        assert_eq!(CheckInRequest::read(br#"{"status":"online","message":""}"#).unwrap().status, "online");
    }

    #[test]
    fn poll_timeout_is_a_go_duration() {
        assert_eq!(poll("10m").unwrap(), Some(Duration::from_secs(600)));
        assert_eq!(poll("0s").unwrap(), None);
        assert!(poll("-5m").unwrap().is_some());
        assert!(poll("90x").is_err() && poll("").is_err() && poll("5").is_err());
    }

    #[test]
    fn the_poll_ends_two_minutes_before_the_client_and_never_within_one() {
        let times = |asked: u64| {
            poll_times(Some(Duration::from_secs(asked)), Duration::ZERO, Duration::from_secs(3_600))
        };
        assert_eq!(times(60), Duration::from_secs(60));
        assert_eq!(times(600), Duration::from_secs(480));
        assert_eq!(times(100_000), Duration::from_secs(3_600));
        assert_eq!(poll_times(None, Duration::from_secs(300), Duration::ZERO), Duration::from_secs(300));
    }

    #[test]
    fn the_policy_needs_both_fields() {
        let read = |body: &str| CheckInRequest::read(body.as_bytes()).map(|request| request.policy);
        assert_eq!(read(r#"{"status":"x","agent_policy_id":"p"}"#).unwrap(), None);
        let both = r#"{"status":"x","agent_policy_id":"p","policy_revision_idx":3}"#;
        assert_eq!(read(both).unwrap(), Some(("p".into(), 3)));
        assert!(read(r#"{"status":"x","policy_revision_idx":-1}"#).is_err());
    }

    #[test]
    fn null_components_are_absent_and_others_than_arrays_refused() {
        assert!(CheckInRequest::read(br#"{"status":"x","components":null}"#).unwrap().components.is_none());
        assert!(CheckInRequest::read(br#"{"status":"x","components":{}}"#).is_err());
    }

    #[test]
    fn failing_units_give_the_reasons() {
        let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        let both = r#"[{"status":"FAILED","units":[{"type":"input","status":"FAILED"},{"type":"output","status":"DEGRADED"}]}]"#;
        assert_eq!(unhealthy_reasons(&raw(both)), ["input", "output"]);
        let other = r#"[{"status":"DEGRADED","units":[{"type":"input","status":"HEALTHY"}]}, 5]"#;
        assert_eq!(unhealthy_reasons(&raw(other)), ["other"]);
        assert!(unhealthy_reasons(&raw(r#"[{"status":"HEALTHY"}]"#)).is_empty());
    }
}
