//! Our own CA and server certificate, for a start without any configuration (interface.md, The data directory).
//!
//! Blocks on files: for the start, and for workers. The CA's key is read only when a certificate is to be made, so an operator may
//! keep it elsewhere meanwhile.

mod files;
mod inspect;
mod make;
mod names;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use names::Names;

use self::inspect::Found;
use crate::model::sha256_hex;
use crate::time::Timestamp;

/// How long before its end a certificate is made anew.
const RENEWAL: Duration = Duration::from_secs(30 * DAY);
const DAY: u64 = 24 * 3_600;

/// Where the CA and the server's certificate lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCertificates {
    /// The CA's certificate: what agents are given to trust.
    pub ca: PathBuf,
    /// The server's certificate, followed by the CA's.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
    /// SHA-256 of the CA's certificate in lower-case hexadecimal: `ca_trusted_fingerprint` of a client.
    pub fingerprint: String,
    /// Whether the server's certificate was made just now.
    pub renewed: bool,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The CA's file is damaged. It is not replaced: agents trust it.
    #[error("{} is not usable ({reason}); put it back, or remove ca.crt and ca.key to get a new CA that agents must be given", path.display())]
    Ca {
        /// Which of its files.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
}

impl OwnCertificates {
    /// Makes what is missing in `directory`/tls: a CA for ten years, a server certificate for one. The server's is made anew 30 days
    /// before its end, when `names` are no longer its own, and when it does not fit its key or the CA; the CA 30 days before its end.
    pub fn ensure(directory: &Path, names: &Names, now: Timestamp) -> Result<Self, OwnError> {
        let directory = directory.join("tls");
        files::make_directory(&directory)?;
        let ca_path = directory.join("ca.crt");
        let ca = match read(&ca_path)? {
            None => make_ca(&directory, now)?,
            Some(text) => {
                let ca = inspect::certificate(&text)
                    .map_err(|reason| OwnError::Ca { path: ca_path.clone(), reason })?;
                if ends_soon(&ca, now) {
                    ::log::warn!(
                        "the CA ends soon: {} is made anew, agents have to be given it",
                        ca_path.display()
                    );
                    make_ca(&directory, now)?
                } else {
                    ca
                }
            }
        };
        let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
        let renewed = !is_good(&certificate, &key, &ca, names, now)?;
        if renewed {
            make_server(&directory, &ca, names, now)?;
            ::log::info!("a certificate of our own was made: {}", certificate.display());
        }
        Ok(OwnCertificates { ca: ca_path, certificate, key, fingerprint: sha256_hex(&ca.der), renewed })
    }
}

/// Whether the server's certificate may stay.
fn is_good(
    certificate: &Path,
    key: &Path,
    ca: &Found,
    names: &Names,
    now: Timestamp,
) -> Result<bool, OwnError> {
    let (Some(certificate), Some(key)) = (read(certificate)?, read(key)?) else { return Ok(false) };
    let Ok(found) = inspect::certificate(&certificate) else { return Ok(false) };
    let fits = inspect::public_key_of(&key).is_ok_and(|public| public == found.public_key);
    Ok(fits && found.issued_by(ca) && found.names == *names && !ends_soon(&found, now))
}

fn make_ca(directory: &Path, now: Timestamp) -> Result<Found, OwnError> {
    let path = directory.join("ca.crt");
    let made = make::ca(now)?;
    // the key first: a certificate without its key would be of no use
    files::write(&directory.join("ca.key"), &made.key)?;
    files::write(&path, &made.certificate)?;
    inspect::certificate(&made.certificate).map_err(|reason| OwnError::Ca { path, reason })
}

fn make_server(directory: &Path, ca: &Found, names: &Names, now: Timestamp) -> Result<(), OwnError> {
    let path = directory.join("ca.key");
    let unusable = |reason: String| OwnError::Ca { path: path.clone(), reason };
    let key = read(&path)?.ok_or_else(|| unusable("it is missing".to_owned()))?;
    if inspect::public_key_of(&key).map_err(unusable)? != ca.public_key {
        return Err(OwnError::Ca { path, reason: "it does not belong to ca.crt".to_owned() });
    }
    let made = make::server(&ca.pem, &key, names, now, ca.not_after)?;
    files::write(&directory.join("server.key"), &made.key)?;
    files::write(&directory.join("server.crt"), &made.certificate)
}

fn ends_soon(found: &Found, now: Timestamp) -> bool {
    now.plus(RENEWAL) > found.not_after
}

/// A file's text, `None` if there is no such file.
fn read(path: &Path) -> Result<Option<String>, OwnError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OwnError::File { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
