//! Bodies of the fuzz targets. They live here so that they compile with what they test; the tests run
//! them on samples and their mutations too. An assertion that fails is a finding.

use std::io::IoSlice;

use super::encoding::accepts_gzip;
use super::{Done, HttpConnection, Limits, Phase, Received, RequestHead, Response, Sent, percent_decode};

/// A request head: nothing panics, and what is accepted is sane.
pub fn head(data: &[u8]) {
    let mut input = data;
    let limits = Limits { head_bytes_max: 4096, headers_max: 32 };
    let mut connection = HttpConnection::new();
    if let Received::Head(head) = connection.receive(&mut input, &limits) {
        assert!(data.len() - input.len() <= limits.head_bytes_max + 2, "the limit holds");
        check_head(&head);
    }
}

/// A connection: the stream split at arbitrary places gives the same events and the same output as in
/// one piece. The first byte chooses how the caller behaves, the next seven where the stream is split.
pub fn exchange(data: &[u8]) {
    let Some((choices, stream)) = data.split_at_checked(8) else { return };
    let whole = run(&[stream], choices[0]);
    let mut pieces = Vec::new();
    let mut rest = stream;
    for length in choices[1..].iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let piece = rest.split_off(..rest.len().min(usize::from(*length % 32) + 1)).unwrap_or_default();
        pieces.push(piece);
    }
    let split = run(&pieces, choices[0]);
    assert!(whole == split, "splitting changed the events:\n{whole:?}\n{split:?}");
}

/// Accept-Encoding: one list or several lines mean the same, and a refusal wins.
pub fn accept_encoding(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let joined = lines.join(&b","[..]);
    assert_eq!(accepts_gzip(lines.iter().copied()), accepts_gzip([joined.as_slice()]));
    assert!(!accepts_gzip(lines.iter().copied().chain([&b"gzip;q=0"[..]])), "the refusal wins");
}

/// What a caller sees of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<Event>,
    output: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Head(String, String, Vec<u8>),
    /// Adjacent pieces as one.
    Body(Vec<u8>),
    End,
    Bad(u16),
    Close,
    Done(Done),
}

/// Behaviours of the caller, as bits of the first byte.
const ANSWER_EARLY: u8 = 1;
const SEND_CONTINUE: u8 = 2;
const SMALL_LIMITS: u8 = 4;

fn run(pieces: &[&[u8]], choices: u8) -> Seen {
    let limits = match choices & SMALL_LIMITS {
        0 => Limits::default(),
        _ => Limits { head_bytes_max: 128, headers_max: 4 },
    };
    let mut connection = HttpConnection::new();
    let mut seen = Seen::default();
    let mut kept = Vec::new();
    for piece in pieces {
        kept.extend_from_slice(piece);
        let mut input = kept.as_slice();
        while step(&mut connection, &mut input, &limits, choices, &mut seen) {}
        assert_eq!(connection.unsent_bytes(), 0, "everything given was written");
        kept = input.to_vec();
    }
    seen
}

/// One event; whether there may be another.
fn step(
    connection: &mut HttpConnection,
    input: &mut &[u8],
    limits: &Limits,
    choices: u8,
    seen: &mut Seen,
) -> bool {
    match connection.receive(input, limits) {
        Received::Pending => return false,
        Received::Head(head) => {
            check_head(&head);
            let headers = head.headers().flat_map(|(name, value)| [name.as_bytes(), value].concat());
            seen.events.push(Event::Head(head.method().into(), head.path().into(), headers.collect()));
            if choices & SEND_CONTINUE != 0 {
                connection.send_continue();
            }
            if choices & ANSWER_EARLY != 0 {
                connection.respond(Response::new(401, "early"));
            }
            write_out(connection, seen);
        }
        Received::Body(data) => {
            assert!(!data.is_empty(), "a piece has bytes");
            match seen.events.last_mut() {
                Some(Event::Body(body)) => body.extend_from_slice(data),
                _ => seen.events.push(Event::Body(data.to_vec())),
            }
        }
        Received::End => {
            seen.events.push(Event::End);
            connection.respond(Response::new(200, "done"));
            write_out(connection, seen);
        }
        Received::Bad(bad) => {
            seen.events.push(Event::Bad(bad.status()));
            connection.respond(Response::new(bad.status(), bad.to_string()));
            write_out(connection, seen);
            assert_eq!(connection.phase(), Phase::Closed, "a refused connection ends");
        }
        Received::Close => seen.events.push(Event::Close),
    }
    true
}

fn write_out(connection: &mut HttpConnection, seen: &mut Seen) {
    loop {
        let mut slices = [IoSlice::new(&[]); 2];
        let count = connection.output(&mut slices);
        let bytes: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        seen.output.extend(slices[..count].iter().flat_map(|slice| slice.iter()));
        match connection.sent(bytes) {
            Sent::More => {}
            Sent::Interim | Sent::Starved => return,
            Sent::Response(done) => return seen.events.push(Event::Done(done)),
        }
    }
}

fn check_head(head: &RequestHead) {
    assert!(head.path().starts_with('/') || head.path() == "*", "the path is one");
    assert!(!head.path().contains('?') && head.path().is_ascii(), "the path is a path");
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && name.is_ascii(), "names are tokens");
        assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)), "values stay in their line");
        assert!(head.header(name).any(|other| other == value), "headers are found by their name");
        let _ = head.single(name);
    }
    for segment in head.path().split('/') {
        let _ = percent_decode(segment);
    }
}
