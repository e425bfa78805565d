//! What the operations do when the cluster fails, lags or answers nonsense: on a cluster that says what a test wants, and
//! where it matters what a real one says, on that. What they do when all is well stands in [`crate::store::tests`].

mod authenticating;
mod doubting;
mod enrolling;
mod far_keys;
mod fleet_module;
mod known_keys;
mod migrating;
mod preparing;
mod reading;
mod real;
pub(super) mod scripted;
mod without_security;
mod writing;

use serde_json::{Value, json};

use super::prepare::Facts;
use super::{Elastic, Indices, Patience};
use crate::config::Elasticsearch;
use crate::model::{ApiKey, Patch};
use crate::store::tests::{NOW, document, enrollment};
use crate::store::{Answer, Enrollment, Operation, Store, StoreError, StoreResult, Written};
use scripted::{Asked, Scripted};

/// A store on a cluster that answers by `script`; it knows what that can do, and waits for nothing.
fn store(cluster: &Scripted) -> Elastic {
    let store = store_that_asks(cluster);
    store.facts.set(Facts { fleet_module: true, has_keys: true, has_secrets: true }).unwrap();
    store
}

/// The same, with the cluster's abilities yet to be found out.
fn store_that_asks(cluster: &Scripted) -> Elastic {
    let settings = Elasticsearch { hosts: vec![cluster.url()], ..Elasticsearch::default() };
    let store = Elastic::open(&settings, Indices::default(), std::time::Duration::from_secs(60)).unwrap();
    Elastic { patience: Patience::without_waits(), ..store }
}

/// Runs one operation.
fn one(store: &Elastic, operation: Operation) -> StoreResult {
    let mut answers = store.run(vec![operation]);
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn update(agent: &str, field: &'static str) -> Operation {
    Operation::UpdateAgent { agent: agent.into(), patch: Patch::new().set("tags", [field]) }
}

fn check_in(agent: &str, status: &str) -> Operation {
    let patch = Patch::new().set("last_checkin_status", status);
    Operation::CheckIn { agent: agent.into(), at: NOW, patch }
}

/// The status of a failure.
fn status(answer: &StoreResult) -> u16 {
    match answer {
        Err(StoreError::Failed { status, .. }) => *status,
        other => panic!("{other:?}"),
    }
}

/// The answer to a `_bulk` whose items come to these.
fn bulk_answer(action: &str, statuses: &[u16]) -> Value {
    let item = |status: &u16| match status {
        200 | 201 => json!({action: {"status": status, "_seq_no": 1}}),
        status => json!({action: {"status": status, "error": {"type": "some_exception", "reason": "no"}}}),
    };
    json!({"errors": true, "items": statuses.iter().map(item).collect::<Vec<_>>()})
}

/// How many writes a `_bulk` of updates or creations has.
fn writes_of(asked: &Asked) -> usize {
    asked.body.lines().count() / 2
}

/// The answer to a `_bulk` that all goes well.
fn all_written(asked: &Asked) -> (u16, Value) {
    let action = asked.body[2..].split('"').next().unwrap().to_owned();
    (200, bulk_answer(&action, &vec![200; writes_of(asked)]))
}
