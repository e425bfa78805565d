//! Request bodies, and what becomes of a connection whose body nobody wanted.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::world::{ENROLL, Enrolled, Reply, World, head, path, post, unknown_token};
use crate::server::Event;
use crate::server::body::BODIES_BYTES_MAX;
use crate::store::Lane;

#[test]
fn a_client_that_expects_100_gets_it_once_its_body_is_wanted() {
    let (mut world, token) = World::with_policy();
    world.held.insert(Lane::Read);
    let connection = world.open();
    let request = format!("{}Expect: 100-continue\r\nContent-Length: 20\r\n\r\n", head(ENROLL, &token));
    world.send(connection, request.as_bytes());
    assert_eq!(world.read_text(connection), "");
    world.release();
    assert_eq!(world.read_text(connection), "HTTP/1.1 100 Continue\r\n\r\n");
    world.send(connection, br#"{"type":"PERMANENT"}"#);
    assert_eq!(world.answer(connection).status, 200);
    assert!(!world.closed.contains(&connection));
}

#[test]
fn a_client_that_expects_100_and_is_refused_gets_the_refusal_alone() {
    let (mut world, _) = World::with_policy();
    let connection = world.open();
    let head = head(ENROLL, &unknown_token());
    world.send(connection, format!("{head}Expect: 100-continue\r\nContent-Length: 20\r\n\r\n").as_bytes());
    let reply = world.answer(connection);
    assert_eq!(reply.status, 401);
    assert!(reply.head.contains("Connection: close") && world.closed.contains(&connection));
}

#[test]
fn a_refusal_before_the_body_came_keeps_the_connection() {
    let (mut world, token) = World::with_policy();
    let connection = world.open();
    let body = "x".repeat(50_000);
    world.send(connection, &post(ENROLL, &unknown_token(), &body));
    assert_eq!(world.answer(connection).status, 401);
    world.send(connection, &post(ENROLL, &token, r#"{"type":"PERMANENT"}"#));
    assert_eq!(world.answer(connection).status, 200);
    assert!(world.closed.is_empty());
}

#[test]
fn a_body_is_held_back_until_its_handler_wants_it() {
    let (mut world, token) = World::with_policy();
    world.held.insert(Lane::Read);
    let connection = world.open();
    let request = post(ENROLL, &token, &json!({"type": "PERMANENT", "x": "y".repeat(40_000)}).to_string());
    let taken = world.send(connection, &request);
    assert!(taken < request.len() && taken <= 2 * 16 * 1024, "{taken}");
    world.release();
    world.send(connection, &request[taken..]);
    assert_eq!(world.answer(connection).status, 200);
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let (mut world, agent) = World::with_agent();
    let acks = json!({"events": [{"action_id": "policy:p:1"}]}).to_string();
    let mut bytes = post(&path(&agent.id, "acks"), &agent.token, &acks);
    let check_in = r#"{"status":"online","agent_policy_id":"p","policy_revision_idx":0}"#;
    bytes.extend(post(&path(&agent.id, "checkin"), &agent.token, check_in));
    bytes.extend(b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n");
    let connection = world.open();
    world.held.insert(Lane::Write);
    world.send(connection, &bytes);
    world.release();
    let text = world.read_text(connection).into_bytes();
    let (first, rest) = Reply::read(&text);
    let (second, rest) = Reply::read(rest);
    let (third, rest) = Reply::read(rest);
    assert_eq!((first.body["action"].as_str(), second.action_ids()), (Some("acks"), vec!["policy:p:1"]));
    assert_eq!((third.body["status"].as_str(), rest), (Some("HEALTHY"), &b""[..]));
}

#[test]
fn a_body_that_ends_with_the_client_is_no_request() {
    let (mut world, token) = World::with_policy();
    let connection = world.open();
    world
        .send(connection, format!("{}Content-Length: 20\r\n\r\n{{\"type\"", head(ENROLL, &token)).as_bytes());
    world.tell(Event::Ended { connection });
    assert!(world.server.is_idle() && world.closed.contains(&connection));
    assert!(world.agents().is_empty());
}

#[test]
fn a_complete_request_is_answered_although_its_client_has_ended_its_side() {
    let (mut world, token) = World::with_policy();
    world.held.insert(Lane::Read);
    let connection = world.open();
    world.send(connection, &post(ENROLL, &token, r#"{"type":"PERMANENT"}"#));
    world.tell(Event::Ended { connection });
    world.release();
    assert_eq!(world.answer(connection).status, 200);
    assert!(world.closed.contains(&connection));
}

/// A gzip check-in whose text has `bytes` bytes.
fn gzipped(agent: &Enrolled, bytes: usize) -> Vec<u8> {
    let frame = json!({"status": "online", "message": ""}).to_string().len();
    let text = json!({"status": "online", "message": "m".repeat(bytes - frame)}).to_string();
    assert_eq!(text.len(), bytes);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let head = head(&path(&agent.id, "checkin"), &agent.token);
    let mut request =
        format!("{head}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend(&body);
    request
}

/// What may be inflated in one turn.
const TURN: usize = 256 * 1024;

#[test]
fn a_body_that_takes_several_turns_to_inflate_is_read_whole() {
    for bytes in [TURN - 1, TURN, TURN + 1, TURN + 200, 2 * TURN, 2 * TURN + 7, 3 * TURN - 300] {
        let (mut world, agent) = World::with_agent();
        let connection = world.open();
        world.send(connection, &gzipped(&agent, bytes));
        world.pass(Duration::from_millis(1));
        let reply = world.answer(connection);
        assert_eq!((reply.status, reply.action_ids()), (200, vec!["policy:p:1"]), "{bytes}: {reply:?}");
    }
}

#[test]
fn a_piece_that_is_used_up_exactly_when_the_turn_is_over_is_not_the_end() {
    let (mut world, agent) = World::with_agent();
    let request = gzipped(&agent, 2 * TURN);
    let body = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    // about a thousandth of a turn's bytes make it full: somewhere here is the place
    for place in 230..300 {
        world.act("SETTINGS", json!({}), &[&agent]);
        let connection = world.open();
        world.send(connection, &request[..body + place]);
        world.pass(Duration::from_millis(1));
        world.send(connection, &request[body + place..]);
        world.pass(Duration::from_millis(1));
        assert_eq!(world.answer(connection).status, 200, "{place}");
    }
}

#[test]
fn a_body_that_is_still_inflated_when_its_client_ends_its_side_is_whole() {
    let (mut world, agent) = World::with_agent();
    world.act("SETTINGS", json!({}), &[&agent]);
    let connection = world.open();
    world.send(connection, &gzipped(&agent, 3 * TURN));
    world.tell(Event::Ended { connection });
    world.pass(Duration::from_millis(1));
    assert_eq!(world.answer(connection).action_ids().len(), 1);
    assert!(world.closed.contains(&connection));
}

#[test]
fn a_body_that_is_cut_off_while_it_is_inflated_is_missed() {
    let (mut world, agent) = World::with_agent();
    let connection = world.open();
    let request = gzipped(&agent, 3 * TURN);
    world.send(connection, &request[..request.len() - 4]);
    world.tell(Event::Ended { connection });
    world.pass(Duration::from_millis(1));
    assert!(world.closed.contains(&connection) && world.server.is_idle());
}

#[test]
fn bodies_on_their_way_hold_a_bounded_amount_together() {
    const EACH: usize = 16 << 20;
    let (mut world, agent) = World::with_agent();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&vec![b' '; EACH]).unwrap();
    let body = gzip.finish().unwrap();
    let head = format!(
        "{}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        head(&path(&agent.id, "checkin"), &agent.token),
        body.len()
    );
    // the last byte never comes
    let (body, _) = body.split_at(body.len() - 1);
    let mut refused = 0;
    let clients = 2 * BODIES_BYTES_MAX / EACH;
    for _ in 0..clients {
        let connection = world.open();
        world.send(connection, head.as_bytes());
        let mut left = body;
        while !left.is_empty() && !world.is_answered(connection) {
            let sent = world.send(connection, left);
            left = &left[sent..];
            world.pass(Duration::ZERO);
        }
        if let Some(reply) = world.read(connection) {
            assert_eq!((reply.status, reply.error()), (429, "MaxLimit"));
            refused += 1;
        }
        assert!(world.server.bodies.bytes() <= BODIES_BYTES_MAX);
    }
    assert!(refused > 0 && refused < clients, "{refused}");
    world.pass(Duration::from_secs(120));
    assert_eq!(world.server.bodies.bytes(), 0);
}

#[test]
fn a_body_counts_until_its_handler_is_done_with_it() {
    let (mut world, agent) = World::with_agent();
    world.held.insert(Lane::Write);
    let connection = world.check_in_with(&agent, json!({"components": ["x".repeat(1_000)]}));
    assert!(world.server.bodies.bytes() > 1_000, "its check-in is yet to be written");
    world.release();
    assert_eq!(world.server.bodies.bytes(), 0);
    world.answer(connection);
}
