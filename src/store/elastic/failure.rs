//! What goes wrong between us and the cluster, and what may help. Unknown is never turned into empty here, nor anything
//! into "the key is bad".

use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Request, Response, SendError};
use crate::store::StoreError;

/// Of the cluster's reason, so much is told.
const REASON_CHARS_MAX: usize = 300;

/// Why something has not come to its end.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// What is answered if nothing helps.
    pub(super) error: StoreError,
    /// What may help.
    pub(super) cure: Cure,
}

/// What may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cure {
    /// Nothing.
    None,
    /// The same again, a little later.
    Wait,
    /// The same in parts: one of several may be at fault, or all together too much.
    Divide,
}

impl Trouble {
    /// There is no answer. What must not be done twice is not repeated when it may have been done.
    pub(super) fn unanswered(error: &SendError, request: &Request) -> Self {
        let cure = match error {
            error if !error.may_be_repeated(request) => Cure::None,
            // an answer too large, nearly always
            SendError::Answer { .. } => Cure::Divide,
            _ => Cure::Wait,
        };
        Trouble { error: StoreError::Unreachable(error.to_string()), cure }
    }

    /// An answer other than 2xx.
    pub(super) fn refused(response: &Response) -> Self {
        let reason = Cause::of(response).map_or_else(|| "no reason given".to_owned(), |cause| cause.text());
        Trouble::failed(response.status, reason)
    }

    /// A failure with its HTTP status, be it of the whole or of one of several.
    pub(super) fn failed(status: u16, reason: String) -> Self {
        let cure = match status {
            // 401: a cluster that has just started knows nobody yet
            401 | 408 | 425 | 429 | 502 | 503 | 504 => Cure::Wait,
            400 | 413 => Cure::Divide,
            _ => Cure::None,
        };
        Trouble { error: StoreError::Failed { status, reason }, cure }
    }

    /// A failure that the cluster tells without a status, and that says nothing about what was asked for.
    pub(super) fn unknown(reason: String) -> Self {
        Trouble::failed(503, reason)
    }

    /// Something that no Elasticsearch answers.
    pub(super) fn garbled(what: &str) -> Self {
        let error = StoreError::Unreachable(format!("the answer to {what} is not understood"));
        Trouble { error, cure: Cure::None }
    }
}

/// What the cluster says of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cause {
    /// `index_not_found_exception` and the like; empty where there is only text.
    pub(super) kind: String,
    /// For people.
    pub(super) reason: String,
    /// Of an authentication that failed: what is wrong with the credentials.
    pub(super) unsuccessful_credentials: Option<String>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    error: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason: Option<String>,
    additional_unsuccessful_credentials: Option<String>,
}

impl Cause {
    /// The cause in a failed answer; `None` if it has none, as what is not Elasticsearch's has not.
    pub(super) fn of(response: &Response) -> Option<Self> {
        serde_json::from_slice::<Failure<'_>>(&response.body).ok().map(|failure| Cause::read(failure.error))
    }

    /// Reads `error`, an object or a text.
    pub(super) fn read(error: &RawValue) -> Self {
        if let Ok(reason) = serde_json::from_str::<String>(error.get()) {
            return Cause { reason, ..Cause::default() };
        }
        let told: Told = serde_json::from_str(error.get()).unwrap_or_default();
        Cause {
            kind: told.kind.unwrap_or_default(),
            reason: told.reason.unwrap_or_default(),
            unsuccessful_credentials: told.additional_unsuccessful_credentials,
        }
    }

    /// Whether the index is missing: then it holds nothing.
    pub(super) fn is_missing_index(&self) -> bool {
        self.kind == "index_not_found_exception"
    }

    /// Whether the cluster has no such route at all: a module that is not installed, or security that is off.
    pub(super) fn is_missing_route(&self) -> bool {
        self.kind.is_empty() && self.reason.starts_with("no handler found")
    }

    /// Kind and reason for a log line or an answer.
    pub(super) fn text(&self) -> String {
        let separator = if self.kind.is_empty() || self.reason.is_empty() { "" } else { ": " };
        let text = format!("{}{separator}{}", self.kind, self.reason);
        text.chars().take(REASON_CHARS_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::elastic::ask::plain;

    fn response(status: u16, body: &str) -> Response {
        Response { status, body: body.into() }
    }

    #[test]
    fn a_cause_is_read_from_an_object_or_a_text() {
        let object = response(404, r#"{"error":{"type":"index_not_found_exception","reason":"no"}}"#);
        let cause = Cause::of(&object).unwrap();
        assert!(cause.is_missing_index());
        assert_eq!(cause.text(), "index_not_found_exception: no");
        let text = response(400, r#"{"error":"no handler found for uri [/x] and method [GET]"}"#);
        assert!(Cause::of(&text).unwrap().is_missing_route());
        assert_eq!(Cause::of(&response(502, "<html>")), None);
    }

    #[test]
    fn odd_causes_are_taken_as_they_are() {
        for odd in [r#"{"error":7}"#, r#"{"error":{"type":7}}"#, r#"{"error":null}"#] {
            assert_eq!(Cause::of(&response(400, odd)), Some(Cause::default()), "{odd}");
        }
    }

    #[test]
    fn a_reason_has_a_bound() {
        let cause = Cause { kind: "k".into(), reason: "ü".repeat(10_000), ..Cause::default() };
        assert_eq!(cause.text().chars().count(), REASON_CHARS_MAX);
    }

    #[test]
    fn what_may_pass_is_waited_for_and_what_may_be_one_of_many_is_divided() {
        for status in [401, 408, 425, 429, 502, 503, 504] {
            assert_eq!(Trouble::refused(&response(status, "")).cure, Cure::Wait, "{status}");
        }
        assert_eq!(Trouble::refused(&response(400, "")).cure, Cure::Divide);
        assert_eq!(Trouble::refused(&response(413, "")).cure, Cure::Divide);
        assert_eq!(Trouble::refused(&response(403, "")).cure, Cure::None);
    }

    #[test]
    fn what_may_have_been_done_is_repeated_only_if_it_may_be() {
        let (host, reason) = (|| "h".to_owned(), || "r".to_owned());
        let repeatable = plain("GET", "/");
        let single = Request { repeatable: false, ..plain("PUT", "/") };
        let cure = |error: &SendError, request: &Request| Trouble::unanswered(error, request).cure;
        let unknown = SendError::Unknown { host: host(), reason: reason() };
        assert_eq!((cure(&unknown, &repeatable), cure(&unknown, &single)), (Cure::Wait, Cure::None));
        let never = SendError::NotReached { host: host(), reason: reason() };
        assert_eq!((cure(&never, &repeatable), cure(&never, &single)), (Cure::Wait, Cure::Wait));
        let odd = SendError::Answer { host: host(), reason: reason() };
        assert_eq!((cure(&odd, &repeatable), cure(&odd, &single)), (Cure::Divide, Cure::None));
    }
}
