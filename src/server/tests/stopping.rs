//! The way to the end.

use std::time::Duration;

use serde_json::json;

use super::world::{World, path};
use crate::server::Event;
use crate::store::Lane;

#[test]
fn who_is_parked_is_answered_after_the_heartbeats_are_written() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in(&agent);
    // a beat has just been noted: nothing is due by itself
    world.pass(Duration::from_millis(30_100));
    world.operations.clear();
    world.held.insert(Lane::Write);
    world.tell(Event::Stop);
    assert_eq!(world.count("Heartbeats"), 1);
    assert!(world.read(connection).is_none() && !world.exited);
    world.release();
    let reply = world.answer(connection);
    assert!(reply.is_empty_check_in() && reply.head.contains("Connection: close"));
    assert!(world.exited);
}

#[test]
fn requests_under_way_are_finished_first() {
    let (mut world, token) = World::with_policy();
    let agent = world.enroll(&token);
    let parked = world.check_in(&agent);
    world.held.insert(Lane::Write);
    let enrolling = world.post(super::world::ENROLL, &token, &json!({"type": "PERMANENT"}));
    world.tell(Event::Stop);
    world.pass(Duration::from_secs(1));
    assert!(world.read(enrolling).is_none() && world.read(parked).is_none() && !world.exited);
    world.release();
    assert_eq!(world.answer(enrolling).status, 200);
    world.pass(Duration::from_secs(1));
    assert!(world.answer(parked).is_empty_check_in() && world.exited);
}

#[test]
fn a_check_in_during_the_stop_is_sent_away_at_once_and_well() {
    let (mut world, token) = World::with_policy();
    let (agent, other) = (world.enroll(&token), world.enroll(&token));
    let parked = world.check_in(&agent);
    world.held.insert(Lane::Write);
    world.tell(Event::Stop);
    world.operations.clear();
    let late = world.check_in(&other);
    let reply = world.answer(late);
    assert!(reply.is_empty_check_in() && reply.head.contains("Connection: close"), "{reply:?}");
    assert!(world.closed.contains(&late) && world.operations.is_empty());
    assert!(world.read(parked).is_none());
}

#[test]
fn a_store_that_never_answers_does_not_hold_up_the_end() {
    let (mut world, agent) = World::with_agent();
    let parked = world.check_in(&agent);
    world.held.extend(Lane::ALL);
    let acks = json!({"events": [{"action_id": "policy:p:1"}]});
    world.post(&path(&agent.id, "acks"), &agent.token, &acks);
    world.tell(Event::Stop);
    world.pass(Duration::from_secs(13));
    assert!(world.answer(parked).is_empty_check_in());
    assert!(world.exited);
}

#[test]
fn a_client_that_takes_nothing_does_not_hold_up_the_end() {
    let (mut world, agent) = World::with_agent();
    let parked = world.check_in(&agent);
    world.deaf.insert(parked);
    world.tell(Event::Stop);
    assert!(!world.exited);
    world.pass(Duration::from_secs(2));
    assert!(world.exited);
}

#[test]
fn a_second_stop_changes_nothing() {
    let (mut world, agent) = World::with_agent();
    let parked = world.check_in(&agent);
    world.tell(Event::Stop);
    world.tell(Event::Stop);
    assert!(world.answer(parked).is_empty_check_in() && world.exited);
}
