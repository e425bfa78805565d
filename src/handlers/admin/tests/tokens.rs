//! Enrollment tokens, and the server's own status.

use super::*;

const PATH: &str = "/api/fleet/enrollment_api_keys";

#[test]
fn a_token_is_made_shown_listed_and_revoked() {
    let mut world = World::new();
    world.apply("p");
    let made = world.well("POST", PATH, json!({ "policy_id": "p", "name": "racks" }));
    let item = &made["item"];
    assert_eq!(
        (&made["action"], &item["name"], &item["active"]),
        (&json!("created"), &json!("racks"), &json!(true))
    );
    let path = format!("{PATH}/{}", item["id"].as_str().unwrap());
    assert_eq!(world.well("GET", &path, Value::Null)["item"], *item);
    assert_eq!(world.well("GET", PATH, Value::Null)["total"], 1);
    assert_eq!(world.well("DELETE", &path, Value::Null), json!({ "action": "deleted" }));
    assert_eq!(world.well("GET", &path, Value::Null)["item"]["active"], false);
}

#[test]
fn a_token_without_a_name_is_named_after_its_policy() {
    let mut world = World::new();
    world.apply("p");
    assert_eq!(world.well("POST", PATH, json!({ "policy_id": "p" }))["item"]["name"], "p");
}

#[test]
fn a_token_needs_a_policy_that_exists() {
    let mut world = World::new();
    assert!(world.refused(404, "POST", PATH, r#"{"policy_id":"none"}"#).contains("no policy none"));
    assert!(world.refused(400, "POST", PATH, "").contains("policy_id"));
    assert!(
        world.refused(400, "POST", PATH, r#"{"policy_id":"p","expiration":"1d"}"#).contains("expiration")
    );
    world.refused(404, "DELETE", &format!("{PATH}/none"), "");
    world.refused(404, "GET", &format!("{PATH}/none"), "");
}

#[test]
fn a_revoked_token_enrols_nobody_although_it_was_cached() {
    let mut world = World::new();
    world.apply("p");
    let item = world.well("POST", PATH, json!({ "policy_id": "p" }))["item"].clone();
    let token = item["api_key"].as_str().unwrap().to_owned();
    assert_eq!(world.enroll_over_http(&token), 200);
    world.well("DELETE", &format!("{PATH}/{}", item["id"].as_str().unwrap()), Value::Null);
    assert_eq!(world.enroll_over_http(&token), 401);
}

#[test]
fn the_status_tells_state_versions_and_counters() {
    let mut world = World::new();
    let status = world.well("GET", "/api/status", Value::Null);
    assert_eq!((&status["status"], &status["version"]["number"]), (&json!("HEALTHY"), &json!("9.6.0")));
    assert!(status["counters"]["requests"].as_u64().unwrap() >= 1);
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let mut world = World::new();
    world.refused(404, "GET", "/api/fleet/nothing", "");
    world.refused(405, "POST", "/api/status", "");
    world.refused(400, "GET", "/api/fleet/agents?polcy=x", "");
}

#[test]
fn a_backup_needs_an_absolute_path_and_a_store_that_can() {
    let mut world = World::new();
    world.refused(400, "POST", "/api/fleet/backup", r#"{"file":"here"}"#);
    assert!(world.refused(501, "POST", "/api/fleet/backup", r#"{"file":"/tmp/there"}"#).contains("memory"));
}
