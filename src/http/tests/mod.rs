//! A file per state and per rule; `Peer` walks a connection to any state.

mod body;
mod encoding;
mod exchange;
mod expect;
mod framing;
mod fuzzing;
mod head;
mod inflate;
mod lines;
mod response;
mod smuggling;
mod splitting;
mod streaming;
mod target;

use std::io::IoSlice;

use super::*;

/// A connection with the caller's part played: keeps the tail that was not taken, collects events.
struct Peer {
    connection: HttpConnection,
    limits: Limits,
    tail: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Head(String),
    Body(String),
    End,
    Bad(BadRequest),
    Close,
}

impl Peer {
    fn new() -> Self {
        Self { connection: HttpConnection::new(), limits: Limits::default(), tail: Vec::new() }
    }

    /// Events until nothing more can be taken; a head shows as `METHOD path`.
    fn feed(&mut self, bytes: impl AsRef<[u8]>) -> Vec<Event> {
        self.tail.extend_from_slice(bytes.as_ref());
        let tail = std::mem::take(&mut self.tail);
        let mut input = tail.as_slice();
        let mut events = Vec::new();
        loop {
            events.push(match self.connection.receive(&mut input, &self.limits) {
                Received::Pending => break,
                Received::Head(head) => Event::Head(format!("{} {}", head.method(), head.path())),
                Received::Body(data) => Event::Body(String::from_utf8(data.to_vec()).unwrap()),
                Received::End => Event::End,
                Received::Bad(bad) => Event::Bad(bad),
                Received::Close => Event::Close,
            });
        }
        self.tail = input.to_vec();
        events
    }

    /// Writes all that is to be written; the bytes and the last report.
    fn write(&mut self) -> (String, Sent) {
        let mut written = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = self.connection.output(&mut slices);
            let before = written.len();
            slices[..count].iter().for_each(|slice| written.extend_from_slice(slice));
            let sent = self.connection.sent(written.len() - before);
            if sent != Sent::More {
                return (String::from_utf8(written).unwrap(), sent);
            }
        }
    }

    /// Answers and writes.
    fn answer(&mut self, response: Response) -> (String, Sent) {
        self.connection.respond(response);
        self.write()
    }
}

const KEPT: Sent = Sent::Response(Done::KeepAlive);
const CLOSED: Sent = Sent::Response(Done::Close { lingering: false });
const LINGERING: Sent = Sent::Response(Done::Close { lingering: true });

/// The head of a request that must be accepted.
fn accepted(request: impl AsRef<[u8]>) -> Box<RequestHead> {
    match HttpConnection::new().receive(&mut request.as_ref(), &Limits::default()) {
        Received::Head(head) => head,
        other => panic!("not accepted: {other:?}"),
    }
}

/// Why a request is refused, which must be a reason of its head or body framing; its answer closes.
fn refused(request: impl AsRef<[u8]>) -> BadRequest {
    let mut peer = Peer::new();
    let events = peer.feed(request);
    let Some(Event::Bad(bad)) = events.last() else { panic!("not refused: {events:?}") };
    let (response, sent) = peer.answer(Response::new(bad.status(), "refused"));
    assert!(response.contains("Connection: close\r\n"), "{response}");
    assert_eq!(sent, LINGERING);
    assert_eq!(peer.connection.phase(), Phase::Closed);
    *bad
}

/// `GET /` with these further lines, each ended by the caller.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// `POST /` with these further lines and a body.
fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}")
}
