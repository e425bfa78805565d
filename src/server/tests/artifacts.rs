//! Artifacts: who may fetch them, how often the store is asked, and what is kept.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::world::{Enrolled, Reply, World, revision};
use crate::connection::ConnectionId;
use crate::fleet::artifacts::ARTIFACTS_WANTED_MAX;
use crate::model::raw::raw;
use crate::model::{ArtifactFacts, NewArtifact, Patch, Policy, sha256_hex};
use crate::store::{Lane, Operation, StoreError};

const NAME: &str = "endpoint-trustlist-linux-v1";

/// Puts an artifact with a body for which its document has this hash; the content's hash.
fn put(world: &mut World, content: &str, encoded_sha256: &str) -> String {
    let decoded_sha256 = sha256_hex(content.as_bytes());
    let facts = ArtifactFacts {
        identifier: NAME.to_owned(),
        decoded_sha256: decoded_sha256.clone(),
        encoded_sha256: encoded_sha256.to_owned(),
        ..ArtifactFacts::default()
    };
    let artifact = NewArtifact { facts, body: Arc::from(content.as_bytes()) };
    world.ask(Operation::PutArtifact(Box::new(artifact))).unwrap();
    decoded_sha256
}

fn put_good(world: &mut World, content: &str) -> String {
    put(world, content, &sha256_hex(content.as_bytes()))
}

/// A revision that lists artifacts of these hashes.
fn listing(policy_id: &str, revision_idx: i64, hashes: &[&str]) -> Policy {
    let input = |hash: &&str| json!({"artifact_manifest": {"artifacts": {NAME: {"decoded_sha256": hash}}}});
    let inputs: Vec<_> = hashes.iter().map(input).collect();
    let data = json!({"id": policy_id, "outputs": {"default": {"type": "elasticsearch"}}, "inputs": inputs});
    Policy { data: raw(&data), ..revision(policy_id, revision_idx) }
}

fn list(world: &mut World, policy_id: &str, revision_idx: i64, hashes: &[&str]) {
    let policy = Box::new(listing(policy_id, revision_idx, hashes));
    world.ask(Operation::CreateRevision(policy)).unwrap();
}

/// A world with an agent whose policy lists one artifact that is there.
fn with_artifact() -> (World, Enrolled, String) {
    let (mut world, agent) = World::with_agent();
    let hash = put_good(&mut world, "content");
    list(&mut world, "p", 2, &[&hash]);
    (world, agent, hash)
}

fn ask(world: &mut World, agent: &Enrolled, hash: &str) -> ConnectionId {
    let connection = world.open();
    let path = format!("/api/fleet/artifacts/{NAME}/{hash}");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {}\r\n\r\n", agent.token);
    world.send(connection, head.as_bytes());
    connection
}

fn fetch(world: &mut World, agent: &Enrolled, hash: &str) -> (u16, String) {
    let connection = ask(world, agent, hash);
    let text = world.read_text(connection);
    let (_, body) = text.split_once("\r\n\r\n").expect("an answer");
    let (reply, _) = Reply::read(text.as_bytes());
    let said = if reply.error().is_empty() { body.to_owned() } else { reply.error().to_owned() };
    (reply.status, said)
}

#[test]
fn fifty_at_once_are_one_search() {
    let (mut world, agent, hash) = with_artifact();
    world.held.insert(Lane::Artifacts);
    let asked: Vec<ConnectionId> = (0..50).map(|_| ask(&mut world, &agent, &hash)).collect();
    assert_eq!(world.count("ArtifactBody"), 1);
    world.release();
    for connection in asked {
        assert!(world.read_text(connection).ends_with("\r\n\r\ncontent"));
    }
    assert_eq!(fetch(&mut world, &agent, &hash), (200, "content".into()));
    assert_eq!(world.count("ArtifactBody"), 1, "it is kept");
}

#[test]
fn a_body_is_kept_for_a_day() {
    let (mut world, agent, hash) = with_artifact();
    for (hours, searches) in [(0, 1), (23, 1), (2, 2)] {
        world.pass(Duration::from_secs(hours * 3_600));
        assert_eq!(fetch(&mut world, &agent, &hash).0, 200);
        assert_eq!(world.count("ArtifactBody"), searches);
    }
}

#[test]
fn many_get_the_same_bytes_and_no_copies_of_them() {
    let (mut world, agent, hash) = with_artifact();
    let connections: Vec<ConnectionId> = (0..10)
        .map(|_| {
            let connection = ask(&mut world, &agent, &hash);
            world.read_text(connection);
            connection
        })
        .collect();
    for connection in &connections {
        world.deaf.insert(*connection);
    }
    let path = format!(
        "GET /api/fleet/artifacts/{NAME}/{hash} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {}\r\n\r\n",
        agent.token
    );
    let mut places = std::collections::BTreeSet::new();
    for connection in connections {
        world.send(connection, path.as_bytes());
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let count = world.server.output(connection, &mut slices);
        places.insert(slices[count - 1].as_ptr().addr());
    }
    assert_eq!(places.len(), 1);
}

#[test]
fn what_is_too_large_to_be_kept_is_held_once_however_many_slow_clients_there_are() {
    let mut world = World::with(|config| config.server.cache.bytes_max = 0);
    world.revise("p", 1);
    let token = world.token("p");
    let agent = world.enroll(&token);
    let hash = put_good(&mut world, "content");
    list(&mut world, "p", 2, &[&hash]);
    let path = format!(
        "GET /api/fleet/artifacts/{NAME}/{hash} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {}\r\n\r\n",
        agent.token
    );
    let mut slow = Vec::new();
    for _ in 0..3 {
        let connection = world.open();
        world.deaf.insert(connection);
        world.send(connection, path.as_bytes());
        world.pass(Duration::from_secs(20));
        slow.push(connection);
    }
    assert_eq!(world.count("ArtifactBody"), 1);
    assert_eq!(world.server.fleet().artifacts.lent_bytes(), "content".len() as u64);
    for connection in slow {
        world.deaf.remove(&connection);
        world.take(connection);
        let text = world.read_text(connection);
        assert!(text.ends_with("\r\n\r\ncontent"), "{text}");
    }
}

#[test]
fn only_what_the_agents_own_policy_lists_is_allowed() {
    let (mut world, agent, hash) = with_artifact();
    let other = put_good(&mut world, "other");
    list(&mut world, "q", 1, &[&other]);
    assert_eq!(fetch(&mut world, &agent, &other), (403, "Forbidden".into()));
    assert_eq!(fetch(&mut world, &agent, &hash.to_uppercase()), (403, "Forbidden".into()));
    list(&mut world, "p", 3, &[&other]);
    assert_eq!(fetch(&mut world, &agent, &other).0, 200);
    assert_eq!(fetch(&mut world, &agent, &hash), (403, "Forbidden".into()), "it was listed once");
    assert_eq!(world.count("PolicyRevision"), 0);
}

#[test]
fn an_unknown_policy_is_looked_for_once_for_all_who_ask() {
    let (mut world, agent, hash) = with_artifact();
    world.update(&agent.id, Patch::new().set("policy_id", "elsewhere"));
    world.held.insert(Lane::Operator);
    let asked: Vec<ConnectionId> = (0..5).map(|_| ask(&mut world, &agent, &hash)).collect();
    assert_eq!(world.count("PolicyRevision"), 1);
    world.release();
    for connection in asked {
        assert_eq!(world.answer(connection).error(), "Forbidden");
    }
    world.holds_news = true;
    list(&mut world, "elsewhere", 1, &[&hash]);
    assert_eq!(fetch(&mut world, &agent, &hash).0, 200, "it is there, and nobody has told of it yet");
}

#[test]
fn trouble_with_the_policy_is_no_refusal() {
    let (mut world, agent, hash) = with_artifact();
    world.update(&agent.id, Patch::new().set("policy_id", "elsewhere"));
    world.failing.insert(Lane::Operator, StoreError::Unavailable("down".into()));
    assert_eq!(fetch(&mut world, &agent, &hash).0, 503);
}

#[test]
fn the_policy_that_an_agent_runs_counts_where_it_is_assigned_to_none() {
    let (mut world, agent, hash) = with_artifact();
    world.update(&agent.id, Patch::new().set("policy_id", ""));
    assert_eq!(fetch(&mut world, &agent, &hash), (403, "Forbidden".into()));
    world.update(&agent.id, Patch::new().set("agent_policy_id", "p"));
    assert_eq!(fetch(&mut world, &agent, &hash).0, 200);
}

#[test]
fn an_altered_body_is_an_error_and_is_not_kept() {
    let (mut world, agent, hash) = with_artifact();
    put(&mut world, "content", &sha256_hex(b"c0ntent"));
    for searches in 1..=3 {
        assert_eq!(fetch(&mut world, &agent, &hash), (500, "InternalServerError".into()));
        assert_eq!(world.count("ArtifactBody"), searches);
    }
    put_good(&mut world, "content");
    assert_eq!(fetch(&mut world, &agent, &hash).0, 200);
}

#[test]
fn what_is_listed_and_not_there_is_not_found_and_asked_for_again() {
    let (mut world, agent, _) = with_artifact();
    let missing = sha256_hex(b"missing");
    list(&mut world, "p", 3, &[&missing]);
    for searches in 1..=2 {
        assert_eq!(fetch(&mut world, &agent, &missing), (404, "NotFound".into()));
        assert_eq!(world.count("ArtifactBody"), searches);
    }
}

#[test]
fn a_hash_has_sixty_four_digits() {
    let (mut world, agent, hash) = with_artifact();
    for odd in [&hash[1..], &format!("{hash}0"), &format!("g{}", &hash[1..]), "0", &"\u{e4}".repeat(32)] {
        let odd = odd.replace('\u{e4}', "%C3%A4");
        assert_eq!(fetch(&mut world, &agent, &odd), (400, "BadRequest".into()), "{odd}");
    }
}

#[test]
fn too_many_different_ones_at_once_are_refused_and_the_others_served() {
    let (mut world, agent, _) = with_artifact();
    let hashes: Vec<String> = (0..=ARTIFACTS_WANTED_MAX).map(|n| format!("{n:064x}")).collect();
    let listed: Vec<&str> = hashes.iter().map(String::as_str).collect();
    list(&mut world, "p", 3, &listed);
    world.busy_from(usize::MAX);
    world.held.insert(Lane::Artifacts);
    let asked: Vec<ConnectionId> =
        hashes[..ARTIFACTS_WANTED_MAX].iter().map(|hash| ask(&mut world, &agent, hash)).collect();
    assert_eq!(fetch(&mut world, &agent, listed[ARTIFACTS_WANTED_MAX]), (429, "TooManyRequests".into()));
    let again = ask(&mut world, &agent, listed[0]);
    world.release();
    for connection in asked.into_iter().chain([again]) {
        assert_eq!(world.answer(connection).status, 404);
    }
    assert_eq!(fetch(&mut world, &agent, listed[ARTIFACTS_WANTED_MAX]).0, 404);
}

#[test]
fn a_revision_that_cannot_be_rendered_says_all_the_same_what_its_agents_may_fetch() {
    let (mut world, agent, hash) = with_artifact();
    let mut broken = listing("broken", 1, &[&hash]);
    let mut data: serde_json::Value = serde_json::from_str(broken.data.get()).unwrap();
    data["outputs"] = json!({});
    broken.data = raw(&data);
    world.ask(Operation::CreateRevision(Box::new(broken))).unwrap();
    world.update(&agent.id, Patch::new().set("policy_id", "broken"));
    assert_eq!(fetch(&mut world, &agent, &hash).0, 200);
}
