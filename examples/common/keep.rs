//! Files that hold keys: for the owner alone, and whole or not at all.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

/// Replaces `path` by `bytes`, mode 0600.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}
