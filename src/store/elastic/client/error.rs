//! What can go wrong between us and the cluster. The texts name host and cause, never a secret.

use std::io;

use ureq::Error;

use super::dial::DialError;
use super::request::Request;
use crate::tls::TlsError;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::store::elastic) enum ClientError {
    /// A host is no URL.
    #[error("output.elasticsearch.hosts: {host} is no URL: {reason}")]
    Host {
        /// As configured; hosts hold no credentials.
        host: String,
        /// Why.
        reason: String,
    },
    /// A header's name or value may not be sent.
    #[error("output.elasticsearch: the header {name} cannot be sent")]
    Header {
        /// The field's name.
        name: String,
    },
    /// The token holds what no header may hold.
    #[error("output.elasticsearch.service_token holds characters that cannot be sent")]
    ServiceToken,
    /// The proxy's URL cannot be used; it may hold a password and is not shown.
    #[error("{key} is no URL of an http or https proxy")]
    Proxy {
        /// The key or variable it comes from.
        key: &'static str,
    },
    /// The `ssl` section cannot be used.
    #[error("output.elasticsearch.ssl: {0}")]
    Tls(#[from] TlsError),
}

/// There is no answer. What has an answer, whatever its status, is a [`super::Response`].
#[derive(Debug, thiserror::Error)]
pub(in crate::store::elastic) enum SendError {
    /// It cannot be sent, now or later: too large, or not HTTP.
    #[error("the request cannot be sent: {reason}")]
    NotSent {
        /// Why.
        reason: String,
    },
    /// Certainly not done: the cluster was never reached. It may be sent again after a wait.
    #[error("{host} is not reached: {reason}")]
    NotReached {
        /// The host that was tried last.
        host: String,
        /// Why.
        reason: String,
    },
    /// It is not known whether the cluster has done it.
    #[error("no answer from {host}: {reason}")]
    Unknown {
        /// The host that was asked.
        host: String,
        /// Why.
        reason: String,
    },
    /// The cluster has answered, but with something broken or too large. It may be done.
    #[error("the answer of {host} cannot be used: {reason}")]
    Answer {
        /// The host that answered.
        host: String,
        /// Why.
        reason: String,
    },
}

impl SendError {
    /// Whether the request may be sent again after a wait without being done twice.
    pub(in crate::store::elastic) fn may_be_repeated(&self, request: &Request) -> bool {
        match self {
            SendError::NotSent { .. } => false,
            SendError::NotReached { .. } => true,
            SendError::Unknown { .. } | SendError::Answer { .. } => request.repeatable,
        }
    }
}

/// What an attempt on one host came to, if not to an answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the caller is told.
    pub(super) error: SendError,
    /// The host is to blame, not the request.
    pub(super) of_host: bool,
    /// Another host may be asked at once, if the error may be repeated at all. Not after waiting in vain: that would
    /// double the wait.
    pub(super) at_once: bool,
}

impl Failure {
    /// What ureq says about `host`.
    pub(super) fn of(error: Error, host: &str) -> Self {
        let host = host.to_owned();
        let failure = |error, of_host, at_once| Failure { error, of_host, at_once };
        match error {
            Error::Other(other) if other.is::<DialError>() => {
                failure(SendError::NotReached { host, reason: other.to_string() }, true, true)
            }
            // the client is closed
            Error::Io(error) if error.kind() == io::ErrorKind::NotConnected => {
                failure(SendError::NotReached { host, reason: cause(&error) }, false, false)
            }
            Error::Timeout(_) => {
                failure(SendError::Unknown { host, reason: IN_TIME.to_owned() }, true, false)
            }
            Error::Io(error) => {
                failure(SendError::Unknown { host, reason: cause(&error) }, true, !is_late(&error))
            }
            Error::Http(_) | Error::BadUri(_) => {
                failure(SendError::NotSent { reason: "it is not valid HTTP".to_owned() }, false, false)
            }
            Error::Protocol(_) => {
                failure(SendError::Answer { host, reason: "it is not valid HTTP".to_owned() }, true, true)
            }
            other => failure(SendError::Answer { host, reason: other.to_string() }, true, true),
        }
    }
}

/// Said of every wait that has ended.
const IN_TIME: &str = "nothing came in time";

/// Why reading or writing failed; ureq wraps its own errors into those of the system and back.
pub(super) fn cause(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        _ if is_late(error) => IN_TIME.to_owned(),
        Some(Error::Io(inner)) => cause(inner),
        Some(inner) => inner.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        None => error.to_string(),
    }
}

/// Whether the time for reading or writing was over.
pub(super) fn is_late(error: &io::Error) -> bool {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::Timeout(_)) => true,
        Some(Error::Io(inner)) => is_late(inner),
        Some(_) => false,
        None => matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock),
    }
}
