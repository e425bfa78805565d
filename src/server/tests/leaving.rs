//! Agents that must go, and those that go by themselves.

use std::time::Duration;

use serde_json::json;

use super::world::{Enrolled, World, path, revision, unknown_token};
use crate::model::{Patch, Policy};
use crate::store::{Lane, Operation, StoreError};

#[test]
fn a_step_of_the_clock_leaves_silent_agents_their_time() {
    let hour = Duration::from_secs(3_600);
    let mut world = World::new();
    let patient = Policy { unenroll_timeout_seconds: 2 * 3_600, ..revision("p", 1) };
    world.ask(Operation::CreateRevision(Box::new(patient))).unwrap();
    let token = world.token("p");
    world.pass(5 * hour);
    let agent = world.enroll(&token);
    // as when the machine slept
    world.now.wall = world.now.wall.plus(10 * hour);
    world.pass(hour + hour / 5);
    assert!(world.agent(&agent.id).unwrap().active, "housekeeping gives it two hours more");
    world.pass(3 * hour);
    assert!(!world.agent(&agent.id).unwrap().active);
}

fn graceful() -> (World, Enrolled) {
    let mut world = World::with(|config| {
        config.server.feature_flags.graceful_force_unenroll.enabled = true;
    });
    world.revise("p", 1);
    let token = world.token("p");
    let agent = world.enroll(&token);
    (world, agent)
}

#[test]
fn an_agent_that_must_go_is_told_so_in_three_steps() {
    let (mut world, agent) = graceful();
    world.update(&agent.id, Patch::new().set("active", false));
    let told = |world: &mut World| {
        let connection = world.check_in(&agent);
        world.answer(connection)
    };
    let first = told(&mut world);
    assert_eq!((first.status, &first.body["actions"][0]["type"]), (200, &json!("POLICY_CHANGE")));
    assert_eq!(first.body["actions"][0]["data"], json!({"policy": {}}));
    assert!(first.body.get("ack_token").is_none());
    let second = told(&mut world);
    assert_eq!((second.status, &second.body["actions"][0]["type"]), (200, &json!("UNENROLL")));
    let third = told(&mut world);
    assert_eq!((third.status, third.error()), (401, "ErrAgentInactive"));
    world.pass(Duration::from_secs(3_601));
    assert_eq!(told(&mut world).status, 200);
}

#[test]
fn an_unknown_key_is_told_gracefully_too_but_a_failing_store_never_says_so() {
    let (mut world, agent) = graceful();
    let stranger = Enrolled { token: unknown_token(), ..agent.clone() };
    world.failing.insert(Lane::Read, StoreError::Unavailable("down".into()));
    for _ in 0..5 {
        let connection = world.check_in(&stranger);
        assert_eq!(world.answer(connection).status, 503);
    }
    world.failing.clear();
    let connection = world.check_in(&stranger);
    assert_eq!(world.answer(connection).body["actions"][0]["type"], "POLICY_CHANGE");
}

#[test]
fn an_agent_that_acknowledges_its_unenrolment_is_inactive_and_its_key_no_good() {
    let (mut world, agent) = World::with_agent();
    world.act("UNENROLL", json!({}), &[&agent]);
    let connection = world.check_in(&agent);
    let id = world.answer(connection).action_ids()[0].to_owned();
    let acks = json!({"events": [{"action_id": id, "agent_id": agent.id}]});
    let connection = world.post(&path(&agent.id, "acks"), &agent.token, &acks);
    assert_eq!(world.answer(connection).status, 200);
    assert!(!world.agent(&agent.id).unwrap().active);
    let connection = world.check_in(&agent);
    assert_eq!(world.answer(connection).status, 401);
}
