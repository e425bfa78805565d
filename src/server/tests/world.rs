//! A core with a store in memory whose answers can be held back or made to fail, and clients that speak bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IoSlice, Read};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::output_keys::answer_keys;
use crate::config::Config;
use crate::connection::{ConnectionId, Listener};
use crate::fleet::health::Standing;
use crate::model::raw::raw;
use crate::model::{Action, Agent, ApiKey, KeyMaking, Patch, Policy};
use crate::server::{BatchId, Effect, Event, Server, WorkId};
use crate::slots::SlotId;
use crate::store::{Answer, Changes, Lane, Lanes, Memory, Operation, Store, StoreError, StoreResult};
use crate::time::{Now, Timestamp};

type Work = Box<dyn FnOnce() -> Box<dyn std::any::Any + Send> + Send>;

/// What the tests talk to.
pub(super) struct World {
    pub(super) server: Server,
    store: Memory,
    pub(super) now: Now,
    connections: u32,
    written: BTreeMap<ConnectionId, Vec<u8>>,
    /// Connections that the core closed.
    pub(super) closed: BTreeSet<ConnectionId>,
    /// Clients that take nothing.
    pub(super) deaf: BTreeSet<ConnectionId>,
    /// Lanes whose batches are not run.
    pub(super) held: BTreeSet<Lane>,
    pub(super) waiting: Vec<(BatchId, Vec<Operation>)>,
    pub(super) holds_work: bool,
    pub(super) work: Vec<(WorkId, Work)>,
    /// Lanes that fail, and with what.
    pub(super) failing: BTreeMap<Lane, StoreError>,
    /// Clusters other than the store make no keys.
    pub(super) far_is_down: bool,
    /// News are told only when asked for.
    pub(super) holds_news: bool,
    /// Every operation that came to the store.
    pub(super) operations: Vec<String>,
    pub(super) exited: bool,
    /// What the agent that runs the server was told.
    pub(super) standings: Vec<Standing>,
    /// What clients have yet to send and were not asked for.
    pub(super) unsent: BTreeMap<ConnectionId, Vec<u8>>,
}

/// An enrolled agent as its client knows it.
#[derive(Clone, Debug)]
pub(super) struct Enrolled {
    pub(super) id: String,
    pub(super) token: String,
}

/// A response.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Value,
}

impl World {
    pub(super) fn new() -> Self {
        World::with(|_| {})
    }

    /// With another configuration than the default, without jitter.
    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let now = Now { mono: Duration::from_secs(1), wall: Timestamp(1_800_000_000_000) };
        let (store, _watch) = Memory::new(1);
        let lanes = store.lanes();
        World::on(store, lanes, now, change)
    }

    /// On a store that makes keys for outputs: [`answer_keys`] has them.
    pub(super) fn with_output_keys() -> Self {
        let now = Now { mono: Duration::from_secs(1), wall: Timestamp(1_800_000_000_000) };
        let (store, _watch) = Memory::new(1);
        let of = |operation: &Operation| match operation {
            Operation::OutputKeys(_) | Operation::CleanOutputKeys(_) => Lane::Keys,
            other => other.lane(),
        };
        let workers = [1, 1, 1, 0, 0, 1, 0, 1, 1, 2];
        let lanes = Lanes { of, workers, key_making: KeyMaking::All, ..store.lanes() };
        World::on(store, lanes, now, |_| {})
    }

    /// With a lane that fails from the first operation on.
    pub(super) fn failing_at_start(lane: Lane, change: impl FnOnce(&mut Config)) -> Self {
        let now = Now { mono: Duration::from_secs(1), wall: Timestamp(1_800_000_000_000) };
        let (store, _watch) = Memory::new(1);
        let lanes = store.lanes();
        let mut world = World::unsettled(store, lanes, now, change);
        world.failing.insert(lane, StoreError::Unavailable("down".into()));
        world.settle();
        world
    }

    fn on(store: Memory, lanes: Lanes, now: Now, change: impl FnOnce(&mut Config)) -> Self {
        let mut world = World::unsettled(store, lanes, now, change);
        world.settle();
        world
    }

    fn unsettled(store: Memory, lanes: Lanes, now: Now, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.server.timeouts.checkin_jitter = Duration::ZERO;
        config.server.pdkdf2.iterations = 1;
        change(&mut config);
        World {
            server: Server::with_lanes(Arc::new(config), lanes, [7; 32], now),
            store,
            now,
            connections: 0,
            written: BTreeMap::new(),
            closed: BTreeSet::new(),
            deaf: BTreeSet::new(),
            held: BTreeSet::new(),
            waiting: Vec::new(),
            holds_work: false,
            work: Vec::new(),
            failing: BTreeMap::new(),
            far_is_down: false,
            holds_news: false,
            operations: Vec::new(),
            exited: false,
            standings: Vec::new(),
            unsent: BTreeMap::new(),
        }
    }

    /// A world with the policy `p` at revision 1; and its enrollment token.
    pub(super) fn with_policy() -> (Self, String) {
        let mut world = World::new();
        world.revise("p", 1);
        let token = world.token("p");
        (world, token)
    }

    /// The same with one enrolled agent that runs revision 1.
    pub(super) fn with_agent() -> (Self, Enrolled) {
        let (mut world, token) = World::with_policy();
        let agent = world.enroll(&token);
        (world, agent)
    }

    pub(super) fn tell(&mut self, event: Event<'_>) {
        self.server.handle(self.now, event);
        self.settle();
    }

    pub(super) fn tell_news(&mut self, changes: Changes) {
        self.tell(Event::Changed(changes));
    }

    /// Time goes on, with every timer at its time.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(at) = self.server.wake_at().filter(|at| *at <= end) {
            self.set_time(at.max(self.now.mono));
            self.server.tick(self.now);
            self.settle();
        }
        self.set_time(end);
    }

    fn set_time(&mut self, mono: Duration) {
        self.now.wall = self.now.wall.plus(mono - self.now.mono);
        self.now.mono = mono;
    }

    /// Runs an operation in the store, past the core.
    pub(super) fn ask(&mut self, operation: Operation) -> StoreResult {
        let answer = self.store.run(vec![operation]).remove(0);
        self.settle();
        answer
    }

    pub(super) fn agent(&mut self, id: &str) -> Option<Agent> {
        match self.ask(Operation::AgentWhole(id.to_owned())) {
            Ok(Answer::Agent(agent)) => agent.map(|agent| *agent),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn agents(&mut self) -> Vec<Agent> {
        let all =
            Operation::Agents { policy_id: None, from: String::new(), limit: 9_999, with_metadata: false };
        match self.ask(all) {
            Ok(Answer::Agents(agents)) => agents,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn update(&mut self, agent: &str, patch: Patch) {
        self.ask(Operation::UpdateAgent { agent: agent.to_owned(), patch }).unwrap();
    }

    pub(super) fn revise(&mut self, policy_id: &str, revision_idx: i64) {
        self.ask(Operation::CreateRevision(Box::new(revision(policy_id, revision_idx)))).unwrap();
    }

    /// An enrollment token.
    pub(super) fn token(&mut self, policy_id: &str) -> String {
        let at = self.now.wall;
        let create = Operation::CreateToken { policy_id: policy_id.to_owned(), name: "t".into(), at };
        match self.ask(create) {
            Ok(Answer::Token(Some(token))) => token.api_key,
            other => panic!("{other:?}"),
        }
    }

    /// Writes an action that lives for a day; its `_seq_no`.
    pub(super) fn act(&mut self, kind: &str, data: Value, agents: &[&Enrolled]) -> i64 {
        let action = Action {
            action_id: format!("{kind}-{}", self.operations.len()),
            kind: kind.to_owned(),
            agents: agents.iter().map(|agent| agent.id.clone()).collect(),
            data: Some(raw(&data)),
            expiration: self.now.wall.plus(Duration::from_secs(24 * 3_600)).rfc3339(),
            timestamp: self.now.wall.rfc3339(),
            ..Action::default()
        };
        match self.ask(Operation::CreateAction(Box::new(action))) {
            Ok(Answer::SeqNo(Some(seq_no))) => seq_no,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn open(&mut self) -> ConnectionId {
        self.open_at(Listener::External)
    }

    pub(super) fn open_at(&mut self, listener: Listener) -> ConnectionId {
        let connection = self.open_unsettled(listener);
        self.settle();
        connection
    }

    /// A connection, and the core left as it is then.
    pub(super) fn open_unsettled(&mut self, listener: Listener) -> ConnectionId {
        self.connections += 1;
        let connection = SlotId { index: self.connections, generation: 1 };
        self.server.handle(self.now, Event::Opened { connection, listener, tls: false, peer: None });
        connection
    }

    /// From so many store operations on, requests wait outside.
    pub(super) fn busy_from(&mut self, operations: usize) {
        self.server.gate.busy_from = operations;
    }

    /// Bytes of a client, as many as the core takes.
    pub(super) fn send(&mut self, connection: ConnectionId, mut bytes: &[u8]) -> usize {
        let all = bytes.len();
        while !bytes.is_empty() && self.server.wants_input(connection, || bytes.len()) {
            let (piece, rest) = bytes.split_at(bytes.len().min(16 * 1024));
            self.tell(Event::Received { connection, bytes: piece });
            bytes = rest;
        }
        all - bytes.len()
    }

    /// A POST on a connection of its own.
    pub(super) fn post(&mut self, path: &str, token: &str, body: &Value) -> ConnectionId {
        let connection = self.open();
        self.send(connection, &post(path, token, &body.to_string()));
        connection
    }

    pub(super) fn enroll(&mut self, token: &str) -> Enrolled {
        let connection = self.post(ENROLL, token, &json!({"type": "PERMANENT"}));
        let reply = self.read(connection).expect("an answer");
        assert_eq!(reply.status, 200, "{reply:?}");
        let text = |field: &str| reply.body["item"][field].as_str().unwrap().to_owned();
        Enrolled { id: text("id"), token: text("access_api_key") }
    }

    /// A check-in with more fields than the status; [`World::read`] has its answer once there is one.
    pub(super) fn check_in_with(&mut self, agent: &Enrolled, fields: Value) -> ConnectionId {
        let mut body = json!({"status": "online", "message": ""});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.post(&path(&agent.id, "checkin"), &agent.token, &body)
    }

    /// A check-in of an agent that runs revision 1 of `p`.
    pub(super) fn check_in(&mut self, agent: &Enrolled) -> ConnectionId {
        self.check_in_with(agent, json!({"agent_policy_id": "p", "policy_revision_idx": 1}))
    }

    /// Whether something was answered and not read.
    pub(super) fn is_answered(&self, connection: ConnectionId) -> bool {
        self.written.contains_key(&connection)
    }

    /// What was answered, once.
    pub(super) fn read(&mut self, connection: ConnectionId) -> Option<Reply> {
        let written = self.written.remove(&connection)?;
        let (reply, rest) = Reply::read(&written);
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(rest));
        Some(reply)
    }

    /// All that was written, as bytes.
    pub(super) fn take_written(&mut self, connection: ConnectionId) -> Vec<u8> {
        self.written.remove(&connection).unwrap_or_default()
    }

    /// All that was written, as it is.
    pub(super) fn read_text(&mut self, connection: ConnectionId) -> String {
        String::from_utf8_lossy(&self.written.remove(&connection).unwrap_or_default()).into_owned()
    }

    /// The answer that must be there.
    pub(super) fn answer(&mut self, connection: ConnectionId) -> Reply {
        self.read(connection).expect("an answer")
    }

    /// How often an operation came whose text begins so.
    pub(super) fn count(&self, operation: &str) -> usize {
        self.operations.iter().filter(|text| text.starts_with(operation)).count()
    }

    /// Runs what was held back, and holds nothing back any more.
    pub(super) fn release(&mut self) {
        self.held.clear();
        (self.holds_work, self.holds_news) = (false, false);
        for (batch, operations) in std::mem::take(&mut self.waiting) {
            let answers = self.run_in_store(operations);
            self.tell(Event::Answered { batch, answers });
        }
        for (work, run) in std::mem::take(&mut self.work) {
            self.tell(Event::Worked { work, result: Some(run()) });
        }
        self.settle();
    }

    /// Does what the core wants until it wants nothing more.
    pub(super) fn settle(&mut self) {
        loop {
            while let Some(effect) = self.server.poll() {
                self.follow(effect);
            }
            let news = if self.holds_news { Vec::new() } else { self.store.changes() };
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
            Effect::Store { lane, batch, operations } => self.run(lane, batch, operations),
            Effect::Work { work, run } | Effect::Errand { work, run } if self.holds_work => {
                self.work.push((work, run))
            }
            Effect::Work { work, run } | Effect::Errand { work, run } => {
                self.server.handle(self.now, Event::Worked { work, result: Some(run()) });
            }
            Effect::Write(connection) => self.take(connection),
            Effect::Close { connection, .. } => assert!(self.closed.insert(connection), "closed twice"),
            Effect::Exit => self.exited = true,
            Effect::Stands(standing) => self.standings.push(standing),
            Effect::Measure => self.server.handle(self.now, Event::Measured(Box::default())),
            Effect::Read(connection) => {
                if let Some(bytes) = self.unsent.remove(&connection) {
                    self.server.handle(self.now, Event::Received { connection, bytes: &bytes });
                }
            }
        }
    }

    fn run(&mut self, lane: Lane, batch: BatchId, operations: Vec<Operation>) {
        self.operations.extend(operations.iter().map(|operation| format!("{operation:?}")));
        if self.held.contains(&lane) {
            self.waiting.push((batch, operations));
            return;
        }
        let answers = match self.failing.get(&lane) {
            Some(error) => operations.iter().map(|_| Err(error.clone())).collect(),
            None => self.run_in_store(operations),
        };
        self.server.handle(self.now, Event::Answered { batch, answers });
    }

    fn run_in_store(&self, operations: Vec<Operation>) -> Vec<StoreResult> {
        let run = |operation| match operation {
            Operation::OutputKeys(wanted) => vec![answer_keys(&self.store, *wanted, self.far_is_down)],
            other => self.store.run(vec![other]),
        };
        operations.into_iter().flat_map(run).collect()
    }

    /// The client takes what there is for it.
    pub(super) fn take(&mut self, connection: ConnectionId) {
        while !self.deaf.contains(&connection) {
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

impl Reply {
    /// The first response in `written`, and what follows it.
    pub(super) fn read(written: &[u8]) -> (Self, &[u8]) {
        let head_bytes = written.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8(written[..head_bytes].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let (body, rest) = written[head_bytes..].split_at(length);
        let mut text = body.to_vec();
        if head.contains("Content-Encoding: gzip") {
            text.clear();
            flate2::read::GzDecoder::new(body).read_to_end(&mut text).unwrap();
        }
        (Reply { status, head, body: serde_json::from_slice(&text).unwrap_or_default() }, rest)
    }

    pub(super) fn is_empty_check_in(&self) -> bool {
        self.status == 200 && self.body == json!({"ack_token": "", "action": "checkin"})
    }

    /// Ids of the actions in it.
    pub(super) fn action_ids(&self) -> Vec<&str> {
        let actions = self.body["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
        actions.iter().map(|action| action["id"].as_str().unwrap()).collect()
    }

    pub(super) fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }
}

pub(super) const ENROLL: &str = "/api/fleet/agents/enroll";

pub(super) fn path(agent: &str, route: &str) -> String {
    format!("/api/fleet/agents/{agent}/{route}")
}

pub(super) fn post(path: &str, token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{}Content-Length: {length}\r\n\r\n{body}", head(path, token)).into_bytes()
}

/// The head of a POST, without the lines about its body.
pub(super) fn head(path: &str, token: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: elastic agent 9.6.0\r\nAuthorization: ApiKey {token}\r\n"
    )
}

/// A token that no store has made.
pub(super) fn unknown_token() -> String {
    ApiKey { id: "unknown".into(), secret: "secret".into() }.token()
}

pub(super) fn revision(policy_id: &str, revision_idx: i64) -> Policy {
    let data =
        json!({"id": policy_id, "revision": revision_idx, "outputs": {"default": {"type": "elasticsearch"}}});
    Policy {
        policy_id: policy_id.to_owned(),
        revision_idx,
        timestamp: "2026-01-01T00:00:00Z".to_owned(),
        data: raw(&data),
        unenroll_timeout_seconds: 0,
        namespaces: Vec::new(),
        default_fleet_server: false,
    }
}
