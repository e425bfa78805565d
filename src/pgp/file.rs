//! The file of the key: only its owner may read or write it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{KEY_BYTES_MAX, KeyError};

/// The file's name in its directory.
const NAME: &str = "default.pgp";
/// Its name while it is written.
const NAME_UNFINISHED: &str = ".default.pgp.new";
/// Permissions of the file, and no others.
const FILE_MODE: u32 = 0o600;
/// Permissions of the directory, if it is made.
const DIRECTORY_MODE: u32 = 0o700;
/// All permissions, with those that act on behalf of the owner.
const MODE_BITS: u32 = 0o7777;

/// The key in `directory`; none if there is no file.
pub(super) fn read(directory: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    let file = directory.join(NAME);
    let failed = |source| KeyError::File { file: file.clone(), source };
    let facts = match fs::metadata(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        facts => facts.map_err(failed)?,
    };
    let mode = facts.permissions().mode() & MODE_BITS;
    if !facts.is_file() || mode != FILE_MODE {
        return Err(KeyError::Mode { file, mode });
    }
    let mut key = Vec::new();
    File::open(&file).and_then(|open| open.take(KEY_BYTES_MAX + 1).read_to_end(&mut key)).map_err(failed)?;
    if key.len() as u64 > KEY_BYTES_MAX {
        return Err(KeyError::TooLarge(file));
    }
    Ok(Some(key))
}

/// Keeps the key in `directory`, which is made if only it is missing. The file is whole or not there.
pub(super) fn write(directory: &Path, key: &[u8]) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let unfinished = directory.join(NAME_UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&unfinished)?;
    // whatever the process's mask takes away
    open.set_permissions(Permissions::from_mode(FILE_MODE))?;
    open.write_all(key)?;
    open.sync_all()?;
    let file = directory.join(NAME);
    fs::rename(&unfinished, &file)?;
    Ok(file)
}
