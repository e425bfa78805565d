//! The actions stream.

use fleet_server::agent_mode::messages::{ActionRequest, ActionResponse};
use fleet_server::agent_mode::seam::{DiagnosticFile, Question};
use tonic::Code;

use crate::controller::Actions;
use crate::support::eventually;
use crate::wire::{Pair, both, wished_units};

const CUSTOM: i32 = 0;
const DIAGNOSTICS: i32 = 1;

/// The stream after its first word.
fn greeted(pair: &Pair) -> Actions {
    let stream = pair.agent.actions();
    let first = stream.hear();
    assert_eq!((first.token.as_str(), first.id.as_str(), first.status), ("its-token", "init", 0));
    assert_eq!(first.result, b"{}");
    stream
}

/// Asks for an action of a unit; what is answered.
fn ask(stream: &Actions, r#type: i32, level: i32, unit_id: &str) -> (i32, String) {
    stream.say(ActionRequest {
        id: "action-1".into(),
        r#type,
        level,
        unit_id: unit_id.into(),
        ..ActionRequest::default()
    });
    let ActionResponse { token, id, status, result, .. } = stream.hear();
    assert_eq!((token.as_str(), id.as_str()), ("its-token", "action-1"));
    (status, String::from_utf8(result).unwrap())
}

/// A request for diagnostics of the component.
fn diagnostics(params: &str) -> ActionRequest {
    let id = "d".to_owned();
    ActionRequest { id, r#type: DIAGNOSTICS, level: 1, params: params.into(), ..ActionRequest::default() }
}

/// What the server is asked.
fn question(pair: &Pair) -> Question {
    eventually("a question", || pair.control.question())
}

/// In the place of the server: gives one file. Whether the output was to be tried.
fn answer(pair: &Pair) -> bool {
    let question = question(pair);
    let file = DiagnosticFile {
        name: "fleet-server config",
        filename: "fleet-server.yml",
        description: "what is in force",
        content_type: "application/yml",
        content: b"inputs: []".to_vec(),
    };
    question.answer.send(vec![file]).unwrap();
    question.connection
}

#[test]
fn a_type_that_nobody_knows_is_refused() {
    let pair = Pair::start();
    let stream = greeted(&pair);
    assert_eq!(ask(&stream, 9, 0, ""), (1, r#"{"error":"action type unknown"}"#.into()));
}

#[test]
fn a_unit_has_no_actions_of_its_own() {
    let pair = Pair::start();
    let check_in = pair.greeted();
    check_in.say(both(1, 1));
    wished_units(&pair.control);
    let stream = greeted(&pair);
    assert_eq!(ask(&stream, CUSTOM, 0, "input-1"), (1, r#"{"error":"action undefined"}"#.into()));
    assert_eq!(ask(&stream, CUSTOM, 0, "nobody"), (1, r#"{"error":"action unit not found"}"#.into()));
}

#[test]
fn diagnostics_of_a_unit_have_no_files() {
    let pair = Pair::start();
    let check_in = pair.greeted();
    check_in.say(both(1, 1));
    wished_units(&pair.control);
    let stream = greeted(&pair);
    assert_eq!(ask(&stream, DIAGNOSTICS, 2, "input-1"), (0, String::new()));
}

#[test]
fn the_server_gives_the_files_of_diagnostics() {
    let pair = Pair::start();
    let stream = greeted(&pair);
    stream.say(diagnostics(r#"{"additional_metrics":["CPU","CONN"]}"#));
    assert!(answer(&pair), "the output is to be tried");
    let heard = stream.hear();
    assert_eq!((heard.id.as_str(), heard.status, heard.diagnostic.len()), ("d", 0, 1));
    let file = &heard.diagnostic[0];
    assert_eq!((file.filename.as_str(), file.content.as_slice()), ("fleet-server.yml", &b"inputs: []"[..]));
    assert_eq!((file.name.as_str(), file.content_type.as_str()), ("fleet-server config", "application/yml"));
    assert!(file.generated.is_some_and(|at| at.seconds > 1_700_000_000));
    stream.say(diagnostics(""));
    assert!(!answer(&pair), "the output is not to be tried");
}

#[test]
fn a_question_that_the_server_drops_fails_the_action() {
    let pair = Pair::start();
    let stream = greeted(&pair);
    stream.say(diagnostics(""));
    let question = question(&pair);
    drop(question);
    assert_eq!(stream.hear().status, 1);
}

#[test]
fn an_answer_that_was_not_sent_outlives_the_stream() {
    let pair = Pair::start();
    let stream = greeted(&pair);
    stream.say(diagnostics(""));
    let question = question(&pair);
    stream.fail(Code::Unavailable);
    let stream = pair.agent.actions();
    assert_eq!(stream.hear().id, "init");
    question.answer.send(Vec::new()).unwrap();
    let heard = stream.hear();
    assert_eq!((heard.id.as_str(), heard.status), ("d", 0));
}

#[test]
fn an_answer_made_while_no_stream_is_open_is_given_on_the_next() {
    let pair = Pair::start();
    let stream = greeted(&pair);
    stream.say(diagnostics(""));
    let question = question(&pair);
    stream.fail(Code::Unavailable);
    question.answer.send(Vec::new()).unwrap();
    let stream = pair.agent.actions();
    assert_eq!([stream.hear().id, stream.hear().id], ["init", "d"]);
}
