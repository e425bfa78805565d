//! Secrets: they go in, and never come out.

use super::*;

const PATH: &str = "/api/fleet/secrets";

#[test]
fn a_secret_gets_an_id_or_has_one() {
    let mut world = World::new();
    let made = world.well("POST", PATH, json!({ "value": "one" }));
    assert!(!made["item"]["id"].as_str().unwrap().is_empty());
    assert!(!made.to_string().contains("one"));
    for value in ["two", "three"] {
        let set = world.well("POST", PATH, json!({ "value": value, "id": "mine" }));
        assert_eq!(set, json!({ "item": { "id": "mine" } }));
    }
}

#[test]
fn a_secret_has_a_value_of_a_bounded_length_and_a_plain_id() {
    let mut world = World::new();
    assert!(world.refused(400, "POST", PATH, "").contains("value"));
    assert!(world.refused(400, "POST", PATH, r#"{"value":""}"#).contains("empty"));
    let long = json!({ "value": "x".repeat(64 * 1024 + 1) }).to_string();
    assert!(world.refused(400, "POST", PATH, &long).contains("longer"));
    for id in ["", "a/b", "a}b", "a b", "ü"] {
        let body = json!({ "value": "x", "id": id }).to_string();
        assert!(world.refused(400, "POST", PATH, &body).contains("an id has"), "{id}");
    }
    world.refused(405, "GET", PATH, "");
}
