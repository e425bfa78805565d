//! How long a check-in is held.

use std::time::Duration;

use serde_json::json;

use super::world::World;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The timer wheel's tick.
const TICK: Duration = Duration::from_millis(20);

#[test]
fn a_poll_ends_with_an_empty_answer_and_the_connection_stays() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in(&agent);
    world.pass(seconds(300) - TICK);
    assert!(world.read(connection).is_none());
    world.pass(TICK * 2);
    assert!(world.answer(connection).is_empty_check_in());
    assert!(!world.closed.contains(&connection));
    assert_eq!(world.server.fleet().lot.len(), 0);
}

#[test]
fn the_agent_says_how_long_it_waits() {
    for (asked, held) in [("1m", 60), ("-5m", 60), ("10m", 480), ("100h", 3_600), ("0s", 300)] {
        let (mut world, agent) = World::with_agent();
        let fields = json!({"poll_timeout": asked, "agent_policy_id": "p", "policy_revision_idx": 1});
        let connection = world.check_in_with(&agent, fields);
        world.pass(seconds(held) - TICK);
        assert!(world.read(connection).is_none(), "{asked}");
        world.pass(TICK * 2);
        assert!(world.answer(connection).is_empty_check_in(), "{asked}");
    }
    let (mut world, agent) = World::with_agent();
    for asked in ["90x", ""] {
        let connection = world.check_in_with(&agent, json!({ "poll_timeout": asked }));
        assert_eq!(world.answer(connection).status, 400, "{asked}");
    }
}

#[test]
fn jitter_shortens_each_poll_within_its_bound() {
    let mut world = World::with(|config| config.server.timeouts.checkin_jitter = seconds(30));
    world.revise("p", 1);
    let token = world.token("p");
    let agents: Vec<_> = (0..40).map(|_| world.enroll(&token)).collect();
    let connections: Vec<_> = agents.iter().map(|agent| world.check_in(agent)).collect();
    let answered = |world: &mut World| connections.iter().filter(|c| world.read(**c).is_some()).count();
    world.pass(seconds(270) - TICK);
    assert_eq!(answered(&mut world), 0);
    world.pass(seconds(15));
    let half = answered(&mut world);
    assert!((8..=32).contains(&half), "{half} of 40 in the first half");
    world.pass(seconds(15) + TICK * 2);
    assert_eq!(half + answered(&mut world), 40);
}

#[test]
fn a_poll_that_is_over_before_it_is_parked_is_answered_at_once() {
    let mut world = World::with(|config| config.server.timeouts.checkin_long_poll = Duration::from_millis(1));
    world.revise("p", 1);
    let token = world.token("p");
    let agent = world.enroll(&token);
    let connection = world.check_in(&agent);
    assert!(world.answer(connection).is_empty_check_in());
}

#[test]
fn before_the_first_news_of_actions_nobody_is_held_for_long() {
    let mut world = World::new();
    let (now, poll) = (world.now, seconds(300));
    let mut before =
        crate::fleet::Fleet::new(world.server.config.clone(), crate::server::own_version(), [7; 32]);
    assert_eq!(before.poll_ends_at(now.mono, poll, now), now.mono + seconds(30));
    assert_eq!(before.poll_ends_at(now.mono, seconds(10), now), now.mono + seconds(10));
    before.learn_actions(&[], -1);
    assert_eq!(before.poll_ends_at(now.mono, poll, now), now.mono + poll);
    assert_eq!(
        world.server.fleet_mut().poll_ends_at(now.mono, poll, now),
        now.mono + poll,
        "our own store tells at once"
    );
}
