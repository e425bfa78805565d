//! What the agent asks for beside configuration (agent-mode.md, "Actions stream"): diagnostics, which the server has to give,
//! and actions of units, of which there are none. Pure. What was not sent yet outlives the stream that it was asked on.

use std::collections::VecDeque;
use std::time::Duration;

use prost::Message;
use serde::Deserialize;
use serde_json::json;

use super::messages::{
    ACTION_CUSTOM, ACTION_DIAGNOSTICS, ActionDiagnostic, ActionRequest, ActionResponse, FAILED, LEVEL_UNIT,
    SUCCESS, Timestamp,
};
use super::seam::DiagnosticFile;

/// Answers that wait for a stream; beyond, the oldest goes.
const ANSWERS_QUEUED_MAX: usize = 32;
/// Requests for diagnostics that are being answered; further ones are refused.
pub(super) const QUESTIONS_OPEN_MAX: usize = 4;
/// A stream that ends so soon after an answer was given to it may not have brought it there: it is given again. The agent
/// does not mind to have it twice.
const GIVEN_AGAIN_WITHIN: Duration = Duration::from_secs(2);
/// By which the first message of a stream is known.
const FIRST_ID: &str = "init";

/// Answers, and how many are being made.
pub(super) struct Actions {
    token: String,
    message_bytes_max: usize,
    unsent: VecDeque<ActionResponse>,
    /// With the time at which they were given to the stream.
    given: VecDeque<(Duration, ActionResponse)>,
    open: usize,
}

/// What the server is to be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Of the request.
    pub(super) id: String,
    /// Whether requests to the output are to be tried.
    pub(super) connection: bool,
}

/// `params` of a request for diagnostics.
#[derive(Default, Deserialize)]
struct Params {
    /// Null where Go has nothing to put into it.
    #[serde(default)]
    additional_metrics: Option<Vec<String>>,
}

impl Actions {
    /// No answers yet; all carry this token.
    pub(super) fn new(token: &str, message_bytes_max: usize) -> Self {
        let (unsent, given) = (VecDeque::new(), VecDeque::new());
        Actions { token: token.to_owned(), message_bytes_max, unsent, given, open: 0 }
    }

    /// What a stream begins with.
    pub(super) fn first(&self) -> ActionResponse {
        self.answer(FIRST_ID, SUCCESS, b"{}".to_vec())
    }

    /// A request came. What the server has to be asked; [`Actions::answered`] follows then. `known`: the unit is.
    pub(super) fn request(&mut self, request: ActionRequest, known: bool) -> Option<Asked> {
        match request.r#type {
            ACTION_CUSTOM if known => self.refuse(&request.id, "action undefined"),
            ACTION_CUSTOM => self.refuse(&request.id, "action unit not found"),
            ACTION_DIAGNOSTICS => return self.diagnostics(request, known),
            _ => self.refuse(&request.id, "action type unknown"),
        }
        None
    }

    fn diagnostics(&mut self, request: ActionRequest, known: bool) -> Option<Asked> {
        let params = match request.params.as_slice() {
            [] => Ok(None),
            params => serde_json::from_slice::<Option<Params>>(params),
        };
        match params {
            Err(error) => self.refuse(&request.id, &format!("the parameters cannot be read: {error}")),
            // all that we have is of the component
            Ok(_) if request.level == LEVEL_UNIT && known => {
                self.push(self.answer(&request.id, SUCCESS, Vec::new()))
            }
            Ok(_) if request.level == LEVEL_UNIT => self.refuse(&request.id, "action unit not found"),
            Ok(_) if self.open == QUESTIONS_OPEN_MAX => {
                self.refuse(&request.id, "diagnostics are being collected already");
            }
            Ok(params) => {
                self.open += 1;
                let mut metrics = params.unwrap_or_default().additional_metrics.into_iter().flatten();
                let connection = metrics.any(|metric| metric == "CONN");
                return Some(Asked { id: request.id, connection });
            }
        }
        None
    }

    /// The server has answered what was asked, or has not in time.
    pub(super) fn answered(&mut self, id: &str, files: Option<Vec<DiagnosticFile>>, now: Timestamp) {
        self.open = self.open.saturating_sub(1);
        let Some(files) = files else {
            return self.refuse(id, "the server has not answered in time");
        };
        let mut answer = self.answer(id, SUCCESS, Vec::new());
        answer.diagnostic = files.into_iter().map(|file| diagnostic(file, now)).collect();
        let bytes = answer.encoded_len();
        if bytes > self.message_bytes_max {
            let bytes_max = self.message_bytes_max;
            return self
                .refuse(id, &format!("the files have {bytes} bytes, and the agent takes {bytes_max}"));
        }
        self.push(answer);
    }

    /// The next answer, for a stream that can take it at `now` ([`crate::time::Now::mono`]).
    pub(super) fn next(&mut self, now: Duration) -> Option<ActionResponse> {
        while self.given.front().is_some_and(|(at, _)| *at + GIVEN_AGAIN_WITHIN <= now) {
            self.given.pop_front();
        }
        let answer = self.unsent.pop_front()?;
        self.given.push_back((now, answer.clone()));
        Some(answer)
    }

    /// In how long [`Actions::next`] is to be asked even if nothing was answered.
    pub(super) fn wait(&self) -> Option<Duration> {
        (!self.given.is_empty()).then_some(GIVEN_AGAIN_WITHIN)
    }

    /// The stream has ended at `now`.
    pub(super) fn stream_ended(&mut self, now: Duration) {
        while let Some((at, answer)) = self.given.pop_back() {
            if now < at + GIVEN_AGAIN_WITHIN {
                self.unsent.push_front(answer);
            }
        }
    }

    fn refuse(&mut self, id: &str, reason: &str) {
        self.push(self.answer(id, FAILED, json!({ "error": reason }).to_string().into_bytes()));
    }

    fn answer(&self, id: &str, status: i32, result: Vec<u8>) -> ActionResponse {
        ActionResponse {
            token: self.token.clone(),
            id: id.to_owned(),
            status,
            result,
            diagnostic: Vec::new(),
        }
    }

    fn push(&mut self, answer: ActionResponse) {
        if self.unsent.len() == ANSWERS_QUEUED_MAX {
            log::warn!("the agent does not take the answers to its actions: the oldest is lost");
            self.unsent.pop_front();
        }
        self.unsent.push_back(answer);
    }
}

fn diagnostic(file: DiagnosticFile, now: Timestamp) -> ActionDiagnostic {
    ActionDiagnostic {
        name: file.name.to_owned(),
        filename: file.filename.to_owned(),
        description: file.description.to_owned(),
        content_type: file.content_type.to_owned(),
        content: file.content,
        generated: Some(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 1, nanos: 0 };

    fn request(r#type: i32, level: i32, params: &str) -> ActionRequest {
        let id = "1".to_owned();
        ActionRequest { id, r#type, level, params: params.into(), ..ActionRequest::default() }
    }

    fn answer(actions: &mut Actions) -> (i32, String) {
        let answer = actions.next(Duration::ZERO).expect("an answer");
        assert_eq!((answer.token.as_str(), answer.id.as_str()), ("t", "1"));
        (answer.status, String::from_utf8(answer.result).unwrap())
    }

    /// What is answered at once.
    fn refusal(request: ActionRequest, known: bool) -> String {
        let mut actions = Actions::new("t", 1_000);
        assert_eq!(actions.request(request, known), None);
        let (status, result) = answer(&mut actions);
        assert_eq!(status, FAILED);
        result
    }

    fn file(bytes: usize) -> DiagnosticFile {
        DiagnosticFile {
            name: "n",
            filename: "f.txt",
            description: "d",
            content_type: "text/plain",
            content: vec![b'c'; bytes],
        }
    }

    #[test]
    fn a_stream_begins_with_a_word_that_nobody_asked_for() {
        let first = Actions::new("t", 1_000).first();
        assert_eq!((first.id.as_str(), first.status, first.result.as_slice()), ("init", SUCCESS, &b"{}"[..]));
    }

    #[test]
    fn an_unknown_type_and_actions_of_units_are_refused() {
        assert_eq!(refusal(request(2, 0, ""), true), r#"{"error":"action type unknown"}"#);
        assert_eq!(refusal(request(ACTION_CUSTOM, 0, ""), true), r#"{"error":"action undefined"}"#);
        assert_eq!(refusal(request(ACTION_CUSTOM, 0, ""), false), r#"{"error":"action unit not found"}"#);
    }

    #[test]
    fn diagnostics_of_a_unit_are_none_and_of_an_unknown_one_refused() {
        let mut actions = Actions::new("t", 1_000);
        assert_eq!(actions.request(request(ACTION_DIAGNOSTICS, LEVEL_UNIT, ""), true), None);
        assert_eq!(answer(&mut actions), (SUCCESS, String::new()));
        assert!(refusal(request(ACTION_DIAGNOSTICS, LEVEL_UNIT, ""), false).contains("not found"));
    }

    #[test]
    fn the_server_is_asked_for_diagnostics_of_all_and_of_the_component() {
        let mut actions = Actions::new("t", 1_000);
        for (level, params, connection) in [
            (0, "", false),
            (1, r#"{"additional_metrics":["CPU","CONN"]}"#, true),
            (1, r#"{"additional_metrics":["CPU"]}"#, false),
            (1, r#"{"additional_metrics":null}"#, false),
        ] {
            let asked = Asked { id: "1".into(), connection };
            assert_eq!(actions.request(request(ACTION_DIAGNOSTICS, level, params), false), Some(asked));
        }
        actions.answered("1", Some(vec![file(5)]), NOW);
        let answer = actions.next(Duration::ZERO).unwrap();
        let file = &answer.diagnostic[0];
        assert_eq!(
            (answer.status, file.filename.as_str(), file.content.as_slice()),
            (SUCCESS, "f.txt", &b"ccccc"[..])
        );
        assert_eq!(file.generated, Some(NOW));
    }

    #[test]
    fn parameters_that_cannot_be_read_are_refused() {
        assert!(refusal(request(ACTION_DIAGNOSTICS, 1, "{"), true).contains("cannot be read"));
    }

    #[test]
    fn a_server_that_does_not_answer_fails_the_action() {
        let mut actions = Actions::new("t", 1_000);
        actions.request(request(ACTION_DIAGNOSTICS, 1, ""), true);
        actions.answered("1", None, NOW);
        assert_eq!(answer(&mut actions).0, FAILED);
    }

    #[test]
    fn files_that_are_too_large_for_a_message_fail_the_action_and_not_the_stream() {
        let mut actions = Actions::new("t", 1_000);
        actions.request(request(ACTION_DIAGNOSTICS, 1, ""), true);
        actions.answered("1", Some(vec![file(1_000)]), NOW);
        assert!(answer(&mut actions).1.contains("1000"));
    }

    #[test]
    fn questions_and_answers_have_their_bounds() {
        let mut actions = Actions::new("t", 1_000);
        let ask = |actions: &mut Actions| actions.request(request(ACTION_DIAGNOSTICS, 1, ""), true);
        assert_eq!(std::iter::from_fn(|| ask(&mut actions)).count(), QUESTIONS_OPEN_MAX);
        actions.answered("1", Some(Vec::new()), NOW);
        assert!(ask(&mut actions).is_some());
        for _ in 0..100 {
            actions.request(request(7, 0, ""), true);
        }
        assert_eq!(std::iter::from_fn(|| actions.next(Duration::ZERO)).count(), ANSWERS_QUEUED_MAX);
    }

    #[test]
    fn what_a_stream_was_given_just_before_its_end_is_given_to_the_next() {
        let mut actions = Actions::new("t", 1_000);
        let at = Duration::from_secs;
        for kind in [7, 8] {
            actions.request(ActionRequest { id: kind.to_string(), ..request(kind, 0, "") }, true);
        }
        assert_eq!(actions.next(at(1)).map(|answer| answer.id), Some("7".into()));
        assert_eq!(actions.next(at(3)).map(|answer| answer.id), Some("8".into()));
        actions.stream_ended(at(3));
        assert_eq!(actions.next(at(4)).map(|answer| answer.id), Some("8".into()));
        assert!(actions.next(at(4)).is_none() && actions.wait().is_some());
        assert!(actions.next(at(6)).is_none() && actions.wait().is_none());
        actions.stream_ended(at(6));
        assert!(actions.next(at(6)).is_none());
    }
}
