//! A server that an agent runs: what it tells that agent, and that `/api/status` agrees.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::world::{World, revision};
use crate::config::{Config, Secret};
use crate::fleet::health::{Standing, State};
use crate::model::raw::raw;
use crate::model::{ApiKey, Policy};
use crate::server::Event;
use crate::store::{Changes, Lane, Operation, StoreError};

fn world(policy_id: Option<&str>, agent_id: Option<&str>) -> World {
    World::with(|config| configure(config, policy_id, agent_id))
}

fn configure(config: &mut Config, policy_id: Option<&str>, agent_id: Option<&str>) {
    config.under_agent = true;
    config.policy_id = policy_id.map(str::to_owned);
    config.fleet.agent_id = agent_id.map(str::to_owned);
}

fn fleet_server(policy_id: &str, revision_idx: i64) -> Policy {
    let data = json!({"id": policy_id, "revision": revision_idx, "inputs": [{"type": "fleet-server"}],
        "outputs": {"default": {"type": "elasticsearch"}}});
    Policy { data: raw(&data), ..revision(policy_id, revision_idx) }
}

fn create(world: &mut World, policy: Policy) {
    world.ask(Operation::CreateRevision(Box::new(policy))).unwrap();
}

/// What the agent was told last; then it has to be told something new.
fn told(world: &mut World) -> Standing {
    world.standings.drain(..).next_back().expect("the agent is told something")
}

/// The status as everybody sees it.
fn status(world: &mut World) -> u16 {
    let connection = world.open();
    world.send(connection, b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n");
    world.answer(connection).status
}

const SWEEP: Duration = Duration::from_secs(5);

#[test]
fn it_starts_until_its_policy_is_there_with_its_input() {
    let mut world = world(Some("mine"), Some("a"));
    assert!(told(&mut world).state == State::Starting);
    world.tell_news(Changes::Health(Ok(())));
    world.pass(SWEEP);
    let standing = told(&mut world);
    assert!(standing.state == State::Starting && standing.message.contains("policy mine"));
    create(&mut world, revision("mine", 1));
    let standing = told(&mut world);
    assert!(standing.state == State::Starting && standing.message.contains("input"), "{}", standing.message);
    assert_eq!(status(&mut world), 503);
    create(&mut world, fleet_server("mine", 2));
    assert!(told(&mut world).state == State::Healthy);
    assert_eq!(status(&mut world), 200);
}

#[test]
fn without_a_policy_id_the_one_by_default_is_its_own() {
    let mut world = world(None, Some("a"));
    create(&mut world, fleet_server("other", 1));
    assert!(told(&mut world).state == State::Starting);
    create(&mut world, Policy { default_fleet_server: true, ..fleet_server("default", 1) });
    let standing = told(&mut world);
    assert!(standing.state == State::Healthy && standing.message.contains("default"), "{}", standing.message);
}

#[test]
fn before_the_agent_has_an_id_it_is_told_a_token_once_there_is_one() {
    let mut world = world(Some("mine"), None);
    create(&mut world, fleet_server("mine", 1));
    let standing = told(&mut world);
    assert!(standing.state == State::Starting && standing.message.contains("token"), "{}", standing.message);
    world.token("another");
    let token = world.token("mine");
    world.pass(SWEEP);
    let standing = told(&mut world);
    assert!(standing.state == State::Degraded);
    assert!(standing.enrollment_token == Some(Secret::new(token)));
    assert_eq!(status(&mut world), 503);
}

#[test]
fn a_token_that_was_revoked_is_not_told() {
    let mut world = world(Some("mine"), None);
    let token = world.token("mine");
    let key = base64_id(&token);
    world.ask(Operation::RevokeToken(key)).unwrap();
    create(&mut world, fleet_server("mine", 1));
    assert!(told(&mut world).state == State::Starting);
}

/// The id of the key in a token.
fn base64_id(token: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(token).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (id, secret) = text.split_once(':').unwrap();
    ApiKey { id: id.to_owned(), secret: secret.to_owned() }.id
}

#[test]
fn with_its_id_the_agent_is_told_health_and_no_token_and_no_one_is_asked_for_tokens_any_more() {
    let mut world = world(Some("mine"), None);
    world.token("mine");
    create(&mut world, fleet_server("mine", 1));
    assert!(told(&mut world).enrollment_token.is_some());
    let mut config = Config::clone(&world.server.fleet().config);
    config.fleet.agent_id = Some("a".to_owned());
    world.tell(Event::Configured(Arc::new(config)));
    let standing = told(&mut world);
    assert!(standing.state == State::Healthy && standing.enrollment_token.is_none());
    let asked = world.count("Tokens");
    world.pass(SWEEP * 4);
    assert_eq!(world.count("Tokens"), asked);
}

#[test]
fn a_policy_that_was_of_no_interest_is_read_when_it_becomes_its_own() {
    let mut world = world(Some("mine"), Some("a"));
    create(&mut world, fleet_server("mine", 1));
    create(&mut world, fleet_server("other", 1));
    told(&mut world);
    let mut config = Config::clone(&world.server.fleet().config);
    config.policy_id = Some("other".to_owned());
    world.tell(Event::Configured(Arc::new(config)));
    let standing = told(&mut world);
    assert!(standing.state == State::Healthy && standing.message.contains("other"), "{}", standing.message);
}

#[test]
fn its_policy_that_is_deleted_is_waited_for() {
    let mut world = world(Some("mine"), Some("a"));
    create(&mut world, fleet_server("mine", 1));
    told(&mut world);
    world.ask(Operation::DeletePolicy("mine".to_owned())).unwrap();
    assert!(told(&mut world).state == State::Starting);
}

#[test]
fn while_the_store_fails_it_is_degraded_with_the_reason_and_healthy_again_by_itself() {
    let mut world = world(Some("mine"), Some("a"));
    create(&mut world, fleet_server("mine", 1));
    told(&mut world);
    world.tell_news(Changes::Health(Err("no route to host".to_owned())));
    let standing = told(&mut world);
    assert!(standing.state == State::Degraded && standing.message.contains("no route to host"));
    world.tell_news(Changes::Health(Ok(())));
    assert!(told(&mut world).state == State::Healthy);
}

#[test]
fn tokens_that_cannot_be_read_are_asked_for_again_and_nothing_ends() {
    let mut world = world(Some("mine"), None);
    world.failing.insert(Lane::Operator, StoreError::Unavailable("down".into()));
    create(&mut world, fleet_server("mine", 1));
    assert!(told(&mut world).state == State::Starting);
    world.failing.clear();
    world.token("mine");
    world.pass(SWEEP);
    assert!(told(&mut world).state == State::Degraded);
}

#[test]
fn a_look_that_hangs_is_not_begun_twice() {
    let mut world = world(Some("mine"), None);
    world.held.insert(Lane::Operator);
    create(&mut world, fleet_server("mine", 1));
    world.pass(SWEEP * 3);
    assert_eq!(world.count("Tokens"), 1);
    world.release();
    world.pass(SWEEP);
    assert!(world.count("Tokens") > 1);
}

#[test]
fn the_end_is_told() {
    let mut world = world(Some("mine"), Some("a"));
    create(&mut world, fleet_server("mine", 1));
    told(&mut world);
    world.tell(Event::Stop);
    assert!(told(&mut world).state == State::Stopping);
    world.pass(Duration::from_secs(20));
    assert!(world.exited && world.standings.is_empty());
}

#[test]
fn old_documents_are_brought_up_to_date_until_that_is_done_and_nobody_waits_for_it() {
    let mut world = World::with(|config| configure(config, Some("mine"), Some("a")));
    assert_eq!(world.count("MigrateAgents"), 1);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.count("MigrateAgents"), 1, "it is done");
    let mut world = World::failing_at_start(Lane::Write, |config| configure(config, Some("mine"), Some("a")));
    create(&mut world, fleet_server("mine", 1));
    assert!(told(&mut world).state == State::Healthy);
    world.pass(Duration::from_secs(11));
    assert_eq!(world.count("MigrateAgents"), 2, "it is tried again");
    world.failing.clear();
    world.pass(Duration::from_secs(60));
    assert_eq!(world.count("MigrateAgents"), 3);
}

#[test]
fn a_configuration_that_changes_in_place_wakes_none_of_hundreds_who_are_parked() {
    const AGENTS: usize = 300;
    let mut world = world(Some("p"), Some("a"));
    world.revise("p", 1);
    let token = world.token("p");
    let agents: Vec<_> = (0..AGENTS).map(|_| world.enroll(&token)).collect();
    let parked: Vec<_> = agents.iter().map(|agent| world.check_in(agent)).collect();
    assert_eq!(world.server.fleet().lot.parked(), AGENTS);
    let mut config = Config::clone(&world.server.fleet().config);
    config.fleet.agent_id = Some("another".to_owned());
    config.policy_id = Some("q".to_owned());
    config.server.limits.connections_max = 7;
    config.server.timeouts.checkin_long_poll = Duration::from_secs(1);
    config.server.cache.bytes_max = 1;
    world.tell(Event::Configured(Arc::new(config)));
    world.pass(SWEEP);
    assert_eq!(world.server.fleet().lot.parked(), AGENTS);
    assert!(parked.iter().all(|connection| !world.is_answered(*connection)));
}

#[test]
fn on_its_own_a_server_does_nothing_of_this() {
    let mut world = World::new();
    create(&mut world, fleet_server("mine", 1));
    world.pass(SWEEP * 2);
    assert!(world.standings.is_empty());
    assert_eq!((world.count("Tokens"), world.count("MigrateAgents")), (0, 0));
    assert_eq!(status(&mut world), 200);
}
