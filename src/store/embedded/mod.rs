//! The store in one SQLite file: WAL, one writing connection with group commit, two reading ones. SQL is known here and
//! nowhere else.
//!
//! An answer to a write leaves only after the commit that holds it has been synced. A failure of the disk rolls the whole
//! batch back and answers [`super::StoreError::Unavailable`]; the next batch tries anew, so the store recovers with its disk.

mod actions;
mod agent_writes;
mod agents;
mod artifacts;
mod backup;
mod cleanup;
mod connection;
mod fault;
mod file_chunks;
mod files;
mod open;
mod policies;
mod read;
mod schema;
mod secrets;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

pub use open::OpenError;
pub use watch::EmbeddedWatch;

use self::fault::misplaced;
use self::read::Reader;
use self::writer::Writer;
use super::directory::DirectoryLock;
use super::news::News;
use super::retention::Retention;
use super::{Lane, Operation, Store, StoreError, StoreResult};

/// The store in a data directory, which is held as long as this lives.
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    /// For [`Lane::Read`].
    look_ups: Mutex<Connection>,
    /// For [`Lane::Search`] and the watch.
    searches: Mutex<Connection>,
    writer: Mutex<Writer>,
    news: Arc<News>,
    file: PathBuf,
    retention: Retention,
    /// Last, so that it is released after the connections are closed.
    _lock: DirectoryLock,
}

impl Embedded {
    /// The operator was told of what the first start made: the next start has nothing to tell.
    pub fn has_greeted(&self) -> Result<(), StoreError> {
        lock(&self.inner.writer).has_greeted(&self.inner.news)
    }
}

impl Store for Embedded {
    fn run(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        match batch.first().map(Operation::lane) {
            None => Vec::new(),
            Some(Lane::Read) => self.inner.read(&self.inner.look_ups, batch),
            Some(Lane::Search) => self.inner.read(&self.inner.searches, batch),
            Some(Lane::Write | Lane::Refresh | Lane::Beats) => self.inner.write(batch),
            Some(Lane::Files) => {
                batch.into_iter().map(|operation| self.inner.handle_file(operation)).collect()
            }
            Some(Lane::Operator | Lane::Single | Lane::Keys | Lane::Artifacts) => {
                batch.into_iter().map(|operation| self.inner.operate(operation)).collect()
            }
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.inner.news.close();
    }
}

impl Inner {
    fn read(&self, connection: &Mutex<Connection>, batch: Vec<Operation>) -> Vec<StoreResult> {
        let connection = lock(connection);
        let reader = Reader::new(&connection);
        let answers = reader.batch(batch);
        self.note(&reader);
        answers
    }

    /// The operator has to know of damage.
    fn note(&self, reader: &Reader<'_>) {
        if reader.has_met_damage() {
            let file = self.file.display();
            self.news
                .damaged(&format!("the database {file} is damaged: stop the server and restore a backup"));
        }
    }

    fn write(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        lock(&self.writer).batch(&self.news, batch)
    }

    fn operate(&self, operation: Operation) -> StoreResult {
        match operation {
            Operation::Cleanup { now, serving } => cleanup::run(self, now, serving),
            Operation::Backup(path) => backup::run(&self.file, &path),
            operation if matches!(operation.lane(), Lane::Operator | Lane::Artifacts) => {
                self.report(operation)
            }
            _ => Err(misplaced()),
        }
    }

    /// Operators ask now and then, and artifacts are cached: their connection lives as long as the question, and no memory
    /// is held for the next.
    fn report(&self, operation: Operation) -> StoreResult {
        let connection = connection::reading(&self.file).map_err(|error| fault::unavailable(&error))?;
        let reader = Reader::new(&connection);
        let answer = reader.one(operation);
        self.note(&reader);
        answer
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
