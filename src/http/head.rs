//! The request head: parsed once it is complete, kept in one buffer.

use std::mem::MaybeUninit;
use std::ops::Range;

use thiserror::Error;

use super::bad::BadRequest;
use super::framing::{BodyKind, Collector, Framing};
use super::target::Target;
use super::{HEADERS_CEILING, target};

/// A request head as sent. Three allocations, whatever the number of headers.
pub struct RequestHead {
    /// Request line and headers as they came.
    bytes: Box<[u8]>,
    headers: Box<[HeaderSpan]>,
    method_length: u32,
    path: Span,
    query: Option<Span>,
    minor_version: u8,
    framing: Framing,
}

/// Why [`RequestHead::single`] has no value to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// More than one line of this name.
    #[error("the header is repeated")]
    Repeated,
    /// Bytes that are not UTF-8.
    #[error("the header is not text")]
    NotText,
}

impl RequestHead {
    /// The method as sent; methods are case-sensitive.
    pub fn method(&self) -> &str {
        self.text(Span { start: 0, end: self.method_length })
    }

    /// The path as sent: neither decoded nor normalised, without the query. `*` for `OPTIONS *`.
    pub fn path(&self) -> &str {
        match self.text(self.path) {
            // http://host without a path
            "" => "/",
            path => path,
        }
    }

    /// What follows the first `?`, possibly nothing.
    pub fn query(&self) -> Option<&str> {
        self.query.map(|span| self.text(span))
    }

    /// The minor version: 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// How the body's length is told.
    pub fn body(&self) -> BodyKind {
        self.framing.body
    }

    /// The announced length of the body: 0 without one, `None` when it comes in chunks.
    pub fn content_length(&self) -> Option<u64> {
        match self.framing.body {
            BodyKind::None => Some(0),
            BodyKind::Length(length) => Some(length),
            BodyKind::Chunked => None,
        }
    }

    /// The client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.framing.expects_continue
    }

    /// The client wants to use the connection again.
    pub fn keep_alive(&self) -> bool {
        self.framing.keep_alive
    }

    /// The values of all lines of this name, in order, without the space around them. Names are
    /// compared without case.
    pub fn header<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.headers()
            .filter(move |(other, _)| other.len() == name.len() && other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of a header that may come once.
    ///
    /// # Errors
    /// Several lines of this name, or a value that is not UTF-8.
    pub fn single(&self, name: &str) -> Result<Option<&str>, HeaderError> {
        let mut values = self.headers().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let Some((_, value)) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(HeaderError::Repeated);
        }
        std::str::from_utf8(value).map(Some).map_err(|_| HeaderError::NotText)
    }

    /// All header lines in order: the name as sent, and the value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|header| (self.text(header.name), &self.bytes[header.value.range()]))
    }

    fn text(&self, span: Span) -> &str {
        // method, target and names were found to be ASCII when the head was parsed
        std::str::from_utf8(&self.bytes[span.range()]).unwrap_or_default()
    }
}

impl RequestHead {
    /// Parses a head that ends with its empty line, and takes its bytes if it is well-formed.
    pub(super) fn parse(head: &mut Vec<u8>, headers_max: usize) -> Result<Self, BadRequest> {
        let bytes = head.as_slice();
        let mut table = [const { MaybeUninit::uninit() }; HEADERS_CEILING];
        let table = &mut table[..headers_max.min(HEADERS_CEILING)];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, table) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            Ok(_) => return Err(BadRequest::RequestLine),
            Err(error) => return Err(reason_of(error, bytes)),
        }
        let (Some(method), Some(raw_target), Some(minor_version)) =
            (request.method, request.path, request.version)
        else {
            return Err(BadRequest::RequestLine);
        };
        let Target { path, query } = target::split(method, raw_target)?;
        let (headers, framing) = collect(bytes, request.headers, minor_version)?;
        let target_start = offset_in(bytes, raw_target.as_bytes());
        let method_length = method.len() as u32;
        let at_target = |range: Range<usize>| Span::new(target_start + range.start, range.len());
        let (path, query) = (at_target(path), query.map(at_target));
        let bytes = std::mem::take(head).into_boxed_slice();
        Ok(Self { headers, method_length, path, query, minor_version, framing, bytes })
    }
}

/// Where the headers lie, and what the framing ones among them say.
fn collect(
    bytes: &[u8],
    headers: &[httparse::Header<'_>],
    minor_version: u8,
) -> Result<(Box<[HeaderSpan]>, Framing), BadRequest> {
    let mut framing = Collector::default();
    let mut spans = Vec::with_capacity(headers.len());
    for header in headers {
        // the parser leaves out the space around a value
        framing.note(header.name, header.value)?;
        spans.push(HeaderSpan {
            name: Span::new(offset_in(bytes, header.name.as_bytes()), header.name.len()),
            value: Span::new(offset_in(bytes, header.value), header.value.len()),
        });
    }
    Ok((spans.into_boxed_slice(), framing.finish(minor_version)?))
}

fn reason_of(error: httparse::Error, bytes: &[u8]) -> BadRequest {
    match error {
        httparse::Error::TooManyHeaders => BadRequest::TooManyHeaders,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => BadRequest::HeaderLine,
        httparse::Error::Version if names_a_version(bytes) => BadRequest::Version,
        _ => BadRequest::RequestLine,
    }
}

/// Whether the request line has its three parts and the last is a version; then it is one that we do
/// not speak.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(_), Some([_, ..]), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Where `part`, a slice of `bytes`, begins in it.
fn offset_in(bytes: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize).min(bytes.len())
}

/// Four bytes an end: no head comes near 4 GiB.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, length: usize) -> Self {
        Self { start: start as u32, end: (start + length) as u32 }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

struct HeaderSpan {
    name: Span,
    value: Span,
}
