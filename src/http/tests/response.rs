//! Response heads and bodies as bytes.

use std::sync::Arc;

use super::*;

fn answer_to(request: &str, response: Response) -> String {
    let mut peer = Peer::new();
    peer.feed(request);
    peer.answer(response).0
}

#[test]
fn a_response_is_status_line_headers_length_and_body() {
    let response = Response::new(200, "{}").header("Content-Type", "application/json");
    let expected = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(answer_to(&get(""), response), expected);
}

#[test]
fn header_names_keep_their_case_and_order() {
    let response = Response::new(404, "").header("X-Request-Id", "a").header("b-C", String::from("d"));
    let expected = "HTTP/1.1 404 Not Found\r\nX-Request-Id: a\r\nb-C: d\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answer_to(&get(""), response), expected);
}

#[test]
fn a_value_cannot_end_its_line() {
    let response = Response::new(200, "").header("X-Request-Id", "a\r\nSet-Cookie: b\n\rc\0\u{7f}\td\u{e9}");
    let sent = answer_to(&get(""), response);
    assert!(sent.contains("X-Request-Id: a  Set-Cookie: b  c  \td\u{e9}\r\n"), "{sent}");
    assert_eq!(sent.matches("\r\n").count(), 4);
}

#[test]
fn framing_headers_of_the_caller_are_dropped() {
    let response = Response::new(200, "ok")
        .header("content-length", "5")
        .header("Transfer-Encoding", "chunked")
        .header("Connection", "upgrade");
    assert_eq!(answer_to(&get(""), response), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

#[test]
fn head_gets_the_length_without_the_body() {
    let sent = answer_to("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Response::new(200, "hello"));
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
}

#[test]
fn head_keeps_the_connection() {
    let mut peer = Peer::new();
    peer.feed("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(peer.answer(Response::new(200, "hello")).1, KEPT);
    peer.feed(get(""));
    assert!(peer.answer(Response::new(200, "hello")).0.ends_with("\r\n\r\nhello"), "a GET gets it again");
}

#[test]
fn statuses_without_a_body_have_neither_length_nor_body() {
    assert_eq!(answer_to(&get(""), Response::new(204, "x")), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(answer_to(&get(""), Response::new(304, "x")), "HTTP/1.1 304 Not Modified\r\n\r\n");
}

#[test]
fn an_empty_body_says_so() {
    assert_eq!(
        answer_to(&get(""), Response::new(405, Body::empty())),
        "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn an_unknown_status_has_no_reason() {
    assert!(answer_to(&get(""), Response::new(599, "")).starts_with("HTTP/1.1 599 \r\n"));
    assert_eq!(reason(431), "Request Header Fields Too Large");
}

#[test]
fn a_status_that_is_none_becomes_500() {
    for status in [0, 100, 101, 199, 1000, u16::MAX] {
        let sent = answer_to(&get(""), Response::new(status, ""));
        assert!(sent.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{status}: {sent}");
    }
}

#[test]
fn segments_are_sent_in_order_and_shared_ones_are_not_copied() {
    let shared: Arc<[u8]> = Arc::from(&b"shared"[..]);
    let mut peer = Peer::new();
    peer.feed(get(""));
    let segments = [
        Segment::Static(b"static "),
        Segment::Owned(Vec::new()),
        Segment::Shared(shared.clone()),
        Segment::Owned(b" owned".to_vec()),
    ];
    peer.connection.respond(Response::new(200, segments.into_iter().collect::<Body>()));
    let mut slices = [IoSlice::new(&[]); 8];
    assert_eq!(peer.connection.output(&mut slices), 4, "the head and three segments with bytes");
    assert!(std::ptr::eq(slices[2].as_ptr(), shared.as_ptr()));
    assert!(peer.write().0.ends_with("Content-Length: 19\r\n\r\nstatic shared owned"));
    assert_eq!(Arc::strong_count(&shared), 1, "given back");
}

#[test]
fn a_segment_is_given_back_as_soon_as_it_is_out() {
    let shared: Arc<[u8]> = Arc::from(&b"shared"[..]);
    let mut peer = Peer::new();
    peer.feed(get(""));
    let body: Body = [Segment::Shared(shared.clone()), Segment::Static(b"tail")].into_iter().collect();
    peer.connection.respond(Response::new(200, body));
    let before_tail = peer.connection.unsent_bytes() - 4;
    assert_eq!(peer.connection.sent(before_tail), Sent::More);
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn a_response_can_leave_byte_by_byte() {
    let mut peer = Peer::new();
    peer.feed(get(""));
    peer.connection.respond(Response::new(200, "hello"));
    let mut sent = Vec::new();
    loop {
        let mut slice = [IoSlice::new(&[])];
        assert_eq!(peer.connection.output(&mut slice), 1);
        sent.push(slice[0][0]);
        match peer.connection.sent(1) {
            Sent::More => {}
            last => break assert_eq!(last, KEPT),
        }
    }
    assert_eq!(sent, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

#[test]
fn output_fills_no_more_slices_than_it_is_given() {
    let mut peer = Peer::new();
    peer.feed(get(""));
    peer.connection.respond(Response::new(200, "hello"));
    assert_eq!(peer.connection.output(&mut []), 0);
    let mut slices = [IoSlice::new(&[])];
    assert_eq!(peer.connection.output(&mut slices), 1);
    assert!(slices[0].ends_with(b"\r\n\r\n"));
}

#[test]
fn nothing_is_to_be_written_before_a_response() {
    let mut peer = Peer::new();
    peer.feed(get(""));
    assert_eq!(peer.connection.output(&mut [IoSlice::new(&[])]), 0);
    assert_eq!(peer.connection.unsent_bytes(), 0);
}

#[test]
fn a_body_knows_its_length() {
    assert_eq!(Body::from(b"abc".to_vec()).len(), Some(3));
    assert_eq!(Body::from(String::from("abcd")).len(), Some(4));
    assert_eq!(Body::from(Arc::<[u8]>::from(&b"ab"[..])).len(), Some(2));
    assert_eq!(Body::streamed(9).len(), Some(9));
    assert_eq!(Body::chunked().len(), None);
    assert!(Body::from(Vec::new()).is_empty() && !Body::chunked().is_empty());
}
