//! From a document in Elasticsearch to what an agent is told: the core and the store, without sockets of our own.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use fleet_server::config::{Config, Elasticsearch, Secret};
use fleet_server::model::raw::raw;
use fleet_server::model::{ApiKey, NewSecret, Policy};
use fleet_server::server::{ConnectionId, Effect, Event, Listener, Server};
use fleet_server::store::{Answer, Changes, Elastic, Indices, Operation, Store};
use fleet_server::time::{Now, Timestamp};
use serde_json::{Value, json};

use crate::cluster::{Cluster, suffix};

struct World {
    server: Server,
    store: Elastic,
    now: Now,
    connections: u32,
    written: Vec<u8>,
}

impl World {
    fn new(cluster: &Cluster) -> World {
        let settings = Elasticsearch {
            hosts: vec![cluster.url().to_owned()],
            service_token: Some(Secret::new(cluster.service_token())),
            ..Elasticsearch::default()
        };
        let indices = Indices::with_suffix(&suffix()).unwrap();
        let store = Elastic::open(&settings, indices, Duration::ZERO).unwrap();
        let now = Now { mono: Duration::from_secs(1), wall: Timestamp(1_800_000_000_000) };
        let server = Server::new(Arc::new(Config::default()), &store, [7; 32], now);
        World { server, store, now, connections: 0, written: Vec::new() }
    }

    /// Does what the core wants until it wants nothing more.
    fn tell(&mut self, event: Event<'_>) {
        self.server.handle(self.now, event);
        while let Some(effect) = self.server.poll() {
            let event = match effect {
                Effect::Store { batch, operations, .. } => {
                    Event::Answered { batch, answers: self.store.run(operations) }
                }
                Effect::Work { work, run } | Effect::Errand { work, run } => {
                    Event::Worked { work, result: Some(run()) }
                }
                Effect::Write(connection) => {
                    self.take(connection);
                    continue;
                }
                _ => continue,
            };
            self.server.handle(self.now, event);
        }
    }

    fn take(&mut self, connection: ConnectionId) {
        loop {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = self.server.output(connection, &mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            if bytes.is_empty() {
                return;
            }
            self.written.extend_from_slice(&bytes);
            self.server.handle(self.now, Event::Sent { connection, bytes: bytes.len() });
        }
    }

    /// What is answered to a POST at once.
    fn post(&mut self, path: &str, token: &str, body: &Value) -> Value {
        self.connections += 1;
        let connection = ConnectionId { index: self.connections, generation: 1 };
        self.tell(Event::Opened { connection, listener: Listener::External, tls: false, peer: None });
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: elastic agent 9.6.0\r\nAuthorization: ApiKey {token}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.tell(Event::Received { connection, bytes: request.as_bytes() });
        let answer = String::from_utf8(std::mem::take(&mut self.written)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    fn ask(&self, operation: Operation) -> Answer {
        self.store.run(vec![operation]).remove(0).unwrap()
    }

    fn enroll(&mut self, token: &str) -> (String, String) {
        let answer = self.post("/api/fleet/agents/enroll", token, &json!({"type": "PERMANENT"}));
        let text = |field: &str| answer["item"][field].as_str().unwrap().to_owned();
        (text("id"), text("access_api_key"))
    }

    /// The policy that an agent without one is told.
    fn policy(&mut self, (id, token): &(String, String)) -> Value {
        let path = format!("/api/fleet/agents/{id}/checkin");
        let mut answer = self.post(&path, token, &json!({"status": "online", "message": ""}));
        answer["actions"][0]["data"]["policy"].take()
    }

    fn is_good(&self, id: &str, secret: &str) -> bool {
        let key = ApiKey { id: id.to_owned(), secret: secret.to_owned() };
        matches!(
            self.store.run(vec![Operation::Authenticate(key)])[..],
            [Ok(Answer::Authenticated { enabled: true })]
        )
    }
}

fn revision(secret_id: &str, revision_idx: i64, cluster_privilege: &str) -> Policy {
    let roles = json!({"r": {"cluster": [cluster_privilege], "indices": [{"names": ["logs-*"], "privileges": ["create_doc"]}]}});
    let data = json!({
        "id": "p", "revision": revision_idx,
        "outputs": {"default": {"type": "elasticsearch", "hosts": ["http://h:9200"]}},
        "output_permissions": {"default": roles},
        "inputs": [{"token": format!("$co.elastic.secret{{{secret_id}}}")}],
        "secret_references": [{"id": secret_id}],
    });
    Policy {
        policy_id: "p".to_owned(),
        revision_idx,
        timestamp: "2026-01-01T00:00:00Z".to_owned(),
        data: raw(&data),
        unenroll_timeout_seconds: 0,
        namespaces: Vec::new(),
        default_fleet_server: false,
    }
}

fn key_in(policy: &Value) -> (String, String) {
    let key = policy["outputs"]["default"]["api_key"].as_str().unwrap_or_else(|| panic!("no key: {policy}"));
    let (id, secret) = key.split_once(':').unwrap();
    (id.to_owned(), secret.to_owned())
}

#[test]
fn each_agent_is_told_a_key_of_its_own_that_may_do_what_its_policy_says() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut world = World::new(cluster);
    let secret = NewSecret { id: None, value: Secret::new("s3cret") };
    let Answer::SecretId(secret_id) = world.ask(Operation::SetSecret(secret)) else { panic!("no id") };
    world.tell(Event::Changed(Changes::Policies(vec![revision(&secret_id, 1, "monitor").into()])));
    let create = Operation::CreateToken { policy_id: "p".into(), name: "t".into(), at: world.now.wall };
    let Answer::Token(Some(token)) = world.ask(create) else { panic!("no token") };
    let agents = [world.enroll(&token.api_key), world.enroll(&token.api_key)];
    let mut keys = Vec::new();
    for agent in &agents {
        let policy = world.policy(agent);
        assert_eq!(
            (&policy["inputs"][0]["token"], &policy["secret_paths"]),
            (&json!("s3cret"), &json!(["inputs.0.token"]))
        );
        let (id, secret) = key_in(&policy);
        assert!(world.is_good(&id, &secret));
        keys.push((id, secret));
    }
    assert_ne!(keys[0].0, keys[1].0);
    // the next revision allows something else: the same key may do that too
    world.tell(Event::Changed(Changes::Policies(vec![revision(&secret_id, 2, "manage_ilm").into()])));
    let policy = world.policy(&agents[0]);
    assert_eq!((policy["revision"].as_i64(), key_in(&policy)), (Some(2), keys[0].clone()));
    let acks = json!({"events": [{"action_id": "policy:p:2"}]});
    world.post(&format!("/api/fleet/agents/{}/acks", agents[0].0), &agents[0].1, &acks);
    let (_, shown) = cluster.admin("GET", &format!("/_security/api_key?id={}", keys[0].0), &Value::Null);
    let roles = shown["api_keys"][0]["role_descriptors"].as_object().unwrap();
    assert_eq!(roles.keys().collect::<Vec<_>>(), ["r"]);
    assert_eq!(roles["r"]["cluster"], json!(["manage_ilm"]));
    assert!(world.is_good(&keys[0].0, &keys[0].1));
    // what the agent was told is not in its document
    let Answer::Agent(Some(agent)) = world.ask(Operation::AgentById(agents[0].0.clone())) else {
        panic!("gone")
    };
    let stored = &agent.outputs["default"].api_key;
    assert!(stored.starts_with("$co.elastic.secret{") && !stored.contains(&keys[0].1), "{stored}");
}
