//! A fleet of a test's own in a real cluster, and real servers on it.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use fleet_server::config::{Elasticsearch, Secret};
use fleet_server::model::Policy;
use fleet_server::model::raw::raw;
use fleet_server::reactor::Clock;
use fleet_server::store::{Answer, Elastic, Indices, Operation, Store};
use serde_json::{Value, json};

use crate::cluster::{Cluster, suffix};
use crate::support::{
    Agent, Connection, Installation, Options, Request, Response, Server, action, eventually, minutes_from_now,
};

/// The policy that all its agents are on.
pub(crate) const POLICY: &str = "p";
/// What its indices are called, between `.fleet-` and its own name.
const KINDS: [&str; 6] =
    ["agents", "actions", "actions-results", "policies", "enrollment-api-keys", "servers-secrets"];
/// No client waits longer for an answer: a server gives one up after 90 s.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(180);

/// A fleet; its indices go with it.
pub(crate) struct Site<'a> {
    pub(crate) cluster: &'a Cluster,
    suffix: String,
    store: Elastic,
    /// For enrolments.
    token: String,
}

impl<'a> Site<'a> {
    /// A fleet with revision 1 of its policy.
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        let suffix = suffix();
        let settings = Elasticsearch {
            hosts: vec![cluster.url().to_owned()],
            service_token: Some(Secret::new(cluster.service_token())),
            ..Elasticsearch::default()
        };
        let indices = Indices::with_suffix(&suffix).unwrap();
        let store = Elastic::open(&settings, indices, Duration::ZERO).unwrap();
        let mut site = Site { cluster, suffix, store, token: String::new() };
        site.revise(1);
        site.token = site.new_token();
        site
    }

    /// Makes an enrollment token of the policy.
    pub(crate) fn new_token(&self) -> String {
        let at = Clock::start().now().wall;
        match self.ask(Operation::CreateToken { policy_id: POLICY.into(), name: "t".into(), at }) {
            Answer::Token(Some(token)) => token.api_key,
            other => panic!("{other:?}"),
        }
    }

    /// Runs an operation past all servers.
    pub(crate) fn ask(&self, operation: Operation) -> Answer {
        self.store.run(vec![operation]).remove(0).unwrap()
    }

    /// Writes a revision of the policy, as Kibana does: with an output that each agent gets a key for.
    pub(crate) fn revise(&self, revision_idx: i64) {
        let role =
            json!({"cluster": ["monitor"], "indices": [{"names": ["logs-*"], "privileges": ["create_doc"]}]});
        let data = json!({
            "id": POLICY,
            "revision": revision_idx,
            "outputs": {"default": {"type": "elasticsearch", "hosts": ["http://localhost:9200"]}},
            "output_permissions": {"default": {"r": role}},
            "inputs": [],
            "agent": {"monitoring": {"enabled": false}},
        });
        self.ask(Operation::CreateRevision(Box::new(Policy {
            policy_id: POLICY.to_owned(),
            revision_idx,
            timestamp: minutes_from_now(0),
            data: raw(&data),
            unenroll_timeout_seconds: 0,
            namespaces: vec!["default".to_owned()],
            default_fleet_server: false,
        })));
    }

    /// Writes an action for these agents.
    pub(crate) fn act<'b>(&self, id: &str, agents: impl IntoIterator<Item = &'b Agent>) {
        let agents: Vec<&str> = agents.into_iter().map(|agent| agent.id.as_str()).collect();
        let action = action(id, "SETTINGS", &json!({"log_level": "debug"}), &agents);
        self.ask(Operation::CreateAction(Box::new(action)));
    }

    /// Settings of a server on this fleet that finds the cluster at `url`. Each request is plain HTTP.
    pub(crate) fn options(&self, url: &str) -> Options {
        Options::plain()
            .set("output.elasticsearch.hosts.0", url)
            .set("output.elasticsearch.index_suffix", &self.suffix)
            .set("inputs.0.monitor.policy_debounce_time", "50ms")
    }

    /// A server with the cluster's own service token.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(self.options(self.cluster.url()))
    }

    /// The same with other settings.
    pub(crate) fn serve_with(&self, options: Options) -> Server {
        self.serve_as(options.set("output.elasticsearch.service_token", self.cluster.service_token()))
    }

    /// A server with these settings and no others.
    pub(crate) fn serve_as(&self, options: Options) -> Server {
        let mut installation = Installation::new(options);
        installation.token = Some(self.token.clone());
        installation.start()
    }

    /// The name of one of its indices: `agents` and so on.
    pub(crate) fn index(&self, kind: &str) -> String {
        format!(".fleet-{kind}-{}", self.suffix)
    }

    /// All documents of an index by their ids.
    pub(crate) fn documents(&self, kind: &str) -> BTreeMap<String, Value> {
        let index = self.index(kind);
        self.cluster.admin("POST", &format!("/{index}/_refresh"), &Value::Null);
        let path = format!("/{index}/_search?ignore_unavailable=true");
        let (status, found) = self.cluster.admin("POST", &path, &json!({"size": 10_000}));
        assert_eq!(status, 200, "{found}");
        let hits = found["hits"]["hits"].as_array().unwrap();
        hits.iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone())).collect()
    }

    /// An agent's document, as of this moment.
    pub(crate) fn document(&self, agent: &Agent) -> Value {
        let path = format!("/{}/_doc/{}", self.index("agents"), agent.id);
        self.cluster.admin("GET", &path, &Value::Null).1["_source"].clone()
    }

    /// Agents that have the policy's newest revision, enrolled on this server.
    pub(crate) fn settled(&self, server: &Server, count: usize) -> Vec<Agent> {
        thread::scope(|scope| {
            let settling: Vec<_> = (0..count).map(|_| scope.spawn(|| server.settled())).collect();
            settling.into_iter().map(|agent| agent.join().expect("an agent is settled")).collect()
        })
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        // a cluster holds a bounded number of shards; one that a failed test has left in trouble is waited for no longer
        if !std::thread::panicking() {
            let names: Vec<String> = KINDS.iter().map(|kind| self.index(kind)).collect();
            let path = format!("/{}?ignore_unavailable=true&timeout=0s", names.join(","));
            self.cluster.admin("DELETE", &path, &Value::Null);
        }
    }
}

/// A connection to a server's port whose client waits for as long as a server in trouble may take.
pub(crate) fn patient(port: u16) -> Option<Connection> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX)).ok()?;
    Some(Connection::new(stream))
}

/// Asks on a patient connection of its own.
pub(crate) fn ask(server: &Server, request: &Request) -> Response {
    patient(server.port).expect("the server listens").ask(request)
}

/// What an agent that runs this revision says; `token` as it got it with its last actions.
pub(crate) fn runs(revision_idx: i64, token: &str) -> Value {
    json!({
        "status": "online",
        "message": "",
        "agent_policy_id": POLICY,
        "policy_revision_idx": revision_idx,
        "ack_token": token,
    })
}

/// Lets agents check in and waits until all of them are parked.
pub(crate) fn park(server: &Server, agents: &[Agent], said: &Value) -> Vec<Connection> {
    let before = parked(server);
    let send = |agent: &Agent| {
        let mut connection = patient(server.port).expect("the server listens");
        connection.send(agent.check_in(said).bytes());
        connection
    };
    let connections: Vec<Connection> = agents.iter().map(send).collect();
    are_parked(server, before + agents.len());
    connections
}

/// Waits until so many agents are parked.
pub(crate) fn are_parked(server: &Server, count: usize) {
    eventually("all agents are parked", || (parked(server) >= count).then_some(()));
}

/// How many agents are parked.
pub(crate) fn parked(server: &Server) -> usize {
    usize::try_from(status(server)["agents"]["parked"].as_u64().unwrap()).unwrap()
}

/// What the operator is told of the server.
pub(crate) fn status(server: &Server) -> Value {
    server.ask_as_operator(&Request::get("/api/status")).ok()
}

/// The ids of the actions in an answer.
pub(crate) fn actions(response: &Response) -> Vec<String> {
    let answer = response.ok();
    let actions = answer["actions"].as_array().into_iter().flatten();
    actions.map(|action| action["id"].as_str().unwrap().to_owned()).collect()
}

/// The token of an answer.
pub(crate) fn token(response: &Response) -> String {
    response.ok()["ack_token"].as_str().unwrap_or_default().to_owned()
}
