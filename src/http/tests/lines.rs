//! Lines and their ends (RFC 9112, 2.2, 3 and 5): what is refused, and with which status.

use super::*;

#[test]
fn a_bare_line_feed_after_the_request_line_is_refused() {
    assert_eq!(refused("GET / HTTP/1.1\nHost: a\r\n\r\n"), BadRequest::BareLineEnd);
}

#[test]
fn a_bare_line_feed_after_a_header_is_refused() {
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"), BadRequest::BareLineEnd);
}

#[test]
fn a_bare_line_feed_as_the_empty_line_is_refused() {
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\n\n"), BadRequest::BareLineEnd);
}

#[test]
fn a_bare_carriage_return_is_refused_wherever_it_stands() {
    assert_eq!(refused("GET / HTTP/1.1\rHost: a\r\n\r\n"), BadRequest::BareLineEnd);
    assert_eq!(refused("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"), BadRequest::BareLineEnd);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"), BadRequest::BareLineEnd);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"), BadRequest::BareLineEnd);
}

#[test]
fn a_bare_carriage_return_at_the_end_of_a_piece_is_refused_with_the_next() {
    let mut peer = Peer::new();
    assert_eq!(peer.feed("GET / HTTP/1.1\r"), []);
    assert_eq!(peer.feed("Host: a\r\n"), [Event::Bad(BadRequest::BareLineEnd)]);
}

#[test]
fn a_folded_line_is_refused() {
    assert_eq!(refused(get("X: a\r\n b\r\n")), BadRequest::HeaderLine);
    assert_eq!(refused(get("X: a\r\n\tb\r\n")), BadRequest::HeaderLine);
}

#[test]
fn space_before_the_first_header_is_refused() {
    assert_eq!(refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), BadRequest::HeaderLine);
}

#[test]
fn space_before_the_colon_is_refused() {
    assert_eq!(refused(get("X : y\r\n")), BadRequest::HeaderLine);
    assert_eq!(refused(get("X\t: y\r\n")), BadRequest::HeaderLine);
    assert_eq!(refused(get("Content-Length : 0\r\n")), BadRequest::HeaderLine);
}

#[test]
fn a_line_without_a_colon_is_refused() {
    assert_eq!(refused(get("X\r\n")), BadRequest::HeaderLine);
}

#[test]
fn an_empty_header_name_is_refused() {
    assert_eq!(refused(get(": y\r\n")), BadRequest::HeaderLine);
}

#[test]
fn a_header_name_that_is_no_token_is_refused() {
    for name in ["X(Y)", "X Y", "X\u{e9}", "X\"", "X/Y", "X@", "X[]"] {
        assert_eq!(refused(get(&format!("{name}: y\r\n"))), BadRequest::HeaderLine, "{name}");
    }
}

#[test]
fn control_characters_are_refused() {
    for control in (0u8..0x20).filter(|byte| !b"\t\r\n".contains(byte)) {
        let lines = format!("X: a{}b\r\n", control as char);
        assert_eq!(refused(get(&lines)), BadRequest::ControlByte, "{control:#x}");
    }
    assert_eq!(refused(get("X: a\x7fb\r\n")), BadRequest::HeaderLine);
}

#[test]
fn a_tab_within_a_value_is_accepted() {
    assert_eq!(accepted(get("X: a\tb\r\n")).single("x"), Ok(Some("a\tb")));
}

#[test]
fn a_tls_hello_on_a_plain_port_is_refused_at_once() {
    let mut peer = Peer::new();
    assert_eq!(peer.feed(b"\x16\x03\x01\x02\x00\x01"), [Event::Bad(BadRequest::ControlByte)]);
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    assert_eq!(accepted(format!("\r\n{}", get(""))).path(), "/");
}

#[test]
fn an_empty_line_between_requests_leaves_the_connection_idle() {
    let mut peer = Peer::new();
    peer.feed(post("Content-Length: 2\r\n", "{}\r\n"));
    assert_eq!(peer.answer(Response::new(200, "")).1, KEPT);
    assert_eq!(peer.feed(""), []);
    assert_eq!(peer.connection.phase(), Phase::Idle);
    assert_eq!(peer.feed(get("")), [Event::Head("GET /".into()), Event::End]);
}

#[test]
fn two_empty_lines_before_a_request_are_refused() {
    assert_eq!(refused(format!("\r\n\r\n{}", get(""))), BadRequest::RequestLine);
}

#[test]
fn a_bare_line_end_before_a_request_is_refused() {
    assert_eq!(refused(format!("\n{}", get(""))), BadRequest::BareLineEnd);
    assert_eq!(refused(format!("\r{}", get(""))), BadRequest::BareLineEnd);
}

#[test]
fn malformed_request_lines_are_refused() {
    for line in ["GET", "GET /", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1"] {
        assert_eq!(refused(format!("{line}\r\nHost: a\r\n\r\n")), BadRequest::RequestLine, "{line:?}");
    }
    for line in ["G(T / HTTP/1.1", "GET / / HTTP/1.1", "GET\t/\tHTTP/1.1", "GET /\u{b} HTTP/1.1"] {
        assert_eq!(refused(format!("{line}\r\nHost: a\r\n\r\n")).status(), 400, "{line:?}");
    }
}

#[test]
fn malformed_versions_are_refused() {
    for version in ["http/1.1", "HTTP/1", "HTTP/11", "HTTP/1.10", "HTTPS/1.1", "HTTP/+1.1", "HTTP 1.1"] {
        let request = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(refused(request), BadRequest::RequestLine, "{version}");
    }
}

#[test]
fn unsupported_versions_are_505() {
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"] {
        let request = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(refused(request), BadRequest::Version, "{version}");
    }
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), BadRequest::Version);
    assert_eq!(BadRequest::Version.status(), 505);
}
