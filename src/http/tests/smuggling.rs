//! Known shapes of request smuggling: none may yield a second request.

use super::*;

/// The heads that come out, with each request answered at once.
fn heads(stream: &str) -> Vec<String> {
    let mut peer = Peer::new();
    let mut heads = Vec::new();
    let mut events = peer.feed(stream);
    while let Some(last) = events.last() {
        let status = if let Event::Bad(bad) = last { bad.status() } else { 200 };
        heads.extend(events.iter().filter_map(|event| match event {
            Event::Head(head) => Some(head.clone()),
            _ => None,
        }));
        peer.answer(Response::new(status, ""));
        events = peer.feed("");
    }
    heads
}

/// Framing lines that two parsers might read differently; `/evil` follows as body or as request.
fn smuggled(lines: &str, body: &str) -> Vec<String> {
    heads(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"))
}

#[test]
fn length_against_coding() {
    assert!(smuggled("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG").is_empty());
    assert!(smuggled("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\n").is_empty());
}

#[test]
fn coding_in_disguise() {
    for coding in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\x0bchunked",
        "X: x\nTransfer-Encoding: chunked",
        "X: x\rTransfer-Encoding: chunked",
        "Transfer-Encoding\r\n : chunked",
        "Transfer-Encoding: \r\n chunked",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked\0",
    ] {
        assert!(smuggled(&format!("{coding}\r\n"), "0\r\n\r\n").is_empty(), "{coding:?}");
        assert!(
            smuggled(&format!("Content-Length: 5\r\n{coding}\r\n"), "0\r\n\r\n").is_empty(),
            "{coding:?}"
        );
    }
}

#[test]
fn a_coding_header_under_another_name_is_no_framing() {
    // what is left is a request without a body, so the zero chunk is not a request line
    assert_eq!(smuggled("Transfer_Encoding: chunked\r\n", "0\r\n\r\n"), ["POST /"]);
}

#[test]
fn lengths_that_disagree() {
    assert!(smuggled("Content-Length: 0\r\nContent-Length: 44\r\n", "").is_empty());
    assert!(smuggled("Content-Length: 0, 44\r\n", "").is_empty());
    assert!(smuggled("Content-Length: +0\r\n", "").is_empty());
    assert!(smuggled("Content-Length: 0\x0b\r\n", "").is_empty());
}

#[test]
fn chunk_framing_that_disagrees() {
    for body in [
        "1;\nx\r\n0\r\n\r\n",
        "1\r\nxy0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        "1 x\r\nx\r\n0\r\n\r\n",
        "0\r\nX: y\n\r\n\r\n",
        "0\n\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "10000000000000001\r\nx\r\n0\r\n\r\n",
    ] {
        assert_eq!(smuggled("Transfer-Encoding: chunked\r\n", body), ["POST /"], "{body:?}");
    }
}

#[test]
fn a_request_in_a_body_stays_a_body() {
    let hidden = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    let stream = post(&format!("Content-Length: {}\r\n", hidden.len()), hidden) + &get("");
    assert_eq!(heads(&stream), ["POST /", "GET /"]);
}

#[test]
fn the_rest_of_a_refused_request_is_never_a_request() {
    assert!(heads(&(get("Content-Length: x\r\n") + &get(""))).is_empty());
}

#[test]
fn the_rest_of_a_body_answered_early_is_never_a_request() {
    let hidden = "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut peer = Peer::new();
    peer.feed(post(&format!("Content-Length: {}\r\n", hidden.len()), ""));
    assert_eq!(peer.answer(Response::new(401, "")).1, KEPT);
    assert_eq!(peer.feed(hidden.to_owned() + &get("")), [Event::Head("GET /".into()), Event::End]);
}

#[test]
fn a_body_that_was_waited_for_and_never_came_is_never_a_request() {
    let mut peer = Peer::new();
    peer.feed(post("Content-Length: 30\r\nExpect: 100-continue\r\n", ""));
    assert_eq!(peer.answer(Response::new(401, "")).1, LINGERING);
    assert_eq!(peer.feed(get("")), []);
}
