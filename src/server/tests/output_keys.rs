//! Policies whose agents have keys of their own: asked for once, kept, and never another's.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{Enrolled, Reply, World, path, revision};
use crate::connection::ConnectionId;
use crate::model::raw::raw;
use crate::model::{ApiKey, KeysWanted, OutputCluster, Patch, Policy};
use crate::server::Event;
use crate::store::{Answer, Lane, Memory, Operation, Store, StoreError, StoreResult};

/// What a store that makes keys answers: [`output_key`] for each need, which it writes into the agent's document; none for
/// outputs in other clusters where these are down.
pub(super) fn answer_keys(store: &Memory, wanted: KeysWanted, far_is_down: bool) -> StoreResult {
    let (mut outputs, mut keys) = (json!({}), Vec::new());
    for need in wanted.needs.iter() {
        if far_is_down && matches!(need.cluster, OutputCluster::Remote(_)) {
            keys.push(None);
            continue;
        }
        let key = output_key(&wanted.agent, &need.output);
        outputs[&need.output] = json!({"type": "elasticsearch", "api_key": "$co.elastic.secret{x}",
            "api_key_id": key.id, "permissions_hash": need.permissions_hash});
        keys.push(Some(key));
    }
    let patch = Patch::new().set("outputs", outputs);
    store.run(vec![Operation::UpdateAgent { agent: wanted.agent, patch }]);
    Ok(Answer::OutputKeys(keys))
}

/// The key of an agent for an output.
fn output_key(agent: &str, output: &str) -> ApiKey {
    ApiKey { id: format!("{agent}-{output}"), secret: "s3cret".to_owned() }
}

/// A revision with an output that needs keys; `permission` tells its permissions from others.
fn keyed(revision_idx: i64, permission: &str) -> Policy {
    let data = json!({
        "id": "p",
        "outputs": {"default": {"type": "elasticsearch", "hosts": ["h"]}},
        "output_permissions": {"default": {"r": {"cluster": [permission]}}},
    });
    Policy { data: raw(&data), ..revision("p", revision_idx) }
}

fn revise(world: &mut World, revision_idx: i64, permission: &str) {
    world.ask(Operation::CreateRevision(Box::new(keyed(revision_idx, permission)))).unwrap();
}

/// A world with revision 1 of `p`, which needs keys, and agents that have it.
fn world_with(agents: usize) -> (World, Vec<Enrolled>) {
    let mut world = World::with_output_keys();
    revise(&mut world, 1, "a");
    let token = world.token("p");
    let agents = (0..agents).map(|_| world.enroll(&token)).collect();
    (world, agents)
}

/// A check-in of an agent that has no revision yet.
fn first_check_in(world: &mut World, agent: &Enrolled) -> ConnectionId {
    world.check_in_with(agent, json!({}))
}

fn key_in(reply: &Reply) -> &str {
    let outputs = &reply.body["actions"][0]["data"]["policy"]["outputs"];
    outputs["default"]["api_key"].as_str().unwrap_or_else(|| panic!("no key: {reply:?}"))
}

fn key_of(agent: &Enrolled) -> String {
    let key = output_key(&agent.id, "default");
    format!("{}:{}", key.id, key.secret)
}

#[test]
fn each_agent_gets_its_own_key_and_is_asked_for_once() {
    let (mut world, agents) = world_with(2);
    for agent in &agents {
        let connection = first_check_in(&mut world, agent);
        let reply = world.answer(connection);
        assert_eq!((reply.action_ids(), key_in(&reply)), (vec!["policy:p:1"], key_of(agent).as_str()));
    }
    assert_eq!(world.count("OutputKeys"), 2);
    let connections: Vec<_> = agents.iter().map(|agent| world.check_in(agent)).collect();
    revise(&mut world, 2, "a");
    for (connection, agent) in connections.into_iter().zip(&agents) {
        let reply = world.answer(connection);
        assert_eq!((reply.action_ids(), key_in(&reply)), (vec!["policy:p:2"], key_of(agent).as_str()));
    }
    assert_eq!(world.count("OutputKeys"), 2, "the permissions are the same");
    let runs_newest = json!({"agent_policy_id": "p", "policy_revision_idx": 2});
    let connection = world.check_in_with(&agents[0], runs_newest);
    revise(&mut world, 3, "b");
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:3"]);
    assert_eq!(world.count("OutputKeys"), 3);
}

#[test]
fn trouble_with_keys_is_503_and_the_next_check_in_asks_again() {
    for error in [
        StoreError::Unavailable("down".into()),
        StoreError::Failed { status: 401, reason: "the service token".into() },
        StoreError::KeyRejected,
        StoreError::NotFound,
    ] {
        let (mut world, agents) = world_with(1);
        world.failing.insert(Lane::Keys, error);
        let connection = first_check_in(&mut world, &agents[0]);
        assert_eq!(world.answer(connection).status, 503);
        assert!(world.server.fleet().lot.is_empty());
        world.failing.clear();
        let connection = first_check_in(&mut world, &agents[0]);
        assert_eq!(world.answer(connection).action_ids(), ["policy:p:1"]);
    }
}

/// A world with an agent that rests there when a revision comes for which no keys can be had.
fn resting_without_keys() -> (World, ConnectionId) {
    let (mut world, agents) = world_with(1);
    let connection = first_check_in(&mut world, &agents[0]);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:1"]);
    let connection = world.check_in(&agents[0]);
    world.failing.insert(Lane::Keys, StoreError::Unavailable("down".into()));
    revise(&mut world, 2, "b");
    (world, connection)
}

#[test]
fn who_rests_here_while_keys_cannot_be_had_stays_and_is_served_later() {
    let (mut world, connection) = resting_without_keys();
    world.pass(Duration::from_secs(12));
    assert!(world.read(connection).is_none() && world.server.fleet().lot.parked() == 1);
    assert!((3..=5).contains(&world.count("OutputKeys")), "tried again now and then");
    world.failing.clear();
    world.pass(Duration::from_secs(6));
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:2"]);
}

#[test]
fn a_poll_ends_in_time_while_keys_cannot_be_had() {
    let (mut world, connection) = resting_without_keys();
    world.pass(Duration::from_secs(301));
    assert!(world.answer(connection).is_empty_check_in());
}

#[test]
fn a_newer_check_in_while_keys_are_made_takes_over_and_both_share_the_question() {
    let (mut world, agents) = world_with(1);
    world.held.insert(Lane::Keys);
    let older = first_check_in(&mut world, &agents[0]);
    let newer = first_check_in(&mut world, &agents[0]);
    assert!(world.answer(older).is_empty_check_in());
    assert!(world.read(newer).is_none());
    world.release();
    assert_eq!(world.answer(newer).action_ids(), ["policy:p:1"]);
    assert!(world.read(older).is_none());
    assert_eq!(world.count("OutputKeys"), 1);
    assert_eq!(world.server.fleet().counters.policies_delivered, 1);
    assert!(world.server.fleet().lot.is_empty());
}

#[test]
fn actions_that_come_while_keys_are_made_go_first() {
    let (mut world, agents) = world_with(1);
    world.held.insert(Lane::Keys);
    let connection = first_check_in(&mut world, &agents[0]);
    world.act("SETTINGS", json!({}), &[&agents[0]]);
    assert!(world.read(connection).is_none());
    world.release();
    let reply = world.answer(connection);
    assert!(reply.action_ids()[0].starts_with("SETTINGS"));
    let connection = world.check_in_with(&agents[0], json!({"ack_token": reply.body["ack_token"]}));
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:1"]);
    assert_eq!(world.count("OutputKeys"), 1, "they were kept");
}

#[test]
fn a_revision_that_comes_while_keys_are_made_is_the_one_delivered() {
    let (mut world, agents) = world_with(1);
    world.held.insert(Lane::Keys);
    let connection = first_check_in(&mut world, &agents[0]);
    revise(&mut world, 2, "b");
    world.release();
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:2"]);
    assert_eq!(world.count("OutputKeys"), 2);
}

#[test]
fn a_client_that_goes_while_its_keys_are_made_leaves_nothing_behind() {
    let (mut world, agents) = world_with(1);
    world.held.insert(Lane::Keys);
    let connection = first_check_in(&mut world, &agents[0]);
    world.tell(Event::Lost { connection });
    world.release();
    assert!(world.server.fleet().lot.is_empty() && world.server.is_idle());
}

#[test]
fn a_poll_that_ends_while_keys_are_made_ends_in_time() {
    let (mut world, agents) = world_with(1);
    world.held.insert(Lane::Keys);
    let connection = world.check_in_with(&agents[0], json!({"poll_timeout": "3m"}));
    world.pass(Duration::from_secs(61));
    assert!(world.answer(connection).is_empty_check_in());
    world.release();
    assert!(world.read(connection).is_none() && world.server.fleet().lot.is_empty());
}

fn outputs(key_id: &str, text: &str, retired: &Value) -> Patch {
    let output = json!({"type": "elasticsearch", "api_key": text, "api_key_id": key_id,
        "permissions_hash": "another", "to_retire_api_key_ids": retired});
    Patch::new().set("outputs", json!({"default": output}))
}

#[test]
fn keys_that_another_server_changed_are_asked_for_again() {
    let (mut world, agents) = world_with(1);
    let connection = first_check_in(&mut world, &agents[0]);
    world.answer(connection);
    world.update(&agents[0].id, outputs("other", "$co.elastic.secret{s}", &json!([])));
    revise(&mut world, 2, "a");
    let connection = world.check_in(&agents[0]);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:2"]);
    assert_eq!(world.count("OutputKeys"), 2);
}

#[test]
fn an_agent_without_a_key_for_an_output_gets_the_policy_once_more() {
    let (mut world, agents) = world_with(1);
    world.update(&agents[0].id, outputs("", "", &json!([])));
    let connection = world.check_in(&agents[0]);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:1"]);
}

#[test]
fn a_key_that_is_missing_of_an_output_that_the_policy_does_not_have_is_not_waited_for() {
    let (mut world, agents) = world_with(1);
    let of_another = json!({"gone": {"api_key": "", "type": "elasticsearch"}});
    world.update(&agents[0].id, Patch::new().set("outputs", of_another));
    let connection = world.check_in(&agents[0]);
    assert!(world.read(connection).is_none(), "it is parked");
}

/// A world whose policy sends to another cluster, which is down, and an agent that has it nevertheless.
fn far_cluster_down() -> (World, Enrolled) {
    let mut world = World::with_output_keys();
    let data = json!({
        "id": "p",
        "outputs": {"far": {"type": "remote_elasticsearch", "hosts": ["h"], "service_token": "t"}},
        "output_permissions": {"far": {"r": {"cluster": ["a"]}}},
    });
    world.ask(Operation::CreateRevision(Box::new(Policy { data: raw(&data), ..revision("p", 1) }))).unwrap();
    world.far_is_down = true;
    let token = world.token("p");
    let agent = world.enroll(&token);
    let connection = first_check_in(&mut world, &agent);
    let reply = world.answer(connection);
    let output = &reply.body["actions"][0]["data"]["policy"]["outputs"]["far"];
    assert!(output["type"] == "elasticsearch" && output["api_key"].is_null(), "{output}");
    (world, agent)
}

#[test]
fn an_agent_that_got_no_key_from_another_cluster_gets_the_policy_once_more_when_there_is_one() {
    let (mut world, agent) = far_cluster_down();
    for _ in 0..2 {
        let connection = world.check_in(&agent);
        assert!(world.read(connection).is_none(), "there is no news for it yet");
    }
    world.far_is_down = false;
    let connection = world.check_in(&agent);
    let reply = world.answer(connection);
    let key = output_key(&agent.id, "far");
    let output = &reply.body["actions"][0]["data"]["policy"]["outputs"]["far"];
    assert_eq!(output["api_key"], format!("{}:{}", key.id, key.secret));
    let connection = world.check_in(&agent);
    assert!(world.read(connection).is_none(), "it has all there is");
}

#[test]
fn outputs_in_other_clusters_are_looked_after_as_long_as_a_policy_has_them() {
    let (mut world, _) = far_cluster_down();
    let last = |world: &World| world.operations.iter().rfind(|text| text.starts_with("MindOutputs")).cloned();
    world.pass(Duration::from_secs(31));
    assert!(last(&world).unwrap().contains(r#"outputs: ["far"]"#), "{:?}", last(&world));
    revise(&mut world, 2, "a");
    world.pass(Duration::from_secs(31));
    assert!(last(&world).unwrap().contains("outputs: []"), "{:?}", last(&world));
}

#[test]
fn trouble_with_a_key_that_an_agent_misses_is_none_of_its_check_in() {
    let (mut world, agent) = far_cluster_down();
    world.failing.insert(Lane::Keys, StoreError::Unavailable("down".into()));
    let connection = world.check_in(&agent);
    assert!(world.read(connection).is_none());
}

#[test]
fn an_acknowledgement_cleans_the_keys_before_it_counts() {
    let (mut world, agents) = world_with(1);
    let agent = &agents[0];
    world.update(&agent.id, outputs("k", "$co.elastic.secret{s}", &json!([])));
    let acks = json!({"events": [{"action_id": "policy:p:1"}]});
    world.failing.insert(Lane::Keys, StoreError::Unavailable("down".into()));
    let connection = world.post(&path(&agent.id, "acks"), &agent.token, &acks);
    assert_eq!(world.answer(connection).status, 503);
    assert_eq!(world.agent(&agent.id).unwrap().policy_revision_idx, 0);
    world.failing.clear();
    let connection = world.post(&path(&agent.id, "acks"), &agent.token, &acks);
    assert_eq!(world.answer(connection).status, 200);
    assert_eq!(world.agent(&agent.id).unwrap().policy_revision_idx, 1);
    assert_eq!(world.count("CleanOutputKeys"), 2);
}

#[test]
fn a_check_in_on_the_newest_revision_cleans_keys_whose_acknowledgement_was_lost() {
    let (mut world, agents) = world_with(1);
    let retired = json!([{"id": "old", "retired_at": "2026-01-01T00:00:00Z"}]);
    world.update(&agents[0].id, outputs("k", "$co.elastic.secret{s}", &retired));
    let older = world.check_in_with(&agents[0], json!({"agent_policy_id": "p", "policy_revision_idx": 0}));
    world.answer(older);
    assert_eq!(world.count("CleanOutputKeys"), 0, "it may still use the old one");
    world.update(&agents[0].id, outputs("k", "$co.elastic.secret{s}", &retired));
    world.failing.insert(Lane::Keys, StoreError::Unavailable("down".into()));
    let connection = world.check_in(&agents[0]);
    assert!(world.read(connection).is_none(), "a failure does not matter to the agent");
    assert_eq!(world.count("CleanOutputKeys"), 1);
}

#[test]
fn an_agent_that_leaves_takes_its_keys_along() {
    let (mut world, agents) = world_with(1);
    let agent = &agents[0];
    let retired = json!([{"id": "old", "output": "far", "secret_id": "t"}]);
    world.update(&agent.id, outputs("k", "$co.elastic.secret{s}", &retired));
    world.act("UNENROLL", json!({}), &[agent]);
    let connection = first_check_in(&mut world, agent);
    let id = world.answer(connection).action_ids()[0].to_owned();
    let acks = json!({"events": [{"action_id": id}]});
    let connection = world.post(&path(&agent.id, "acks"), &agent.token, &acks);
    assert_eq!(world.answer(connection).status, 200);
    let asked = world.operations.iter().find(|text| text.starts_with("RetireKeys")).unwrap();
    for known in ["\"k\"", "\"s\"", "\"old\"", "\"far\"", "\"t\""] {
        assert!(asked.contains(known), "{known}: {asked}");
    }
}

#[test]
fn an_agent_whose_end_cannot_be_written_keeps_its_keys_to_say_it_again() {
    let (mut world, agents) = world_with(1);
    let agent = &agents[0];
    world.act("UNENROLL", json!({}), &[agent]);
    let connection = first_check_in(&mut world, agent);
    let id = world.answer(connection).action_ids()[0].to_owned();
    let acks = json!({"events": [{"action_id": id}]});
    world.failing.insert(Lane::Write, StoreError::Unavailable("down".into()));
    let connection = world.post(&path(&agent.id, "acks"), &agent.token, &acks);
    assert_eq!((world.answer(connection).status, world.count("RetireKeys")), (503, 0));
    world.failing.clear();
    let connection = world.post(&path(&agent.id, "acks"), &agent.token, &acks);
    assert_eq!((world.answer(connection).status, world.count("RetireKeys")), (200, 1));
    assert!(!world.agent(&agent.id).unwrap().active);
    let connection = first_check_in(&mut world, agent);
    assert_eq!(world.answer(connection).status, 401);
}

#[test]
fn a_revision_without_permissions_is_not_delivered_and_the_older_stays() {
    let (mut world, agents) = world_with(1);
    let mut bad = keyed(2, "a");
    bad.data = raw(&json!({"id": "p", "outputs": {"default": {"type": "elasticsearch"}}}));
    world.ask(Operation::CreateRevision(Box::new(bad))).unwrap();
    let connection = first_check_in(&mut world, &agents[0]);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:1"]);
}

#[test]
fn an_agent_that_was_made_inactive_has_its_output_keys_invalidated_once_when_it_shows_up() {
    let (mut world, agents) = world_with(2);
    let connection = first_check_in(&mut world, &agents[0]);
    world.answer(connection);
    for agent in &agents {
        world.update(&agent.id, Patch::new().set("active", false));
        for _ in 0..2 {
            let connection = first_check_in(&mut world, agent);
            assert_eq!(world.answer(connection).status, 401);
        }
    }
    // the other one never got a key
    assert_eq!(world.count("RetireKeys"), 1);
    world.pass(Duration::from_secs(25 * 3_600));
    let connection = first_check_in(&mut world, &agents[0]);
    assert_eq!(world.answer(connection).status, 401);
    assert_eq!(world.count("RetireKeys"), 2);
}

#[test]
fn an_inactive_agent_whose_keys_could_not_be_invalidated_is_seen_to_again() {
    let (mut world, agents) = world_with(1);
    let connection = first_check_in(&mut world, &agents[0]);
    world.answer(connection);
    world.update(&agents[0].id, Patch::new().set("active", false));
    for tries in 1..=2 {
        world.failing.insert(Lane::Write, StoreError::Unavailable("down".into()));
        let connection = first_check_in(&mut world, &agents[0]);
        assert_eq!(world.answer(connection).status, 401);
        assert_eq!(world.count("RetireKeys"), tries);
        world.failing.clear();
    }
}

#[test]
fn outputs_are_looked_after_one_look_at_a_time() {
    let mut world = World::with_output_keys();
    world.held.insert(Lane::Write);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.count("MindOutputs"), 1);
    world.release();
    world.pass(Duration::from_secs(61));
    assert_eq!(world.count("MindOutputs"), 3);
    let mut world = World::new();
    world.pass(Duration::from_secs(300));
    assert_eq!(world.count("MindOutputs"), 0, "a store that makes no keys");
}
