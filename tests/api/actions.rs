//! Which actions an agent gets, when, and what they look like (checkin.md, "Actions").

use fleet_server::model::{Action, Patch, Signed, raw::raw};
use serde_json::{Value, json};

use crate::support::{Agent, Options, Server, action, minutes_from_now, online};

/// A server that holds check-ins for a moment, one agent that is settled on it, and these actions for the agent.
fn with_actions(actions: impl FnOnce(&str) -> Vec<Action>) -> (Server, Agent) {
    let server = Server::with(Options::plain().server("timeouts.checkin_long_poll", "50ms"));
    let agent = server.settled();
    let mut installation = server.stop();
    let opened = installation.open();
    for action in actions(&agent.id) {
        opened.put_action(action);
    }
    drop(opened);
    (installation.start(), agent)
}

/// The actions of a check-in's answer, and its ack token.
fn delivered(server: &Server, agent: &Agent, body: &Value) -> (Vec<Value>, String) {
    let answer = server.check_in(agent, body).ok();
    let actions = answer["actions"].as_array().cloned().unwrap_or_default();
    (actions, answer["ack_token"].as_str().unwrap().to_owned())
}

fn ids(actions: &[Value]) -> Vec<&str> {
    actions.iter().map(|action| action["id"].as_str().unwrap()).collect()
}

/// `data` as one agent gets it.
fn data_delivered(kind: &str, data: Option<Value>) -> Value {
    let (server, agent) = with_actions(|agent| {
        vec![Action { data: data.map(|data| raw(&data)), ..action("a", kind, &Value::Null, &[agent]) }]
    });
    let (actions, _) = delivered(&server, &agent, &online());
    actions[0]["data"].clone()
}

fn settings(id: &str, agent: &str) -> Action {
    action(id, "SETTINGS", &json!({ "log_level": "debug" }), &[agent])
}

#[test]
fn an_action_as_it_is_delivered() {
    let (server, agent) = with_actions(|agent| {
        vec![Action {
            input_type: "osquery".into(),
            timeout: 60,
            traceparent: "00-a-b-01".into(),
            signed: Some(Signed { data: "ZA==".into(), signature: "cw==".into() }),
            namespaces: vec!["space".into()],
            timestamp: "2026-01-02T03:04:05Z".into(),
            expiration: "2100-01-01T00:00:00Z".into(),
            ..action("a", "INPUT_ACTION", &json!({ "query": "select 1" }), &[agent])
        }]
    });
    let (actions, token) = delivered(&server, &agent, &online());
    let expected = json!({
        "agent_id": agent.id, "created_at": "2026-01-02T03:04:05Z", "data": { "query": "select 1" }, "id": "a",
        "input_type": "osquery", "type": "INPUT_ACTION", "expiration": "2100-01-01T00:00:00Z", "timeout": 60,
        "traceparent": "00-a-b-01", "signed": { "data": "ZA==", "signature": "cw==" },
    });
    assert_eq!(actions, [expected]);
    assert_ne!(token, "");
}

#[test]
fn what_is_not_set_is_not_delivered() {
    let (server, agent) = with_actions(|agent| vec![settings("a", agent)]);
    let (actions, _) = delivered(&server, &agent, &online());
    let mut keys: Vec<_> = actions[0].as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["agent_id", "created_at", "data", "expiration", "id", "input_type", "type"]);
    assert_eq!(actions[0]["input_type"], "");
}

#[test]
fn an_unknown_ack_token_changes_nothing() {
    let (server, agent) = with_actions(|agent| vec![settings("a", agent)]);
    let body = json!({ "status": "online", "ack_token": "nobody knows it" });
    assert_eq!(ids(&delivered(&server, &agent, &body).0), ["a"]);
}

#[test]
fn an_ack_token_lets_only_later_actions_come() {
    let (server, agent) = with_actions(|agent| vec![settings("a", agent), settings("b", agent)]);
    let (actions, token) = delivered(&server, &agent, &online());
    assert_eq!(ids(&actions), ["a", "b"]);
    let body = json!({ "status": "online", "ack_token": token });
    assert_eq!(delivered(&server, &agent, &body), (vec![], String::new()));
}

#[test]
fn without_an_ack_token_the_document_says_what_is_new() {
    for body in [json!({ "status": "online" }), json!({ "status": "online", "ack_token": "" })] {
        let (server, agent) =
            with_actions(|agent| (0..8).map(|i| settings(&format!("a{i}"), agent)).collect());
        let mut installation = server.stop();
        installation.open().change(&agent.id, Patch::new().set("action_seq_no", [5]));
        let (actions, _) = delivered(&installation.start(), &agent, &body);
        assert_eq!(ids(&actions), ["a6", "a7"]);
    }
}

#[test]
fn the_ack_token_survives_a_restart() {
    let (server, agent) = with_actions(|agent| vec![settings("a", agent), settings("b", agent)]);
    let (_, token) = delivered(&server, &agent, &online());
    let server = server.stop().start();
    let body = json!({ "status": "online", "ack_token": token });
    assert_eq!(delivered(&server, &agent, &body).0, Vec::<Value>::new());
    let server = server.stop().start();
    // the agent says nothing of it now, and its document knows
    assert_eq!(delivered(&server, &agent, &online()).0, Vec::<Value>::new());
}

#[test]
fn the_very_first_action_is_delivered() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let mut installation = server.stop();
    assert_eq!(installation.open().put_action(settings("a", &agent.id)), 0);
    let (actions, _) = delivered(&installation.start(), &agent, &online());
    assert_eq!(ids(&actions), ["a"]);
}

#[test]
fn another_agents_action_is_not_delivered() {
    let (server, agent) = with_actions(|_| vec![settings("a", "somebody else")]);
    assert_eq!(delivered(&server, &agent, &online()), (vec![], String::new()));
}

#[test]
fn a_type_that_is_never_delivered_ends_no_poll() {
    let (server, agent) = with_actions(|agent| vec![action("a", "UPDATE_TAGS", &json!({}), &[agent])]);
    assert_eq!(delivered(&server, &agent, &online()), (vec![], String::new()));
}

#[test]
fn the_token_is_that_of_the_last_action_of_a_delivered_type() {
    let (server, agent) = with_actions(|agent| {
        let upgrade = action("a", "UPGRADE", &json!({ "version": "9.6.1" }), &[agent]);
        vec![upgrade, action("b", "UPDATE_TAGS", &json!({}), &[agent])]
    });
    let (actions, token) = delivered(&server, &agent, &online());
    assert_eq!(ids(&actions), ["a"]);
    let known = server.stop().open().actions().into_iter().find(|action| action.action_id == "a").unwrap();
    assert_eq!(token, known.document_id);
}

#[test]
fn the_data_of_an_unenrol_is_null_whatever_is_stored() {
    assert_eq!(data_delivered("UNENROLL", Some(json!({}))), Value::Null);
    assert_eq!(data_delivered("UNENROLL", None), Value::Null);
}

#[test]
fn other_keys_of_settings_are_cut() {
    let data = json!({ "log_level": "debug", "x": 1 });
    assert_eq!(data_delivered("SETTINGS", Some(data)), json!({ "log_level": "debug" }));
}

#[test]
fn a_log_level_of_null_is_dropped() {
    assert_eq!(data_delivered("SETTINGS", Some(json!({ "log_level": null }))), json!({}));
    assert_eq!(data_delivered("SETTINGS", Some(Value::Null)), json!({}));
}

#[test]
fn the_data_of_an_upgrade() {
    let data = json!({ "version": "9.6.1", "source_uri": "https://mirror", "y": 1 });
    assert_eq!(
        data_delivered("UPGRADE", Some(data)),
        json!({ "version": "9.6.1", "source_uri": "https://mirror" })
    );
    assert_eq!(
        data_delivered("UPGRADE", Some(json!({ "source_uri": "u" }))),
        json!({ "version": "", "source_uri": "u" })
    );
}

#[test]
fn the_data_of_a_reassignment() {
    assert_eq!(
        data_delivered("POLICY_REASSIGN", Some(json!({ "policy_id": "p", "x": 1 }))),
        json!({ "policy_id": "p" })
    );
}

#[test]
fn the_data_of_an_input_action_is_unchanged() {
    let data = json!({ "id": "q", "query": "select 1", "nested": { "a": [1, null] } });
    assert_eq!(data_delivered("INPUT_ACTION", Some(data.clone())), data);
}

#[test]
fn the_data_of_a_cancellation() {
    assert_eq!(data_delivered("CANCEL", Some(json!({ "target_id": "a" }))), json!({ "target_id": "a" }));
}

#[test]
fn the_data_of_diagnostics() {
    assert_eq!(data_delivered("REQUEST_DIAGNOSTICS", None), Value::Null);
    let data = json!({ "additional_metrics": ["CPU"], "exclude_events_log": false, "x": 1 });
    assert_eq!(data_delivered("REQUEST_DIAGNOSTICS", Some(data)), json!({ "additional_metrics": ["CPU"] }));
}

#[test]
fn the_data_of_a_migration() {
    let data = json!({ "target_uri": "https://there", "enrollment_token": "t", "settings": { "a": 1 } });
    assert_eq!(data_delivered("MIGRATE", Some(data.clone())), data);
}

#[test]
fn the_data_of_a_change_of_privileges() {
    let data =
        json!({ "unprivileged": true, "user_info": { "username": "u", "groupname": "g", "password": "p" } });
    assert_eq!(data_delivered("PRIVILEGE_LEVEL_CHANGE", Some(data.clone())), data);
    assert_eq!(data_delivered("PRIVILEGE_LEVEL_CHANGE", Some(json!({}))), json!({ "unprivileged": false }));
}

#[test]
fn data_of_a_wrong_type_skips_its_action_alone() {
    let (server, agent) = with_actions(|agent| {
        let upgrade = action("a", "UPGRADE", &json!({ "version": 5 }), &[agent]);
        let cancel = action("b", "CANCEL", &json!({ "target_id": "x" }), &[agent]);
        vec![upgrade, cancel]
    });
    let (actions, token) = delivered(&server, &agent, &online());
    assert_eq!(ids(&actions), ["b"]);
    let body = json!({ "status": "online", "ack_token": token });
    assert_eq!(delivered(&server, &agent, &body), (vec![], String::new()));
}

#[test]
fn absent_data_skips_its_action() {
    let (server, agent) =
        with_actions(|agent| vec![Action { data: None, ..settings("a", agent) }, settings("b", agent)]);
    assert_eq!(ids(&delivered(&server, &agent, &online()).0), ["b"]);
}

#[test]
fn the_start_is_spread_over_the_agents_in_their_order() {
    let server = Server::with(Options::plain());
    let agents: Vec<Agent> = (0..4).map(|_| server.settled()).collect();
    let all: Vec<&str> = agents.iter().map(|agent| agent.id.as_str()).collect();
    let mut installation = server.stop();
    installation.open().put_action(Action {
        start_time: "2026-01-02T12:00:00Z".into(),
        rollout_duration_seconds: 3_600,
        ..action("a", "UPGRADE", &json!({ "version": "9.6.1" }), &all)
    });
    let server = installation.start();
    let starts = agents.iter().map(|agent| delivered(&server, agent, &online()).0[0]["start_time"].clone());
    let expected = ["12:00", "12:15", "12:30", "12:45"].map(|time| format!("2026-01-02T{time}:00Z"));
    assert_eq!(starts.collect::<Vec<_>>(), expected);
}

#[test]
fn the_start_is_spread_over_parked_agents_too() {
    let server = Server::with(Options::plain());
    let agents: Vec<Agent> = (0..4).map(|_| server.settled()).collect();
    let mut parked: Vec<_> = agents.iter().map(|agent| server.park(agent)).collect();
    let ids: Vec<&str> = agents.iter().map(|agent| agent.id.as_str()).collect();
    let body = json!({
        "agents": ids, "version": "9.6.1", "start_time": "2100-01-02T12:00:00Z", "rollout_duration_seconds": 3_600,
    });
    server.ordered("bulk_upgrade", &body);
    let starts =
        parked.iter_mut().map(|connection| connection.response().ok()["actions"][0]["start_time"].clone());
    let mut starts: Vec<_> = starts.map(|start| start.as_str().unwrap().to_owned()).collect();
    starts.sort();
    assert_eq!(starts, ["12:00", "12:15", "12:30", "12:45"].map(|time| format!("2100-01-02T{time}:00Z")));
}

#[test]
fn a_start_time_that_cannot_be_read_is_left_out() {
    let (server, agent) = with_actions(|agent| {
        vec![Action { start_time: "soon".into(), rollout_duration_seconds: 60, ..settings("a", agent) }]
    });
    assert!(delivered(&server, &agent, &online()).0[0].get("start_time").is_none());
}

#[test]
fn without_an_expiration_it_is_not_delivered() {
    let (server, agent) =
        with_actions(|agent| vec![Action { expiration: String::new(), ..settings("a", agent) }]);
    assert_eq!(delivered(&server, &agent, &online()).0, Vec::<Value>::new());
}

#[test]
fn after_its_expiration_it_is_not_delivered() {
    let (server, agent) =
        with_actions(|agent| vec![Action { expiration: minutes_from_now(-1), ..settings("a", agent) }]);
    assert_eq!(delivered(&server, &agent, &online()).0, Vec::<Value>::new());
}

#[test]
fn at_most_a_hundred_come_at_once_and_then_the_rest() {
    let (server, agent) = with_actions(|agent| (0..150).map(|i| settings(&format!("a{i}"), agent)).collect());
    let (actions, token) = delivered(&server, &agent, &online());
    assert_eq!((actions.len(), actions[99]["id"].as_str()), (100, Some("a99")));
    let (actions, _) = delivered(&server, &agent, &json!({ "status": "online", "ack_token": token }));
    assert_eq!((actions.len(), actions[49]["id"].as_str()), (50, Some("a149")));
}

#[test]
fn every_order_of_the_operator_wakes_the_agent() {
    let server = Server::start();
    let agent = server.settled();
    server.apply(
        "other",
        &json!({ "outputs": { "o": { "type": "elasticsearch", "hosts": ["http://h:9200"] } }, "inputs": [] }),
    );
    let order = |kind: &str| match kind {
        "SETTINGS" => server.order_settings(&agent.id, "debug"),
        "UPGRADE" => server.order_upgrade(&agent.id, "9.6.1"),
        "REQUEST_DIAGNOSTICS" => server.order_diagnostics(&agent.id),
        "UNENROLL" => server.order_unenroll(&agent.id),
        _ => server.order_reassign(&agent.id, "other"),
    };
    let mut token = String::new();
    for kind in ["SETTINGS", "UPGRADE", "REQUEST_DIAGNOSTICS", "UNENROLL", "POLICY_REASSIGN"] {
        let body = json!({ "status": "online", "message": format!("waits for {kind}"), "ack_token": token });
        let mut connection = server.park_saying(&agent, &body);
        let id = order(kind);
        let answer = connection.response().ok();
        let action = &answer["actions"][0];
        assert_eq!(
            (action["type"].as_str(), action["id"].as_str()),
            (Some(kind), Some(id.as_str())),
            "{answer}"
        );
        token = answer["ack_token"].as_str().unwrap().to_owned();
    }
}

#[test]
fn an_order_wakes_only_the_agents_concerned() {
    let server = Server::start();
    let (agent, other) = (server.settled(), server.settled());
    let (mut woken, mut parked) = (server.park(&agent), server.park(&other));
    let first = server.order_settings(&agent.id, "debug");
    assert_eq!(woken.response().ok()["actions"][0]["id"], first);
    // had the first woken it, this would not be what it gets
    let second = server.order_settings(&other.id, "info");
    let answer = parked.response().ok();
    assert_eq!(
        (answer["actions"].as_array().unwrap().len(), &answer["actions"][0]["id"]),
        (1, &json!(second))
    );
}
