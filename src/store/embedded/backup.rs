//! A copy of the database while it is in use.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::connection;
use super::fault::unavailable;
use crate::store::{Answer, StoreError, StoreResult, directory};

/// So many pages are copied between two looks at whether it is done: 1 MiB.
const PAGES_PER_STEP: i32 = 256;

/// Copies `database` into the file `target`, which must not be there.
pub(super) fn run(database: &Path, target: &Path) -> StoreResult {
    let failed = |reason: String| StoreError::Failed { status: 500, reason };
    let name = |error| failed(format!("{}: {error}", target.display()));
    directory::create_private(target).map_err(name)?;
    let done = copy(database, target).map_err(|error| unavailable(&error));
    let done = done.and_then(|()| directory::sync_names(target).map_err(name));
    if let Err(error) = done {
        // half a copy must not pass for one
        let _ = fs::remove_file(target);
        return Err(error);
    }
    Ok(Answer::Done)
}

fn copy(database: &Path, target: &Path) -> rusqlite::Result<()> {
    let source = connection::reading(database)?;
    // one moment for the whole copy: otherwise each commit of the writer would start it over
    source.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema;")?;
    let mut copy = Connection::open(target)?;
    copy.pragma_update(None, "journal_mode", "off")?;
    // no pauses: a reader blocks no writer, and the sooner it ends the sooner the WAL can start over
    Backup::new(&source, &mut copy)?.run_to_completion(PAGES_PER_STEP, Duration::ZERO, None)
}
