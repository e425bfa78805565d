//! A core with a store in memory, for benches: enrolled agents, connections that speak bytes, and no socket.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use fleet_server::config::Config;
use fleet_server::connection::{ConnectionId, Listener};
use fleet_server::model::Policy;
use fleet_server::model::raw::raw;
use fleet_server::server::{Effect, Event, Server};
use fleet_server::slots::SlotId;
use fleet_server::store::{Answer, Changes, Enrollment, Memory, Operation, Store, Written};
use fleet_server::time::{Now, Timestamp};
use serde_json::{Value, json};

/// The core and its store.
pub(crate) struct World {
    pub(crate) server: Server,
    store: Memory,
    pub(crate) now: Now,
    connections: u32,
    /// Connections with something to write, while clients take nothing.
    pub(crate) held: Option<Vec<ConnectionId>>,
    /// Bytes written to all connections.
    pub(crate) written_bytes: usize,
}

impl World {
    /// An empty fleet on the policy `p`, whose check-ins are held for `long_poll`.
    pub(crate) fn new(long_poll: Duration) -> Self {
        let now = Now { mono: Duration::from_secs(1), wall: Timestamp(1_800_000_000_000) };
        let (store, _) = Memory::new(1);
        let mut config = Config::default();
        config.server.timeouts.checkin_long_poll = long_poll;
        config.server.timeouts.checkin_jitter = Duration::ZERO;
        let server = Server::new(Arc::new(config), &store, [7; 32], now);
        let mut world = World { server, store, now, connections: 0, held: None, written_bytes: 0 };
        world.publish("p", 1);
        world
    }

    /// Puts agents into the store as they are after their first check-ins, on these policies in turn; what each sends to check
    /// in again.
    pub(crate) fn enroll(&self, agents: usize, policies: &[&str], components: &Value) -> Vec<Vec<u8>> {
        let of = policies.iter().cycle();
        (0..agents).zip(of).map(|(number, policy)| self.enroll_one(number, policy, components)).collect()
    }

    fn enroll_one(&self, number: usize, policy: &str, components: &Value) -> Vec<u8> {
        let id = format!("{:016x}-0000-4000", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let document = json!({
            "active": true, "policy_id": policy, "type": "PERMANENT", "agent": {"id": id, "version": "9.6.0"},
            "action_seq_no": [-1], "agent_policy_id": policy, "policy_revision_idx": 1, "components": components,
            "enrolled_at": "2027-01-15T07:00:00Z", "last_checkin": "2027-01-15T07:59:00Z",
            "last_checkin_status": "online", "last_checkin_message": "Running",
        });
        let enrollment = Enrollment {
            agent: id.clone(),
            written: Written::New(raw(&document)),
            delete_agents: Vec::new(),
            invalidate_keys: Vec::new(),
        };
        let made = self.store.run(vec![Operation::Enroll(Box::new(enrollment))]).remove(0);
        let Ok(Answer::Key(key)) = made else { panic!("{made:?}") };
        let body = json!({
            "status": "online", "message": "Running", "ack_token": "", "components": components, "upgrade": {},
            "agent_policy_id": policy, "policy_revision_idx": 1,
        });
        check_in(&id, &key.token(), &body.to_string())
    }

    pub(crate) fn open(&mut self, listener: Listener) -> ConnectionId {
        self.connections += 1;
        let connection = SlotId { index: self.connections, generation: 1 };
        self.server.handle(self.now, Event::Opened { connection, listener, tls: false, peer: None });
        connection
    }

    /// Gives bytes to the core and does what it wants until it wants nothing more.
    pub(crate) fn send(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.server.handle(self.now, Event::Received { connection, bytes });
        self.settle();
    }

    /// A new revision of about 30 kB, rendered.
    pub(crate) fn publish(&mut self, policy_id: &str, revision_idx: i64) {
        let changes = Changes::Policies(vec![Arc::new(policy(policy_id, revision_idx))]);
        self.server.handle(self.now, Event::Changed(changes));
        self.settle();
    }

    pub(crate) fn settle(&mut self) {
        while let Some(effect) = self.server.poll() {
            match effect {
                Effect::Store { batch, operations, .. } => {
                    let answers = self.store.run(operations);
                    self.server.handle(self.now, Event::Answered { batch, answers });
                }
                Effect::Work { work, run } | Effect::Errand { work, run } => {
                    self.server.handle(self.now, Event::Worked { work, result: Some(run()) });
                }
                Effect::Write(connection) => match &mut self.held {
                    Some(held) => held.push(connection),
                    None => self.take(connection),
                },
                Effect::Measure => self.server.handle(self.now, Event::Measured(Box::default())),
                Effect::Read(_) | Effect::Close { .. } | Effect::Stands(_) | Effect::Exit => {}
            }
        }
    }

    /// The client takes what there is for it.
    pub(crate) fn take(&mut self, connection: ConnectionId) {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = self.server.output(connection, &mut slices);
        let bytes: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        self.written_bytes += bytes;
        self.server.handle(self.now, Event::Sent { connection, bytes });
    }
}

/// A check-in as an agent sends it.
pub(crate) fn check_in(agent: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /api/fleet/agents/{agent}/checkin HTTP/1.1\r\n\
         Host: fleet.example:8220\r\n\
         User-Agent: Elastic Agent v9.6.0\r\n\
         Content-Length: {}\r\n\
         Accept: application/json\r\n\
         Accept-Encoding: gzip\r\n\
         Authorization: ApiKey {token}\r\n\
         Content-Type: application/json\r\n\
         Elastic-Api-Version: 2023-06-01\r\n\
         Kbn-Xsrf: 1\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A revision of about 30 kB.
fn policy(policy_id: &str, revision_idx: i64) -> Policy {
    let stream = |number: usize| {
        json!({"id": format!("logfile-{number}"), "paths": [format!("/var/log/service-{number}/*.log")],
               "data_stream": {"dataset": format!("service.{number}"), "type": "logs"}, "ignore_older": "72h",
               "processors": [{"add_fields": {"target": "", "fields": {"service": number}}}]})
    };
    let inputs: Vec<Value> = (0..30)
        .map(|number| {
            let streams: Vec<Value> = (0..4).map(|place| stream(number * 4 + place)).collect();
            json!({"id": format!("input-{number}"), "type": "filestream", "use_output": "default", "streams": streams})
        })
        .collect();
    let data = json!({"id": policy_id, "revision": revision_idx, "inputs": inputs,
                      "outputs": {"default": {"type": "elasticsearch", "hosts": ["https://store.example:9200"]}}});
    Policy {
        policy_id: policy_id.to_owned(),
        revision_idx,
        timestamp: "2027-01-15T08:00:00Z".to_owned(),
        data: raw(&data),
        unenroll_timeout_seconds: 0,
        namespaces: Vec::new(),
        default_fleet_server: false,
    }
}
