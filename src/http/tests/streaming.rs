//! Response bodies whose segments follow later.

use std::sync::Arc;

use super::*;

fn begin(request: &str, body: Body) -> (Peer, String, Sent) {
    let mut peer = Peer::new();
    peer.feed(request);
    let (head, sent) = peer.answer(Response::new(200, body));
    (peer, head, sent)
}

fn push(peer: &mut Peer, segment: &'static str) -> (String, Sent) {
    peer.connection.push(Segment::Static(segment.as_bytes()));
    peer.write()
}

#[test]
fn a_streamed_body_of_known_length_is_done_with_its_last_byte() {
    let (mut peer, head, sent) = begin(&get(""), Body::streamed(5));
    assert_eq!((head.as_str(), sent), ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Sent::Starved));
    assert_eq!(peer.connection.phase(), Phase::Sending);
    assert_eq!(push(&mut peer, "abc"), ("abc".into(), Sent::Starved));
    assert_eq!(push(&mut peer, "de"), ("de".into(), KEPT));
}

#[test]
fn a_streamed_body_of_length_zero_needs_no_push() {
    assert_eq!(begin(&get(""), Body::streamed(0)).2, KEPT);
}

#[test]
fn what_is_pushed_beyond_the_announced_length_is_cut() {
    let (mut peer, ..) = begin(&get(""), Body::streamed(3));
    peer.connection.push(Segment::Shared(Arc::from(&b"ab"[..])));
    peer.connection.push(Segment::Shared(Arc::from(&b"cde"[..])));
    peer.connection.push(Segment::Owned(b"f".to_vec()));
    assert_eq!(peer.write(), ("abc".into(), KEPT));
}

#[test]
fn a_streamed_body_that_ends_short_closes() {
    let (mut peer, ..) = begin(&get(""), Body::streamed(5));
    assert_eq!(push(&mut peer, "abc").1, Sent::Starved);
    assert_eq!(peer.connection.finish(), CLOSED);
    assert_eq!(peer.connection.phase(), Phase::Closed);
}

#[test]
fn a_body_of_unknown_length_is_chunked() {
    let (mut peer, head, sent) = begin(&get(""), Body::chunked());
    assert_eq!(head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(sent, Sent::Starved);
    assert_eq!(push(&mut peer, "0123456789").0, "a\r\n0123456789\r\n");
    assert_eq!(push(&mut peer, "").0, "", "an empty segment would end the body");
    assert_eq!(peer.connection.finish(), Sent::More);
    assert_eq!(peer.write(), ("0\r\n\r\n".into(), KEPT));
}

#[test]
fn our_own_chunks_are_read_by_our_own_reader() {
    let (mut peer, ..) = begin(&get(""), Body::chunked());
    peer.connection.push(Segment::Static(b"one "));
    peer.connection.push(Segment::Owned(vec![b'x'; 300]));
    peer.connection.finish();
    let (chunks, _) = peer.write();
    let mut reader = Peer::new();
    let events = reader.feed(post("Transfer-Encoding: chunked\r\n", &chunks));
    let expected = [Event::Body("one ".into()), Event::Body("x".repeat(300)), Event::End];
    assert_eq!(events[1..], expected);
}

#[test]
fn on_http_1_0_a_body_of_unknown_length_ends_with_the_connection() {
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let (mut peer, head, _) = begin(request, Body::chunked());
    assert_eq!(head, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    assert_eq!(push(&mut peer, "abc"), ("abc".into(), Sent::Starved));
    assert_eq!(peer.connection.finish(), CLOSED);
}

#[test]
fn head_is_done_without_a_push() {
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut peer, sent_head, sent) = begin(head, Body::streamed(5));
    assert_eq!((sent_head.as_str(), sent), ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", KEPT));
    peer.connection.push(Segment::Static(b"late"));
    assert_eq!(peer.write().0, "");
    assert_eq!(begin(head, Body::chunked()).2, KEPT);
}

#[test]
fn what_waits_can_be_bounded_by_the_caller() {
    let (mut peer, ..) = begin(&get(""), Body::streamed(1000));
    assert_eq!(peer.connection.unsent_bytes(), 0);
    peer.connection.push(Segment::Owned(vec![0; 100]));
    assert_eq!(peer.connection.unsent_bytes(), 100);
    assert_eq!(peer.connection.sent(30), Sent::More);
    assert_eq!(peer.connection.unsent_bytes(), 70);
}

#[test]
fn push_and_finish_without_a_response_do_nothing() {
    let mut peer = Peer::new();
    peer.connection.push(Segment::Static(b"x"));
    assert_eq!(peer.connection.finish(), Sent::Interim);
    assert_eq!(peer.connection.phase(), Phase::Idle);
}
