//! A store in trouble: 503 or 429, never a refusal; and who is parked stays so.

use std::time::Duration;

use serde_json::json;

use super::world::{ENROLL, World, path};
use crate::store::{Changes, Lane, StoreError};

fn errors() -> [(StoreError, u16); 4] {
    [
        (StoreError::Unavailable("down".into()), 503),
        (StoreError::Failed { status: 500, reason: "x".into() }, 503),
        (StoreError::Busy, 429),
        (StoreError::AuthenticationLimited, 429),
    ]
}

#[test]
fn a_failing_store_refuses_nobody() {
    for (error, status) in errors() {
        for lane in [Lane::Read, Lane::Search, Lane::Write] {
            let (mut world, token) = World::with_policy();
            let agent = world.enroll(&token);
            world.act("SETTINGS", json!({}), &[&agent]);
            world.failing.insert(lane, error.clone());
            let acks = json!({"events": [{"action_id": "SETTINGS-0"}, {"action_id": "policy:p:1"}]});
            let connections = [
                world.check_in(&agent),
                world.post(&path(&agent.id, "acks"), &agent.token, &acks),
                world.post(ENROLL, &token, &json!({"type": "PERMANENT"})),
            ];
            let mut failed = 0;
            for connection in connections {
                let answered = world.answer(connection).status;
                assert!([200, 404, status].contains(&answered), "{lane:?} {error:?}: {answered}");
                failed += usize::from(answered == status);
            }
            assert!(failed > 0, "{lane:?} {error:?}");
        }
    }
}

#[test]
fn a_key_that_the_store_could_not_check_is_checked_again() {
    let (mut world, token) = World::with_policy();
    world.failing.insert(Lane::Read, StoreError::Unavailable("down".into()));
    let connection = world.post(ENROLL, &token, &json!({"type": "PERMANENT"}));
    assert_eq!(world.answer(connection).status, 503);
    world.failing.clear();
    world.enroll(&token);
}

#[test]
fn who_is_parked_stays_so_through_trouble() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in(&agent);
    for lane in Lane::ALL {
        world.failing.insert(lane, StoreError::Unavailable("down".into()));
    }
    world.tell_news(Changes::Health(Err("down".into())));
    world.pass(Duration::from_secs(200));
    assert!(world.read(connection).is_none());
    world.failing.clear();
    world.tell_news(Changes::Health(Ok(())));
    world.act("SETTINGS", json!({}), &[&agent]);
    assert_eq!(world.answer(connection).action_ids().len(), 1);
}

#[test]
fn the_status_shows_trouble_only_after_a_minute() {
    let (mut world, _) = World::with_policy();
    let status = |world: &mut World| {
        let connection = world.open();
        world.send(connection, b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n");
        let reply = world.answer(connection);
        (reply.status, reply.body["status"].as_str().unwrap().to_owned())
    };
    world.tell_news(Changes::Health(Err("down".into())));
    world.pass(Duration::from_secs(59));
    assert_eq!(status(&mut world), (200, "HEALTHY".into()));
    world.pass(Duration::from_secs(2));
    assert_eq!(status(&mut world), (503, "DEGRADED".into()));
}

#[test]
fn a_store_that_answers_too_little_has_failed() {
    let (mut world, agent) = World::with_agent();
    world.held.insert(Lane::Read);
    let connection = world.check_in(&agent);
    let (batch, _) = world.waiting.pop().unwrap();
    world.tell(crate::server::Event::Answered { batch, answers: Vec::new() });
    assert_eq!(world.answer(connection).status, 503);
}
