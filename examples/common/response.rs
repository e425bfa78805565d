//! HTTP/1.1 responses out of bytes as they come. Opens nothing, waits for nothing.

use std::{borrow::Cow, io::Read};

use flate2::read::GzDecoder;

/// A head longer than this is refused.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A body longer than this, on the wire or inflated, is refused.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
const HEADERS_MAX: usize = 64;

/// A complete response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// `Content-Encoding: gzip`.
    pub(crate) gzip: bool,
    /// The server closes the connection after this response.
    pub(crate) close: bool,
    /// As it came, still compressed if `gzip`.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body, inflated if need be; its checksum is checked.
    pub(crate) fn text(&self) -> Result<Cow<'_, [u8]>, String> {
        if !self.gzip {
            return Ok(Cow::Borrowed(&self.body));
        }
        let mut text = Vec::with_capacity(self.body.len() * 4);
        let mut inflating = GzDecoder::new(&*self.body).take(BODY_BYTES_MAX as u64);
        inflating.read_to_end(&mut text).map_err(|error| format!("gzip: {error}"))?;
        Ok(Cow::Owned(text))
    }
}

/// The bytes of responses, gathered until one is complete.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    bytes: Vec<u8>,
    framed: Option<Framed>,
}

#[derive(Debug)]
struct Framed {
    status: u16,
    gzip: bool,
    close: bool,
    head_bytes: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Sized(usize),
    Chunked { decoded: Vec<u8>, at: usize },
}

impl ResponseReader {
    /// Where received bytes go.
    pub(crate) fn sink(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The next response once it is complete; the error says what is wrong with the bytes.
    pub(crate) fn take(&mut self) -> Result<Option<Response>, String> {
        if self.framed.is_none() {
            self.framed = parse_head(&mut self.bytes)?;
        }
        let Some(framed) = &mut self.framed else { return Ok(None) };
        let end = match &mut framed.body {
            Body::Sized(length) => {
                (self.bytes.len() - framed.head_bytes >= *length).then_some(framed.head_bytes + *length)
            }
            Body::Chunked { decoded, at } => decode_chunks(&self.bytes, at, decoded)?.then_some(*at),
        };
        let Some(end) = end else { return Ok(None) };
        Ok(self.framed.take().map(|framed| self.finish(framed, end)))
    }

    fn finish(&mut self, framed: Framed, end: usize) -> Response {
        let rest = self.bytes.split_off(end);
        let mut whole = std::mem::replace(&mut self.bytes, rest);
        let body = match framed.body {
            Body::Sized(_) => {
                whole.drain(..framed.head_bytes);
                whole
            }
            Body::Chunked { decoded, .. } => decoded,
        };
        Response { status: framed.status, gzip: framed.gzip, close: framed.close, body }
    }
}

/// Reads a head; interim responses (1xx) are dropped from `bytes`.
fn parse_head(bytes: &mut Vec<u8>) -> Result<Option<Framed>, String> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let head_bytes = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() > HEAD_BYTES_MAX => {
                return Err("the response's head is too long".to_owned());
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("response: {error}")),
        };
        let status = response.code.unwrap_or_default();
        if (100..200).contains(&status) {
            bytes.drain(..head_bytes);
            continue;
        }
        return frame(status, head_bytes, response.version == Some(0), response.headers).map(Some);
    }
}

fn frame(
    status: u16,
    head_bytes: usize,
    version_1_0: bool,
    headers: &[httparse::Header<'_>],
) -> Result<Framed, String> {
    let mut framed =
        Framed { status, gzip: false, close: version_1_0, head_bytes, body: Body::Sized(usize::MAX) };
    for header in headers {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().ok().filter(|&length| length <= BODY_BYTES_MAX);
            framed.body = Body::Sized(length.ok_or("response: bad Content-Length")?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(format!("response: Transfer-Encoding {value}"));
            }
            framed.body = Body::Chunked { decoded: Vec::new(), at: head_bytes };
        } else if header.name.eq_ignore_ascii_case("content-encoding") {
            framed.gzip = value.eq_ignore_ascii_case("gzip");
        } else if header.name.eq_ignore_ascii_case("connection") {
            framed.close |= value.eq_ignore_ascii_case("close");
        }
    }
    if status == 204 || status == 304 {
        framed.body = Body::Sized(0);
    }
    if matches!(framed.body, Body::Sized(usize::MAX)) {
        return Err("response: neither Content-Length nor chunked".to_owned());
    }
    Ok(framed)
}

/// Takes complete chunks; true once the last one and its trailers are there.
fn decode_chunks(bytes: &[u8], at: &mut usize, decoded: &mut Vec<u8>) -> Result<bool, String> {
    loop {
        let rest = bytes.get(*at..).unwrap_or_default();
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((start, size))) => {
                (start, usize::try_from(size).unwrap_or(usize::MAX))
            }
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(_) => return Err("response: bad chunk size".to_owned()),
        };
        if size == 0 {
            return Ok(end_of_trailers(rest, start).inspect(|end| *at += end).is_some());
        }
        if size > BODY_BYTES_MAX - decoded.len() {
            return Err("response: body too long".to_owned());
        }
        let Some(chunk) = rest.get(start..start + size + 2) else { return Ok(false) };
        let Some(data) = chunk.strip_suffix(b"\r\n") else {
            return Err("response: chunk without end".to_owned());
        };
        decoded.extend_from_slice(data);
        *at += start + size + 2;
    }
}

/// Behind the empty line that ends the trailers, which start at `start`.
fn end_of_trailers(rest: &[u8], start: usize) -> Option<usize> {
    let trailers = &rest[start..];
    if trailers.starts_with(b"\r\n") {
        return Some(start + 2);
    }
    trailers.windows(4).position(|window| window == b"\r\n\r\n").map(|found| start + found + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` byte by byte; the response must be complete with the last one, not before.
    fn read(wire: &[u8]) -> Response {
        let mut reader = ResponseReader::default();
        for (place, byte) in wire.iter().enumerate() {
            reader.sink().push(*byte);
            if let Some(response) = reader.take().unwrap() {
                assert_eq!(place + 1, wire.len());
                return response;
            }
        }
        panic!("not complete");
    }

    #[test]
    fn sized_body_is_complete_with_its_last_byte() {
        let response = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!((response.status, &*response.body), (200, &b"hello"[..]));
    }

    #[test]
    fn chunks_are_joined_and_trailers_dropped() {
        let response = read(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n",
        );
        assert_eq!(response.body, b"hello");
    }

    #[test]
    fn interim_responses_are_passed_over() {
        let response = read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(response.status, 429);
    }

    #[test]
    fn pipelined_rest_stays_for_the_next_response() {
        let one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
        let mut reader = ResponseReader::default();
        reader.sink().extend_from_slice(&[&one[..], &one[..]].concat());
        assert!(reader.take().unwrap().is_some() && reader.take().unwrap().is_some());
        assert!(reader.take().unwrap().is_none());
    }

    #[test]
    fn body_without_an_announced_end_is_refused() {
        let mut reader = ResponseReader::default();
        reader.sink().extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
        assert!(reader.take().is_err());
    }

    #[test]
    fn chunk_size_beyond_all_measure_is_refused() {
        let mut reader = ResponseReader::default();
        reader
            .sink()
            .extend_from_slice(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n");
        assert!(reader.take().is_err());
    }
}
