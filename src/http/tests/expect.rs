//! Expect: 100-continue (RFC 9110, 10.1.1).

use super::*;

const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const WAITING: &str = "Content-Length: 2\r\nExpect: 100-continue\r\n";

#[test]
fn a_waiting_client_is_told_to_continue_when_the_body_is_wanted() {
    let mut peer = Peer::new();
    assert_eq!(peer.feed(post(WAITING, "")), [Event::Head("POST /".into())]);
    assert_eq!(peer.write(), (String::new(), Sent::Interim));
    peer.connection.send_continue();
    assert_eq!(peer.write(), (INTERIM.into(), Sent::Interim));
    assert_eq!(peer.feed("{}"), [Event::Body("{}".into()), Event::End]);
    assert_eq!(peer.answer(Response::new(200, "")).1, KEPT);
}

#[test]
fn a_client_is_told_once() {
    let mut peer = Peer::new();
    peer.feed(post(WAITING, ""));
    peer.connection.send_continue();
    assert_eq!(peer.write().0, INTERIM);
    peer.connection.send_continue();
    assert_eq!(peer.write().0, "");
}

#[test]
fn a_client_that_does_not_wait_is_not_told() {
    let mut peer = Peer::new();
    peer.feed(post("Content-Length: 2\r\n", ""));
    peer.connection.send_continue();
    assert_eq!(peer.write().0, "");
}

#[test]
fn a_client_that_sent_some_of_the_body_already_is_not_told() {
    let mut peer = Peer::new();
    peer.feed(post(WAITING, "{"));
    peer.connection.send_continue();
    assert_eq!(peer.write().0, "");
}

#[test]
fn a_request_without_a_body_does_not_wait() {
    assert!(!accepted(get("Expect: 100-continue\r\n")).expects_continue());
    assert!(!accepted(get("Content-Length: 0\r\nExpect: 100-continue\r\n")).expects_continue());
}

#[test]
fn a_chunked_request_may_wait() {
    assert!(accepted(get("Transfer-Encoding: chunked\r\nExpect: 100-Continue\r\n")).expects_continue());
}

#[test]
fn http_1_0_never_waits() {
    let head = accepted("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert!(!head.expects_continue());
}

#[test]
fn other_expectations_are_417() {
    for value in ["200-ok", "100-continue, x", "", "100-continue;a"] {
        assert_eq!(refused(get(&format!("Expect: {value}\r\n"))), BadRequest::Expectation, "{value:?}");
    }
    assert_eq!(BadRequest::Expectation.status(), 417);
}

#[test]
fn an_early_response_to_a_client_never_told_closes() {
    let mut peer = Peer::new();
    peer.feed(post(WAITING, ""));
    let (response, sent) = peer.answer(Response::new(401, ""));
    assert!(response.starts_with("HTTP/1.1 401 "), "no interim response before it: {response}");
    assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    assert_eq!(sent, LINGERING);
}

#[test]
fn an_early_response_to_a_client_that_was_told_keeps_the_connection() {
    let mut peer = Peer::new();
    peer.feed(post(WAITING, ""));
    peer.connection.send_continue();
    peer.write();
    assert_eq!(peer.answer(Response::new(413, "")).1, KEPT);
    assert_eq!(peer.feed(format!("{{}}{}", get(""))), [Event::Head("GET /".into()), Event::End]);
}

#[test]
fn an_interim_response_goes_before_the_response_even_in_parts() {
    let mut peer = Peer::new();
    peer.feed(post(WAITING, ""));
    peer.connection.send_continue();
    assert_eq!(peer.connection.sent(10), Sent::More);
    assert_eq!(peer.connection.unsent_bytes(), INTERIM.len() - 10);
    peer.connection.respond(Response::new(413, ""));
    let (rest, sent) = peer.write();
    assert!(rest.starts_with(&format!("{}HTTP/1.1 413 ", &INTERIM[10..])), "{rest}");
    assert_eq!(sent, KEPT);
}

#[test]
fn an_interim_response_needs_a_slice() {
    let mut peer = Peer::new();
    peer.feed(post(WAITING, ""));
    peer.connection.send_continue();
    assert_eq!(peer.connection.output(&mut []), 0);
}
