//! Lists of agents.

use super::*;
use crate::model::Patch;

const PATH: &str = "/api/fleet/agents";

fn world() -> World {
    let mut world = World::new();
    world.apply("p");
    world.apply("q");
    for (agent, policy) in [("a", "p"), ("b", "q"), ("c", "p"), ("d", "p"), ("e", "p")] {
        world.enroll(agent, policy);
    }
    world.update("c", Patch::new().set("last_checkin_status", "degraded"));
    world.update("d", Patch::new().set("active", false));
    world
}

fn ids(list: &Value) -> String {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn agents_are_filtered_by_policy_and_status() {
    let mut world = world();
    let mut list = |query: &str| ids(&world.well("GET", &format!("{PATH}{query}"), Value::Null));
    assert_eq!(list(""), "a b c d e");
    assert_eq!(list("?kuery=policy_id:%22p%22"), "a c d e");
    assert_eq!(list("?kuery=fleet-agents.policy_id:p+and+status:online"), "a e");
    assert_eq!(list("?kuery=status:unenrolled"), "d");
    assert_eq!(list("?kuery=policy_id:none"), "");
    world.refused(400, "GET", &format!("{PATH}?kuery=status:odd"), "");
}

#[test]
fn numbered_pages_tell_the_total() {
    let mut world = world();
    let list = world.well("GET", &format!("{PATH}?page=2&perPage=2"), Value::Null);
    assert_eq!((ids(&list), &list["total"], &list["page"]), ("c d".into(), &json!(5), &json!(2)));
    assert_eq!(list.get("nextSearchAfter"), None);
}

#[test]
fn a_list_can_be_followed_to_its_end() {
    let mut world = world();
    let (mut after, mut seen) = (String::new(), Vec::new());
    for _ in 0..10 {
        let list = world.well("GET", &format!("{PATH}?perPage=2&searchAfter={after}"), Value::Null);
        seen.push(ids(&list));
        match list["nextSearchAfter"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(seen, ["a b", "c d", "e"]);
}

#[test]
fn more_agents_than_the_store_gives_at_once_are_listed() {
    let mut world = World::new();
    world.apply("p");
    for number in 0..1_001 {
        world.enroll(&format!("a{number:04}"), "p");
    }
    let list = world.well("GET", &format!("{PATH}?page=2&perPage=1000"), Value::Null);
    assert_eq!((ids(&list), &list["total"]), ("a1000".into(), &json!(1_001)));
    let policy = world.well("GET", "/api/fleet/agent_policies/p", Value::Null);
    assert_eq!(policy["item"]["agents"], 1_001);
}

#[test]
fn one_agent_is_shown_with_what_it_said() {
    let mut world = world();
    world.update("a", Patch::new().set("components", json!([{ "id": "x" }])));
    let item = world.well("GET", &format!("{PATH}/a"), Value::Null)["item"].clone();
    assert_eq!((&item["status"], &item["policy_revision"]), (&json!("online"), &json!(1)));
    assert_eq!(item["components"], json!([{ "id": "x" }]));
    assert_eq!(item["local_metadata"]["host"]["hostname"], "box");
    let listed = world.well("GET", &format!("{PATH}?perPage=1"), Value::Null)["items"][0].clone();
    assert_eq!(
        (&listed["local_metadata"]["host"]["hostname"], listed.get("components")),
        (&json!("box"), None)
    );
    assert!(world.refused(404, "GET", &format!("{PATH}/none"), "").contains("no agent none"));
}
