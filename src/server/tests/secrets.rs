//! Secrets in policies and actions.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{Enrolled, World, revision};
use crate::config::Secret;
use crate::model::raw::raw;
use crate::model::{Action, NewSecret, Policy};
use crate::store::{Lane, Operation, StoreError};

const INLINE: &str = "x-$co.elastic.secret{s}-y";

fn set(world: &mut World, id: &str, value: &str) {
    let secret = NewSecret { id: Some(id.to_owned()), value: Secret::new(value) };
    world.ask(Operation::SetSecret(secret)).unwrap();
}

fn revise(world: &mut World, revision_idx: i64, references: &Value) {
    let data = json!({
        "id": "p",
        "outputs": {"o": {"type": "kafka", "secrets": {"password": {"id": "s"}}}},
        "inputs": [{"x": INLINE}],
        "secret_references": references,
    });
    let policy = Policy { data: raw(&data), ..revision("p", revision_idx) };
    world.ask(Operation::CreateRevision(Box::new(policy))).unwrap();
}

fn delivered(world: &mut World, agent: &Enrolled) -> Value {
    let connection = world.check_in_with(agent, json!({}));
    world.answer(connection).body["actions"][0]["data"]["policy"].take()
}

#[test]
fn a_revision_s_secrets_are_read_once_for_all_its_agents() {
    let (mut world, token) = World::with_policy();
    set(&mut world, "s", "one");
    revise(&mut world, 2, &json!([{"id": "s"}, {"id": "t"}]));
    for _ in 0..3 {
        let agent = world.enroll(&token);
        let policy = delivered(&mut world, &agent);
        assert_eq!(policy["inputs"][0]["x"], "x-one-y");
        assert_eq!(policy["outputs"], json!({"o": {"type": "kafka", "password": "one"}}));
        assert_eq!(policy["secret_paths"], json!(["inputs.0.x", "outputs.o.password"]));
    }
    assert_eq!(world.count("Secrets"), 1);
}

#[test]
fn a_missing_secret_is_left_out_and_the_rest_goes() {
    let (mut world, agent) = World::with_agent();
    revise(&mut world, 2, &json!([{"id": "s"}]));
    let policy = delivered(&mut world, &agent);
    assert_eq!(
        (&policy["inputs"][0]["x"], &policy["outputs"]["o"]["password"]),
        (&json!(INLINE), &json!(""))
    );
    assert_eq!(policy["secret_paths"], json!(["outputs.o.password"]));
}

#[test]
fn while_secrets_cannot_be_read_the_older_revision_stays_and_then_the_newer_comes() {
    let (mut world, agent) = World::with_agent();
    set(&mut world, "s", "one");
    let connection = world.check_in(&agent);
    world.failing.insert(Lane::Read, StoreError::Unavailable("down".into()));
    revise(&mut world, 2, &json!([{"id": "s"}]));
    world.pass(Duration::from_secs(60));
    let tries = world.count("Secrets");
    assert!((3..=6).contains(&tries), "it is tried again, less and less often: {tries}");
    assert!(world.read(connection).is_none());
    assert_eq!(world.server.fleet().policies.newest("p").unwrap().revision_idx, 1);
    world.failing.clear();
    world.pass(Duration::from_secs(65));
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:2"]);
    let tries = world.count("Secrets");
    world.pass(Duration::from_secs(300));
    assert_eq!(world.count("Secrets"), tries);
}

#[test]
fn a_revision_that_waits_for_its_secrets_gives_way_to_a_newer_one() {
    let (mut world, agent) = World::with_agent();
    world.failing.insert(Lane::Read, StoreError::Unavailable("down".into()));
    revise(&mut world, 2, &json!([{"id": "s"}]));
    world.failing.clear();
    world.revise("p", 3);
    world.pass(Duration::from_secs(120));
    assert_eq!(world.count("Secrets"), 1);
    let connection = world.check_in(&agent);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:3"]);
}

fn act(world: &mut World, agents: &[&Enrolled]) {
    let action = Action {
        action_id: "m".to_owned(),
        kind: "INPUT_ACTION".to_owned(),
        agents: agents.iter().map(|agent| agent.id.clone()).collect(),
        data: Some(raw(&json!({"deep": [{"x": INLINE}], "n": 1}))),
        expiration: world.now.wall.plus(Duration::from_secs(3_600)).rfc3339(),
        secret_references: vec!["s".to_owned()],
        ..Action::default()
    };
    world.ask(Operation::CreateAction(Box::new(action))).unwrap();
}

#[test]
fn secrets_in_an_action_are_read_once_for_parked_agents_and_others() {
    let (mut world, token) = World::with_policy();
    set(&mut world, "s", "one");
    let agents: Vec<_> = (0..3).map(|_| world.enroll(&token)).collect();
    let mut connections: Vec<_> = agents[..2].iter().map(|agent| world.check_in(agent)).collect();
    act(&mut world, &agents.iter().collect::<Vec<_>>());
    connections.push(world.check_in(&agents[2]));
    for connection in connections {
        let data = world.answer(connection).body["actions"][0]["data"].take();
        assert_eq!(data, json!({"deep": [{"x": "x-one-y"}], "n": 1}));
    }
    assert_eq!(world.count("Secrets"), 1);
}

#[test]
fn an_action_whose_secrets_cannot_be_read_is_not_lost() {
    let (mut world, agent) = World::with_agent();
    set(&mut world, "s", "one");
    let connection = world.check_in(&agent);
    world.held.insert(Lane::Read);
    act(&mut world, &[&agent]);
    let (batch, operations) = world.waiting.pop().unwrap();
    assert!(format!("{operations:?}").contains("Secrets"));
    let answers = vec![Err(StoreError::Unavailable("down".into()))];
    world.tell(crate::server::Event::Answered { batch, answers });
    // who rests here stays
    assert!(world.read(connection).is_none());
    world.release();
    world.pass(Duration::from_secs(6));
    assert_eq!(world.answer(connection).action_ids(), ["m"]);
}
