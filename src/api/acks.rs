//! Acknowledgements (checkin.md, "POST acks").

use serde::Serialize;

use super::ApiError;
use super::body::Fields;
use crate::http::reason;
use crate::model::raw::Raw;

/// Events of one request: far more than an agent ever has.
pub const ACK_EVENTS_MAX: usize = 10_000;

/// One event of an acks request.
#[derive(Debug, Default)]
pub struct AckEvent {
    /// What is acknowledged.
    pub action_id: String,
    /// Empty, or this very agent.
    pub agent_id: String,
    /// RFC 3339 as the agent wrote it; not checked.
    pub timestamp: String,
    /// Empty when it went well.
    pub error: String,
    /// `payload.retry`: the agent tries again.
    pub retry: bool,
    /// REQUEST_DIAGNOSTICS: what was uploaded.
    pub data: Option<Raw>,
    /// INPUT_ACTION, as are the following.
    pub action_input_type: Option<String>,
    /// As sent.
    pub action_data: Option<Raw>,
    /// As sent.
    pub action_response: Option<Raw>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub completed_at: Option<String>,
}

/// Events of a request; a malformed one counts as one without fields.
pub fn read(body: &[u8]) -> Result<Vec<AckEvent>, ApiError> {
    let fields = Fields::open(body)?;
    let Some(events) = fields.raw("events") else { return Ok(Vec::new()) };
    let events: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(events.get()).map_err(|_| ApiError::bad("events: not an array"))?;
    if events.len() > ACK_EVENTS_MAX {
        return Err(ApiError::bad(format!("events: more than {ACK_EVENTS_MAX}")));
    }
    Ok(events.iter().map(|event| read_event(event.get()).unwrap_or_default()).collect())
}

fn read_event(event: &str) -> Result<AckEvent, ApiError> {
    let fields = Fields::open(event.as_bytes())?;
    let payload = fields.object("payload")?;
    Ok(AckEvent {
        action_id: fields.take("action_id")?,
        agent_id: fields.take("agent_id")?,
        timestamp: fields.take("timestamp")?,
        error: fields.take("error")?,
        retry: payload.map_or(Ok(false), |payload| payload.take("retry"))?,
        data: fields.stored("data")?,
        action_input_type: fields.optional("action_input_type")?,
        action_data: fields.stored("action_data")?,
        action_response: fields.stored("action_response")?,
        started_at: fields.optional("started_at")?,
        completed_at: fields.optional("completed_at")?,
    })
}

/// The policy and revision of `policy:ID:REV` or, older, `policy:ID:REV:N`; `None` for another form.
pub fn policy_of(action_id: &str) -> Option<(&str, i64)> {
    let rest = action_id.strip_prefix("policy:")?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (policy, revision_idx) = match parts[..] {
        [policy, revision_idx] | [policy, revision_idx, _] => (policy, revision_idx),
        _ => return None,
    };
    Some((policy, revision_idx.parse().ok()?))
}

/// The answer to acks: one item for each event, in their order.
#[derive(Debug, Serialize)]
pub struct AcksAnswer {
    action: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    errors: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<AckItem>,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AckItem {
    /// The status's text, or the store's reason.
    pub message: String,
    /// An HTTP status.
    pub status: u16,
}

impl AckItem {
    /// An item with the status's own text.
    pub fn status(status: u16) -> Self {
        AckItem { message: reason(status).to_owned(), status }
    }
}

impl AcksAnswer {
    /// The answer of these items, and its HTTP status: the highest of theirs.
    pub fn of(items: Vec<AckItem>) -> (u16, Self) {
        let status = items.iter().map(|item| item.status).max().unwrap_or(200);
        (status, AcksAnswer { action: "acks", errors: status >= 400, items })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_acks_have_two_forms() {
        assert_eq!(policy_of("policy:p:3"), Some(("p", 3)));
        assert_eq!(policy_of("policy:p:3:1"), Some(("p", 3)));
        assert_eq!(policy_of("policy:a:b"), None);
        assert_eq!(policy_of("policy:a"), None);
        assert_eq!(policy_of("other"), None);
    }

    #[test]
    fn a_malformed_event_keeps_its_place() {
        let events = read(br#"{"events":[{"action_id":5},{"action_id":"b"},7]}"#).unwrap();
        let ids: Vec<&str> = events.iter().map(|event| event.action_id.as_str()).collect();
        assert_eq!(ids, ["", "b", ""]);
    }

    #[test]
    fn more_events_than_their_bound_are_refused_and_it_is_named() {
        let body = |count: usize| format!(r#"{{"events":[{}]}}"#, vec!["{}"; count].join(","));
        assert_eq!(read(body(ACK_EVENTS_MAX).as_bytes()).unwrap().len(), ACK_EVENTS_MAX);
        let error = read(body(ACK_EVENTS_MAX + 1).as_bytes()).unwrap_err();
        assert_eq!(error.row().2, "Bad request: events: more than 10000");
    }

    #[test]
    fn no_events_is_a_plain_answer() {
        let (status, answer) = AcksAnswer::of(Vec::new());
        assert_eq!((status, serde_json::to_string(&answer).unwrap().as_str()), (200, r#"{"action":"acks"}"#));
    }

    #[test]
    fn the_status_is_the_highest_of_the_items() {
        let (status, answer) =
            AcksAnswer::of(vec![AckItem::status(200), AckItem::status(404), AckItem::status(400)]);
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(
            (status, &json["errors"], json["items"][1]["message"].as_str()),
            (404, &true.into(), Some("Not Found"))
        );
    }
}
