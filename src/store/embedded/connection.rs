//! Connections and their settings.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// Someone else (an operator's `sqlite3`) may hold the file for a moment.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Pages kept by the writer, KiB: the upper levels of all trees, and what a batch changes (more spills into the WAL).
const WRITER_CACHE_KIB: i64 = 1024;
/// Pages kept by each reader, KiB.
const READER_CACHE_KIB: i64 = 256;
/// After so many pages of 4 KiB the WAL is copied into the database.
const CHECKPOINT_PAGES: i64 = 1000;
/// What a WAL that grew beyond is cut to once it starts over.
const WAL_BYTES_MAX: i64 = 8 << 20;
/// More than there are different statements for one connection.
const STATEMENTS: usize = 64;

/// The connection that is to write; changes nothing yet, and makes no file.
pub(super) fn writing(file: &Path) -> rusqlite::Result<Connection> {
    open(file, OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER_CACHE_KIB)
}

/// Makes a commit on `connection` survive a power loss.
pub(super) fn make_durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    // macOS: without these a sync stops at the disk's own cache
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)
}

/// A connection that only reads.
pub(super) fn reading(file: &Path) -> rusqlite::Result<Connection> {
    open(file, OpenFlags::SQLITE_OPEN_READ_ONLY, READER_CACHE_KIB)
}

fn open(file: &Path, access: OpenFlags, cache_kib: i64) -> rusqlite::Result<Connection> {
    // each connection has its Mutex; SQLite's own would be a second
    let connection = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // without it every new parameter value has SQLite plan the statement anew: half the cost of reading an agent
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    // savepoints and sorting go to no file beside ours
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}
