//! Request bodies: by length and in chunks.

use super::*;
use crate::http::chunked::{EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// The body of a chunked request that must be accepted, its pieces joined.
fn unchunked(body: &str) -> String {
    let mut peer = Peer::new();
    let events = peer.feed(post(CHUNKED, body));
    assert_eq!(events.last(), Some(&Event::End), "{events:?}");
    assert_eq!(peer.tail, b"");
    let pieces = events.into_iter().filter_map(|event| match event {
        Event::Body(piece) => Some(piece),
        _ => None,
    });
    pieces.collect()
}

fn bad_chunks(body: &str) -> BadRequest {
    refused(post(CHUNKED, body))
}

#[test]
fn a_body_by_length_ends_after_it() {
    let mut peer = Peer::new();
    let events = peer.feed(post("Content-Length: 2\r\n", "{}GET"));
    assert_eq!(events, [Event::Head("POST /".into()), Event::Body("{}".into()), Event::End]);
    assert_eq!(peer.tail, b"GET");
}

#[test]
fn a_body_of_length_zero_ends_at_once() {
    let mut peer = Peer::new();
    let events = peer.feed(post("Content-Length: 0\r\n", ""));
    assert_eq!(events, [Event::Head("POST /".into()), Event::End]);
}

#[test]
fn a_body_comes_in_the_pieces_it_arrives_in() {
    let mut peer = Peer::new();
    peer.feed(post("Content-Length: 3\r\n", ""));
    assert_eq!(peer.connection.phase(), Phase::Body);
    assert_eq!(peer.feed("a"), [Event::Body("a".into())]);
    assert_eq!(peer.feed("bc"), [Event::Body("bc".into()), Event::End]);
    assert_eq!(peer.connection.phase(), Phase::Awaiting);
}

#[test]
fn content_coding_is_not_touched() {
    let mut peer = Peer::new();
    let events = peer.feed(post("Content-Encoding: gzip\r\nContent-Length: 3\r\n", "abc"));
    assert_eq!(events[1], Event::Body("abc".into()));
}

#[test]
fn chunks_are_joined() {
    assert_eq!(unchunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde");
}

#[test]
fn an_empty_chunked_body_has_no_piece() {
    assert_eq!(unchunked("0\r\n\r\n"), "");
    assert_eq!(unchunked("000\r\n\r\n"), "");
}

#[test]
fn chunk_sizes_are_hexadecimal_in_either_case() {
    let data = "x".repeat(0x1a);
    assert_eq!(
        unchunked(&format!("1a\r\n{data}\r\n1A\r\n{data}\r\n00001a\r\n{data}\r\n0\r\n\r\n")).len(),
        78
    );
}

#[test]
fn odd_chunk_sizes_are_refused() {
    for size in ["", "g", "+1", "-1", "0x1", " 1", "1 ", "1\t", "1 1", "1.", "1,", "\u{661}"] {
        let bad = bad_chunks(&format!("{size}\r\na\r\n0\r\n\r\n"));
        assert_eq!(bad.status(), 400, "{size:?}");
        assert_eq!(bad, BadRequest::Chunk, "{size:?}");
    }
}

#[test]
fn chunk_sizes_that_overflow_are_refused() {
    assert_eq!(bad_chunks("fffffffffffffffff\r\n"), BadRequest::Chunk);
    assert_eq!(bad_chunks("0000000000000001\r\n"), BadRequest::Chunk);
}

#[test]
fn bare_line_ends_within_the_framing_are_refused() {
    for body in ["1\na\r\n0\r\n\r\n", "1\ra\r\n0\r\n\r\n", "1\r\na\n0\r\n\r\n", "1\r\na\r0\r\n\r\n"] {
        assert_eq!(bad_chunks(body), BadRequest::Chunk, "{body:?}");
    }
    for body in ["0\n\r\n", "0\r\n\rX"] {
        assert_eq!(bad_chunks(body), BadRequest::Chunk, "{body:?}");
    }
    assert_eq!(bad_chunks("0\r\n\n"), BadRequest::Trailer);
}

#[test]
fn a_chunk_longer_than_its_size_is_refused() {
    assert_eq!(bad_chunks("1\r\nab\r\n0\r\n\r\n"), BadRequest::Chunk);
    assert_eq!(bad_chunks("1\r\nab\n0\r\n\r\n"), BadRequest::Chunk);
}

#[test]
fn chunk_extensions_are_dropped() {
    assert_eq!(unchunked("1;a\r\nx\r\n1 ; a=\"b;c\"\t\r\ny\r\n0;last\r\n\r\n"), "xy");
}

#[test]
fn bare_line_ends_within_an_extension_are_refused() {
    assert_eq!(bad_chunks("1;a\nx\r\n0\r\n\r\n"), BadRequest::ChunkExtension);
    assert_eq!(bad_chunks("1;a\rx\r\n0\r\n\r\n"), BadRequest::Chunk);
    assert_eq!(bad_chunks("1;a\0\r\nx\r\n0\r\n\r\n"), BadRequest::ChunkExtension);
}

#[test]
fn chunk_extensions_are_bounded_over_the_whole_body() {
    let fits = format!(";{}", "x".repeat(usize::from(EXTENSION_BYTES_MAX) / 2 - 1));
    assert_eq!(unchunked(&format!("1{fits}\r\na\r\n1{fits}\r\nb\r\n0\r\n\r\n")), "ab");
    let over = bad_chunks(&format!("1{fits}\r\na\r\n1{fits}\r\nb\r\n0;\r\n\r\n"));
    assert_eq!(over, BadRequest::ChunkExtension);
}

#[test]
fn trailers_are_dropped() {
    assert_eq!(unchunked("1\r\na\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nEmpty:\r\n\r\n"), "a");
}

#[test]
fn malformed_trailers_are_refused() {
    for trailer in ["X\r\n", "X : y\r\n", ": y\r\n", " X: y\r\n", "X: y\n", "X: a\0\r\n", "X: y\r\n z\r\n"] {
        let bad = bad_chunks(&format!("0\r\n{trailer}\r\n"));
        assert_eq!(bad, BadRequest::Trailer, "{trailer:?}");
    }
    assert_eq!(bad_chunks("0\r\nX: a\rb\r\n\r\n"), BadRequest::Chunk);
}

#[test]
fn trailers_are_bounded_together() {
    // the name, the colon, the value and the CR count
    let line = |bytes: u16| format!("X:{}\r\n", "x".repeat(usize::from(bytes) - 3));
    let half = line(TRAILER_BYTES_MAX / 2);
    assert_eq!(unchunked(&format!("0\r\n{half}{half}\r\n")), "");
    assert_eq!(bad_chunks(&format!("0\r\n{half}{half}X:\r\n\r\n")), BadRequest::Trailer);
}

#[test]
fn a_malformed_chunk_after_good_ones_still_refuses_the_request() {
    let mut peer = Peer::new();
    let events = peer.feed(post(CHUNKED, "1\r\na\r\nz"));
    assert_eq!(
        events,
        [Event::Head("POST /".into()), Event::Body("a".into()), Event::Bad(BadRequest::Chunk)]
    );
    assert_eq!(peer.connection.phase(), Phase::Awaiting);
}
