//! Host, Content-Length, Transfer-Encoding and Connection.

use super::*;

fn old(lines: &str) -> String {
    format!("GET / HTTP/1.0\r\n{lines}\r\n")
}

#[test]
fn http_1_1_without_host_is_refused() {
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), BadRequest::Host);
}

#[test]
fn http_1_0_without_host_is_accepted() {
    assert_eq!(accepted(old("")).minor_version(), 0);
}

#[test]
fn http_1_0_with_host_is_accepted() {
    assert_eq!(accepted(old("Host: a\r\n")).minor_version(), 0);
}

#[test]
fn two_hosts_are_refused_on_either_version() {
    assert_eq!(refused(get("Host: a\r\n")), BadRequest::Host);
    assert_eq!(refused(old("Host: a\r\nHost: a\r\n")), BadRequest::Host);
}

#[test]
fn a_host_that_is_none_is_refused() {
    for host in ["a b", "a/b", "a, b", "u@a", "a\u{e9}", "a\"", "<a>", "a\\b", "a?", "a#"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(refused(request), BadRequest::Host, "{host}");
    }
}

#[test]
fn hosts_of_every_kind_are_accepted() {
    for host in ["", "a", "a.example.org:8220", "127.0.0.1", "[::1]:8220", "[fe80::1%25eth0]", "a_b-c"] {
        let head = accepted(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(head.single("host"), Ok(Some(host)));
    }
}

#[test]
fn without_length_and_coding_there_is_no_body() {
    let head = accepted("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.body(), BodyKind::None);
    assert_eq!(head.content_length(), Some(0));
}

#[test]
fn a_length_is_digits() {
    assert_eq!(accepted(get("Content-Length: 0\r\n")).body(), BodyKind::Length(0));
    assert_eq!(accepted(get("Content-Length: 007\r\n")).body(), BodyKind::Length(7));
    assert_eq!(accepted(get("content-length: 18446744073709551615\r\n")).body(), BodyKind::Length(u64::MAX));
}

#[test]
fn odd_lengths_are_refused() {
    for length in
        ["", "+1", "-1", "1 ,", "1,1", "1 1", "0x1", "1.0", "1e1", "a", "18446744073709551616", "\u{661}"]
    {
        let request = get(&format!("Content-Length: {length}\r\n"));
        assert_eq!(refused(request), BadRequest::ContentLength, "{length:?}");
    }
}

#[test]
fn repeated_lengths_are_refused_even_if_equal() {
    assert_eq!(refused(get("Content-Length: 1\r\nContent-Length: 1\r\n")), BadRequest::ContentLength);
    assert_eq!(refused(get("Content-Length: 1\r\nContent-Length: 2\r\n")), BadRequest::ContentLength);
}

#[test]
fn chunked_is_known_in_any_case() {
    let head = accepted(get("Transfer-Encoding: Chunked\r\n"));
    assert_eq!(head.body(), BodyKind::Chunked);
    assert_eq!(head.content_length(), None);
}

#[test]
fn length_together_with_coding_is_refused_in_either_order() {
    for lines in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: identity\r\n",
    ] {
        assert_eq!(refused(get(lines)), BadRequest::LengthAndCoding, "{lines}");
        assert_eq!(refused(old(lines)), BadRequest::LengthAndCoding, "{lines}");
    }
}

#[test]
fn chunked_twice_or_not_last_is_refused() {
    for lines in [
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: ,chunked\r\n",
    ] {
        assert_eq!(refused(get(lines)), BadRequest::TransferEncoding, "{lines}");
    }
    assert_eq!(BadRequest::TransferEncoding.status(), 400);
}

#[test]
fn unknown_transfer_codings_are_501() {
    for coding in ["gzip", "gzip, chunked", "identity", "xchunked", "chunked;q=1", "\"chunked\"", "chun ked"]
    {
        let request = get(&format!("Transfer-Encoding: {coding}\r\n"));
        assert_eq!(refused(request), BadRequest::UnknownCoding, "{coding}");
    }
    assert_eq!(BadRequest::UnknownCoding.status(), 501);
}

#[test]
fn a_transfer_coding_on_http_1_0_is_refused() {
    assert_eq!(refused(old("Transfer-Encoding: chunked\r\n")), BadRequest::TransferEncoding);
}

#[test]
fn http_1_1_keeps_the_connection_unless_told_otherwise() {
    assert!(accepted(get("")).keep_alive());
    assert!(accepted(get("Connection: keep-alive\r\n")).keep_alive());
    assert!(!accepted(get("Connection: close\r\n")).keep_alive());
    assert!(!accepted(get("Connection: Keep-Alive, Close\r\n")).keep_alive());
    assert!(!accepted(get("Connection: x\r\nConnection: close\r\n")).keep_alive());
}

#[test]
fn http_1_0_keeps_the_connection_only_when_told_to() {
    assert!(!accepted(old("")).keep_alive());
    assert!(accepted(old("Connection: Keep-Alive\r\n")).keep_alive());
    assert!(!accepted(old("Connection: keep-alive, close\r\n")).keep_alive());
}

#[test]
fn every_refusal_has_a_status_and_a_message() {
    for (bad, status) in [
        (BadRequest::ControlByte, 400),
        (BadRequest::BareLineEnd, 400),
        (BadRequest::Host, 400),
        (BadRequest::LengthAndCoding, 400),
        (BadRequest::Expectation, 417),
        (BadRequest::HeadTooLarge, 431),
        (BadRequest::Connect, 501),
        (BadRequest::Version, 505),
    ] {
        assert_eq!(bad.status(), status);
        assert!(!bad.to_string().is_empty());
    }
}
