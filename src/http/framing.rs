//! The headers that decide where a request ends and whether the connection stays: Host,
//! Content-Length, Transfer-Encoding, Connection, Expect. Where RFC 9112 leaves a choice between
//! repairing and refusing, this refuses: a repair is what request smuggling is made of.

use super::bad::BadRequest;
use super::target::is_authority;

/// How the length of a request body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// Neither Content-Length nor Transfer-Encoding: no body.
    None,
    /// So many bytes, possibly 0.
    Length(u64),
    /// Chunks until the last one.
    Chunked,
}

/// What the framing headers of a request say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) body: BodyKind,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
}

/// The framing headers seen so far; every header of a request passes through [`Collector::note`].
#[derive(Default)]
pub(super) struct Collector {
    host: bool,
    length: Option<u64>,
    codings: Codings,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Codings {
    #[default]
    None,
    /// `chunked` has not come yet, only codings that we do not know.
    Unknown,
    Chunked,
    /// `chunked` at the end, after a coding that we do not know.
    UnknownChunked,
}

impl Collector {
    pub(super) fn note(&mut self, name: &str, value: &[u8]) -> Result<(), BadRequest> {
        // by length first: most headers are none of these
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.host(value),
            6 if name.eq_ignore_ascii_case("expect") => self.expect(value),
            10 if name.eq_ignore_ascii_case("connection") => {
                self.connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case("content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// The verdict once all headers are noted. `minor_version` is 0 or 1.
    pub(super) fn finish(self, minor_version: u8) -> Result<Framing, BadRequest> {
        let modern = minor_version >= 1;
        if modern && !self.host {
            return Err(BadRequest::Host);
        }
        let body = match (self.codings, self.length) {
            (Codings::None, None) => BodyKind::None,
            (Codings::None, Some(length)) => BodyKind::Length(length),
            (_, Some(_)) => return Err(BadRequest::LengthAndCoding),
            (_, None) if !modern => return Err(BadRequest::TransferEncoding),
            (Codings::Unknown | Codings::UnknownChunked, None) => return Err(BadRequest::UnknownCoding),
            (Codings::Chunked, None) => BodyKind::Chunked,
        };
        Ok(Framing {
            body,
            keep_alive: !self.close && (modern || self.keep_alive),
            // a client of HTTP/1.0 does not wait, whatever it says (RFC 9110, 10.1.1)
            expects_continue: modern && self.expects_continue && has_bytes(body),
        })
    }

    fn host(&mut self, value: &[u8]) -> Result<(), BadRequest> {
        if std::mem::replace(&mut self.host, true) || !is_authority(value) {
            return Err(BadRequest::Host);
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), BadRequest> {
        let length = decimal(value).ok_or(BadRequest::ContentLength)?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(BadRequest::ContentLength),
        }
    }

    /// Several lines are one list (RFC 9110, 5.3).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), BadRequest> {
        for coding in list(value) {
            let chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.codings = match (&self.codings, chunked) {
                (Codings::Chunked | Codings::UnknownChunked, _) => return Err(BadRequest::TransferEncoding),
                _ if coding.is_empty() => return Err(BadRequest::TransferEncoding),
                (Codings::None, true) => Codings::Chunked,
                (Codings::Unknown, true) => Codings::UnknownChunked,
                (_, false) => Codings::Unknown,
            };
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), BadRequest> {
        if !list(value).all(|expectation| expectation.eq_ignore_ascii_case(b"100-continue")) {
            return Err(BadRequest::Expectation);
        }
        self.expects_continue = true;
        Ok(())
    }
}

fn has_bytes(body: BodyKind) -> bool {
    !matches!(body, BodyKind::None | BodyKind::Length(0))
}

/// The members of a comma-separated list without the space around them; no quoted commas here.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits and nothing else; neither sign nor space, nothing beyond 64 bits.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
