//! `POST /api/fleet/agents/{id}/acks` (checkin.md, "POST acks").

use fleet_server::model::{Action, Patch};
use serde_json::{Value, json};

use crate::support::{Agent, Options, Server, action, event, minutes_from_now, online};

fn plain() -> Server {
    Server::with(Options::plain().server("timeouts.checkin_long_poll", "50ms"))
}

fn item(status: u16, message: &str) -> Value {
    json!({ "message": message, "status": status })
}

/// A server with one settled agent and one action for it, called `a`.
fn with_action(kind: &str, data: &Value) -> (Server, Agent) {
    let server = plain();
    let agent = server.settled();
    let mut installation = server.stop();
    let namespaces = vec!["space".to_owned()];
    installation.open().put_action(Action { namespaces, ..action("a", kind, data, &[&agent.id]) });
    (installation.start(), agent)
}

fn failed_event(action_id: &str, agent: &Agent) -> Value {
    let mut event = event(action_id, agent);
    event["error"] = json!("it broke");
    event
}

#[test]
fn no_events_give_a_plain_answer() {
    let server = plain();
    let agent = server.enrol();
    for body in [json!({}), json!({ "events": [] }), json!({ "events": null })] {
        let answer = server.ask(&agent.acks(&[]).json(&body));
        assert_eq!((answer.status, answer.text()), (200, r#"{"action":"acks"}"#));
    }
}

#[test]
fn each_event_is_answered_in_its_place() {
    let server = plain();
    let agent = server.settled();
    let mut foreign = event("a", &agent);
    foreign["agent_id"] = json!("somebody else");
    let events = [foreign, event("policy:default:3", &agent), event("unknown", &agent)];
    let answer = server.ask(&agent.acks(&events));
    assert_eq!(answer.status, 404);
    let items = [item(400, "Bad Request"), item(200, "OK"), item(404, "Not Found")];
    assert_eq!(answer.json(), json!({ "action": "acks", "errors": true, "items": items }));
}

#[test]
fn an_ack_writes_the_agents_result() {
    let (server, agent) = with_action("SETTINGS", &json!({ "log_level": "debug" }));
    let answer = server.ask(&agent.acks(&[event("a", &agent)]));
    assert_eq!(answer.ok(), json!({ "action": "acks", "items": [item(200, "OK")] }));
    let results = server.stop().open().results("a");
    assert_eq!(results.len(), 1);
    let result = &results[0];
    assert_eq!((result.agent_id.as_str(), result.error.as_str()), (agent.id.as_str(), ""));
    assert_eq!(
        (result.timestamp.as_str(), &result.namespaces[..]),
        ("2026-01-02T03:04:05Z", &["space".to_owned()][..])
    );
}

#[test]
fn the_same_ack_twice_is_fine_twice() {
    let (server, agent) = with_action("SETTINGS", &json!({ "log_level": "debug" }));
    for _ in 0..2 {
        server.ask(&agent.acks(&[event("a", &agent)])).ok();
    }
    assert_eq!(server.stop().open().results("a").len(), 1);
}

#[test]
fn without_an_agent_id_the_event_is_the_agents_own() {
    let (server, agent) = with_action("SETTINGS", &json!({ "log_level": "debug" }));
    server
        .ask(&agent.acks(&[json!({ "action_id": "a", "message": "", "timestamp": "2026-01-02T03:04:05Z" })]))
        .ok();
    assert_eq!(server.stop().open().results("a")[0].agent_id, agent.id);
}

#[test]
fn an_error_is_kept_in_the_result() {
    let (server, agent) = with_action("SETTINGS", &json!({ "log_level": "debug" }));
    server.ask(&agent.acks(&[failed_event("a", &agent)])).ok();
    assert_eq!(server.stop().open().results("a")[0].error, "it broke");
}

#[test]
fn the_result_of_diagnostics_has_their_data() {
    let (server, agent) = with_action("REQUEST_DIAGNOSTICS", &Value::Null);
    let mut event = event("a", &agent);
    event["data"] = json!({ "upload_id": "u" });
    server.ask(&agent.acks(&[event])).ok();
    assert_eq!(server.stop().open().results("a")[0].data.as_ref().unwrap().get(), r#"{"upload_id":"u"}"#);
}

#[test]
fn the_result_of_an_input_action_has_its_fields() {
    let (server, agent) = with_action("INPUT_ACTION", &json!({ "id": "q" }));
    let mut event = event("a", &agent);
    let fields = json!({
        "action_input_type": "osquery", "action_data": { "id": "q" }, "action_response": { "rows": 1 },
        "started_at": "2026-01-02T03:04:00Z", "completed_at": "2026-01-02T03:04:05Z",
    });
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    server.ask(&agent.acks(&[event])).ok();
    let result = server.stop().open().results("a").remove(0);
    assert_eq!(result.action_input_type.as_deref(), Some("osquery"));
    assert_eq!(result.action_response.unwrap().get(), r#"{"rows":1}"#);
    assert_eq!(result.completed_at.as_deref(), Some("2026-01-02T03:04:05Z"));
}

#[test]
fn an_older_agents_upgrade_is_noted() {
    let (server, agent) = with_action("UPGRADE", &json!({ "version": "9.6.1" }));
    server.ask(&agent.acks(&[event("a", &agent)])).ok();
    let stored = server.stop().agent(&agent.id);
    assert!(stored.upgraded_at.is_some() && stored.upgrade_started_at.is_none());
}

#[test]
fn a_failed_upgrade_is_no_upgrade() {
    let (server, agent) = with_action("UPGRADE", &json!({ "version": "9.6.1" }));
    let mut installation = server.stop();
    installation.open().change(&agent.id, Patch::new().set("upgrade_started_at", minutes_from_now(-1)));
    let server = installation.start();
    server.ask(&agent.acks(&[failed_event("a", &agent)])).ok();
    let stored = server.stop().agent(&agent.id);
    assert_eq!((stored.upgraded_at, stored.upgrade_started_at), (None, None));
}

#[test]
fn a_failed_upgrade_that_is_tried_again_goes_on() {
    let (server, agent) = with_action("UPGRADE", &json!({ "version": "9.6.1" }));
    let mut installation = server.stop();
    installation.open().change(&agent.id, Patch::new().set("upgrade_started_at", minutes_from_now(-1)));
    let server = installation.start();
    let mut event = failed_event("a", &agent);
    event["payload"] = json!({ "retry": true, "retry_attempt": 1 });
    server.ask(&agent.acks(&[event])).ok();
    assert!(server.stop().agent(&agent.id).upgrade_started_at.is_some());
}

#[test]
fn an_unenrol_that_went_well_ends_the_agent() {
    for kind in ["UNENROLL", "MIGRATE"] {
        let data = json!({ "target_uri": "u", "enrollment_token": "t" });
        let (server, agent) = with_action(kind, &data);
        server.ask(&agent.acks(&[event("a", &agent)])).ok();
        assert_eq!(server.check_in(&agent, &online()).error().0, 401, "{kind}");
        let opened = &mut server.stop();
        let opened = opened.open();
        let stored = opened.agent(&agent.id).unwrap();
        assert!(!stored.active && stored.unenrolled_at.is_some(), "{kind}");
        assert_eq!(opened.results("a").len(), 1);
    }
}

#[test]
fn an_unenrol_that_failed_leaves_the_agent() {
    let (server, agent) = with_action("UNENROLL", &Value::Null);
    server.ask(&agent.acks(&[failed_event("a", &agent)])).ok();
    assert!(server.stop().agent(&agent.id).active);
}

#[test]
fn an_acknowledged_revision_is_noted() {
    let server = plain();
    let agent = server.enrol();
    server.ask(&agent.acks(&[event("policy:default:1", &agent)])).ok();
    assert_eq!(server.stop().agent(&agent.id).policy_revision_idx, 1);
}

#[test]
fn the_highest_revision_acknowledged_wins() {
    let server = plain();
    let agent = server.enrol();
    let events = ["policy:default:2", "policy:default:5", "policy:default:3"].map(|id| event(id, &agent));
    server.ask(&agent.acks(&events)).ok();
    assert_eq!(server.stop().agent(&agent.id).policy_revision_idx, 5);
}

#[test]
fn an_older_revision_acknowledged_late_changes_nothing() {
    let server = plain();
    let agent = server.enrol();
    for id in ["policy:default:3", "policy:default:2"] {
        server.ask(&agent.acks(&[event(id, &agent)])).ok();
    }
    assert_eq!(server.stop().agent(&agent.id).policy_revision_idx, 3);
}

#[test]
fn the_older_form_of_a_policy_ack_is_read() {
    let server = plain();
    let agent = server.enrol();
    server.ask(&agent.acks(&[event("policy:default:4:1", &agent)])).ok();
    assert_eq!(server.stop().agent(&agent.id).policy_revision_idx, 4);
}

#[test]
fn policy_acks_of_another_form_or_policy_change_nothing() {
    let server = plain();
    let agent = server.enrol();
    for id in ["policy:a:b", "policy:default", "policy:", "policy:other:7", "policy:default:x"] {
        server.ask(&agent.acks(&[event(id, &agent)])).ok();
    }
    assert_eq!(server.stop().agent(&agent.id).policy_revision_idx, 0);
}

#[test]
fn a_revision_that_failed_is_not_noted() {
    let server = plain();
    let agent = server.enrol();
    server.ask(&agent.acks(&[failed_event("policy:default:1", &agent)])).ok();
    assert_eq!(server.stop().agent(&agent.id).policy_revision_idx, 0);
}

#[test]
fn an_event_with_a_field_of_a_wrong_type_counts_as_one_without_fields() {
    let (server, agent) = with_action("SETTINGS", &json!({ "log_level": "debug" }));
    let events = [json!({ "action_id": 5 }), event("a", &agent), json!(7), json!("x"), Value::Null];
    let answer = server.ask(&agent.acks(&events));
    let statuses: Vec<_> =
        answer.json()["items"].as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
    assert_eq!(
        (answer.status, statuses),
        (404, [404, 200, 404, 404, 404].map(|status| json!(status)).to_vec())
    );
}

#[test]
fn the_form_of_the_timestamp_is_not_checked() {
    let (server, agent) = with_action("SETTINGS", &json!({ "log_level": "debug" }));
    let mut event = event("a", &agent);
    event["timestamp"] = json!("about noon");
    let answer = server.ask(&agent.acks(&[event])).ok();
    assert_eq!(answer["items"], json!([item(200, "OK")]));
    assert_eq!(server.stop().open().results("a").len(), 1);
}

#[test]
fn type_and_subtype_are_not_looked_at() {
    let (server, agent) = with_action("SETTINGS", &json!({ "log_level": "debug" }));
    let mut event = event("a", &agent);
    event["type"] = json!("ERROR");
    event["subtype"] = json!(5);
    server.ask(&agent.acks(&[event])).ok();
    let results = server.stop().open().results("a");
    assert_eq!((results.len(), results[0].error.as_str()), (1, ""));
}

#[test]
fn events_that_are_no_array_are_refused() {
    let server = plain();
    let agent = server.enrol();
    for body in [json!({ "events": {} }), json!({ "events": "x" }), json!([])] {
        server.ask(&agent.acks(&[]).json(&body)).is_error(400, "BadRequest");
    }
}

#[test]
fn a_thousand_events_are_answered_in_their_order() {
    let (server, agent) = with_action("SETTINGS", &json!({ "log_level": "debug" }));
    let events: Vec<Value> = (0..1_000)
        .map(|i| event(if i % 2 == 0 { "a" } else { "policy:default:1" }, &agent))
        .chain([event("unknown", &agent)])
        .collect();
    let answer = server.ask(&agent.acks(&events));
    let items = answer.json()["items"].as_array().unwrap().clone();
    assert_eq!((answer.status, items.len()), (404, 1_001));
    assert!(items[..1_000].iter().all(|item| item["status"] == 200));
}

#[test]
fn the_operator_sees_the_ack() {
    let server = plain();
    let agent = server.settled();
    let action = server.order_settings(&agent.id, "debug");
    server.ask(&agent.acks(&[event(&action, &agent)])).ok();
    let shown = server.operate(&["action", "show", &action]).json().to_string();
    assert!(shown.contains(&agent.id) && shown.contains(&action), "{shown}");
}
