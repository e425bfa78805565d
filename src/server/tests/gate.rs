//! Who may begin a request while the store is busy.

use std::time::Duration;

use serde_json::json;

use super::world::{World, path, post};
use crate::config::Config;
use crate::connection::{ConnectionId, Listener};
use crate::store::Lane;

/// A world whose store is busy with one operation, of an agent that waits inside, and a second agent that waits outside.
fn with_one_inside(change: impl FnOnce(&mut Config)) -> (World, ConnectionId, ConnectionId) {
    with_one_outside(change, "")
}

/// The same, with a message of the one outside.
fn with_one_outside(change: impl FnOnce(&mut Config), message: &str) -> (World, ConnectionId, ConnectionId) {
    let mut world = World::with(change);
    world.revise("p", 1);
    let token = world.token("p");
    let agents = [world.enroll(&token), world.enroll(&token)];
    world.busy_from(1);
    world.held.insert(Lane::Read);
    let inside = world.check_in(&agents[0]);
    let outside = world.open();
    let body =
        json!({"status": "online", "message": message, "agent_policy_id": "p", "policy_revision_idx": 1});
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
    world.pass(Duration::from_millis(499));
    assert!(world.unsent.contains_key(&outside));
    world.pass(Duration::from_millis(1));
    assert!(!world.unsent.contains_key(&outside), "it was let in");
}

#[test]
fn what_takes_long_by_its_nature_shuts_nobody_out() {
    let (mut world, _, _) = with_one_inside(|_| {});
    world.held.clear();
    world.release();
    world.held.insert(Lane::Operator);
    let operator = world.open_at(Listener::Admin);
    world.send(operator, b"GET /api/fleet/agents HTTP/1.1\r\nHost: x\r\n\r\n");
    let agent = world.open();
    assert!(world.server.wants_input(agent, || 0), "a list is being made, which is no business of agents");
}

#[test]
fn small_requests_are_not_outside_for_long_although_the_store_answers() {
    let (mut world, _, outside) = with_one_inside(|_| {});
    pass_with_answers(&mut world, Duration::from_millis(4_900));
    assert!(world.unsent.contains_key(&outside), "not yet");
    world.pass(Duration::from_millis(200));
    assert!(!world.unsent.contains_key(&outside));
}

/// Lets time pass in which the store answers somebody again and again.
fn pass_with_answers(world: &mut World, time: Duration) {
    const STEP: Duration = Duration::from_millis(100);
    for _ in 0..time.as_millis() / STEP.as_millis() {
        world.pass(STEP);
        world.tell(crate::server::Event::Answered { batch: u64::MAX, answers: Vec::new() });
    }
}

#[test]
fn large_requests_wait_outside_for_a_minute_while_the_store_answers() {
    let (mut world, _, outside) = with_one_outside(|_| {}, &"x".repeat(2_000));
    pass_with_answers(&mut world, Duration::from_millis(59_900));
    assert!(world.unsent.contains_key(&outside), "not yet");
    pass_with_answers(&mut world, Duration::from_millis(200));
    assert!(!world.unsent.contains_key(&outside));
}

#[test]
fn a_store_that_hangs_keeps_large_requests_outside_for_some_seconds() {
    let (mut world, _, outside) = with_one_outside(|_| {}, &"x".repeat(2_000));
    world.pass(Duration::from_millis(4_999));
    assert!(world.unsent.contains_key(&outside));
    world.pass(Duration::from_millis(1));
    assert!(!world.unsent.contains_key(&outside));
}

#[test]
fn a_question_for_the_status_overtakes_large_requests() {
    let (mut world, _, outside) = with_one_outside(|_| {}, &"x".repeat(2_000));
    pass_with_answers(&mut world, Duration::from_secs(1));
    let status = world.open();
    let question = b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(world.send(status, question), 0);
    world.unsent.insert(status, question.to_vec());
    pass_with_answers(&mut world, Duration::from_millis(5_100));
    assert_eq!(world.answer(status).status, 200);
    assert!(world.unsent.contains_key(&outside));
}

#[test]
fn among_those_let_in_who_came_first_comes_first() {
    let (mut world, _, large) = with_one_outside(|_| {}, &"x".repeat(2_000));
    world.pass(Duration::from_millis(10));
    let small = world.open();
    assert!(!world.server.wants_input(small, || 100));
    world.held.clear();
    world.busy_from(2);
    world.server.let_in_for(1);
    assert!(world.server.takes_input(large) && !world.server.takes_input(small));
}

#[test]
fn the_time_outside_is_not_the_clients() {
    // shorter than until some are let in whatever the store does
    let (mut world, _, outside) = with_one_inside(|config| {
        config.server.timeouts.read_header = Duration::from_millis(15);
    });
    world.pass(Duration::from_millis(499));
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

#[test]
fn those_gone_are_not_counted_among_those_let_in() {
    let (mut world, _, first) = with_one_inside(|_| {});
    let gone: Vec<_> = (0..100).map(|_| world.open()).collect();
    for connection in &gone {
        assert!(!world.server.wants_input(*connection, || 0));
    }
    let last = world.open();
    world.unsent.insert(last, b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    assert!(!world.server.wants_input(last, || 0));
    for connection in gone {
        world.tell(crate::server::Event::Lost { connection });
    }
    world.pass(Duration::from_millis(500));
    assert!(!world.unsent.contains_key(&first) && !world.unsent.contains_key(&last));
}

#[test]
fn the_operator_and_the_supervising_agent_do_not_wait() {
    let (mut world, ..) = with_one_inside(|_| {});
    for listener in [Listener::Internal, Listener::Admin] {
        let connection = world.open_at(listener);
        assert!(world.server.wants_input(connection, || 0), "{listener:?}");
    }
    let agent = world.open_at(Listener::External);
    assert!(!world.server.wants_input(agent, || 0));
}

#[test]
fn who_waits_outside_when_the_server_stops_is_answered() {
    let (mut world, inside, outside) = with_one_inside(|_| {});
    world.tell(crate::server::Event::Stop);
    assert!(!world.unsent.contains_key(&outside), "it was read");
    let reply = world.answer(outside);
    assert!(reply.is_empty_check_in() && reply.head.contains("Connection: close"), "{reply:?}");
    world.held.clear();
    world.release();
    world.pass(Duration::from_secs(2));
    assert!(world.exited && world.read(inside).is_some());
}

#[test]
fn an_idle_connection_that_was_let_in_keeps_its_idle_time() {
    let (mut world, token) = World::with_policy();
    let agents = [world.enroll(&token), world.enroll(&token)];
    let idle = world.check_in(&agents[0]);
    world.act("SETTINGS", json!({}), &[&agents[0]]);
    assert_eq!(world.answer(idle).status, 200);
    world.busy_from(1);
    world.held.insert(Lane::Read);
    world.check_in(&agents[1]);
    assert!(!world.server.wants_input(idle, || 0), "it is queued, for whatever reason");
    world.pass(Duration::from_secs(30));
    assert!(!world.closed.contains(&idle));
    world.pass(Duration::from_secs(6));
    assert!(world.closed.contains(&idle));
}
