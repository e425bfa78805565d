//! The response as the caller gives it, and its head as bytes. Framing headers are written here and
//! nowhere else: a `Content-Length`, `Transfer-Encoding` or `Connection` of the caller's is dropped.

use std::borrow::Cow;
use std::io::Write as _;

use super::content::Body;

/// A response. Content-Length, Transfer-Encoding and Connection are not among the headers: they
/// follow from the body and the connection. `Date` is a header like any other, the caller's.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200 to 999; anything else is sent as 500.
    pub status: u16,
    /// In order; names keep their case, control characters in values become spaces.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Left out on the wire for HEAD, 204 and 304.
    pub body: Body,
    /// Close the connection after this response even if the client would keep it.
    pub close: bool,
    /// The name of the error that it tells, for metrics; empty: its status says it all.
    error: &'static str,
}

impl Response {
    /// A response without headers of its own that keeps the connection.
    pub fn new(status: u16, body: impl Into<Body>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), close: false, error: "" }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Which tells the error of this name; not shown on the wire.
    #[must_use]
    pub fn telling(mut self, error: &'static str) -> Self {
        self.error = error;
        self
    }

    /// The name of the error that it tells, else the phrase of its status.
    pub fn error_name(&self) -> &'static str {
        if self.error.is_empty() { reason(self.status) } else { self.error }
    }

    /// The status line and headers of the answer after which another protocol is spoken on the connection (RFC 9110, 7.8), empty
    /// line included.
    pub fn switching_head(&self) -> Vec<u8> {
        let mut head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n".to_vec();
        write_headers(&mut head, self);
        head.extend_from_slice(b"\r\n");
        head
    }

    /// After which the connection is closed.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

/// How the body's end is told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// 204 and 304: the status says that there is no body.
    Absent,
    Length(u64),
    Chunked,
    /// HTTP/1.0 and no length: the body ends with the connection.
    UntilClose,
}

/// What the `Connection` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    Close,
    /// HTTP/1.1 keeps the connection unless told otherwise.
    Silent,
    /// HTTP/1.0 keeps it only when told so.
    KeepAlive,
}

/// The status line and all headers, empty line included.
pub(super) fn write_head(response: &Response, framing: Framing, persistence: Persistence) -> Vec<u8> {
    let length: usize = response.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut head = Vec::with_capacity(length + FRAMING_BYTES);
    let status = sendable(response.status);
    write_number(&mut head, b"HTTP/1.1 ", u64::from(status));
    head.push(b' ');
    head.extend_from_slice(reason(status).as_bytes());
    head.extend_from_slice(b"\r\n");
    write_headers(&mut head, response);
    match framing {
        Framing::Length(length) => {
            write_number(&mut head, b"Content-Length: ", length);
            head.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Absent | Framing::UntilClose => {}
    }
    head.extend_from_slice(match persistence {
        Persistence::Close => b"Connection: close\r\n\r\n".as_slice(),
        Persistence::KeepAlive => b"Connection: keep-alive\r\n\r\n",
        Persistence::Silent => b"\r\n",
    });
    head
}

fn write_headers(head: &mut Vec<u8>, response: &Response) {
    for (name, value) in response.headers.iter().filter(|(name, _)| !is_framing(name)) {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend(value.bytes().map(harmless));
        head.extend_from_slice(b"\r\n");
    }
}

/// Room for the status line, the framing headers and the empty line.
const FRAMING_BYTES: usize = 128;

/// The status as it is sent. Interim statuses are the connection's own business.
pub(super) fn sendable(status: u16) -> u16 {
    if (200..1000).contains(&status) { status } else { 500 }
}

/// Writing into a vector cannot fail.
fn write_number(head: &mut Vec<u8>, before: &[u8], number: u64) {
    head.extend_from_slice(before);
    let _ = write!(head, "{number}");
}

fn is_framing(name: &str) -> bool {
    ["content-length", "transfer-encoding", "connection"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// A value can never end its line, nor smuggle in a byte that a proxy might take for an end.
fn harmless(byte: u8) -> u8 {
    if byte.is_ascii_control() && byte != b'\t' { b' ' } else { byte }
}

/// The reason phrase of a status (RFC 9110, 15); empty for one that is not in the table.
pub fn reason(status: u16) -> &'static str {
    REASONS.iter().find(|(known, _)| *known == status).map_or("", |(_, reason)| reason)
}

const REASONS: &[(u16, &str)] = &[
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (204, "No Content"),
    (206, "Partial Content"),
    (304, "Not Modified"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    (426, "Upgrade Required"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (499, "Client Closed Request"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
    (507, "Insufficient Storage"),
];
