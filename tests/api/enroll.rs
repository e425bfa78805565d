//! `POST /api/fleet/agents/enroll` (checkin.md).

use fleet_server::model::Patch;
use serde_json::{Value, json};

use crate::support::{Agent, Installation, Options, Response, Server, event, online};

/// A cheap hash: the cost is not what is tested.
fn plain() -> Server {
    Server::with(Options::plain().server("pdkdf2.iterations", 1_000))
}

fn enrol(server: &Server, body: &Value) -> Response {
    server.ask(&server.enrolment(body))
}

fn replacing(id: &str, token: &str) -> Value {
    json!({ "type": "PERMANENT", "id": id, "replace_token": token })
}

#[test]
fn an_agent_enrols() {
    let server = Server::start();
    let answer =
        enrol(&server, &json!({ "type": "PERMANENT", "metadata": { "local": { "a": 1 }, "tags": ["x"] } }))
            .ok();
    assert_eq!(answer["action"], "created");
    assert!(answer.get("actions").is_none(), "{answer}");
    let item = &answer["item"];
    assert_eq!(
        (&item["active"], &item["status"], &item["type"]),
        (&json!(true), &json!("online"), &json!("PERMANENT"))
    );
    assert_eq!((&item["policy_id"], &item["tags"]), (&json!("default"), &json!(["x"])));
    assert_eq!(
        (&item["local_metadata"], &item["user_provided_metadata"]),
        (&json!({ "a": 1 }), &Value::Null)
    );
    assert!(item["enrolled_at"].as_str().unwrap().ends_with('Z'), "{item}");
    let id = item["id"].as_str().unwrap();
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
    let agent = Agent { id: id.to_owned(), key: item["access_api_key"].as_str().unwrap().to_owned() };
    assert_eq!(item["access_api_key_id"], agent.key_id());
}

#[test]
fn what_is_written_of_a_new_agent() {
    let server = plain();
    let body = json!({ "type": "EPHEMERAL", "metadata": { "local": { "os": "x" } } });
    let agent = server.enrol_saying(&body);
    let stored = server.stop().agent(&agent.id);
    assert!(stored.active && stored.replace_token.is_none() && stored.enrollment_id.is_none());
    assert_eq!((stored.policy_id.as_str(), stored.kind.as_str()), ("default", "EPHEMERAL"));
    assert_eq!((stored.action_seq_no, stored.policy_revision_idx), (-1, 0));
    assert_eq!(stored.access_api_key_id, agent.key_id());
    assert_eq!(stored.agent.unwrap().id, agent.id);
    assert_eq!(stored.local_metadata.whole().unwrap().get(), r#"{"os":"x"}"#);
}

#[test]
fn each_type_is_accepted() {
    let server = plain();
    for kind in ["PERMANENT", "EPHEMERAL", "TEMPORARY"] {
        assert_eq!(enrol(&server, &json!({ "type": kind })).ok()["item"]["type"], kind);
    }
}

#[test]
fn an_unknown_type_is_refused() {
    let server = plain();
    for kind in [json!("X"), json!("permanent"), json!(""), json!(5), Value::Null] {
        enrol(&server, &json!({ "type": kind })).is_error(400, "BadRequest");
    }
}

#[test]
fn without_metadata_there_is_none() {
    let item = enrol(&plain(), &json!({ "type": "PERMANENT" })).ok()["item"].clone();
    assert_eq!((&item["local_metadata"], &item["tags"]), (&Value::Null, &json!([])));
}

#[test]
fn tags_are_sorted_and_unique() {
    let server = plain();
    let body = json!({ "type": "PERMANENT", "metadata": { "tags": ["b", "a", "b"] } });
    let answer = enrol(&server, &body);
    assert_eq!(answer.ok()["item"]["tags"], json!(["a", "b"]));
    assert_eq!(server.stop().agent(&Agent::of(&answer).id).tags, ["a", "b"]);
}

#[test]
fn the_agent_id_in_the_metadata_becomes_the_agents() {
    let body = json!({ "type": "PERMANENT", "metadata": { "local": { "elastic": { "agent": { "id": "old", "version": "1" } } } } });
    let item = enrol(&plain(), &body).ok()["item"].clone();
    assert_eq!(item["local_metadata"]["elastic"]["agent"], json!({ "id": item["id"], "version": "1" }));
}

#[test]
fn metadata_that_is_no_object_is_refused() {
    let server = plain();
    for local in [json!([]), json!("x"), json!(5)] {
        enrol(&server, &json!({ "type": "PERMANENT", "metadata": { "local": local } }))
            .is_error(400, "BadRequest");
    }
}

#[test]
fn empty_ids_and_tokens_are_absent() {
    let server = plain();
    let body = json!({ "type": "PERMANENT", "id": "", "replace_token": "", "enrollment_id": "" });
    let (first, second) = (server.enrol_saying(&body), server.enrol_saying(&body));
    assert_ne!(first.id, second.id);
    assert_eq!(first.id.len(), 36);
}

#[test]
fn a_wanted_id_is_given() {
    let agent = plain().enrol_saying(&json!({ "type": "PERMANENT", "id": "mine" }));
    assert_eq!(agent.id, "mine");
}

#[test]
fn an_active_agent_without_a_stored_token_is_not_replaced() {
    let server = plain();
    server.enrol_saying(&json!({ "type": "PERMANENT", "id": "x" }));
    enrol(&server, &json!({ "type": "PERMANENT", "id": "x" })).is_error(403, "AgentNotReplaceable");
    enrol(&server, &replacing("x", "t")).is_error(403, "AgentNotReplaceable");
}

#[test]
fn a_wrong_replace_token_replaces_nobody() {
    let server = plain();
    let agent = server.enrol_saying(&replacing("x", "right"));
    for token in ["wrong", "", "righ", "rightt"] {
        let answer = enrol(&server, &replacing("x", token));
        answer.is_error(403, "AgentNotReplaceable");
        assert_eq!(answer.json()["message"], "existing agent cannot be replaced");
    }
    server.check_in(&agent, &online()).ok();
}

#[test]
fn the_replace_token_of_another_policy_replaces_nobody() {
    let mut installation = Installation::new(Options::plain().server("pdkdf2.iterations", 1_000));
    let opened = installation.open();
    opened.put_policy(
        "other",
        1,
        &json!({ "outputs": { "default": { "type": "elasticsearch", "api_key": "a:b" } } }),
    );
    let other = opened.token_for("other");
    drop(opened);
    let server = installation.start();
    server.enrol_saying(&replacing("x", "t"));
    let request = server.enrolment(&replacing("x", "t")).key(&other);
    server.ask(&request).is_error(403, "AgentNotReplaceable");
}

#[test]
fn a_stored_replace_token_that_cannot_be_read_replaces_nobody() {
    let server = plain();
    server.enrol_saying(&replacing("x", "t"));
    let mut installation = server.stop();
    installation.open().change("x", Patch::new().set("replace_token", "$pbkdf2-sha512$?$?"));
    enrol(&installation.start(), &replacing("x", "t")).is_error(403, "AgentNotReplaceable");
}

#[test]
fn the_right_replace_token_replaces_the_agent() {
    let server = plain();
    let first = enrol(&server, &replacing("x", "t"));
    let older = Agent::of(&first);
    server.settle(&older);
    let second = enrol(&server, &replacing("x", "t"));
    let newer = Agent::of(&second);
    assert_eq!(second.ok()["item"]["enrolled_at"], first.ok()["item"]["enrolled_at"]);
    assert_ne!(newer.key, older.key);
    let (status, _) = server.check_in(&older, &online()).error();
    assert!([401, 403].contains(&status), "{status}");
    // its revision is 0: the policy comes anew
    assert_eq!(server.check_in(&newer, &online()).ok()["actions"][0]["type"], "POLICY_CHANGE");
    assert_eq!(server.stop().agent("x").policy_revision_idx, 0);
}

#[test]
fn a_replacement_keeps_what_the_first_enrolment_wrote() {
    let server = plain();
    let mut body = replacing("x", "t");
    server.enrol_saying(&body);
    body["type"] = json!("TEMPORARY");
    body["metadata"] = json!({ "local": { "new": true }, "tags": ["new"] });
    assert_eq!(enrol(&server, &body).ok()["item"]["type"], "PERMANENT");
    let stored = server.stop().agent("x");
    assert_eq!((stored.kind.as_str(), &stored.tags[..]), ("PERMANENT", &["new".to_owned()][..]));
    assert!(stored.replace_token.is_some());
    assert_eq!(stored.local_metadata.whole().unwrap().get(), r#"{"new":true}"#);
}

#[test]
fn an_inactive_agent_is_replaced_without_a_token() {
    let server = plain();
    server.enrol_saying(&json!({ "type": "PERMANENT", "id": "x" }));
    let mut installation = server.stop();
    installation.open().change("x", Patch::new().set("active", false));
    let server = installation.start();
    let agent = server.enrol_saying(&json!({ "type": "PERMANENT", "id": "x" }));
    assert_eq!(agent.id, "x");
    server.check_in(&agent, &online()).ok();
    assert!(server.stop().agent("x").active);
}

#[test]
fn an_agent_enrolled_again_is_not_told_the_end_of_its_former_life() {
    let server = plain();
    let former = server.enrol_saying(&json!({ "type": "PERMANENT", "id": "x" }));
    server.settle(&former);
    let mut parked = server.park(&former);
    let action = server.order_unenroll("x");
    assert_eq!(parked.response().ok()["actions"][0]["id"], action);
    server.ask(&former.acks(&[event(&action, &former)])).ok();
    let agent = server.enrol_saying(&json!({ "type": "PERMANENT", "id": "x" }));
    assert_eq!(server.told(&agent, &online())["actions"][0]["type"], "POLICY_CHANGE");
}

#[test]
fn an_id_that_no_request_could_hold_is_refused() {
    let server = plain();
    let saying = |bytes: usize| enrol(&server, &json!({ "type": "PERMANENT", "id": "x".repeat(bytes) }));
    saying(512).ok();
    saying(513).is_error(400, "BadRequest");
}

#[test]
fn an_enrolment_tried_again_leaves_one_agent() {
    let server = plain();
    let body = json!({ "type": "PERMANENT", "enrollment_id": "e" });
    let (first, second) = (server.enrol_saying(&body), server.enrol_saying(&body));
    assert_ne!(first.id, second.id);
    assert!([401, 403].contains(&server.check_in(&first, &online()).error().0));
    let opened = &mut server.stop();
    let opened = opened.open();
    assert!(opened.agent(&first.id).is_none());
    assert_eq!(opened.agent(&second.id).unwrap().enrollment_id.as_deref(), Some("e"));
}

#[test]
fn an_enrollment_id_of_an_agent_that_checked_in_leaves_both() {
    let server = plain();
    let body = json!({ "type": "PERMANENT", "enrollment_id": "e" });
    let first = server.enrol_saying(&body);
    server.check_in(&first, &online()).ok();
    let second = server.enrol_saying(&body);
    for agent in [&first, &second] {
        server.check_in(agent, &online()).ok();
    }
}

#[test]
fn of_two_enrolments_with_one_id_at_a_moment_one_is_refused() {
    // the hash takes long enough for the second to arrive
    let server = Server::with(Options::plain().server("pdkdf2.iterations", 300_000));
    let body = json!({ "type": "PERMANENT", "enrollment_id": "e", "replace_token": "t" });
    let mut connections = [server.connect(), server.connect()];
    for connection in &mut connections {
        connection.send(server.enrolment(&body).bytes());
    }
    let mut answers = connections.map(|mut connection| connection.response());
    answers.sort_by_key(|answer| answer.status);
    let [accepted, refused] = answers;
    accepted.ok();
    refused.is_error(429, "EnrollDuplicate");
    assert_eq!(refused.json()["message"], "concurrent enrollment for same id: retry");
    assert_eq!(server.stop().open().agents().len(), 1);
}

#[test]
fn two_hundred_enrolments_at_once_with_one_token() {
    let server = Server::start();
    let mut connections: Vec<_> = (0..200).map(|_| server.connect()).collect();
    let request = server.enrolment(&json!({ "type": "PERMANENT" })).bytes();
    for connection in &mut connections {
        connection.send(&request);
    }
    let mut ids: Vec<_> =
        connections.iter_mut().map(|connection| Agent::of(&connection.response()).id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
    assert_eq!(server.stop().open().agents().len(), 200);
}

#[test]
fn a_static_token_enrols_into_its_policy() {
    use base64::Engine;
    let options = Options::plain()
        .server("static_policy_tokens.enabled", true)
        .server("static_policy_tokens.policy_tokens", "[{token_key: secret, policy_id: default}]");
    let server = Server::with(options);
    let key = base64::engine::general_purpose::STANDARD.encode("whoever:secret");
    let answer = server.ask(&server.enrolment(&json!({ "type": "PERMANENT" })).key(&key));
    assert_eq!(answer.ok()["item"]["policy_id"], "default");
    server.check_in(&Agent::of(&answer), &online()).ok();
}

#[test]
fn names_of_fields_match_in_any_case_and_unknown_ones_are_ignored() {
    let server = plain();
    let body =
        json!({ "TYPE": "PERMANENT", "shared_id": 5, "future": { "x": [1] }, "MetaData": { "Tags": ["a"] } });
    assert_eq!(enrol(&server, &body).ok()["item"]["tags"], json!(["a"]));
}

#[test]
fn what_follows_the_first_value_is_ignored() {
    let server = plain();
    let request = server.enrolment(&Value::Null).body(r#"{"type":"PERMANENT"} trailing {"#);
    server.ask(&request).ok();
}
