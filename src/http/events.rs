//! What a connection tells its caller. Values only; the transitions are in `exchange`.

use super::bad::BadRequest;
use super::head::RequestHead;

/// What [`super::HttpConnection::receive`] found.
pub enum Received<'a> {
    /// Nothing more can be taken for now: more input, the response, or its sending is awaited.
    Pending,
    /// A request begins.
    Head(Box<RequestHead>),
    /// A piece of its body, never empty, the transfer framing removed.
    Body(&'a [u8]),
    /// The request is complete. Once per request, also right after a head without a body; not after
    /// the response was given.
    End,
    /// Not a request that can be served. [`super::HttpConnection::respond`] with its status; the connection
    /// closes after it. All further input is dropped.
    Bad(BadRequest),
    /// The response is out, and the rest of the body that it did not wait for turned out too large or
    /// malformed: close now, lingering.
    Close,
}

/// What the connection waits for, for the caller's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The next request; no byte of it has come.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a request body that somebody wants.
    Body,
    /// The response: the request is complete, or was refused.
    Awaiting,
    /// The socket: a response is on its way.
    Sending,
    /// The rest of a request body that was answered already.
    Draining,
    /// The end: the last response is out.
    Closed,
}

/// What remains to be done after [`super::HttpConnection::sent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// More is to be written.
    More,
    /// Nothing is to be written until [`super::HttpConnection::push`] or [`super::HttpConnection::finish`].
    Starved,
    /// Nothing is to be written, and no response has been given: an interim response is out.
    Interim,
    /// The response is out and its memory given back.
    Response(Done),
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The connection stays: call [`super::HttpConnection::receive`] with what is left of the input.
    KeepAlive,
    /// Close it. Lingering: the client may still be sending; shut down the writing side, read and
    /// drop for a while, then close, or a reset may overtake the response. The same is wise if the
    /// caller holds input that it has not given to [`super::HttpConnection::receive`].
    Close {
        /// Whether the client may still be sending its request.
        lingering: bool,
    },
}

impl std::fmt::Debug for Received<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending => formatter.write_str("Pending"),
            // without headers: they hold keys
            Self::Head(head) => write!(formatter, "Head({} {})", head.method(), head.path()),
            Self::Body(data) => write!(formatter, "Body({} bytes)", data.len()),
            Self::End => formatter.write_str("End"),
            Self::Bad(bad) => write!(formatter, "Bad({bad:?})"),
            Self::Close => formatter.write_str("Close"),
        }
    }
}
