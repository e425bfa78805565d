//! What names a connection, and what can be said of a request body: shared by the layers above and below the core.

use crate::slots::SlotId;

/// Names a connection; handed out by the reactor when it accepts.
pub type ConnectionId = SlotId;

/// Which door a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Agents and collectors.
    External,
    /// The supervising agent (localhost:8221).
    Internal,
    /// The operator's Unix socket.
    Admin,
    /// Whoever looks at metrics.
    Metrics,
}

impl Listener {
    /// All of them.
    pub const ALL: [Listener; 4] =
        [Listener::External, Listener::Internal, Listener::Admin, Listener::Metrics];

    /// As logs and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Listener::External => "external",
            Listener::Internal => "internal",
            Listener::Admin => "admin",
            Listener::Metrics => "metrics",
        }
    }

    /// Its place in [`Listener::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether agents come through it: only those are encrypted and limited.
    pub fn is_for_agents(self) -> bool {
        matches!(self, Listener::External | Listener::Internal)
    }
}

/// Bounds of a request body.
#[derive(Clone, Copy, Debug)]
pub struct BodyBounds {
    /// Bytes on the wire, transfer framing removed.
    pub bytes_max: u64,
    /// Bytes after gunzip; `None` where a body is taken as it comes, whatever its Content-Encoding (http-api.md, "Bodies").
    pub inflated_bytes_max: Option<u64>,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than its bound, before or after gunzip.
    #[error("the request body exceeds the maximum allowed size")]
    TooLarge,
    /// Not what its Content-Encoding says.
    #[error("the request body cannot be inflated")]
    Corrupt,
    /// It did not come in time.
    #[error("timeout on request")]
    TimedOut,
    /// Bodies on their way hold as much memory as they may.
    #[error("exceeded the max limit")]
    NoRoom,
    /// The client went away, or its framing was wrong.
    #[error("the client is gone")]
    Gone,
}
