//! What agents get of stored actions.

use super::*;

fn action(kind: &str, seq_no: i64, data: &str) -> Arc<Action> {
    let data = if data.is_empty() { String::new() } else { format!(r#","data":{data}"#) };
    let json = format!(
        r#"{{"action_id":"a{seq_no}","type":"{kind}","@timestamp":"2026-01-01T00:00:00Z","agents":["x","y"]{data}}}"#
    );
    Arc::new(Action::read(&format!("d{seq_no}"), seq_no, json.as_bytes()).unwrap())
}

/// What `agent` is told of these.
fn told(agent: &str, actions: &[Arc<Action>]) -> Vec<Value> {
    let delivery = deliver(agent, actions);
    delivery.actions.iter().map(|message| serde_json::from_str(message.get()).unwrap()).collect()
}

fn data_of(kind: &str, data: &str) -> Option<Value> {
    told("x", &[action(kind, 1, data)]).first().map(|message| message["data"].clone())
}

#[test]
fn an_unenrolment_has_null_data_whatever_is_stored() {
    assert_eq!(data_of("UNENROLL", "{}"), Some(Value::Null));
    assert_eq!(data_of("UNENROLL", ""), Some(Value::Null));
}

#[test]
fn unknown_keys_are_cut() {
    assert_eq!(data_of("SETTINGS", r#"{"log_level":"debug","x":1}"#), Some(json!({"log_level":"debug"})));
    assert_eq!(data_of("SETTINGS", r#"{"log_level":null}"#), Some(json!({})));
}

#[test]
fn missing_required_keys_are_empty_and_optional_ones_absent() {
    assert_eq!(data_of("UPGRADE", "{}"), Some(json!({"version":""})));
    assert_eq!(data_of("UPGRADE", "null"), Some(json!({"version":""})));
    assert_eq!(data_of("PRIVILEGE_LEVEL_CHANGE", "{}"), Some(json!({"unprivileged":false})));
    let user = r#"{"unprivileged":true,"user_info":{"username":"u","x":1}}"#;
    assert_eq!(
        data_of("PRIVILEGE_LEVEL_CHANGE", user),
        Some(json!({"unprivileged":true,"user_info":{"username":"u"}}))
    );
}

#[test]
fn diagnostics_data_is_null_when_none_is_stored_and_false_is_dropped() {
    assert_eq!(data_of("REQUEST_DIAGNOSTICS", ""), Some(Value::Null));
    assert_eq!(data_of("REQUEST_DIAGNOSTICS", r#"{"exclude_events_log":false}"#), Some(json!({})));
    let metrics = r#"{"additional_metrics":["CPU"]}"#;
    assert_eq!(data_of("REQUEST_DIAGNOSTICS", metrics), Some(json!({"additional_metrics":["CPU"]})));
}

#[test]
fn an_input_action_keeps_its_object() {
    assert_eq!(data_of("INPUT_ACTION", r#"{"any":{"thing":[1]}}"#), Some(json!({"any":{"thing":[1]}})));
    assert_eq!(data_of("INPUT_ACTION", "null"), Some(json!({})));
    let numbers = r#"{"any":[1.50,1e2,123456789012345678901234567890]}"#;
    let delivery = deliver("x", &[action("INPUT_ACTION", 1, numbers)]);
    assert!(answer(delivery).contains(numbers));
    assert_eq!(data_of("INPUT_ACTION", "[1]"), None);
}

#[test]
fn data_of_a_wrong_type_is_skipped_and_the_token_moves_over_it() {
    let delivery = deliver(
        "x",
        &[action("UPGRADE", 1, r#"{"version":5}"#), action("CANCEL", 2, r#"{"target_id":"t"}"#)],
    );
    assert_eq!((delivery.actions.len(), delivery.ack_token.as_str()), (1, "d2"));
    let alone = deliver("x", &[action("UPGRADE", 1, r#"{"version":5}"#)]);
    assert_eq!((alone.actions.len(), alone.ack_token.as_str()), (0, "d1"));
    assert_eq!(data_of("POLICY_REASSIGN", ""), None);
}

#[test]
fn types_that_are_never_delivered_do_not_move_the_token() {
    let delivery = deliver(
        "x",
        &[action("UPGRADE", 1, r#"{"version":"9"}"#), action("UPDATE_TAGS", 2, "{}"), action("NEW", 3, "{}")],
    );
    assert_eq!((delivery.actions.len(), delivery.ack_token.as_str(), delivery.seq_no), (1, "d1", Some(1)));
}

#[test]
fn a_rollout_spreads_the_start_over_the_agents() {
    let agents = ["a", "b", "c", "d"];
    let json = format!(
        r#"{{"action_id":"u","type":"UPGRADE","data":{{"version":"9"}},"agents":{},
        "start_time":"2026-01-01T00:00:00Z","rollout_duration_seconds":3600}}"#,
        json!(agents)
    );
    let action = Arc::new(Action::read("d", 1, json.as_bytes()).unwrap());
    let starts: Vec<Value> = agents
        .iter()
        .map(|agent| told(agent, std::slice::from_ref(&action))[0]["start_time"].clone())
        .collect();
    let expected = ["00:00", "15:00", "30:00", "45:00"].map(|at| json!(format!("2026-01-01T00:{at}Z")));
    assert_eq!(starts, expected);
}

#[test]
fn a_start_beyond_all_that_can_be_written_is_never_at_once() {
    let json = r#"{"action_id":"u","type":"UPGRADE","data":{"version":"9"},"agents":["a","b"],
        "start_time":"2026-01-01T00:00:00Z","rollout_duration_seconds":9223372036854775807}"#;
    let action = Arc::new(Action::read("d", 1, json.as_bytes()).unwrap());
    assert_eq!(told("b", &[action])[0]["start_time"], "9999-12-31T23:59:59Z");
}

#[test]
fn a_start_that_cannot_be_read_is_left_out() {
    let json = r#"{"action_id":"u","type":"UNENROLL","agents":["x"],"start_time":"soon","rollout_duration_seconds":60}"#;
    let action = Arc::new(Action::read("d", 1, json.as_bytes()).unwrap());
    assert!(told("x", &[action])[0].get("start_time").is_none());
}

#[test]
fn fields_that_are_not_set_are_left_out() {
    let message = &told("x", &[action("UNENROLL", 1, "")])[0];
    let keys: Vec<&String> = message.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["agent_id", "created_at", "data", "id", "input_type", "type"]);
}

#[test]
fn an_answer_without_actions_has_no_such_field() {
    let answer: Value = serde_json::from_str(&answer(Delivery::default())).unwrap();
    assert_eq!(answer, json!({"action":"checkin","ack_token":""}));
}

#[test]
fn a_start_time_without_a_rollout_has_whole_seconds_and_is_left_out_if_it_cannot_be_read() {
    let start_of = |start_time: &str| {
        let json = format!(
            r#"{{"action_id":"u","type":"UPGRADE","data":{{"version":"9"}},"start_time":"{start_time}"}}"#
        );
        let action = Arc::new(Action::read("d", 1, json.as_bytes()).unwrap());
        told("x", &[action])[0].get("start_time").cloned()
    };
    assert_eq!(start_of("2026-01-01T02:00:00.500+02:00"), Some(json!("2026-01-01T00:00:00Z")));
    assert_eq!((start_of("soon"), start_of("")), (None, None));
}
