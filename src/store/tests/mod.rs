//! One suite that holds every store to the same answers, written against [`Store`] and [`Watch`]. Each behaviour is a
//! function that takes a [`Fixture`]; [`on_every_store`] makes a test of it for each store.

pub(in crate::store) mod acknowledging;
pub(in crate::store) mod actions;
pub(in crate::store) mod agents;
pub(in crate::store) mod artifacts;
mod beside;
pub(in crate::store) mod checking_in;
pub(in crate::store) mod cleanup;
#[path = "../../../tests/elastic/cluster.rs"]
pub(super) mod cluster;
pub(super) mod elastic;
pub(super) mod enrolling;
pub(in crate::store) mod files;
pub(super) mod keys;
pub(in crate::store) mod output_keys;
pub(super) mod policies;
pub(in crate::store) mod secrets;
#[path = "../../../tests/elastic/stand_in.rs"]
pub(super) mod stand_in;
pub(in crate::store) mod watching;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::*;
use crate::model::raw::{Raw, raw};
use crate::model::{Agent, ApiKey, Detail, EnrollmentToken, Fingerprint, Patch};
use crate::time::Timestamp;

/// 2023-11-14T22:13:20Z: the present of all tests.
pub(in crate::store) const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// What the stores keep: a time of its own for each kind, so that none is taken for another.
pub(in crate::store) const RETENTION: Retention = Retention {
    action_results: Duration::from_secs(1_000),
    policy_revisions: Duration::from_secs(2_000),
    policy_revisions_kept: 2,
    unenrolled_agents: Duration::from_secs(3_000),
    expired_actions: Duration::from_secs(4_000),
    uploads: Duration::from_secs(3 * 24 * 60 * 60),
};

/// Makes a test for each store of each behaviour named; of those behind `only_ours` for the stores that are ours.
macro_rules! on_every_store {
    ($($behaviour:ident),+ $(,)? $(; only_ours: $($ours:ident),+ $(,)?)?) => {
        crate::store::tests::on_our_stores! { $($behaviour),+ $($(, $ours)+)? }
        /// Those that hold on Elasticsearch too.
        pub(in crate::store) const BEHAVIOURS: &[fn(&Fixture)] = &[$($behaviour),+];
        mod elastic {
            $(#[test] fn $behaviour() { crate::store::tests::elastic::on_elastic(super::$behaviour) })+
        }
    };
}
use on_every_store;

/// The same for the stores that are ours from end to end: for what Elasticsearch does differently, or leaves to others.
macro_rules! on_our_stores {
    ($($behaviour:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $behaviour() { super::$behaviour(&crate::store::tests::memory()) })+
        }
        mod embedded {
            $(#[test] fn $behaviour() { super::$behaviour(&crate::store::tests::embedded()) })+
        }
    };
}
use on_our_stores;

/// A store to be tested, with its watch.
pub(in crate::store) struct Fixture {
    pub(in crate::store) store: Box<dyn Store>,
    pub(super) watch: Mutex<Box<dyn Watch>>,
    _directory: Option<tempfile::TempDir>,
}

fn memory() -> Fixture {
    let (store, watch) = Memory::with_retention(1, RETENTION);
    Fixture::of(store, watch)
}

fn embedded() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let (store, watch, _) = Embedded::open(directory.path(), RETENTION, NOW).unwrap();
    Fixture { _directory: Some(directory), ..Fixture::of(store, watch) }
}

impl Fixture {
    fn of(store: impl Store + 'static, watch: impl Watch + 'static) -> Self {
        let (store, watch) = (Box::new(store), Mutex::new(Box::new(watch) as Box<dyn Watch>));
        Fixture { store, watch, _directory: None }
    }

    /// Runs one operation in its lane.
    pub(in crate::store) fn ask(&self, operation: Operation) -> StoreResult {
        let mut answers = self.store.run(vec![operation]);
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    /// Runs one operation that must answer [`Answer::Done`].
    pub(in crate::store) fn done(&self, operation: Operation) {
        let answer = self.ask(operation);
        assert!(matches!(answer, Ok(Answer::Done)), "{answer:?}");
    }

    /// Runs one operation that must fail.
    pub(in crate::store) fn error(&self, operation: Operation) -> StoreError {
        self.ask(operation).expect_err("it should have failed")
    }

    /// The next news of the watch, but for what it says of the cluster.
    pub(in crate::store) fn next(&self) -> Option<Changes> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| watch.next()).find(|changes| !matches!(changes, Changes::Cluster(_)))
    }

    /// Enrols an agent with a document of the usual fields; its key.
    pub(in crate::store) fn enroll(&self, id: &str) -> ApiKey {
        self.enroll_as(enrollment(id, &document(id)))
    }

    pub(in crate::store) fn enroll_as(&self, enrollment: Enrollment) -> ApiKey {
        match self.ask(Operation::Enroll(Box::new(enrollment))) {
            Ok(Answer::Key(key)) => key,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::store) fn find(&self, operation: Operation) -> Option<Agent> {
        match self.ask(operation) {
            Ok(Answer::Agent(agent)) => agent.map(|agent| *agent),
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::store) fn agent(&self, id: &str) -> Option<Agent> {
        self.find(Operation::AgentWhole(id.to_owned()))
    }

    pub(in crate::store) fn update(&self, agent: &str, patch: Patch) {
        self.done(Operation::UpdateAgent { agent: agent.to_owned(), patch });
    }

    pub(in crate::store) fn check_in(&self, agent: &str, at: Timestamp, patch: Patch) {
        self.done(Operation::CheckIn { agent: agent.to_owned(), at, patch });
    }

    pub(in crate::store) fn is_good(&self, key: &ApiKey) -> bool {
        match self.ask(Operation::Authenticate(key.clone())) {
            Ok(Answer::Authenticated { enabled }) => enabled,
            Err(StoreError::KeyRejected) => false,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::store) fn token(&self, policy_id: &str) -> EnrollmentToken {
        let create = Operation::CreateToken { policy_id: policy_id.into(), name: "n".into(), at: NOW };
        match self.ask(create) {
            Ok(Answer::Token(Some(token))) => *token,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::store) fn clean_up(&self, now: Timestamp) -> usize {
        match self.ask(Operation::Cleanup { now, serving: std::time::Duration::MAX }) {
            Ok(Answer::Removed(count)) => count,
            other => panic!("{other:?}"),
        }
    }
}

/// The enrolment of a new agent, with nothing to clear away.
pub(in crate::store) fn enrollment(id: &str, document: &serde_json::Value) -> Enrollment {
    Enrollment {
        agent: id.to_owned(),
        written: Written::New(raw(document)),
        delete_agents: Vec::new(),
        invalidate_keys: Vec::new(),
    }
}

/// An agent's document as an enrolment writes it.
pub(in crate::store) fn document(id: &str) -> serde_json::Value {
    serde_json::json!({
        "active": true,
        "policy_id": "p",
        "type": "PERMANENT",
        "enrolled_at": NOW.rfc3339(),
        "agent": {"id": id, "version": "9.6.0"},
        "action_seq_no": [-1],
        "local_metadata": {"host": {"name": "h"}},
        "tags": ["a", "b"],
    })
}

pub(in crate::store) fn seconds_later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

pub(in crate::store) fn revision(policy_id: &str, revision_idx: i64) -> Policy {
    Policy {
        policy_id: policy_id.to_owned(),
        revision_idx,
        timestamp: NOW.rfc3339(),
        data: raw(&serde_json::json!({"id": policy_id, "revision": revision_idx})),
        unenroll_timeout_seconds: 0,
        namespaces: vec!["default".to_owned()],
        default_fleet_server: false,
    }
}

pub(in crate::store) fn create_revision(policy_id: &str, revision_idx: i64) -> Operation {
    Operation::CreateRevision(Box::new(revision(policy_id, revision_idx)))
}

/// An action that expires an hour from now.
pub(in crate::store) fn action(action_id: &str, agents: &[&str]) -> Action {
    Action {
        action_id: action_id.to_owned(),
        kind: "UPGRADE".to_owned(),
        agents: agents.iter().map(|agent| (*agent).to_owned()).collect(),
        data: Some(raw(&serde_json::json!({"version": "9.6.1"}))),
        expiration: seconds_later(3600).rfc3339(),
        timestamp: NOW.rfc3339(),
        ..Action::default()
    }
}

pub(in crate::store) fn text(detail: &Detail) -> Option<&str> {
    detail.whole().map(|raw| raw.get())
}

pub(in crate::store) fn json(raw: &Option<Raw>) -> Option<&str> {
    raw.as_ref().map(|raw| raw.get())
}
