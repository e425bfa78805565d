//! Who may begin a request while the store is busy.

use std::time::Duration;

use serde_json::json;

use super::world::{World, path, post};
use crate::config::Config;
use crate::connection::ConnectionId;
use crate::store::Lane;

/// A world whose store is busy with one operation, of an agent that waits inside, and a second agent that waits outside.
fn with_one_inside(change: impl FnOnce(&mut Config)) -> (World, ConnectionId, ConnectionId) {
    let mut world = World::with(change);
    world.revise("p", 1);
    let token = world.token("p");
    let agents = [world.enroll(&token), world.enroll(&token)];
    world.busy_from(1);
    world.held.insert(Lane::Read);
    let inside = world.check_in(&agents[0]);
    let outside = world.open();
    let body = json!({"status": "online", "agent_policy_id": "p", "policy_revision_idx": 1});
    let request = post(&path(&agents[1].id, "checkin"), &agents[1].token, &body.to_string());
    assert_eq!(world.send(outside, &request), 0, "nothing is read of it");
    world.unsent.insert(outside, request);
    (world, inside, outside)
}

#[test]
fn a_request_begins_once_those_before_it_have_got_on() {
    let (mut world, inside, outside) = with_one_inside(|_| {});
    world.held.clear();
    world.release();
    assert!(world.read(inside).is_none() && world.read(outside).is_none());
    assert_eq!(world.server.fleet().lot.parked(), 2);
}

#[test]
fn a_store_that_hangs_keeps_nobody_outside() {
    let (mut world, _, outside) = with_one_inside(|_| {});
    assert!(world.unsent.contains_key(&outside));
    world.pass(Duration::from_millis(100));
    assert!(!world.unsent.contains_key(&outside), "it was let in");
}

#[test]
fn the_time_outside_is_not_the_clients() {
    // shorter than until some are let in whatever the store does
    let (mut world, _, outside) = with_one_inside(|config| {
        config.server.timeouts.read_header = Duration::from_millis(15);
    });
    world.pass(Duration::from_millis(19));
    assert!(!world.closed.contains(&outside) && world.unsent.contains_key(&outside));
    world.pass(Duration::from_millis(1));
    assert!(!world.closed.contains(&outside) && !world.unsent.contains_key(&outside));
}

#[test]
fn a_body_under_way_is_read_on() {
    let (mut world, token) = World::with_policy();
    let agents = [world.enroll(&token), world.enroll(&token)];
    let body = json!({"status": "online", "message": "x".repeat(1_000)}).to_string();
    let request = post(&path(&agents[0].id, "checkin"), &agents[0].token, &body);
    let (first, rest) = request.split_at(request.len() - 500);
    let connection = world.open();
    assert_eq!(world.send(connection, first), first.len());
    world.busy_from(1);
    world.held.insert(Lane::Read);
    world.check_in(&agents[1]);
    assert_eq!(world.send(connection, rest), rest.len());
}

#[test]
fn one_that_leaves_while_it_is_outside_takes_nobodys_place() {
    let (mut world, _, outside) = with_one_inside(|_| {});
    world.unsent.remove(&outside);
    world.tell(crate::server::Event::Lost { connection: outside });
    world.held.clear();
    world.release();
    assert_eq!(world.server.fleet().lot.parked(), 1);
    assert!(world.server.wake_at().is_some());
}
