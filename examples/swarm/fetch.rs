//! Many downloads of one file in one loop: bodies are counted and dropped, so that the client's memory and work hide
//! nothing of the server's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustls::{ClientConfig, pki_types::ServerName};

use crate::failure::Failure;
use crate::tally::{Tally, Times};
use crate::transport::{Peer, Transport};

/// Bytes of a response's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 32;
const SCRATCH_BYTES: usize = 256 * 1024;
const EVENTS_MAX: usize = 1_024;
/// One body in so many is received even where the others are dropped.
const LOOKED_AT_EVERY: usize = 100;
/// What TLS may have taken from the socket and holds back: a record that is not whole.
const RECORD_BYTES_MAX: u64 = 16_384 + 256 + 5;
/// The loop looks at the clock at least so often.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// What is fetched, and from where.
pub(crate) struct Source {
    pub(crate) address: SocketAddr,
    /// None: plain HTTP.
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// What becomes of the bodies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Each is received, and decrypted.
    Received,
    /// But for one in 100 the kernel drops them unread, so that the client takes nearly nothing of the machine from the server.
    Dropped,
}

/// One download: a request that closes the connection behind it, and how far its answer is.
struct Download {
    transport: Transport,
    /// What came of the head so far; given back when that is complete.
    head: Vec<u8>,
    /// Bytes of the body that are still to come; `None` before the head is complete.
    left: Option<u64>,
    bodies: Bodies,
}

/// What the downloads came to.
#[derive(Default)]
pub(crate) struct Fetched {
    pub(crate) tally: Tally,
    /// From the start of all to the last byte of each.
    pub(crate) times: Times,
    pub(crate) body_bytes: u64,
}

/// Makes all `requests` at once, each from a source address of its own, and drops what comes, until all have ended or
/// `deadline` has come. `first` is the number of the first.
pub(crate) fn fetch(
    source: &Source,
    requests: Vec<Vec<u8>>,
    first: usize,
    bodies: Bodies,
    deadline: Instant,
) -> io::Result<Fetched> {
    let started = Instant::now();
    let mut poll = Poll::new()?;
    let mut downloads: Vec<Option<Download>> = Vec::new();
    for (place, request) in requests.into_iter().enumerate() {
        let is_received = (first + place).is_multiple_of(LOOKED_AT_EVERY);
        let bodies = if is_received { Bodies::Received } else { bodies };
        let transport = begin(source, request, first + place, Token(place), &poll)?;
        downloads.push(Some(Download { transport, head: Vec::new(), left: None, bodies }));
    }
    let (mut fetched, mut under_way) = (Fetched::default(), downloads.len());
    let (mut events, mut scratch) = (Events::with_capacity(EVENTS_MAX), vec![0; SCRATCH_BYTES]);
    let mut plain = Vec::new();
    while under_way > 0 && Instant::now() < deadline {
        match poll.poll(&mut events, Some(WAIT_MAX)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let Some(place) = downloads.get_mut(event.token().0) else { continue };
            let Some(download) = place else { continue };
            match download.visit(&mut scratch, &mut plain, &mut fetched.body_bytes) {
                Ok(false) => {}
                Ok(true) => {
                    fetched.times.note(started.elapsed());
                    fetched.tally.answers += 1;
                    *place = None;
                    under_way -= 1;
                }
                Err(failure) => {
                    fetched.tally.failed(&failure);
                    fetched.tally.lost += 1;
                    *place = None;
                    under_way -= 1;
                }
            }
        }
    }
    fetched.tally.lost += under_way as u64;
    Ok(fetched)
}

/// Connects from the address of agent `index`, and is about to send the request.
fn begin(
    source: &Source,
    request: Vec<u8>,
    index: usize,
    token: Token,
    poll: &Poll,
) -> io::Result<Transport> {
    let tls = source.tls.as_ref().map(|(config, name)| (config, name));
    let mut transport = Transport::open(source.address, index, tls)?;
    transport.queue(request)?;
    poll.registry().register(transport.socket(), token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(transport)
}

impl Download {
    /// Sends and receives what is possible now; true once the body is complete.
    fn visit(
        &mut self,
        scratch: &mut [u8],
        plain: &mut Vec<u8>,
        body_bytes: &mut u64,
    ) -> Result<bool, Failure> {
        let failed = |error: io::Error| Failure::connection(&error);
        self.transport.flush().map_err(failed)?;
        loop {
            if let (Some(left), Bodies::Dropped) = (&mut self.left, self.bodies) {
                return drop_some(&mut self.transport, scratch, left, body_bytes);
            }
            plain.clear();
            let peer = self.transport.receive_once(scratch, plain).map_err(failed)?;
            if self.take(plain, body_bytes)? {
                return Ok(true);
            }
            match peer {
                None => break,
                Some(Peer::Closed) => return Err(Failure::answer("the connection ended early")),
                Some(Peer::Open) => {}
            }
        }
        // what was received may have finished the handshake, which lets the request go
        self.transport.flush().map_err(failed)?;
        Ok(false)
    }

    fn take(&mut self, plain: &[u8], body_bytes: &mut u64) -> Result<bool, Failure> {
        let mut rest = plain;
        let left = match &mut self.left {
            Some(left) => left,
            None => {
                self.head.extend_from_slice(rest);
                let Some((length, head_bytes)) = head(&self.head)? else { return Ok(false) };
                let of_body = self.head.len() - head_bytes;
                rest = &rest[rest.len() - of_body..];
                self.head = Vec::new();
                self.left.insert(length)
            }
        };
        let count = rest.len() as u64;
        *left = left.checked_sub(count).ok_or_else(|| Failure::answer("more came than was announced"))?;
        *body_bytes += count;
        Ok(*left == 0)
    }
}

/// Lets the kernel drop what has come; true once that was the whole body. Over TLS it is ciphertext that is counted, and the
/// end of the connection that ends it.
fn drop_some(
    transport: &mut Transport,
    scratch: &mut [u8],
    left: &mut u64,
    body_bytes: &mut u64,
) -> Result<bool, Failure> {
    let is_plain = matches!(transport, Transport::Plain { .. });
    while let Some(count) = transport.discard_once(scratch).map_err(|error| Failure::connection(&error))? {
        let of_body = (count as u64).min(*left);
        *left -= of_body;
        *body_bytes += of_body;
        if is_plain && *left == 0 {
            return Ok(true);
        }
        if count == 0 {
            let held = if is_plain { 0 } else { RECORD_BYTES_MAX };
            let short = Failure::answer("the connection ended early");
            return if *left > held { Err(short) } else { Ok(true) };
        }
    }
    Ok(false)
}

/// Length of the body and of the head, once that is complete.
fn head(bytes: &[u8]) -> Result<Option<(u64, usize)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|error| Failure::answer(&error.to_string()))?;
    let httparse::Status::Complete(head_bytes) = parsed else {
        let fits = bytes.len() <= HEAD_BYTES_MAX;
        return if fits { Ok(None) } else { Err(Failure::answer("the response's head is too long")) };
    };
    let status = response.code.unwrap_or_default();
    if status != 200 {
        return Err(Failure::status(status, &bytes[head_bytes..]));
    }
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    let length = length.ok_or_else(|| Failure::answer("no Content-Length"))?;
    Ok(Some((length, head_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_where_the_body_begins_and_how_long_it_is() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel";
        assert_eq!(head(bytes).unwrap(), Some((5, bytes.len() - 3)));
        assert!(head(&bytes[..20]).unwrap().is_none());
        assert!(head(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
