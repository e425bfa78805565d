//! Actions: written, delivered, followed, cancelled.

use super::*;
use crate::model::raw::raw;
use crate::model::{Action, ActionResult, ApiKey};
use crate::store::{Answer, Operation, StoreError};

fn world() -> World {
    let mut world = World::new();
    world.apply("p");
    world.apply("q");
    for agent in ["a", "b"] {
        world.enroll(agent, "p");
    }
    world.enroll("c", "q");
    world
}

/// The only documents of an action.
fn documents(world: &mut World, answer: &Value) -> Vec<Action> {
    let action_id = answer["actionId"].as_str().unwrap().to_owned();
    match world.ask(Operation::ActionDocuments(action_id)) {
        Answer::Actions(actions) => actions.iter().map(|action| Action::clone(action)).collect(),
        other => panic!("{other:?}"),
    }
}

fn document(world: &mut World, answer: &Value) -> Action {
    let mut documents = documents(world, answer);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn data(action: &Action) -> Value {
    action.data.as_ref().map_or(json!("absent"), |data| serde_json::from_str(data.get()).unwrap())
}

fn acknowledge(world: &mut World, answer: &Value, agent: &str, error: &str) {
    let result = ActionResult {
        action_id: answer["actionId"].as_str().unwrap().into(),
        agent_id: agent.into(),
        error: error.into(),
        timestamp: "2027-01-15T08:00:05Z".into(),
        ..ActionResult::default()
    };
    world.ask(Operation::CreateResult(Box::new(result)));
}

fn status(world: &mut World, answer: &Value) -> Value {
    let id = answer["actionId"].as_str().unwrap();
    world.well("GET", &format!("/api/fleet/agents/action_status?actionId={id}"), Value::Null)["item"].clone()
}

fn agent_status(world: &mut World, agent: &str) -> Value {
    world.well("GET", &format!("/api/fleet/agents/{agent}"), Value::Null)["item"]["status"].clone()
}

#[test]
fn an_upgrade_is_written_as_kibana_writes_it() {
    let mut world = world();
    let body = json!({ "version": "9.1.0", "source_uri": "http://mirror/" });
    let answer = world.well("POST", "/api/fleet/agents/a/upgrade", body.clone());
    let action = document(&mut world, &answer);
    assert_eq!(
        (action.kind.as_str(), &action.agents, data(&action)),
        ("UPGRADE", &vec!["a".to_owned()], body)
    );
    assert_eq!(action.timestamp, "2027-01-15T08:00:00Z");
    assert_eq!(action.expiration, "2027-02-14T08:00:00Z", "30 days");
    let agent = world.agent("a");
    assert_eq!(
        (agent.upgrade_started_at.as_deref(), agent.upgraded_at),
        (Some("2027-01-15T08:00:00Z"), None)
    );
    assert_eq!(agent_status(&mut world, "a"), "updating");
    assert_eq!(agent_status(&mut world, "b"), "online");
}

#[test]
fn an_upgrade_may_be_spread() {
    let mut world = world();
    let body = json!({ "agents": ["a", "b", "a"], "version": "9.1.0", "start_time": "2027-01-16T08:00:00.5+00:00", "rollout_duration_seconds": 600 });
    let answer = world.well("POST", "/api/fleet/agents/bulk_upgrade", body);
    let action = document(&mut world, &answer);
    assert_eq!(action.agents, ["a", "b"]);
    assert_eq!((action.start_time.as_str(), action.rollout_duration_seconds), ("2027-01-16T08:00:00Z", 600));
    assert_eq!(action.expiration, "2027-02-15T08:00:00Z", "counted from the start");
}

#[test]
fn unenrolling_is_an_action_without_data() {
    let mut world = world();
    let answer = world.well("POST", "/api/fleet/agents/a/unenroll", Value::Null);
    let action = document(&mut world, &answer);
    assert_eq!((action.kind.as_str(), data(&action)), ("UNENROLL", json!("absent")));
    assert!(world.agent("a").active, "it leaves by itself");
    assert_eq!(agent_status(&mut world, "a"), "unenrolling");
}

#[test]
fn an_agent_that_will_never_come_again_is_unenrolled_at_once() {
    let mut world = world();
    let key = world.agent("a").access_api_key_id;
    world.well("POST", "/api/fleet/agents/a/unenroll", json!({ "revoke": true }));
    assert!(!world.agent("a").active && world.agent("b").active);
    assert_eq!(agent_status(&mut world, "a"), "unenrolled");
    let key = ApiKey { id: key, secret: "any".into() };
    assert!(matches!(world.try_ask(Operation::Authenticate(key)), Err(StoreError::KeyRejected)));
    world.refused(400, "POST", "/api/fleet/agents/a/unenroll", r#"{"revoke":true}"#);
}

#[test]
fn reassigning_changes_the_agent_and_tells_it() {
    let mut world = world();
    let answer = world.well("POST", "/api/fleet/agents/a/reassign", json!({ "policy_id": "q" }));
    let action = document(&mut world, &answer);
    assert_eq!((action.kind.as_str(), data(&action)), ("POLICY_REASSIGN", json!({ "policy_id": "q" })));
    let agent = world.agent("a");
    assert_eq!((agent.policy_id.as_str(), agent.policy_revision_idx), ("q", 0));
    assert_eq!(agent_status(&mut world, "a"), "updating");
}

#[test]
fn reassigning_needs_another_policy_that_exists() {
    let mut world = world();
    let path = "/api/fleet/agents/a/reassign";
    assert!(world.refused(404, "POST", path, r#"{"policy_id":"none"}"#).contains("no policy none"));
    assert!(world.refused(400, "POST", path, r#"{"policy_id":"p"}"#).contains("already"));
    assert_eq!(world.agent("a").policy_id, "p");
}

#[test]
fn the_log_level_is_set_for_one_or_many() {
    let mut world = world();
    let body = json!({ "action": { "type": "SETTINGS", "data": { "log_level": "debug" } } });
    let answer = world.well("POST", "/api/fleet/agents/a/actions", body);
    let action = document(&mut world, &answer);
    assert_eq!((action.kind.as_str(), data(&action)), ("SETTINGS", json!({ "log_level": "debug" })));
    let answer = world.well(
        "POST",
        "/api/fleet/agents/bulk_settings",
        json!({ "agents": ["a", "c"], "log_level": "info" }),
    );
    assert_eq!(document(&mut world, &answer).agents, ["a", "c"]);
    let odd = r#"{"agents":["a"],"log_level":"loud"}"#;
    assert!(
        world
            .refused(400, "POST", "/api/fleet/agents/bulk_settings", odd)
            .contains("debug, info, warning, error")
    );
    let other = r#"{"action":{"type":"UNENROLL"}}"#;
    world.refused(400, "POST", "/api/fleet/agents/a/actions", other);
}

#[test]
fn a_request_for_diagnostics_lives_three_hours() {
    let mut world = world();
    let answer = world.well("POST", "/api/fleet/agents/a/request_diagnostics", Value::Null);
    let action = document(&mut world, &answer);
    assert_eq!(
        (action.kind.as_str(), data(&action)),
        ("REQUEST_DIAGNOSTICS", json!({ "additional_metrics": [] }))
    );
    assert_eq!(action.expiration, "2027-01-15T11:00:00Z");
}

#[test]
fn all_of_a_policy_are_meant_by_a_query() {
    let mut world = world();
    world.update("b", crate::model::Patch::new().set("active", false));
    world.enroll("d", "p");
    let body = json!({ "agents": "fleet-agents.policy_id:\"p\"", "version": "9.1.0" });
    let answer = world.well("POST", "/api/fleet/agents/bulk_upgrade", body);
    assert_eq!(document(&mut world, &answer).agents, ["a", "d"]);
}

#[test]
fn a_large_policy_is_told_in_several_documents_of_one_action() {
    let mut world = World::new();
    world.apply("p");
    for number in 0..1_001 {
        world.enroll(&format!("a{number:04}"), "p");
    }
    let answer = world.well("POST", "/api/fleet/agents/bulk_unenroll", json!({ "agents": "policy_id:p" }));
    let lengths: Vec<usize> =
        documents(&mut world, &answer).iter().map(|action| action.agents.len()).collect();
    assert_eq!(lengths, [1_000, 1]);
    assert_eq!(status(&mut world, &answer)["nbAgentsActioned"], 1_001);
    let list = world.well("GET", "/api/fleet/agents/action_status", Value::Null);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_is_written_when_an_agent_is_unknown_or_gone() {
    let mut world = world();
    world.update("b", crate::model::Patch::new().set("active", false));
    let path = "/api/fleet/agents/bulk_unenroll";
    assert!(world.refused(404, "POST", path, r#"{"agents":["a","none"]}"#).contains("no agent none"));
    assert!(world.refused(400, "POST", path, r#"{"agents":["a","b"]}"#).contains("b is unenrolled"));
    assert!(world.refused(404, "POST", path, r#"{"agents":"policy_id:none"}"#).contains("no policy none"));
    world.refused(400, "POST", path, r#"{"agents":[]}"#);
    world.refused(400, "POST", path, r#"{"agents":"status:online"}"#);
    world.refused(400, "POST", path, "{}");
    world.refused(400, "POST", "/api/fleet/agents/a/upgrade", r#"{"version":"new"}"#);
    assert_eq!(world.agent("a").unenrollment_started_at, None);
    let list = world.well("GET", "/api/fleet/agents/action_status", Value::Null);
    assert_eq!(list, json!({ "items": [] }));
}

#[test]
fn a_parked_agent_gets_the_action_at_once() {
    let mut world = World::new();
    world.apply("p");
    let key = world.enroll("a", "p");
    let waiting = world.check_in("a", &key);
    assert!(world.read(waiting).is_none());
    let answer = world.well("POST", "/api/fleet/agents/a/upgrade", json!({ "version": "9.1.0" }));
    let (_, delivered) = world.read(waiting).unwrap();
    let action = &delivered["actions"][0];
    assert_eq!((&action["id"], &action["type"]), (&answer["actionId"], &json!("UPGRADE")));
    assert_eq!(action["data"], json!({ "version": "9.1.0" }));
}

#[test]
fn a_parked_agent_that_is_reassigned_gets_its_new_policy_when_it_comes_back() {
    let mut world = World::new();
    world.apply("p");
    world.apply("q");
    let key = world.enroll("a", "p");
    let waiting = world.check_in("a", &key);
    world.well("POST", "/api/fleet/agents/a/reassign", json!({ "policy_id": "q" }));
    let (_, delivered) = world.read(waiting).unwrap();
    assert_eq!(delivered["actions"][0]["data"], json!({ "policy_id": "q" }));
    // its ack_token says that it has the action
    let token = delivered["ack_token"].as_str().unwrap().to_owned();
    let Answer::SeqNo(Some(seq_no)) = world.ask(Operation::ActionSeqNo(token)) else {
        panic!("no such token")
    };
    world.update("a", crate::model::Patch::new().set("action_seq_no", [seq_no]));
    let back = world.check_in("a", &key);
    let (_, delivered) = world.read(back).unwrap();
    assert_eq!(delivered["actions"][0]["id"], "policy:q:1");
}

#[test]
fn each_agents_result_is_told() {
    let mut world = world();
    let answer = world.well(
        "POST",
        "/api/fleet/agents/bulk_upgrade",
        json!({ "agents": ["a", "b"], "version": "9.1.0" }),
    );
    acknowledge(&mut world, &answer, "b", "disk full");
    let item = status(&mut world, &answer);
    assert_eq!((&item["status"], &item["version"]), (&json!("IN_PROGRESS"), &json!("9.1.0")));
    assert_eq!(item["results"][0], json!({ "agentId": "a", "status": "pending" }));
    let failed = json!({ "agentId": "b", "status": "failed", "error": "disk full", "timestamp": "2027-01-15T08:00:05Z" });
    assert_eq!((&item["results"][1], &item["latestErrors"]), (&failed, &json!([failed])));
    acknowledge(&mut world, &answer, "a", "");
    let item = status(&mut world, &answer);
    assert_eq!(
        (&item["status"], &item["nbAgentsAck"], &item["nbAgentsFailed"]),
        (&json!("FAILED"), &json!(1), &json!(1))
    );
    assert_eq!(item["completionTime"], "2027-01-15T08:00:05Z");
}

#[test]
fn an_action_is_complete_or_expired() {
    let mut world = world();
    let answer = world.well("POST", "/api/fleet/agents/a/request_diagnostics", Value::Null);
    let other = world.well("POST", "/api/fleet/agents/b/request_diagnostics", Value::Null);
    acknowledge(&mut world, &answer, "a", "");
    world.now.wall = world.now.wall.plus(std::time::Duration::from_secs(3 * 3_600));
    assert_eq!(status(&mut world, &answer)["status"], "COMPLETE");
    assert_eq!(status(&mut world, &other)["status"], "EXPIRED");
    let path = format!("/api/fleet/agents/actions/{}/cancel", other["actionId"].as_str().unwrap());
    assert!(world.refused(400, "POST", &path, "").contains("expired"));
}

#[test]
fn a_cancelled_upgrade_is_not_under_way_any_more() {
    let mut world = world();
    let answer = world.well("POST", "/api/fleet/agents/a/upgrade", json!({ "version": "9.1.0" }));
    let path = format!("/api/fleet/agents/actions/{}/cancel", answer["actionId"].as_str().unwrap());
    let cancelled = world.well("POST", &path, Value::Null)["item"].clone();
    assert_eq!(
        (&cancelled["type"], &cancelled["data"]["target_id"]),
        (&json!("CANCEL"), &answer["actionId"])
    );
    let action = document(&mut world, &json!({ "actionId": cancelled["id"] }));
    assert_eq!((action.agents, action.expiration.as_str()), (vec!["a".to_owned()], "2027-02-14T08:00:00Z"));
    let item = status(&mut world, &answer);
    assert_eq!(
        (&item["status"], &item["cancellationTime"]),
        (&json!("CANCELLED"), &json!("2027-01-15T08:00:00Z"))
    );
    assert_eq!(agent_status(&mut world, "a"), "online");
    let own = format!("/api/fleet/agents/actions/{}/cancel", cancelled["id"].as_str().unwrap());
    world.refused(400, "POST", &own, "");
    world.refused(404, "POST", "/api/fleet/agents/actions/none/cancel", "");
}

#[test]
fn actions_are_listed_newest_first() {
    let mut world = world();
    for version in ["9.1.0", "9.2.0", "9.3.0"] {
        world.well("POST", "/api/fleet/agents/a/upgrade", json!({ "version": version }));
    }
    let list = world.well("GET", "/api/fleet/agents/action_status?perPage=2&page=1", Value::Null);
    let versions: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| item["version"].clone()).collect();
    assert_eq!(versions, ["9.3.0", "9.2.0"]);
    assert!(
        world
            .refused(404, "GET", "/api/fleet/agents/action_status?actionId=none", "")
            .contains("no action none")
    );
}

/// The same with a collector on the policy `p`.
fn with_collector() -> World {
    let mut world = world();
    let document = raw(
        &json!({"active": true, "type": "OPAMP", "policy_id": "p", "policy_revision_idx": 1, "agent": {"id": "o", "version": "1"},
        "last_checkin": "2027-01-15T08:00:00Z", "last_checkin_status": "online"}),
    );
    world.ask(Operation::CreateAgent { agent: "o".into(), document });
    world
}

#[test]
fn a_collector_takes_no_orders() {
    let mut world = with_collector();
    for (order, body) in [
        ("upgrade", r#"{"version":"9.1.0"}"#),
        ("reassign", r#"{"policy_id":"q"}"#),
        ("request_diagnostics", "{}"),
        ("actions", r#"{"action":{"type":"SETTINGS","data":{"log_level":"debug"}}}"#),
    ] {
        let message = world.refused(400, "POST", &format!("/api/fleet/agents/o/{order}"), body);
        assert!(message.contains("agent o is an OpenTelemetry collector"), "{message}");
    }
    world.refused(400, "POST", "/api/fleet/agents/bulk_upgrade", r#"{"version":"9.1.0","agents":["a","o"]}"#);
    // of a policy the others get it
    let body = json!({"version": "9.1.0", "agents": "policy_id:p"});
    let answer = world.well("POST", "/api/fleet/agents/bulk_upgrade", body);
    assert_eq!(document(&mut world, &answer).agents, ["a", "b"]);
    assert_eq!(agent_status(&mut world, "o"), "online");
}

#[test]
fn a_collector_is_unenrolled_at_once() {
    let mut world = with_collector();
    assert_eq!(world.well("POST", "/api/fleet/agents/o/unenroll", json!({})), json!({}));
    assert!(!world.agent("o").active);
    let mut world = with_collector();
    let body = json!({"agents": "policy_id:p"});
    let answer = world.well("POST", "/api/fleet/agents/bulk_unenroll", body);
    assert_eq!(document(&mut world, &answer).agents, ["a", "b"]);
    assert!(!world.agent("o").active && world.agent("a").active);
}
