//! Policies: applied, shown, deleted.

use super::*;
use crate::store::{Changes, ClusterFacts};

const PATH: &str = "/api/fleet/agent_policies/hosts/full";

const TEXT: &str = "\
outputs:
  default: {type: elasticsearch, hosts: ['http://localhost:9200']}
inactivity_timeout: 60
unenroll_timeout: 3600
inputs:
  - id: logs
    type: filestream
";

fn apply(world: &mut World, text: &str) -> (String, i64) {
    let (status, answer) = world.call("PUT", PATH, text);
    assert_eq!(status, 200, "{answer}");
    (answer["action"].as_str().unwrap().to_owned(), answer["item"]["revision"].as_i64().unwrap())
}

#[test]
fn a_policy_is_created_changed_and_left_alone() {
    let mut world = World::new();
    assert_eq!(apply(&mut world, TEXT), ("created".into(), 1));
    assert_eq!(apply(&mut world, TEXT), ("unchanged".into(), 1));
    assert_eq!(
        apply(&mut world, &format!("# only a comment\n{TEXT}revision: 17\n")),
        ("unchanged".into(), 1)
    );
    assert_eq!(apply(&mut world, &TEXT.replace("9200", "9201")), ("updated".into(), 2));
}

#[test]
fn each_revision_can_be_read() {
    let mut world = World::new();
    apply(&mut world, TEXT);
    apply(&mut world, &TEXT.replace("9200", "9201"));
    let newest = world.well("GET", PATH, Value::Null);
    assert_eq!((&newest["item"]["id"], &newest["item"]["revision"]), (&json!("hosts"), &json!(2)));
    let first = world.well("GET", &format!("{PATH}?revision=1"), Value::Null);
    assert_eq!(first["item"]["outputs"]["default"]["hosts"][0], "http://localhost:9200");
    assert!(world.refused(404, "GET", &format!("{PATH}?revision=3"), "").contains("no revision 3"));
    assert!(world.refused(404, "GET", "/api/fleet/agent_policies/none/full", "").contains("no policy none"));
    world.refused(400, "GET", &format!("{PATH}?revision=x"), "");
}

#[test]
fn policies_are_listed_with_their_agents() {
    let mut world = World::new();
    apply(&mut world, TEXT);
    world.apply("other");
    for agent in ["a", "b"] {
        world.enroll(agent, "hosts");
    }
    world.update("b", crate::model::Patch::new().set("active", false));
    let list = world.well("GET", "/api/fleet/agent_policies?perPage=1", Value::Null);
    assert_eq!((&list["total"], list["items"].as_array().unwrap().len()), (&json!(2), 1));
    let item = &list["items"][0];
    assert_eq!((&item["id"], &item["agents"], &item["revision"]), (&json!("hosts"), &json!(1), &json!(1)));
    assert_eq!((&item["unenroll_timeout"], &item["inactivity_timeout"]), (&json!(3600), &json!(60)));
    assert_eq!(world.well("GET", "/api/fleet/agent_policies/hosts", Value::Null)["item"], *item);
}

#[test]
fn what_cannot_be_delivered_is_refused_and_not_stored() {
    let mut world = World::new();
    for (text, reason) in [
        ("inputs: []\n", "it has no outputs"),
        (
            "inputs: []\noutputs: {default: {type: carrier-pigeon}}\n",
            "line 2: the policy cannot be delivered",
        ),
        ("inputs: []\noutputs: {default: {hosts: []}}\n", "its output default has the type \"\""),
        ("outputs: {default: {type: kafka}}\n", "inputs: a list is needed"),
        ("a: 1\na: 2\n", "line 2: the key a is repeated"),
        ("inputs: [1\n", "line "),
    ] {
        let message = world.refused(400, "PUT", PATH, text);
        assert!(message.contains(reason), "{message}");
    }
    world.refused(404, "GET", PATH, "");
    world.refused(400, "PUT", "/api/fleet/agent_policies/a%3Ab/full", TEXT);
}

#[test]
fn a_policy_that_is_too_large_is_refused() {
    let mut world = World::new();
    let text = format!("{TEXT}#{}\n", "x".repeat(5 * 1024 * 1024));
    world.refused(413, "PUT", PATH, &text);
}

#[test]
fn a_policy_with_active_agents_is_not_deleted() {
    let mut world = World::new();
    apply(&mut world, TEXT);
    world.enroll("a", "hosts");
    let token = world.well("POST", "/api/fleet/enrollment_api_keys", json!({ "policy_id": "hosts" }));
    let path = "/api/fleet/agent_policies/hosts";
    assert!(world.refused(409, "DELETE", path, "").contains("active agents (1)"));
    world.update("a", crate::model::Patch::new().set("active", false));
    assert_eq!(world.well("DELETE", path, Value::Null), json!({ "id": "hosts" }));
    world.refused(404, "DELETE", path, "");
    // Kibana's way
    world.refused(404, "POST", "/api/fleet/agent_policies/delete", r#"{"agentPolicyId":"hosts"}"#);
    let id = token["item"]["id"].as_str().unwrap();
    let token = world.well("GET", &format!("/api/fleet/enrollment_api_keys/{id}"), Value::Null);
    assert_eq!(token["item"]["active"], false);
}

#[test]
fn a_parked_agent_gets_the_new_revision_at_once() {
    let mut world = World::new();
    apply(&mut world, TEXT);
    let key = world.enroll("a", "hosts");
    let waiting = world.check_in("a", &key);
    assert!(world.read(waiting).is_none());
    apply(&mut world, &TEXT.replace("9200", "9201"));
    let (status, answer) = world.read(waiting).unwrap();
    assert_eq!((status, &answer["actions"][0]["id"]), (200, &json!("policy:hosts:2")));
    let policy = &answer["actions"][0]["data"]["policy"];
    assert_eq!(policy["inputs"][0]["type"], "filestream");
    assert_eq!(policy["unenroll_timeout"], Value::Null, "only what agents know is delivered");
}

/// What a cluster with Kibana says of itself.
fn facts(holds_kibana: impl Into<Option<bool>>) -> Changes {
    let holds_kibana = holds_kibana.into();
    Changes::Cluster(ClusterFacts { version: "9.6.0".to_owned(), fleet_module: false, holds_kibana })
}

#[test]
fn where_kibana_keeps_policies_a_policy_is_applied_only_by_force() {
    let mut world = World::on_cluster();
    world.tell_news(facts(None));
    assert!(world.refused(409, "PUT", PATH, TEXT).contains("cannot be found out"));
    world.tell_news(facts(true));
    let text = TEXT.replace("{type: elasticsearch,", "{type: elasticsearch, api_key: 'a:b',");
    let message = world.refused(409, "PUT", PATH, &text);
    assert!(
        message.contains("Kibana would overwrite policy hosts") && message.contains("--force"),
        "{message}"
    );
    assert_eq!(world.refused(409, "PUT", &format!("{PATH}?force=false"), &text), message);
    world.refused(400, "PUT", &format!("{PATH}?force=perhaps"), &text);
    world.refused(404, "GET", PATH, "");
    let (status, answer) = world.call("PUT", &format!("{PATH}?force=true"), &text);
    assert_eq!((status, &answer["action"]), (200, &json!("created")), "{answer}");
    world.tell_news(facts(false));
    assert_eq!(apply(&mut world, &text), ("unchanged".into(), 1));
}

#[test]
fn an_output_that_nobody_can_use_is_warned_of() {
    let mut world = World::on_cluster();
    let warned = |world: &mut World, text: &str| {
        let (status, answer) = world.call("PUT", PATH, text);
        assert_eq!(status, 200, "{answer}");
        answer["warnings"][0].as_str().map(str::to_owned)
    };
    for _ in 0..2 {
        // the second time it is unchanged, and as useless as before
        let warning = warned(&mut world, TEXT).unwrap();
        assert!(warning.starts_with("line 1: the policy cannot be delivered"), "{warning}");
        assert!(warning.contains("its output default brings no credentials"), "{warning}");
    }
    let key = TEXT.replace("{type: elasticsearch,", "{type: elasticsearch, api_key: 'a:b',");
    assert_eq!(warned(&mut world, &key), None);
    let permitted = format!("{TEXT}output_permissions: {{default: {{r: {{cluster: [monitor]}}}}}}\n");
    assert_eq!(warned(&mut world, &permitted), None);
    assert_eq!(world.well("GET", PATH, Value::Null)["item"]["revision"], 3);
}

#[test]
fn the_status_tells_what_is_known_of_the_store() {
    let store = |world: &mut World| world.well("GET", "/api/status", Value::Null)["store"].clone();
    assert_eq!(store(&mut World::new()), json!({ "kind": "embedded" }));
    let mut world = World::on_cluster();
    assert_eq!(store(&mut world), json!({ "kind": "elasticsearch" }));
    world.tell_news(facts(false));
    let known =
        json!({ "kind": "elasticsearch", "version": "9.6.0", "watch": "statistics", "kibana": false });
    assert_eq!(store(&mut world), known);
}
