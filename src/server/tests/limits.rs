//! Limits of routes and bodies.

use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;

use super::world::{ENROLL, World, head, path, post};
use crate::connection::ConnectionId;

#[test]
fn a_rate_refuses_the_second_request_without_asking_the_store() {
    let mut world = World::with(|config| {
        let limit = &mut config.server.limits.routes.enroll;
        (limit.interval, limit.burst) = (Duration::from_secs(3_600), 1);
    });
    world.revise("p", 1);
    let token = world.token("p");
    world.enroll(&token);
    world.operations.clear();
    let refused = world.post(ENROLL, &token, &json!({"type": "PERMANENT"}));
    let refused = world.answer(refused);
    assert_eq!((refused.status, refused.error()), (429, "RateLimit"));
    assert!(refused.head.contains("X-Request-Id: ") && !refused.head.contains("Elastic-Api-Version"));
    assert!(world.operations.is_empty());
}

#[test]
fn exactly_as_many_agents_fit_as_the_operator_says() {
    let mut world = World::with(|config| config.server.limits.routes.checkin.max = 2);
    world.revise("p", 1);
    let token = world.token("p");
    let agents: Vec<_> = (0..3).map(|_| world.enroll(&token)).collect();
    let first = world.check_in(&agents[0]);
    let second = world.check_in(&agents[1]);
    let third = world.check_in(&agents[2]);
    let third = world.answer(third);
    assert_eq!((third.status, third.error()), (429, "MaxLimit"));
    // a newer check-in takes over its agent's place, also from a connection that is dead
    let again = world.check_in(&agents[0]);
    assert!(world.answer(first).is_empty_check_in());
    assert!(world.read(again).is_none() && world.read(second).is_none());
    let third = world.check_in(&agents[2]);
    assert_eq!(world.answer(third).status, 429);
    assert_eq!(world.server.fleet().lot.parked(), 2);
}

/// A check-in of which the body is filled up to `bytes`.
fn filled(world: &mut World, token: &str, agent: &str, bytes: usize) -> ConnectionId {
    let body = format!(r#"{{"status":"online","message":"{}"}}"#, "x".repeat(bytes - 32));
    assert_eq!(body.len(), bytes);
    let connection = world.open();
    world.send(connection, &post(&path(agent, "checkin"), token, &body));
    connection
}

#[test]
fn a_body_of_exactly_the_limit_is_fine_and_one_byte_more_is_not() {
    let mut world = World::with(|config| config.server.limits.routes.checkin.body_bytes_max = 100_000);
    world.revise("p", 1);
    let token = world.token("p");
    let agent = world.enroll(&token);
    let fits = filled(&mut world, &agent.token, &agent.id, 100_000);
    assert_eq!(world.answer(fits).status, 200);
    let too_large = filled(&mut world, &agent.token, &agent.id, 100_001);
    let too_large = world.answer(too_large);
    assert_eq!((too_large.status, too_large.error()), (413, "ErrPayloadSizeTooLarge"));
}

#[test]
fn a_small_body_that_inflates_beyond_the_limit_is_refused() {
    let (mut world, agent) = World::with_agent();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 21 * 1024 * 1024]).unwrap();
    let body = encoder.finish().unwrap();
    let connection = world.open();
    let head = head(&path(&agent.id, "checkin"), &agent.token);
    let head = format!("{head}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    world.send(connection, head.as_bytes());
    let mut rest = body.as_slice();
    while !rest.is_empty() && !world.closed.contains(&connection) {
        let taken = world.send(connection, rest);
        rest = &rest[taken..];
        world.pass(Duration::from_millis(1));
    }
    assert_eq!(world.answer(connection).status, 413);
}
