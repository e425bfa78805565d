//! `POST /api/fleet/agents/{id}/checkin`: what is said, what is kept, how long it is held (checkin.md).

use fleet_server::model::Patch;
use serde_json::{Value, json};

use crate::support::{Agent, Options, Server, action, eventually, online};

fn plain() -> Server {
    Server::with(Options::plain())
}

/// Holds check-ins for a moment only.
fn brief() -> Server {
    Server::with(Options::plain().server("timeouts.checkin_long_poll", "50ms"))
}

fn saying(fields: Value) -> Value {
    let mut body = online();
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

/// Checks in and makes sure that the server holds it: what is ordered afterwards is what it answers.
#[track_caller]
fn is_held(server: &Server, agent: &Agent, body: &Value) {
    let mut connection = server.connect();
    connection.send(agent.check_in(body).bytes());
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(connection.response().ok()["actions"][0]["id"], action);
}

#[test]
fn without_a_status_it_is_refused() {
    let server = plain();
    let agent = server.enrol();
    for body in [json!({}), json!({ "status": "" }), json!({ "status": null }), json!({ "message": "x" })] {
        server.check_in(&agent, &body).is_error(400, "BadRequest");
    }
}

#[test]
fn a_status_and_a_message_are_enough_to_be_held() {
    let server = plain();
    is_held(&server, &server.settled(), &json!({ "status": "online", "message": "" }));
}

#[test]
fn without_a_message_it_is_held() {
    let server = plain();
    is_held(&server, &server.settled(), &json!({ "status": "online" }));
}

#[test]
fn the_end_of_the_poll_is_an_empty_answer() {
    let server = brief();
    let agent = server.settled();
    assert_eq!(server.check_in(&agent, &online()).ok(), json!({ "ack_token": "", "action": "checkin" }));
}

#[test]
fn a_short_poll_timeout_is_accepted() {
    let server = plain();
    for text in ["1m", "-5m", "10m", "5m0s", "0s"] {
        is_held(&server, &server.settled(), &saying(json!({ "poll_timeout": text })));
    }
}

#[test]
fn a_poll_timeout_that_is_no_duration_is_refused() {
    let server = plain();
    let agent = server.settled();
    for text in [json!("90x"), json!(""), json!("5"), json!(300)] {
        server.check_in(&agent, &saying(json!({ "poll_timeout": text }))).is_error(400, "BadRequest");
    }
}

#[test]
fn status_and_message_are_kept() {
    let server = brief();
    let agent = server.settled();
    server.check_in(&agent, &json!({ "status": "degraded", "message": "so so" })).ok();
    let stored = server.stop().agent(&agent.id);
    assert_eq!(stored.last_checkin_status.as_deref(), Some("degraded"));
    assert_eq!(stored.last_checkin_message.as_deref(), Some("so so"));
    assert!(stored.last_checkin.unwrap().ends_with('Z'));
}

#[test]
fn a_status_that_nobody_knows_is_kept_as_it_is() {
    let server = brief();
    let agent = server.settled();
    server.check_in(&agent, &json!({ "status": "OnLine-ish" })).ok();
    assert_eq!(server.stop().agent(&agent.id).last_checkin_status.as_deref(), Some("OnLine-ish"));
}

#[test]
fn a_new_version_of_the_agent_is_kept() {
    let server = brief();
    let agent = server.settled();
    server.ask(&agent.check_in(&online()).with("User-Agent", "Elastic Agent v9.5.1")).ok();
    assert_eq!(server.stop().agent(&agent.id).agent.unwrap().version, "9.5.1");
}

#[test]
fn metadata_and_components_are_kept() {
    let server = brief();
    let agent = server.settled();
    let components = json!([{ "id": "c", "status": "HEALTHY", "message": "", "units": [] }]);
    server
        .check_in(&agent, &saying(json!({ "local_metadata": { "host": "h" }, "components": components })))
        .ok();
    let stored = server.stop().agent(&agent.id);
    assert_eq!(stored.local_metadata.whole().unwrap().get(), r#"{"host":"h"}"#);
    assert_eq!(serde_json::from_str::<Value>(stored.components.whole().unwrap().get()).unwrap(), components);
}

#[test]
fn null_metadata_and_components_leave_the_stored_ones() {
    let server = brief();
    let agent = server.settled();
    server
        .check_in(&agent, &saying(json!({ "local_metadata": { "a": 1 }, "components": [{ "id": "c" }] })))
        .ok();
    server.check_in(&agent, &saying(json!({ "local_metadata": null, "components": null }))).ok();
    let stored = server.stop().agent(&agent.id);
    assert_eq!(stored.local_metadata.whole().unwrap().get(), r#"{"a":1}"#);
    assert_eq!(stored.components.whole().unwrap().get(), r#"[{"id":"c"}]"#);
}

#[test]
fn components_that_are_no_array_are_refused() {
    let server = brief();
    let agent = server.settled();
    for components in [json!({}), json!("x"), json!(1)] {
        server.check_in(&agent, &saying(json!({ "components": components }))).is_error(400, "BadRequest");
    }
}

#[test]
fn failing_units_give_the_unhealthy_reason() {
    let server = brief();
    let agent = server.settled();
    let unit = |kind: &str| json!({ "id": "u", "type": kind, "status": "FAILED" });
    let components = json!([{ "id": "c", "status": "DEGRADED", "units": [unit("input"), unit("output")] }]);
    server.check_in(&agent, &saying(json!({ "components": components }))).ok();
    assert_eq!(server.stop().agent(&agent.id).unhealthy_reason.unwrap(), ["input", "output"]);
}

#[test]
fn rollbacks_are_kept() {
    let server = brief();
    let agent = server.settled();
    let rollbacks = json!([{ "version": "9.5.0", "valid_until": "2026-01-01T00:00:00Z" }]);
    server.check_in(&agent, &saying(json!({ "upgrade": { "rollbacks": rollbacks } }))).ok();
    let stored = &server.stop().agent(&agent.id).upgrade["rollbacks"];
    assert_eq!(serde_json::from_str::<Value>(stored.get()).unwrap(), rollbacks);
}

#[test]
fn rollbacks_that_cannot_be_read_are_ignored() {
    let server = brief();
    let agent = server.settled();
    for upgrade in [json!("x"), json!({ "rollbacks": 5 }), json!({})] {
        server.check_in(&agent, &saying(json!({ "upgrade": upgrade }))).ok();
    }
}

#[test]
fn unknown_fields_are_accepted() {
    let server = brief();
    let agent = server.settled();
    let body = saying(json!({ "future": { "deep": [1, 2] }, "Another": null, "sequence": -1 }));
    server.check_in(&agent, &body).ok();
}

#[test]
fn a_negative_revision_is_refused() {
    let server = brief();
    let agent = server.settled();
    let body = saying(json!({ "agent_policy_id": "default", "policy_revision_idx": -1 }));
    server.check_in(&agent, &body).is_error(400, "BadRequest");
}

#[test]
fn the_first_check_in_of_a_new_agent_logs_no_warning() {
    let server = plain();
    let agent = server.enrol();
    server.check_in(&agent, &saying(json!({ "components": null, "upgrade": {} }))).ok();
    assert_eq!(server.process.stderr.warnings(), Vec::<String>::new());
}

#[test]
fn a_gzipped_check_in_is_read() {
    let server = brief();
    let agent = server.settled();
    let body = json!({ "status": "online", "message": "zipped" });
    server.ask(&agent.check_in(&body).gzipped()).ok();
    assert_eq!(server.stop().agent(&agent.id).last_checkin_message.as_deref(), Some("zipped"));
}

#[test]
fn a_second_check_in_takes_over_and_the_first_is_answered_empty() {
    let server = plain();
    let agent = server.settled();
    let mut first = server.park_saying(&agent, &json!({ "status": "online", "message": "first" }));
    let mut second = server.park_saying(&agent, &json!({ "status": "online", "message": "second" }));
    assert_eq!(first.response().ok(), json!({ "ack_token": "", "action": "checkin" }));
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(second.response().ok()["actions"][0]["id"], action);
}

#[test]
fn the_late_end_of_an_older_check_in_leaves_the_newer_its_place() {
    let server = plain();
    let agent = server.settled();
    let first = server.park_saying(&agent, &json!({ "status": "online", "message": "first" }));
    let mut second = server.park_saying(&agent, &json!({ "status": "online", "message": "second" }));
    // its client never read the answer
    drop(first);
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(second.response().ok()["actions"][0]["id"], action);
}

#[test]
fn a_client_that_is_gone_leaves_nothing_registered() {
    // one place only: it is free again once the client is gone
    let server = Server::with(Options::plain().server("limits.checkin_limit.max", 1));
    let (agent, other) = (server.settled(), server.settled());
    server.order_settings(&other.id, "debug");
    let parked = server.park(&agent);
    server.check_in(&other, &online()).is_error(429, "MaxLimit");
    drop(parked);
    eventually("the place is free", || (server.check_in(&other, &online()).status == 200).then_some(()));
}

#[test]
fn an_action_between_two_check_ins_waits() {
    let server = plain();
    let agent = server.settled();
    let first = server.order_settings(&agent.id, "debug");
    let answer = server.check_in(&agent, &online()).ok();
    assert_eq!(answer["actions"][0]["id"], first);
    let second = server.order_settings(&agent.id, "info");
    let answer = server.check_in(&agent, &saying(json!({ "ack_token": answer["ack_token"] }))).ok();
    assert_eq!(
        (answer["actions"].as_array().unwrap().len(), &answer["actions"][0]["id"]),
        (1, &json!(second))
    );
}

#[test]
fn an_action_left_from_before_a_restart_is_delivered() {
    let server = plain();
    let agent = server.settled();
    let mut installation = server.stop();
    installation.open().put_action(action("a", "SETTINGS", &json!({ "log_level": "debug" }), &[&agent.id]));
    let answer = installation.start().check_in(&agent, &online()).ok();
    assert_eq!(answer["actions"][0]["id"], "a");
}

#[test]
fn malformed_stored_fields_do_not_keep_the_agent_out() {
    let server = brief();
    let agent = server.settled();
    let mut installation = server.stop();
    let malformed = Patch::new()
        .set("action_seq_no", "five")
        .set("tags", 7)
        .set("policy_revision_idx", "one")
        .set("unhealthy_reason", 7)
        .set("outputs", [1, 2])
        .set("upgrade_details", json!([]))
        .set("namespaces", true);
    // what a cluster would not store
    let malformed = match installation.cluster() {
        Some(_) => malformed,
        None => malformed.set("unhealthy_reason", json!({ "of": "course" })).set("upgrade_details", "half"),
    };
    installation.open().change(&agent.id, malformed);
    let server = installation.start();
    let components = json!([{ "id": "c", "status": "HEALTHY" }]);
    server.check_in(&agent, &saying(json!({ "components": components, "upgrade_details": null }))).ok();
    server.check_in(&agent, &online()).ok();
}

#[test]
fn an_agent_that_must_go_is_told_so_gracefully_where_the_operator_wants_it() {
    let server = Server::with(Options::plain().server("feature_flags.graceful_force_unenroll.enabled", true));
    let agent = server.settled();
    let mut installation = server.stop();
    installation.open().change(&agent.id, Patch::new().set("active", false));
    let server = installation.start();
    let first = server.check_in(&agent, &online()).ok();
    assert_eq!(
        (&first["actions"][0]["type"], &first["actions"][0]["data"]),
        (&json!("POLICY_CHANGE"), &json!({ "policy": {} }))
    );
    let second = server.check_in(&agent, &online()).ok();
    assert_eq!(
        (&second["actions"][0]["type"], &second["actions"][0]["data"]),
        (&json!("UNENROLL"), &Value::Null)
    );
    assert_eq!((first.get("ack_token"), second.get("ack_token")), (None, None));
    for _ in 0..2 {
        server.check_in(&agent, &online()).is_error(401, "ErrAgentInactive");
    }
}
