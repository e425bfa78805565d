//! HTTP/1.1, the server's side, without sockets, clocks or threads: bytes in, events out.
//!
//! The caller owns the socket and the buffers. It gives what it read to
//! [`HttpConnection::receive`], writes what [`HttpConnection::output`] shows and reports how much
//! went out with [`HttpConnection::sent`]. Routes, bodies' meaning and limits on bodies are the
//! caller's.
//!
//! ```text
//!            ┌──────┐  Head   ┌──────┐  End   ┌──────────┐ respond ┌─────────┐ sent: KeepAlive
//!   new ───▶ │ head │ ──────▶ │ body │ ─────▶ │ awaiting │ ──────▶ │ sending │ ───▶ back to head
//!            └──────┘         └──────┘        └──────────┘         └─────────┘
//!               │ Bad            │ Bad              ▲                 ▲    │ sent: Close
//!               │                │                  │                 │    ▼
//!               └────────────────┴───── refused ────┘                 │  closed
//!                                │ respond before End                 │
//!                                └──▶ the rest is dropped while ──────┘
//! ```
//!
//! A file per state: `head` (with `head_reader`, `scan`, `target` and `framing`), `body` (with `chunked`),
//! `exchange` (the connection itself), `response` (with `content` and `sending`). The codings of
//! content stand apart: `encoding`, `inflate` (with `gzip_header`), `gzip`.

mod bad;
mod scan;
mod target;
mod framing;
mod head;
mod head_reader;
mod chunked;
mod body;
mod content;
mod response;
mod sending;
mod events;
mod exchange;
mod gzip_header;

pub mod encoding;
pub mod gzip;
pub mod inflate;

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;

pub use bad::BadRequest;
pub use content::{Body, Segment};
pub use events::{Done, Phase, Received, Sent};
pub use exchange::{DRAIN_BYTES_MAX, HttpConnection};
pub use framing::BodyKind;
pub use head::{HeaderError, RequestHead};
pub use response::{Response, reason};
pub use target::percent_decode;

/// What a request head may cost. Both limits answer with 431.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, request line and empty line included; the limit itself is fine.
    pub head_bytes_max: usize,
    /// Header lines of a head, at most [`HEADERS_CEILING`].
    pub headers_max: usize,
}

/// The most that [`Limits::headers_max`] can allow: the parser's table lives on the stack.
pub const HEADERS_CEILING: usize = 128;

impl Default for Limits {
    /// 12,288 bytes (`max_header_byte_size` 8,192 and the slack of 4,096 that Go gives; http-api.md),
    /// 100 header lines.
    fn default() -> Self {
        Self { head_bytes_max: 12_288, headers_max: 100 }
    }
}
