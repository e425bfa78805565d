//! Why a request is refused before anybody looks at what it asks. Holds no connection state.

use thiserror::Error;

/// A request that cannot be served as HTTP/1.1. The connection is closed after the answer: where
/// framing is in doubt, what follows cannot be told apart from a second request (RFC 9112, 11.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRequest {
    /// A head over [`super::Limits::head_bytes_max`].
    #[error("the request head is too large")]
    HeadTooLarge,
    /// More header lines than [`super::Limits::headers_max`].
    #[error("the request has too many header lines")]
    TooManyHeaders,
    /// A control byte in the head; a TLS hello on a plain port ends here.
    #[error("control character in the request head")]
    ControlByte,
    /// CR without LF or LF without CR (RFC 9112, 2.2).
    #[error("a line must end in CR LF")]
    BareLineEnd,
    /// Not `method SP target SP version`, or more than one empty line before it (RFC 9112, 3).
    #[error("malformed request line")]
    RequestLine,
    /// A target in none of the four forms, or in one that the method does not allow (RFC 9112, 3.2).
    #[error("malformed request target")]
    Target,
    /// CONNECT: this server is no tunnel.
    #[error("CONNECT is not supported")]
    Connect,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("unsupported HTTP version")]
    Version,
    /// Space before the colon, folded line, empty name, bad byte (RFC 9112, 5).
    #[error("malformed header line")]
    HeaderLine,
    /// No `Host` on HTTP/1.1, several, or not a host (RFC 9112, 3.2).
    #[error("missing or malformed Host header")]
    Host,
    /// `Content-Length` repeated or not digits alone (RFC 9112, 6.3).
    #[error("malformed Content-Length header")]
    ContentLength,
    /// `Transfer-Encoding` on HTTP/1.0, empty, or with `chunked` twice or not last (RFC 9112, 6.1).
    #[error("malformed Transfer-Encoding header")]
    TransferEncoding,
    /// `Content-Length` together with `Transfer-Encoding` (RFC 9112, 6.3).
    #[error("Content-Length together with Transfer-Encoding")]
    LengthAndCoding,
    /// A transfer coding other than `chunked`.
    #[error("unsupported transfer coding")]
    UnknownCoding,
    /// An expectation other than `100-continue` (RFC 9110, 10.1.1).
    #[error("unsupported expectation")]
    Expectation,
    /// Chunk size or chunk end malformed (RFC 9112, 7.1).
    #[error("malformed chunk")]
    Chunk,
    /// Chunk extensions malformed or over their bound.
    #[error("chunk extensions malformed or too large")]
    ChunkExtension,
    /// Trailers malformed or over their bound.
    #[error("trailers malformed or too large")]
    Trailer,
}

impl BadRequest {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::Version => 505,
            Self::UnknownCoding | Self::Connect => 501,
            Self::Expectation => 417,
            _ => 400,
        }
    }
}
