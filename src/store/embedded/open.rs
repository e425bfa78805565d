//! Opening the data directory: lock, file, schema, first start; and why it may be refused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, ErrorCode};

use super::fault::Fault;
use super::writer::Writer;
use super::{Embedded, EmbeddedWatch, Inner, connection, schema, writer};
use crate::model::EnrollmentToken;
use crate::store::directory::{self, DirectoryError, DirectoryLock};
use crate::store::news::News;
use crate::store::{Retention, StoreError};
use crate::time::Timestamp;

/// The database in the data directory.
const FILE: &str = "fleet.db";
/// Databases up to this many pages of 4 KiB are checked whole at the start; it takes some milliseconds.
const CHECKED_PAGES_MAX: i64 = 2048;

/// Why the embedded store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used, or is in use.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The file is not what we wrote.
    #[error(
        "the database {file} is damaged ({reason}): put a backup in its place, or move it and the files beside it away \
         to start anew"
    )]
    Damaged {
        /// The database.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer version of this program wrote the file.
    #[error(
        "the database {file} has schema version {found}, this program knows versions up to {known}: run the newer \
         program again, or put a backup from before the upgrade in its place"
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its schema version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// The file cannot be read or written.
    #[error(
        "the database {file} cannot be opened ({reason}): check its owner, its mode and the space left on its disk"
    )]
    Unavailable {
        /// The database.
        file: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
}

impl Embedded {
    /// Opens the store in `directory`, which is made if missing and held until the store is dropped. The first time the
    /// default policy and one enrollment token are made, which is answered, until [`Embedded::has_greeted`] is called;
    /// `now` is for their documents.
    pub fn open(
        directory: &Path,
        retention: Retention,
        now: Timestamp,
    ) -> Result<(Embedded, EmbeddedWatch, Option<EnrollmentToken>), OpenError> {
        let lock = DirectoryLock::take(directory)?;
        let file = directory.join(FILE);
        let refused = |fault| refusal(&file, fault);
        make_file(&file)
            .map_err(|error| OpenError::Unavailable { file: file.clone(), reason: error.to_string() })?;
        let mut writing = connection::writing(&file).map_err(|error| refused(error.into()))?;
        check(&file, &writing)?;
        connection::make_durable(&writing).map_err(|error| refused(error.into()))?;
        let mut token = None;
        let first = |sql: &Connection, found| {
            token = if found == 0 { writer::first_start(sql, now)? } else { writer::not_greeted(sql)? };
            Ok(())
        };
        schema::migrate(&mut writing, schema::STEPS, first).map_err(refused)?;
        let inner =
            assemble(writing, file.clone(), retention, lock).map_err(|error| refused(error.into()))?;
        let watch = EmbeddedWatch::new(&inner);
        Ok((Embedded { inner }, watch, token.map(|token| *token)))
    }
}

fn assemble(
    writing: Connection,
    file: PathBuf,
    retention: Retention,
    lock: DirectoryLock,
) -> rusqlite::Result<Arc<Inner>> {
    let writer = Writer::new(writing)?;
    Ok(Arc::new(Inner {
        look_ups: Mutex::new(connection::reading(&file)?),
        searches: Mutex::new(connection::reading(&file)?),
        news: Arc::new(News::new(writer.actions_checkpoint())),
        writer: Mutex::new(writer),
        file,
        retention,
        _lock: lock,
    }))
}

/// Makes the file, if it is missing, with its mode, which SQLite gives to the files beside it too.
fn make_file(file: &Path) -> io::Result<()> {
    directory::open_private(file)?;
    directory::sync_names(file)
}

fn check(file: &Path, sql: &Connection) -> Result<(), OpenError> {
    let refused = |error: rusqlite::Error| refusal(file, error.into());
    let damaged = |reason: String| OpenError::Damaged { file: file.to_owned(), reason };
    let found = schema::version(sql).map_err(refused)?;
    if found > schema::STEPS.len() {
        return Err(OpenError::Newer { file: file.to_owned(), found, known: schema::STEPS.len() });
    }
    let tables = count(sql, "SELECT count(*) FROM sqlite_schema").map_err(refused)?;
    if found == 0 && tables > 0 {
        return Err(damaged("it is another program's database".to_owned()));
    }
    for table in schema::TABLES.iter().filter(|_| found > 0) {
        count(sql, &format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT 1)")).map_err(refused)?;
    }
    if count(sql, "PRAGMA page_count").map_err(refused)? <= CHECKED_PAGES_MAX {
        let verdict: String =
            sql.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(refused)?;
        if verdict != "ok" {
            return Err(damaged(verdict));
        }
    }
    Ok(())
}

fn count(sql: &Connection, query: &str) -> rusqlite::Result<i64> {
    sql.query_row(query, [], |row| row.get(0))
}

fn refusal(file: &Path, fault: Fault) -> OpenError {
    let file = file.to_owned();
    match fault {
        Fault::Trouble(error) if !is_damage(&error) => {
            OpenError::Unavailable { file, reason: error.to_string() }
        }
        Fault::Trouble(error) => OpenError::Damaged { file, reason: error.to_string() },
        Fault::Own(StoreError::Unavailable(reason)) => OpenError::Unavailable { file, reason },
        Fault::Own(error) => OpenError::Damaged { file, reason: error.to_string() },
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let damage = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase, ErrorCode::Unknown];
    error.sqlite_error_code().is_some_and(|code| damage.contains(&code))
}
