//! A core with a store in memory; requests go in as bytes and answers come out as JSON.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Config;
use crate::connection::{ConnectionId, Listener};
use crate::model::raw::raw;
use crate::model::{Agent, ApiKey, KeyMaking, Patch};
use crate::server::{Effect, Event, Server};
use crate::slots::SlotId;
use crate::store::{Answer, Changes, Enrollment, Lanes, Memory, Operation, Store, StoreResult, Written};
use crate::time::{Now, Timestamp};

/// What the tests talk to.
pub(super) struct World {
    server: Server,
    store: Memory,
    pub(super) now: Now,
    /// What was written to each connection and not read yet.
    written: BTreeMap<ConnectionId, Vec<u8>>,
    connections: u32,
}

impl World {
    /// An empty fleet, on an empty store.
    pub(super) fn new() -> Self {
        Self::on_store(Config::default(), KeyMaking::None)
    }

    /// The same on what says that it is a cluster, where agents have keys of their own for outputs.
    pub(super) fn on_cluster() -> Self {
        let store = crate::config::Store::Elasticsearch(Box::default());
        Self::on_store(Config { store, ..Config::default() }, KeyMaking::All)
    }

    fn on_store(config: Config, key_making: KeyMaking) -> Self {
        let now = Now { mono: Duration::from_secs(1), wall: Timestamp(1_800_000_000_000) };
        let (store, _watch) = Memory::new(1);
        let lanes = Lanes { key_making, ..store.lanes() };
        let server = Server::with_lanes(Arc::new(config), lanes, [7; 32], now);
        let mut world = World { server, store, now, written: BTreeMap::new(), connections: 0 };
        world.settle();
        world
    }

    /// Tells the server what a watch would.
    pub(super) fn tell_news(&mut self, changes: Changes) {
        self.server.handle(self.now, Event::Changed(changes));
        self.settle();
    }

    /// Runs an operation in the store, past the server.
    pub(super) fn ask(&mut self, operation: Operation) -> Answer {
        self.try_ask(operation).unwrap()
    }

    /// The same, which may be refused.
    pub(super) fn try_ask(&mut self, operation: Operation) -> StoreResult {
        let answer = self.store.run(vec![operation]).remove(0);
        self.settle();
        answer
    }

    /// Puts an agent on a policy into the store; its access key.
    pub(super) fn enroll(&mut self, id: &str, policy_id: &str) -> ApiKey {
        let enrollment = Enrollment {
            agent: id.to_owned(),
            written: Written::New(raw(&agent_document(policy_id))),
            delete_agents: Vec::new(),
            invalidate_keys: Vec::new(),
        };
        match self.ask(Operation::Enroll(Box::new(enrollment))) {
            Answer::Key(key) => key,
            other => panic!("{other:?}"),
        }
    }

    /// Changes an agent's document, past the server.
    pub(super) fn update(&mut self, agent: &str, patch: Patch) {
        self.ask(Operation::UpdateAgent { agent: agent.to_owned(), patch });
    }

    /// An agent's document.
    pub(super) fn agent(&mut self, id: &str) -> Agent {
        match self.ask(Operation::AgentWhole(id.to_owned())) {
            Answer::Agent(Some(agent)) => *agent,
            other => panic!("{other:?}"),
        }
    }

    /// Applies a policy without inputs.
    pub(super) fn apply(&mut self, id: &str) {
        let text = "outputs: {default: {type: elasticsearch}}\ninputs: []\n";
        let (status, answer) = self.call("PUT", &format!("/api/fleet/agent_policies/{id}/full"), text);
        assert_eq!(status, 200, "{answer}");
    }

    /// An operator's request and its answer.
    pub(super) fn call(&mut self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let connection = self.open(Listener::Admin);
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(connection, request.as_bytes());
        self.read(connection).expect("an answer")
    }

    /// The same for one that is expected to go well.
    pub(super) fn well(&mut self, method: &str, target: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.call(method, target, &body);
        assert_eq!(status, 200, "{method} {target}: {answer}");
        answer
    }

    /// The same for one that is expected to be refused; the message.
    pub(super) fn refused(&mut self, status: u16, method: &str, target: &str, body: &str) -> String {
        let (answered, answer) = self.call(method, target, body);
        assert_eq!(answered, status, "{method} {target}: {answer}");
        assert_eq!(answer["statusCode"], status);
        answer["message"].as_str().unwrap().to_owned()
    }

    /// A check-in of an agent, which waits until [`World::read`] finds an answer.
    pub(super) fn check_in(&mut self, agent: &str, key: &ApiKey) -> ConnectionId {
        let connection = self.open(Listener::External);
        let body = json!({ "status": "online", "message": "" }).to_string();
        let request = format!(
            "POST /api/fleet/agents/{agent}/checkin HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {}\r\nUser-Agent: elastic agent 9.0.0\r\nContent-Length: {}\r\n\r\n{body}",
            key.token(),
            body.len()
        );
        self.send(connection, request.as_bytes());
        connection
    }

    /// An agent's enrolment by a token; the status of its answer.
    pub(super) fn enroll_over_http(&mut self, token: &str) -> u16 {
        let connection = self.open(Listener::External);
        let body = json!({ "type": "PERMANENT", "metadata": {} }).to_string();
        let request = format!(
            "POST /api/fleet/agents/enroll HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {token}\r\nUser-Agent: elastic agent 9.0.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(connection, request.as_bytes());
        self.read(connection).expect("an answer").0
    }

    /// What was answered, once.
    pub(super) fn read(&mut self, connection: ConnectionId) -> Option<(u16, Value)> {
        let written = String::from_utf8(self.written.remove(&connection)?).unwrap();
        let (head, body) = written.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some((status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {written}"))))
    }

    fn open(&mut self, listener: Listener) -> ConnectionId {
        self.connections += 1;
        let connection = SlotId { index: self.connections, generation: 0 };
        self.server.handle(self.now, Event::Opened { connection, listener, tls: false, peer: None });
        connection
    }

    fn send(&mut self, connection: ConnectionId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(16 * 1024));
            self.server.handle(self.now, Event::Received { connection, bytes: piece });
            bytes = rest;
            self.settle();
        }
    }

    /// Does what the server wants until it wants nothing more and the store has no news.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.server.poll() {
                self.follow(effect);
            }
            let news = self.store.changes();
            if news.is_empty() {
                return;
            }
            for changes in news {
                self.server.handle(self.now, Event::Changed(changes));
            }
        }
    }

    fn follow(&mut self, effect: Effect) {
        match effect {
            Effect::Store { batch, operations, .. } => {
                let answers = self.store.run(operations);
                self.server.handle(self.now, Event::Answered { batch, answers });
            }
            Effect::Work { work, run } | Effect::Errand { work, run } => {
                self.server.handle(self.now, Event::Worked { work, result: Some(run()) });
            }
            Effect::Write(connection) => self.write(connection),
            Effect::Read(_) | Effect::Close { .. } | Effect::Measure | Effect::Stands(_) | Effect::Exit => {}
        }
    }

    fn write(&mut self, connection: ConnectionId) {
        loop {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = self.server.output(connection, &mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            if bytes.is_empty() {
                return;
            }
            self.written.entry(connection).or_default().extend_from_slice(&bytes);
            self.server.handle(self.now, Event::Sent { connection, bytes: bytes.len() });
        }
    }
}

/// A well agent's document as an enrolment and a first check-in leave it.
fn agent_document(policy_id: &str) -> Value {
    json!({
        "active": true,
        "policy_id": policy_id,
        "type": "PERMANENT",
        "agent": { "id": "x", "version": "9.0.0" },
        "enrolled_at": "2027-01-15T07:59:00Z",
        "last_checkin_status": "online",
        "policy_revision_idx": 1,
        "action_seq_no": [-1],
        "tags": ["t"],
        "local_metadata": { "host": { "hostname": "box" } },
    })
}
