//! Policies on their way to agents.

use std::time::Duration;

use serde_json::json;

use super::world::{World, revision};
use crate::config::Pace;
use crate::connection::Listener;
use crate::model::Patch;
use crate::model::raw::raw;
use crate::server::{Effect, Event};
use crate::store::{Changes, Lane, Operation, StoreError};

#[test]
fn a_revision_wakes_only_those_who_have_an_older_one() {
    let (mut world, token) = World::with_policy();
    world.revise("q", 1);
    let other_token = world.token("q");
    let (agent, other) = (world.enroll(&token), world.enroll(&other_token));
    let concerned = world.check_in(&agent);
    let unconcerned = world.check_in_with(&other, json!({"agent_policy_id": "q", "policy_revision_idx": 1}));
    world.revise("p", 2);
    assert_eq!(world.answer(concerned).action_ids(), ["policy:p:2"]);
    assert!(world.read(unconcerned).is_none());
}

fn reports(revision_idx: i64) -> serde_json::Value {
    json!({"agent_policy_id": "p", "policy_revision_idx": revision_idx})
}

#[test]
fn an_agent_with_a_revision_that_another_server_was_told_of_first_is_not_sent_back() {
    let (mut world, agent) = World::with_agent();
    world.holds_news = true;
    world.revise("p", 2);
    let connection = world.check_in_with(&agent, reports(2));
    assert!(world.read(connection).is_none());
    world.release();
    assert!(world.read(connection).is_none());
    world.revise("p", 3);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:3"]);
}

#[test]
fn an_agent_with_a_revision_of_which_nothing_is_known_keeps_it() {
    let (mut world, agent) = World::with_agent();
    world.failing.insert(Lane::Operator, StoreError::Unavailable("down".into()));
    let connection = world.check_in_with(&agent, reports(2));
    assert!(world.read(connection).is_none());
}

#[test]
fn an_agent_with_a_revision_that_there_is_not_gets_the_newest() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in_with(&agent, reports(2));
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:1"]);
}

#[test]
fn an_older_revision_that_is_told_later_is_ignored() {
    let (mut world, agent) = World::with_agent();
    world.tell_news(Changes::Policies(vec![revision("p", 5).into()]));
    world.tell_news(Changes::Policies(vec![revision("p", 4).into()]));
    let connection = world.check_in(&agent);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:5"]);
}

#[test]
fn an_older_revision_that_is_rendered_later_is_ignored() {
    let (mut world, agent) = World::with_agent();
    world.holds_work = true;
    world.tell_news(Changes::Policies(vec![revision("p", 4).into()]));
    world.tell_news(Changes::Policies(vec![revision("p", 5).into()]));
    world.work.reverse();
    world.release();
    let connection = world.check_in(&agent);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:5"]);
}

#[test]
fn a_revision_rendered_for_long_is_delivered_all_the_same() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in(&agent);
    world.holds_work = true;
    world.revise("p", 2);
    world.pass(Duration::from_secs(200));
    world.release();
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:2"]);
}

#[test]
fn a_revision_rendered_until_its_policy_was_deleted_and_made_anew_is_dropped() {
    let (mut world, agent) = World::with_agent();
    world.holds_work = true;
    world.revise("p", 7);
    world.ask(Operation::DeletePolicy("p".into())).unwrap();
    world.revise("p", 2);
    world.release();
    let connection = world.check_in(&agent);
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:2"]);
}

#[test]
fn an_agent_that_reports_a_higher_revision_than_there_is_gets_the_newest() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in_with(&agent, json!({"agent_policy_id": "p", "policy_revision_idx": 9}));
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:1"]);
}

#[test]
fn an_agent_on_another_policy_than_its_document_says_gets_that_one() {
    let (mut world, agent) = World::with_agent();
    world.revise("q", 1);
    world.update(&agent.id, Patch::new().set("policy_id", "q"));
    let connection = world.check_in_with(&agent, json!({"agent_policy_id": "p", "policy_revision_idx": 1}));
    assert_eq!(world.answer(connection).action_ids(), ["policy:q:1"]);
}

#[test]
fn a_policy_without_outputs_harms_no_other_and_keeps_its_last_good_revision() {
    let (mut world, agent) = World::with_agent();
    let mut bad = revision("p", 2);
    bad.data = raw(&json!({"id": "p"}));
    world.tell_news(Changes::Policies(vec![bad.into(), revision("q", 3).into()]));
    assert_eq!(world.server.fleet().policies.newest("q").unwrap().revision_idx, 3);
    let connection = world.check_in_with(&agent, json!({}));
    assert_eq!(world.answer(connection).action_ids(), ["policy:p:1"]);
    assert_eq!(world.server.fleet().counters.handler_bugs, 0);
}

#[test]
fn only_agents_without_any_revision_are_told_that_their_policy_cannot_be_delivered() {
    let (mut world, _) = World::with_policy();
    let token = world.token("bad");
    let (fresh, other) = (world.enroll(&token), world.enroll(&token));
    let early = world.check_in(&fresh);
    let running = json!({"agent_policy_id": "bad", "policy_revision_idx": 1});
    let settled = world.check_in_with(&other, running.clone());
    let mut bad = revision("bad", 2);
    bad.data = raw(&json!({"id": "bad", "outputs": {}}));
    world.tell_news(Changes::Policies(vec![bad.into()]));
    let answer = world.answer(early);
    assert_eq!((answer.status, answer.body["error"].as_str()), (500, Some("InternalServerError")));
    let late = world.check_in(&fresh);
    assert_eq!(world.answer(late).status, 500);
    assert!(world.read(settled).is_none(), "it runs on the revision it has");
    let again = world.check_in_with(&other, running);
    assert!(world.answer(settled).action_ids().is_empty() && world.read(again).is_none());
    world.tell_news(Changes::Policies(vec![revision("bad", 3).into()]));
    assert_eq!(world.answer(again).action_ids(), ["policy:bad:3"]);
    let late = world.check_in(&fresh);
    assert_eq!(world.answer(late).action_ids(), ["policy:bad:3"]);
}

#[test]
fn agents_of_a_deleted_policy_stay_parked() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in(&agent);
    world.ask(Operation::DeletePolicy("p".into())).unwrap();
    assert!(world.read(connection).is_none());
    assert_eq!(world.server.fleet().lot.parked(), 1);
    let again = world.check_in(&agent);
    assert!(world.read(again).is_none());
}

#[test]
fn a_compressed_delivery_is_the_plain_one() {
    let (mut world, agent) = World::with_agent();
    let mut large = revision("p", 2);
    let inputs: Vec<_> = (0..200).map(|n| json!({"id": format!("input-{n}")})).collect();
    large.data = raw(&json!({"id": "p", "outputs": {"o": {"type": "kafka"}}, "inputs": inputs}));
    world.ask(Operation::CreateRevision(Box::new(large))).unwrap();
    let plain = world.check_in(&agent);
    let plain = world.answer(plain);
    let body = r#"{"status":"online"}"#;
    let head = super::world::head(&super::world::path(&agent.id, "checkin"), &agent.token);
    let connection = world.open();
    let request = format!("{head}Accept-Encoding: gzip\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    world.send(connection, request.as_bytes());
    let gzipped = world.answer(connection);
    assert!(gzipped.head.contains("Content-Encoding: gzip") && !plain.head.contains("Content-Encoding"));
    assert_eq!(gzipped.body, plain.body);
}

#[test]
fn a_rollout_delays_no_check_in() {
    let (mut world, token) = World::with_policy();
    let agents: Vec<_> = (0..500).map(|_| world.enroll(&token)).collect();
    let parked: Vec<_> = agents[1..].iter().map(|agent| world.check_in(agent)).collect();
    world.holds_work = true;
    world.revise("p", 2);
    let (work, run) = world.work.pop().unwrap();
    world.server.handle(world.now, Event::Worked { work, result: Some(run()) });
    let left = world.server.fleet().rollout.len();
    assert!(left > 400, "only so many are served a turn: {left} are left");
    // in the very next turn: its first question stands before the store, behind no delivery that is still to come
    let connection = world.open_unsettled(Listener::External);
    let body = r#"{"status":"online"}"#;
    let request = super::world::post(&super::world::path(&agents[0].id, "checkin"), &agents[0].token, body);
    world.server.handle(world.now, Event::Received { connection, bytes: &request });
    let asked = std::iter::from_fn(|| world.server.poll()).any(|effect| match effect {
        Effect::Store { operations, .. } => format!("{operations:?}").contains(&agents[0].id),
        _ => false,
    });
    assert!(asked && !world.server.fleet().rollout.is_empty());
    world.holds_work = false;
    world.pass(Duration::from_millis(100));
    for connection in parked {
        world.take(connection);
        assert_eq!(world.answer(connection).action_ids(), ["policy:p:2"]);
    }
}

#[test]
fn a_rollout_goes_on_by_itself() {
    let (mut world, token) = World::with_policy();
    let agents: Vec<_> = (0..200).map(|_| world.enroll(&token)).collect();
    for agent in &agents {
        let connection = world.check_in(agent);
        // what they take does not wake the loop
        world.deaf.insert(connection);
    }
    world.revise("p", 2);
    world.pass(Duration::ZERO);
    assert_eq!(world.server.fleet().counters.policies_delivered, 200);
}

#[test]
fn a_paced_rollout_delays_no_check_in_and_serves_in_order_of_arrival() {
    let mut world = World::with(|config| {
        config.server.limits.policy = Pace { interval: Duration::from_secs(10), burst: 1 };
    });
    world.revise("p", 1);
    let token = world.token("p");
    let agents: Vec<_> = (0..3).map(|_| world.enroll(&token)).collect();
    let connections: Vec<_> = agents.iter().map(|agent| world.check_in(agent)).collect();
    world.revise("p", 2);
    let served = |world: &mut World| connections.iter().filter(|c| world.read(**c).is_some()).count();
    assert_eq!(served(&mut world), 1);
    // another policy's agent waits for nobody
    world.act("SETTINGS", json!({}), &[&agents[2]]);
    assert_eq!(world.answer(connections[2]).action_ids().len(), 1);
    world.pass(Duration::from_secs(10));
    assert_eq!(served(&mut world), 1);
    assert_eq!(world.server.fleet().lot.parked(), 0);
}
