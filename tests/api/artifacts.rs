//! Artifacts: from the operator's file to the agents whose policy lists them, and to no others.

use std::io::Read;
use std::sync::Arc;

use fleet_server::model::{ArtifactFacts, NewArtifact, Patch, sha256_hex};
use serde_json::{Value, json};

use crate::support::{Agent, Installation, Options, Request, Response, Server, eventually};

const NAME: &str = "endpoint-trustlist-linux-v1";
const CONTENT: &str = r#"{"entries":[{"type":"simple","entries":[]}]}"#;

/// A policy with inputs that each list one artifact of this hash.
fn policy(hashes: &[&str]) -> Value {
    let input = |(number, hash): (usize, &&str)| {
        let artifact =
            json!({ "decoded_sha256": hash, "relative_url": "/x", "compression_algorithm": "zlib" });
        json!({
            "id": format!("i{number}"),
            "type": "endpoint",
            "artifact_manifest": { "manifest_version": "1.0.0", "schema_version": "v1", "artifacts": { NAME: artifact } },
        })
    };
    let inputs: Vec<Value> = hashes.iter().enumerate().map(input).collect();
    json!({ "outputs": { "default": { "type": "elasticsearch", "hosts": ["http://h:9200"] } }, "inputs": inputs })
}

fn request(hash: &str) -> Request {
    Request::get(&format!("/api/fleet/artifacts/{NAME}/{hash}"))
}

fn fetch(server: &Server, agent: &Agent, hash: &str) -> Response {
    server.ask(&request(hash).key(&agent.key))
}

/// Adds a file by the subcommand; what it prints.
fn add(server: &Server, content: &[u8], options: &[&str]) -> Value {
    let file = server.installation.directory.path().join("artifact");
    std::fs::write(&file, content).unwrap();
    let arguments = [&["artifact", "add", file.to_str().unwrap(), "--identifier", NAME], options].concat();
    server.operate(&arguments).json()
}

/// Lists artifacts for the agents of a policy, and waits until one of these may fetch the last of them.
fn list(server: &Server, policy_id: &str, hashes: &[&str], agent: &Agent) {
    server.apply(policy_id, &policy(hashes));
    let allowed = || (fetch(server, agent, hashes.last().unwrap()).status != 403).then_some(());
    eventually("the revision is in force", allowed);
}

/// A server with an agent whose policy lists an artifact that was added; its hash.
fn with_artifact() -> (Server, Agent, String) {
    let server = Server::start();
    let agent = server.enrol();
    let hash = add(&server, CONTENT.as_bytes(), &[])["decoded_sha256"].as_str().unwrap().to_owned();
    list(&server, "default", &[&hash], &agent);
    (server, agent, hash)
}

#[test]
fn an_artifact_goes_from_a_file_to_an_agent_as_it_was_compressed() {
    let server = Server::start();
    let agent = server.enrol();
    let content = CONTENT.repeat(2_000);
    let added = add(&server, content.as_bytes(), &["--compress", "zlib"]);
    let hash = sha256_hex(content.as_bytes());
    assert_eq!((&added["identifier"], &added["decoded_sha256"]), (&json!(NAME), &json!(hash)));
    assert_eq!(added["relative_url"], format!("/api/fleet/artifacts/{NAME}/{hash}"));
    assert_eq!((&added["decoded_size"], &added["type"]), (&json!(content.len()), &json!("trustlist")));
    list(&server, "default", &[&hash], &agent);
    let answer = server.ask(&Request::get(added["relative_url"].as_str().unwrap()).key(&agent.key));
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/octet-stream")));
    assert_eq!(answer.header("Content-Encoding"), None, "what is stored is compressed, not the answer");
    assert_eq!(
        (added["encoded_size"].as_u64(), added["encoded_sha256"].as_str()),
        (Some(answer.body.len() as u64), Some(sha256_hex(&answer.body).as_str()))
    );
    let mut inflated = String::new();
    flate2::read::ZlibDecoder::new(&answer.body[..]).read_to_string(&mut inflated).unwrap();
    assert!(inflated == content && answer.body.len() < content.len() / 10);
}

#[test]
fn a_large_artifact_arrives_whole() {
    let server = Server::start();
    let agent = server.enrol();
    let content: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(5_000_001)
        .collect();
    let hash = add(&server, &content, &[])["decoded_sha256"].as_str().unwrap().to_owned();
    list(&server, "default", &[&hash], &agent);
    for _ in 0..2 {
        let answer = fetch(&server, &agent, &hash);
        assert!(answer.status == 200 && answer.body == content);
    }
}

#[test]
fn an_artifact_of_another_policy_is_refused() {
    let (server, agent, hash) = with_artifact();
    let other = add(&server, b"other", &[])["decoded_sha256"].as_str().unwrap().to_owned();
    server.apply("other", &policy(&[&other]));
    fetch(&server, &agent, &other).is_error(403, "Forbidden");
    fetch(&server, &agent, &hash.to_uppercase()).is_error(403, "Forbidden");
    let elsewhere = Request::get(&format!("/api/fleet/artifacts/endpoint-blocklist-linux-v1/{hash}"));
    server.ask(&elsewhere.key(&agent.key)).is_error(403, "Forbidden");
    assert_eq!(fetch(&server, &agent, &hash).body, CONTENT.as_bytes());
}

#[test]
fn a_body_that_was_altered_in_the_store_reaches_nobody_and_a_good_one_takes_its_place() {
    let mut installation = Installation::new(Options::default());
    let hash = sha256_hex(CONTENT.as_bytes());
    let facts = ArtifactFacts {
        identifier: NAME.to_owned(),
        decoded_sha256: hash.clone(),
        decoded_size: CONTENT.len() as u64,
        encoded_sha256: hash.clone(),
        encoded_size: CONTENT.len() as u64,
        package_name: "endpoint".to_owned(),
        created: "2026-01-02T03:04:05Z".to_owned(),
        ..ArtifactFacts::default()
    };
    let body: Arc<[u8]> = Arc::from(CONTENT.replace("simple", "s1mple").as_bytes());
    installation.open().put_artifact(NewArtifact { facts, body });
    let server = installation.start();
    let agent = server.enrol();
    list(&server, "default", &[&hash], &agent);
    for _ in 0..2 {
        fetch(&server, &agent, &hash).is_error(500, "InternalServerError");
    }
    add(&server, CONTENT.as_bytes(), &[]);
    let answer = fetch(&server, &agent, &hash);
    assert_eq!((answer.status, answer.text()), (200, CONTENT));
}

#[test]
fn who_asks_must_be_an_agent_that_is_active() {
    let (server, agent, hash) = with_artifact();
    server.ask(&request(&hash)).is_error(401, "ErrNoAuthHeader");
    server.ask(&request(&hash).key(server.token())).is_error(404, "AgentNotFound");
    let mut installation = server.stop();
    installation.open().change(&agent.id, Patch::new().set("active", false));
    let server = installation.start();
    fetch(&server, &agent, &hash).is_error(401, "ErrAgentInactive");
}

#[test]
fn an_agent_on_no_policy_may_fetch_nothing() {
    let (server, agent, hash) = with_artifact();
    let mut installation = server.stop();
    let nothing = Patch::new().set("policy_id", "").null("agent_policy_id");
    installation.open().change(&agent.id, nothing);
    let answer = fetch(&installation.start(), &agent, &hash);
    answer.is_error(403, "Forbidden");
    assert_eq!(answer.json()["message"], "agent has no policy ID");
}

#[test]
fn odd_paths_and_hashes_are_told_from_each_other() {
    let (server, agent, hash) = with_artifact();
    let ask = |path: &str| server.ask(&Request::get(&format!("/api/fleet/artifacts/{path}")).key(&agent.key));
    for malformed in [&hash[1..], &format!("{hash}0"), &format!("{}z", &hash[1..]), "0", "%00"] {
        ask(&format!("{NAME}/{malformed}")).is_error(400, "BadRequest");
    }
    for path in [
        "",
        NAME,
        &format!("{NAME}/"),
        &format!("/{hash}"),
        &format!("{NAME}/{hash}/"),
        &format!("{NAME}/{hash}/x"),
    ] {
        assert_eq!(ask(path).status, 404, "{path}");
    }
    let other = Request::post(&format!("/api/fleet/artifacts/{NAME}/{hash}")).key(&agent.key);
    let answer = server.ask(&other);
    assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET")));
    for odd in ["..%2f..%2fetc", "a%22b%5c", "%F0%9F%A6%80", &"x".repeat(4_000)] {
        ask(&format!("{odd}/{hash}")).is_error(403, "Forbidden");
    }
    assert_eq!(ask(&format!("{NAME}/{hash}?")).text(), CONTENT);
}

#[test]
fn what_is_listed_and_deleted_is_not_found_at_once() {
    let (server, agent, hash) = with_artifact();
    assert_eq!(fetch(&server, &agent, &hash).status, 200);
    let listed = server.operate(&["artifact", "list"]).json();
    assert_eq!(
        (listed["items"].as_array().unwrap().len(), &listed["items"][0]["decoded_sha256"]),
        (1, &json!(hash))
    );
    assert!(listed["items"][0].get("body").is_none());
    assert_eq!(server.operate(&["artifact", "delete", NAME, &hash]).code, Some(0));
    fetch(&server, &agent, &hash).is_error(404, "NotFound");
    let again = server.operate(&["artifact", "delete", NAME, &hash]);
    assert!(again.code == Some(1) && again.stderr.contains("not found"), "{}", again.stderr);
    assert_eq!(server.operate(&["artifact", "list"]).json(), json!({ "items": [] }));
}

#[test]
fn an_identifier_that_cannot_be_in_a_path_is_refused() {
    let server = Server::start();
    let file = server.installation.directory.path().join("artifact");
    std::fs::write(&file, "x").unwrap();
    let said = server.operate(&["artifact", "add", file.to_str().unwrap(), "--identifier", "a/b"]);
    assert!(said.code == Some(1) && said.stderr.contains("an identifier has"), "{}", said.stderr);
}
