//! Why the reactor cannot be built or cannot go on.

use std::io;
use std::path::PathBuf;

use crate::tls::TlsError;

/// An error of start, or of the loop itself; each ends the server.
#[derive(Debug, thiserror::Error)]
pub enum ReactorError {
    /// Somebody else listens there.
    #[error("{0} is in use by another process")]
    InUse(String),
    /// We may not listen there, or there is no such address.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// `IP:PORT`, or the path.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A host has no address.
    #[error("the host {host:?} to listen on has no address: {source}")]
    Resolve {
        /// As configured.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// A socket's address has a fixed size.
    #[error(
        "{0} is too long for the address of a socket (about 100 bytes): choose a shorter one, path.data or http.host"
    )]
    PathTooLong(PathBuf),
    /// Certificates or keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system's event queue fails.
    #[error("the event loop fails: {0}")]
    Poll(#[source] io::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
}
