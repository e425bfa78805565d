//! JSON whose form is right and which others cannot read: a number beyond all numbers, half of a pair of surrogates. What is to
//! be stored with that in it is refused with the name of the field, and nobody else suffers.

use serde_json::Value;

use crate::support::{Agent, Options, Response, Server, online};

/// Values that a reader who takes numbers and texts apart stumbles over.
const UNREADABLE: [&str; 3] = ["1e400", r#""\ud800""#, r#"{"\udc00":[-1e999]}"#];

fn brief() -> Server {
    Server::with(Options::plain().server("timeouts.checkin_long_poll", "50ms"))
}

/// Enrols under fixed ids with this value in the metadata.
fn enrol(server: &Server, value: &str) -> Response {
    let body = format!(
        r#"{{"type":"PERMANENT","id":"wanted","enrollment_id":"try","metadata":{{"local":{{"host":{value}}}}}}}"#
    );
    server.ask(&server.enrolment(&Value::Null).body(body))
}

/// Checks in with more fields.
fn check_in(server: &Server, agent: &Agent, fields: &str) -> Response {
    server.ask(&agent.check_in(&Value::Null).body(format!(r#"{{"status":"online",{fields}}}"#)))
}

#[test]
fn an_enrolment_is_refused_and_its_ids_stay_free() {
    let server = brief();
    for value in UNREADABLE {
        let refused = enrol(&server, value);
        assert_eq!(refused.error(), (400, "BadRequest".into()), "{value}");
        assert!(refused.text().contains("Bad request: local: "), "{}", refused.text());
    }
    assert_eq!(Agent::of(&enrol(&server, r#""😀""#)).id, "wanted");
}

#[test]
fn a_check_in_is_refused_and_the_operator_sees_all_agents() {
    let server = brief();
    let agent = server.settled();
    for value in UNREADABLE {
        for (field, fields) in [
            ("local_metadata", format!(r#""local_metadata":{{"a":{value}}}"#)),
            ("components", format!(r#""components":[{{"id":{value}}}]"#)),
            ("upgrade_details", format!(r#""upgrade_details":{{"action_id":"a","metadata":{value}}}"#)),
        ] {
            let refused = check_in(&server, &agent, &fields);
            assert_eq!(refused.error(), (400, "BadRequest".into()), "{fields}");
            assert!(refused.text().contains(&format!("Bad request: {field}: ")), "{}", refused.text());
        }
    }
    let listed = server.operate(&["agent", "list"]).json();
    assert!(listed["items"].as_array().unwrap().iter().any(|item| item["id"] == agent.id), "{listed}");
    server.check_in(&agent, &online()).ok();
}

#[test]
fn rollbacks_are_ignored() {
    let server = brief();
    let agent = server.settled();
    for value in UNREADABLE {
        check_in(&server, &agent, &format!(r#""upgrade":{{"rollbacks":[{{"version":{value}}}]}}"#)).ok();
    }
}

#[test]
fn an_ack_counts_as_one_without_fields_and_the_operator_sees_the_action() {
    let server = brief();
    let agent = server.settled();
    let action = server.order_diagnostics(&agent.id);
    for value in UNREADABLE {
        let event =
            format!(r#"{{"action_id":"{action}","timestamp":"2026-01-02T03:04:05Z","data":{value}}}"#);
        let answer = server.ask(&agent.acks(&[]).body(format!(r#"{{"events":[{event}]}}"#)));
        assert_eq!((answer.status, &answer.json()["items"][0]["status"]), (404, &404.into()), "{value}");
    }
    let shown = server.operate(&["action", "show", &action]).json();
    assert_eq!(shown["results"][0]["status"], "pending", "{shown}");
}

#[test]
fn what_is_not_stored_may_hold_anything() {
    let server = brief();
    let agent = server.settled();
    for value in UNREADABLE {
        check_in(&server, &agent, &format!(r#""something_new":{value}"#)).ok();
        let body = format!(r#"{{"type":"PERMANENT","metadata":{{"user_provided":{value}}}}}"#);

        server.ask(&server.enrolment(&Value::Null).body(body)).ok();
    }
}
