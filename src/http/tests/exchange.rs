//! Keep-alive, pipelining, early responses and how connections end.

use super::*;

fn ok() -> Response {
    Response::new(200, "ok")
}

#[test]
fn a_connection_is_used_again() {
    let mut peer = Peer::new();
    for _ in 0..3 {
        assert_eq!(peer.connection.phase(), Phase::Idle);
        assert_eq!(peer.feed(get("")), [Event::Head("GET /".into()), Event::End]);
        assert_eq!(peer.connection.phase(), Phase::Awaiting);
        peer.connection.respond(ok());
        assert_eq!(peer.connection.phase(), Phase::Sending);
        assert_eq!(peer.write().1, KEPT);
    }
}

#[test]
fn a_client_that_asks_for_the_close_gets_it() {
    let mut peer = Peer::new();
    peer.feed(get("Connection: close\r\n"));
    let (response, sent) = peer.answer(ok());
    assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    assert_eq!(sent, CLOSED);
    assert_eq!(peer.connection.phase(), Phase::Closed);
}

#[test]
fn a_response_may_close_on_its_own() {
    let mut peer = Peer::new();
    peer.feed(get(""));
    let (response, sent) = peer.answer(ok().closing());
    assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    assert_eq!(sent, CLOSED);
}

#[test]
fn http_1_0_is_told_that_the_connection_stays() {
    let mut peer = Peer::new();
    peer.feed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let (response, sent) = peer.answer(ok());
    assert!(response.contains("\r\nConnection: keep-alive\r\n"), "{response}");
    assert_eq!(sent, KEPT);
}

#[test]
fn http_1_0_is_closed_by_default() {
    let mut peer = Peer::new();
    peer.feed("GET /api/status HTTP/1.0\r\n\r\n");
    let (response, sent) = peer.answer(ok());
    assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    assert_eq!(sent, CLOSED);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut peer = Peer::new();
    let requests = ["/1", "/2", "/3"].map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(peer.feed(requests.concat()), [Event::Head("GET /1".into()), Event::End]);
    assert_eq!(peer.tail, requests[1..].concat().as_bytes(), "nothing is taken beyond the open exchange");
    assert_eq!(peer.answer(ok()).1, KEPT);
    assert_eq!(peer.feed(""), [Event::Head("GET /2".into()), Event::End]);
    assert_eq!(peer.answer(ok()).1, KEPT);
    assert_eq!(peer.feed(""), [Event::Head("GET /3".into()), Event::End]);
    assert_eq!(peer.tail, b"");
}

#[test]
fn nothing_is_taken_while_a_response_is_on_its_way() {
    let mut peer = Peer::new();
    peer.feed(get(""));
    peer.connection.respond(ok());
    assert_eq!(peer.feed(get("")), []);
    assert_eq!(peer.tail, get("").as_bytes());
}

#[test]
fn what_follows_a_closing_request_is_dropped() {
    let mut peer = Peer::new();
    peer.feed(get("Connection: close\r\n") + &get(""));
    assert_eq!(peer.answer(ok()).1, CLOSED);
    assert_eq!(peer.feed(get("")), []);
    assert_eq!(peer.tail, b"");
}

#[test]
fn an_early_response_drops_the_rest_of_a_small_body() {
    let mut peer = Peer::new();
    peer.feed(post("Content-Length: 6\r\n", "ab"));
    let (response, sent) = peer.answer(Response::new(401, ""));
    assert!(!response.contains("Connection"), "{response}");
    assert_eq!(sent, KEPT);
    assert_eq!(peer.connection.phase(), Phase::Draining);
    assert_eq!(peer.feed("cde"), [], "neither Body nor End after the response");
    assert_eq!(peer.feed(format!("f{}", get(""))), [Event::Head("GET /".into()), Event::End]);
    assert_eq!(peer.answer(ok()).1, KEPT);
}

#[test]
fn the_rest_is_dropped_while_the_early_response_is_on_its_way() {
    let mut peer = Peer::new();
    peer.feed(post("Content-Length: 2\r\n", ""));
    peer.connection.respond(Response::new(401, ""));
    assert_eq!(peer.feed(format!("{{}}{}", get(""))), []);
    assert_eq!(peer.tail, get("").as_bytes());
    assert_eq!(peer.write().1, KEPT);
    assert_eq!(peer.connection.phase(), Phase::Idle);
    assert_eq!(peer.feed(""), [Event::Head("GET /".into()), Event::End]);
}

#[test]
fn an_announced_rest_of_exactly_the_bound_is_dropped() {
    let mut peer = Peer::new();
    peer.feed(post(&format!("Content-Length: {DRAIN_BYTES_MAX}\r\n"), ""));
    assert_eq!(peer.answer(Response::new(413, "")).1, KEPT);
    assert_eq!(peer.feed("x".repeat(DRAIN_BYTES_MAX as usize)), []);
    assert_eq!(peer.connection.phase(), Phase::Idle);
}

#[test]
fn a_larger_announced_rest_closes() {
    let mut peer = Peer::new();
    peer.feed(post(&format!("Content-Length: {}\r\n", DRAIN_BYTES_MAX + 1), ""));
    let (response, sent) = peer.answer(Response::new(413, ""));
    assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    assert_eq!(sent, LINGERING);
    assert_eq!(peer.feed("x".repeat(1000)), []);
    assert_eq!(peer.tail, b"", "what lingers is dropped");
}

#[test]
fn the_rest_of_a_chunked_body_is_dropped_up_to_the_bound() {
    let mut peer = Peer::new();
    peer.feed(post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n"));
    assert_eq!(peer.answer(Response::new(401, "")).1, KEPT);
    assert_eq!(peer.feed("2\r\nde\r\n0\r\n\r\n"), []);
    assert_eq!(peer.connection.phase(), Phase::Idle);
}

#[test]
fn a_chunked_rest_beyond_the_bound_closes_after_the_response() {
    let mut peer = Peer::new();
    peer.feed(post("Transfer-Encoding: chunked\r\n", "ffffff\r\n"));
    assert_eq!(peer.answer(Response::new(401, "")).1, KEPT);
    assert_eq!(peer.feed("x".repeat(DRAIN_BYTES_MAX as usize)), []);
    assert_eq!(peer.feed("x"), [Event::Close]);
    assert_eq!(peer.connection.phase(), Phase::Closed);
}

#[test]
fn a_chunked_rest_beyond_the_bound_closes_with_the_response_on_its_way() {
    let mut peer = Peer::new();
    peer.feed(post("Transfer-Encoding: chunked\r\n", "ffffff\r\n"));
    peer.connection.respond(Response::new(401, ""));
    assert_eq!(peer.feed("x".repeat(DRAIN_BYTES_MAX as usize + 1)), []);
    assert_eq!(peer.write().1, LINGERING);
}

#[test]
fn a_malformed_rest_closes() {
    let mut peer = Peer::new();
    peer.feed(post("Transfer-Encoding: chunked\r\n", ""));
    assert_eq!(peer.answer(Response::new(401, "")).1, KEPT);
    assert_eq!(peer.feed("zz"), [Event::Close]);
}

#[test]
fn a_closing_early_response_lingers() {
    let mut peer = Peer::new();
    peer.feed(post("Content-Length: 6\r\n", "ab"));
    assert_eq!(peer.answer(Response::new(401, "").closing()).1, LINGERING);
}

#[test]
fn a_request_that_never_came_can_be_answered_and_closes() {
    let mut peer = Peer::new();
    peer.feed("GET / HT");
    assert_eq!(peer.connection.phase(), Phase::Head);
    let (response, sent) = peer.answer(Response::new(408, ""));
    assert!(response.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{response}");
    assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    assert_eq!(sent, LINGERING);
}

#[test]
fn a_request_that_comes_after_its_answer_is_dropped() {
    let mut peer = Peer::new();
    peer.feed("GET / HT");
    peer.connection.respond(Response::new(408, ""));
    assert_eq!(peer.feed("TP/1.1\r\nHost: a\r\n\r\n"), []);
    assert_eq!(peer.write().1, LINGERING);
}

#[test]
fn an_idle_connection_can_be_answered_and_closes() {
    let mut peer = Peer::new();
    assert_eq!(peer.answer(Response::new(429, "")).1, LINGERING);
}

#[test]
fn a_second_response_is_dropped() {
    let mut peer = Peer::new();
    peer.feed(get(""));
    peer.connection.respond(ok());
    peer.connection.respond(Response::new(500, "again"));
    let (response, _) = peer.write();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(!response.contains("again"), "{response}");
}

#[test]
fn a_response_after_the_end_is_dropped() {
    let mut peer = Peer::new();
    peer.feed(get("Connection: close\r\n"));
    peer.answer(ok());
    peer.connection.respond(ok());
    assert_eq!(peer.connection.output(&mut [IoSlice::new(&[])]), 0);
}

#[test]
fn after_a_refusal_input_is_dropped() {
    let mut peer = Peer::new();
    assert_eq!(peer.feed("GET / HTTP/1.1\n"), [Event::Bad(BadRequest::BareLineEnd)]);
    assert_eq!(peer.feed(get("")), []);
    assert_eq!(peer.tail, b"");
    assert_eq!(peer.connection.phase(), Phase::Awaiting);
}
