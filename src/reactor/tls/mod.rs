//! TLS of the server side: rustls by its unbuffered API, its settings from the `ssl` section, our own CA.
//!
//! Knows no socket. Files are read at start, at SIGHUP and when they changed.

pub mod own;
mod reload;
mod session;
mod settings;
mod verify;

pub use reload::Certificates;
pub(crate) use session::{Outgoing, PLAIN_BYTES_MAX, RECORD_BYTES_MAX, Session, SessionError, Step};
