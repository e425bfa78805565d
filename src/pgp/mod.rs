//! The key that agents check upgrades with (files.md, "PGP key"): from a file, else from the host of who made it, and then
//! kept in that file. Blocks, so it is called where nobody waits but those who want the key.

mod check;
mod file;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::check::CheckError;
use crate::config::Pgp;
use crate::store::{FetchError, fetch};

/// Bytes of the key.
const KEY_BYTES_MAX: u64 = 256 * 1024;
/// For the host to give it, from the first step to the last byte.
const FETCH_WAIT_MAX: Duration = Duration::from_secs(30);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Somebody else may have written it, or may read it.
    #[error("{} has the mode {mode:04o}; it has to be a file of mode 0600", file.display())]
    Mode {
        /// The key's file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    File {
        /// The key's file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// That is no key.
    #[error("{} has more than {KEY_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// The host does not give it.
    #[error("pgp.upstream_url: {0}")]
    Upstream(#[from] FetchError),
    /// What the host gives is something else.
    #[error("pgp.upstream_url gives no armored OpenPGP public key: {0}")]
    NoKey(#[from] CheckError),
}

/// The key: the file in the directory of the settings, which is served as it is, else what the host gives, if that is a
/// key. That it cannot be kept is only logged.
pub fn obtain(settings: &Pgp) -> Result<Arc<[u8]>, KeyError> {
    if let Some(key) = file::read(&settings.dir)? {
        return Ok(key.into());
    }
    let key = fetch(&settings.upstream_url, &settings.proxy, KEY_BYTES_MAX, FETCH_WAIT_MAX)?;
    check::is_public_key(&key)?;
    match file::write(&settings.dir, &key) {
        Ok(file) => ::log::info!(
            "the key that agents check upgrades with was fetched, and is kept in {}",
            file.display()
        ),
        Err(error) => ::log::warn!(
            "the key that agents check upgrades with was fetched, and cannot be kept in {}: {error}",
            settings.dir.display()
        ),
    }
    Ok(key.into())
}
