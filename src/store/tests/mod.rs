//! One suite that holds every store to the same answers, written against [`Store`] and [`Watch`]. Each behaviour is a
//! function that takes a [`Fixture`]; [`on_every_store`] makes a test of it for each store.

mod acknowledging;
mod actions;
mod agents;
mod checking_in;
mod cleanup;
#[path = "../../../tests/elastic/cluster.rs"]
pub(super) mod cluster;
mod elastic;
mod enrolling;
mod keys;
mod output_keys;
mod policies;
mod secrets;
mod watching;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::*;
use crate::model::raw::{Raw, raw};
use crate::model::{Agent, ApiKey, Detail, EnrollmentToken, Fingerprint, Patch};
use crate::time::Timestamp;

/// 2023-11-14T22:13:20Z: the present of all tests.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// What the stores keep: a time of its own for each kind, so that none is taken for another.
pub(super) const RETENTION: Retention = Retention {
    action_results: Duration::from_secs(1_000),
    policy_revisions: Duration::from_secs(2_000),
    policy_revisions_kept: 2,
    unenrolled_agents: Duration::from_secs(3_000),
    expired_actions: Duration::from_secs(4_000),
};

/// Makes a test for each store of each behaviour named; of those behind `only_ours` for the stores that are ours.
macro_rules! on_every_store {
    ($($behaviour:ident),+ $(,)? $(; only_ours: $($ours:ident),+ $(,)?)?) => {
        crate::store::tests::on_our_stores! { $($behaviour),+ $($(, $ours)+)? }
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
pub(super) struct Fixture {
    pub(super) store: Box<dyn Store>,
    pub(super) watch: Mutex<Box<dyn Watch>>,
    _directory: Option<tempfile::TempDir>,
    _indices: Option<elastic::Leftovers>,
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
        Fixture { store, watch, _directory: None, _indices: None }
    }

    /// Runs one operation in its lane.
    pub(super) fn ask(&self, operation: Operation) -> StoreResult {
        let mut answers = self.store.run(vec![operation]);
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    /// Runs one operation that must answer [`Answer::Done`].
    pub(super) fn done(&self, operation: Operation) {
        let answer = self.ask(operation);
        assert!(matches!(answer, Ok(Answer::Done)), "{answer:?}");
    }

    /// Runs one operation that must fail.
    pub(super) fn error(&self, operation: Operation) -> StoreError {
        self.ask(operation).expect_err("it should have failed")
    }

    /// The next news of the watch.
    pub(super) fn next(&self) -> Option<Changes> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Enrols an agent with a document of the usual fields; its key.
    pub(super) fn enroll(&self, id: &str) -> ApiKey {
        self.enroll_as(enrollment(id, &document(id)))
    }

    pub(super) fn enroll_as(&self, enrollment: Enrollment) -> ApiKey {
        match self.ask(Operation::Enroll(Box::new(enrollment))) {
            Ok(Answer::Key(key)) => key,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn find(&self, operation: Operation) -> Option<Agent> {
        match self.ask(operation) {
            Ok(Answer::Agent(agent)) => agent.map(|agent| *agent),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn agent(&self, id: &str) -> Option<Agent> {
        self.find(Operation::AgentWhole(id.to_owned()))
    }

    pub(super) fn update(&self, agent: &str, patch: Patch) {
        self.done(Operation::UpdateAgent { agent: agent.to_owned(), patch });
    }

    pub(super) fn check_in(&self, agent: &str, at: Timestamp, patch: Patch) {
        self.done(Operation::CheckIn { agent: agent.to_owned(), at, patch });
    }

    pub(super) fn is_good(&self, key: &ApiKey) -> bool {
        match self.ask(Operation::Authenticate(key.clone())) {
            Ok(Answer::Authenticated { enabled }) => enabled,
            Err(StoreError::KeyRejected) => false,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn token(&self, policy_id: &str) -> EnrollmentToken {
        let create = Operation::CreateToken { policy_id: policy_id.into(), name: "n".into(), at: NOW };
        match self.ask(create) {
            Ok(Answer::Token(Some(token))) => *token,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn clean_up(&self, now: Timestamp) -> usize {
        match self.ask(Operation::Cleanup { now, serving: std::time::Duration::MAX }) {
            Ok(Answer::Removed(count)) => count,
            other => panic!("{other:?}"),
        }
    }
}

/// The enrolment of a new agent, with nothing to clear away.
pub(super) fn enrollment(id: &str, document: &serde_json::Value) -> Enrollment {
    Enrollment {
        agent: id.to_owned(),
        written: Written::New(raw(document)),
        delete_agents: Vec::new(),
        invalidate_keys: Vec::new(),
    }
}

/// An agent's document as an enrolment writes it.
pub(super) fn document(id: &str) -> serde_json::Value {
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

pub(super) fn seconds_later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

pub(super) fn revision(policy_id: &str, revision_idx: i64) -> Policy {
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

pub(super) fn create_revision(policy_id: &str, revision_idx: i64) -> Operation {
    Operation::CreateRevision(Box::new(revision(policy_id, revision_idx)))
}

/// An action that expires an hour from now.
pub(super) fn action(action_id: &str, agents: &[&str]) -> Action {
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

pub(super) fn text(detail: &Detail) -> Option<&str> {
    detail.whole().map(|raw| raw.get())
}

pub(super) fn json(raw: &Option<Raw>) -> Option<&str> {
    raw.as_ref().map(|raw| raw.get())
}
