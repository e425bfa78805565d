//! The store of an installation on which no server runs: what stands in it, and what Kibana or an older version may have
//! left there.

use std::sync::{Arc, RwLockReadGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleet_server::model::raw::raw;
use fleet_server::model::{Action, ActionResult, Agent, ApiKey, NewArtifact, Patch, Policy};
use fleet_server::reactor::Clock;
use fleet_server::store::{
    ActionLookup, Answer, DEFAULT_POLICY_ID, Embedded, EmbeddedWatch, Operation, Retention, Store,
    default_policy,
};
use fleet_server::time::Timestamp;
use serde_json::{Value, json};

use super::Installation;
use super::fleet::Home;
use super::in_process::Shared;
use super::server::no_process_begins;

/// An open store; closed when dropped.
pub(crate) struct Opened {
    store: Box<dyn Store>,
    _watch: Option<EmbeddedWatch>,
    /// Last, so that the store is closed before another process may begin.
    _no_process_begins: RwLockReadGuard<'static, ()>,
}

/// An action as it is delivered: for these agents, to be had for an hour.
pub(crate) fn action(id: &str, kind: &str, data: &Value, agents: &[&str]) -> Action {
    Action {
        action_id: id.to_owned(),
        kind: kind.to_owned(),
        agents: agents.iter().map(|agent| (*agent).to_owned()).collect(),
        data: Some(raw(data)),
        expiration: minutes_from_now(60),
        timestamp: minutes_from_now(0),
        ..Action::default()
    }
}

/// The policy as Kibana writes it: with what agents' keys for its outputs may do, unless they bring credentials along.
pub(crate) fn permitted(policy: &Value) -> Value {
    let mut policy = policy.clone();
    let outputs = policy["outputs"].as_object().cloned().unwrap_or_default();
    let needs_key = |output: &Value| output["type"] == "elasticsearch" && output.get("api_key").is_none();
    for (name, _) in outputs.iter().filter(|(_, output)| needs_key(output)) {
        policy["output_permissions"][name] = json!({ "monitoring": { "cluster": ["monitor"] } });
    }
    policy
}

/// The time in so many minutes, RFC 3339.
pub(crate) fn minutes_from_now(minutes: i64) -> String {
    Timestamp(now().0 + minutes * 60_000).rfc3339()
}

/// The time in milliseconds since 1970.
pub(crate) fn now_millis() -> i64 {
    now().0
}

fn now() -> Timestamp {
    Clock::start().now().wall
}

impl Installation {
    /// Opens the store; the first time this makes what a first start makes.
    pub(crate) fn open(&mut self) -> Opened {
        let no_process_begins = no_process_begins();
        let elsewhere: Option<Box<dyn Store>> = match &self.home {
            Home::Directory => None,
            Home::Cluster(fleet) => Some(Box::new(fleet.store())),
            Home::Memory(memory) => Some(Box::new(Shared(Arc::clone(memory)))),
        };
        if let Some(store) = elsewhere {
            let opened = Opened { store, _watch: None, _no_process_begins: no_process_begins };
            if self.token.is_none() {
                let policy = default_policy(now());
                let data: Value = serde_json::from_str(policy.data.get()).unwrap();
                opened.put_policy(DEFAULT_POLICY_ID, policy.revision_idx, &data);
                self.token = Some(opened.token_for(DEFAULT_POLICY_ID));
            }
            return opened;
        }
        let (store, watch, token) = Embedded::open(&self.path(), Retention::default(), now()).unwrap();
        if let Some(token) = token {
            self.token = Some(token.api_key);
        }
        Opened { store: Box::new(store), _watch: Some(watch), _no_process_begins: no_process_begins }
    }

    /// The agent as stored.
    pub(crate) fn agent(&mut self, id: &str) -> Agent {
        self.open().agent(id).unwrap_or_else(|| panic!("there is no agent {id}"))
    }
}

impl Opened {
    /// Runs one operation, which must go well.
    pub(crate) fn run(&self, operation: Operation) -> Answer {
        self.store.run(vec![operation]).remove(0).unwrap()
    }

    pub(crate) fn agent(&self, id: &str) -> Option<Agent> {
        match self.run(Operation::AgentWhole(id.to_owned())) {
            Answer::Agent(agent) => agent.map(|agent| *agent),
            other => panic!("{other:?}"),
        }
    }

    /// All agents on all policies.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        match self.run(Operation::Agents {
            policy_id: None,
            from: String::new(),
            limit: usize::MAX,
            with_metadata: false,
        }) {
            Answer::Agents(agents) => agents,
            other => panic!("{other:?}"),
        }
    }

    /// Changes an agent's document.
    pub(crate) fn change(&self, id: &str, patch: Patch) {
        self.run(Operation::UpdateAgent { agent: id.to_owned(), patch });
    }

    /// Writes an action; its `_seq_no`.
    pub(crate) fn put_action(&self, action: Action) -> i64 {
        match self.run(Operation::CreateAction(Box::new(action))) {
            Answer::SeqNo(Some(seq_no)) => seq_no,
            other => panic!("{other:?}"),
        }
    }

    /// Keeps an artifact, whatever its document says of it.
    pub(crate) fn put_artifact(&self, artifact: NewArtifact) {
        self.run(Operation::PutArtifact(Box::new(artifact)));
    }

    /// Writes a revision of a policy; id, revision and permissions are put into `data`, as Kibana does.
    pub(crate) fn put_policy(&self, policy_id: &str, revision_idx: i64, data: &Value) {
        let mut data = permitted(data);
        data["id"] = policy_id.into();
        data["revision"] = revision_idx.into();
        self.run(Operation::CreateRevision(Box::new(Policy {
            policy_id: policy_id.to_owned(),
            revision_idx,
            timestamp: minutes_from_now(0),
            data: raw(&data),
            unenroll_timeout_seconds: 0,
            namespaces: Vec::new(),
            default_fleet_server: false,
        })));
    }

    /// Deletes all revisions of a policy, whoever is on it.
    pub(crate) fn delete_policy(&self, policy_id: &str) {
        self.run(Operation::DeletePolicy(policy_id.to_owned()));
    }

    /// The newest revision of a policy.
    pub(crate) fn policy(&self, policy_id: &str) -> Option<Policy> {
        match self.run(Operation::PolicyRevision { policy_id: policy_id.to_owned(), revision_idx: None }) {
            Answer::Policy(policy) => policy.map(|policy| (*policy).clone()),
            other => panic!("{other:?}"),
        }
    }

    /// Whether there is an action with this id.
    pub(crate) fn has_action(&self, action_id: &str) -> bool {
        match self.run(Operation::ActionById(action_id.to_owned())) {
            Answer::Action(found) => matches!(found, ActionLookup::Found(_)),
            other => panic!("{other:?}"),
        }
    }

    /// Whether a key, base64 of `id:key`, is one that the store knows.
    pub(crate) fn is_good(&self, key: &str) -> bool {
        let key = String::from_utf8(STANDARD.decode(key).unwrap()).unwrap();
        let (id, secret) = key.split_once(':').unwrap();
        let key = ApiKey { id: id.to_owned(), secret: secret.to_owned() };
        matches!(
            self.store.run(vec![Operation::Authenticate(key)])[..],
            [Ok(Answer::Authenticated { enabled: true })]
        )
    }

    /// The newest actions.
    pub(crate) fn actions(&self) -> Vec<Action> {
        match self.run(Operation::Actions { limit: 100_000 }) {
            Answer::Actions(actions) => actions.iter().map(|action| (**action).clone()).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn results(&self, action_id: &str) -> Vec<ActionResult> {
        match self.run(Operation::ResultsOfAction(action_id.to_owned())) {
            Answer::Results(results) => results,
            other => panic!("{other:?}"),
        }
    }

    /// A token for a policy.
    pub(crate) fn token_for(&self, policy_id: &str) -> String {
        let name = "made by a test".to_owned();
        match self.run(Operation::CreateToken { policy_id: policy_id.to_owned(), name, at: now() }) {
            Answer::Token(Some(token)) => token.api_key,
            other => panic!("{other:?}"),
        }
    }
}
