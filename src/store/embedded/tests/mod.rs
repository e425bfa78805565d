//! What only the embedded store does: files, lock, damage, migration, recovery, backup, what a crash leaves.

mod backing_up;
mod damage;
mod failing;
mod files;
mod migrating;
mod reopening;

use std::path::Path;

use super::*;
use crate::model::EnrollmentToken;
use crate::store::tests::{NOW, RETENTION, document, enrollment};
use crate::store::{Answer, StoreError};

/// Opens the store in `directory`, without its watch.
fn open(directory: &Path) -> Embedded {
    try_open(directory).unwrap().0
}

fn try_open(directory: &Path) -> Result<(Embedded, Option<EnrollmentToken>), OpenError> {
    Embedded::open(directory, RETENTION, NOW).map(|(store, _, token)| (store, token))
}

fn refusal(directory: &Path) -> OpenError {
    try_open(directory).err().expect("it should have been refused")
}

fn enroll(id: &str) -> Operation {
    Operation::Enroll(Box::new(enrollment(id, &document(id))))
}

fn ask(store: &Embedded, operation: Operation) -> StoreResult {
    store.run(vec![operation]).remove(0)
}

fn exists(store: &Embedded, agent: &str) -> bool {
    matches!(ask(store, Operation::AgentById(agent.to_owned())), Ok(Answer::Agent(Some(_))))
}

/// A look at the file from outside.
fn look(directory: &Path) -> Connection {
    Connection::open(directory.join("fleet.db")).unwrap()
}
