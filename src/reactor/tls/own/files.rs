//! Files that are either old or new, never half of each, and the owner's only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::OwnError;

/// Makes a directory, 0700, with its parents.
pub(super) fn make_directory(path: &Path) -> Result<(), OwnError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| OwnError::File { path: path.to_owned(), source })
}

/// Writes a file, 0600. It is on disk when this returns.
pub(super) fn write(path: &Path, text: &str) -> Result<(), OwnError> {
    replace(path, text).map_err(|source| OwnError::File { path: path.to_owned(), source })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
