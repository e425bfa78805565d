//! Deadlines of connections.

use std::time::Duration;

use serde_json::json;

use super::world::{ENROLL, World, head};
use crate::store::Lane;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_head_that_is_not_complete_in_five_seconds_is_408() {
    let mut world = World::new();
    let connection = world.open();
    world.send(connection, b"GET /api/status HTTP/1.1\r\n");
    world.pass(Duration::from_millis(4_900));
    // another byte does not give it more time
    world.send(connection, b"H");
    assert!(world.read(connection).is_none());
    world.pass(Duration::from_millis(200));
    let reply = world.answer(connection);
    assert_eq!((reply.status, reply.error()), (408, "RequestTimeout"));
    assert!(world.closed.contains(&connection));
}

#[test]
fn a_client_that_never_says_a_word_is_closed_in_silence() {
    let mut world = World::new();
    let connection = world.open();
    world.pass(Duration::from_millis(5_100));
    assert!(world.read(connection).is_none() && world.closed.contains(&connection));
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let (mut world, token) = World::with_policy();
    let connection = world.open();
    let request = format!("{}Content-Length: 100\r\n\r\n{{", head(ENROLL, &token));
    world.send(connection, request.as_bytes());
    world.pass(seconds(59));
    assert!(world.read(connection).is_none());
    world.pass(seconds(2));
    assert_eq!(world.answer(connection).status, 408);
    assert!(world.server.is_idle());
}

#[test]
fn a_body_that_does_not_come_is_408_also_after_a_slow_store() {
    let (mut world, token) = World::with_policy();
    world.held.insert(Lane::Read);
    let connection = world.open();
    let request = format!("{}Content-Length: 100\r\n\r\n{{", head(ENROLL, &token));
    world.send(connection, request.as_bytes());
    world.pass(seconds(80));
    world.release();
    assert!(world.read(connection).is_none(), "the store's slowness is not the client's");
    world.pass(seconds(61));
    assert_eq!(world.answer(connection).status, 408);
    assert!(world.server.is_idle());
}

#[test]
fn a_connection_between_requests_is_closed_after_35_seconds() {
    let mut world = World::new();
    let connection = world.open();
    world.send(connection, b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(world.answer(connection).status, 200);
    world.pass(seconds(34));
    assert!(!world.closed.contains(&connection));
    world.pass(seconds(2));
    assert!(world.closed.contains(&connection) && world.read(connection).is_none());
}

#[test]
fn a_head_that_begins_when_the_idle_time_is_nearly_over_has_its_own_time() {
    let mut world = World::new();
    let connection = world.open();
    let request = b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n";
    world.send(connection, request);
    world.read(connection);
    world.pass(Duration::from_millis(34_900));
    world.send(connection, &request[..20]);
    world.pass(seconds(4));
    world.send(connection, &request[20..]);
    assert_eq!(world.answer(connection).status, 200);
    world.pass(seconds(20));
    world.send(connection, &request[..20]);
    world.pass(Duration::from_millis(5_100));
    assert_eq!(world.answer(connection).status, 408);
}

#[test]
fn an_answer_that_is_not_taken_is_given_up() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in(&agent);
    world.deaf.insert(connection);
    world.act("SETTINGS", json!({}), &[&agent]);
    world.pass(seconds(599));
    assert!(!world.closed.contains(&connection));
    world.pass(seconds(2));
    assert!(world.closed.contains(&connection));
}

#[test]
fn a_timeout_of_zero_is_none() {
    let mut world = World::with(|config| {
        let timeouts = &mut config.server.timeouts;
        (timeouts.read, timeouts.read_header) = (Duration::ZERO, Duration::ZERO);
        (timeouts.write, timeouts.idle) = (Duration::ZERO, Duration::ZERO);
    });
    world.revise("p", 1);
    let token = world.token("p");
    let silent = world.open();
    let connection = world.open();
    world.send(connection, b"POST /api/fleet/agents/enroll HTTP/1.1\r\n");
    world.pass(seconds(5_000));
    let rest = format!("Host: x\r\nUser-Agent: elastic agent 9.6.0\r\nAuthorization: ApiKey {token}\r\n");
    world.send(connection, format!("{rest}Content-Length: 20\r\n\r\n").as_bytes());
    world.pass(seconds(5_000));
    world.deaf.insert(connection);
    world.send(connection, br#"{"type":"PERMANENT"}"#);
    world.pass(seconds(5_000));
    world.deaf.clear();
    world.take(connection);
    assert_eq!(world.answer(connection).status, 200);
    world.pass(seconds(5_000));
    assert!(world.closed.is_empty());
    world.send(silent, b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(world.answer(silent).status, 200);
}

#[test]
fn a_parked_agent_has_no_deadline_but_the_end_of_its_poll() {
    let mut world = World::with(|config| config.server.timeouts.checkin_long_poll = seconds(3_000));
    world.revise("p", 1);
    let token = world.token("p");
    let agent = world.enroll(&token);
    let connection = world.check_in(&agent);
    world.pass(seconds(2_999));
    assert!(world.read(connection).is_none() && !world.closed.contains(&connection));
    world.act("SETTINGS", json!({}), &[&agent]);
    assert_eq!(world.answer(connection).action_ids().len(), 1);
}
