//! What a head says, and what it may cost.

use super::*;

const CHECKIN: &str = "POST /api/fleet/agents/0b6a/checkin? HTTP/1.1\r\n\
    Host: localhost:8220\r\n\
    User-Agent: Elastic Agent v9.6.0\r\n\
    Content-Length: 2\r\n\
    Accept: application/json\r\n\
    Authorization: ApiKey aWQ6a2V5\r\n\
    kbn-xsrf:1\r\n\
    X-Request-Id: \t a b \t \r\n\
    X-Twice: one\r\n\
    x-twice: two\r\n\
    X-Empty:\r\n\
    X-Raw: \u{e9}\r\n\r\n";

#[test]
fn a_checkin_is_read() {
    let head = accepted(CHECKIN);
    assert_eq!(head.method(), "POST");
    assert_eq!(head.path(), "/api/fleet/agents/0b6a/checkin");
    assert_eq!(head.query(), Some(""));
    assert_eq!(head.minor_version(), 1);
    assert_eq!(head.body(), BodyKind::Length(2));
    assert_eq!(head.content_length(), Some(2));
    assert!(head.keep_alive());
    assert!(!head.expects_continue());
}

#[test]
fn headers_are_found_without_case() {
    let head = accepted(CHECKIN);
    assert_eq!(head.single("user-agent"), Ok(Some("Elastic Agent v9.6.0")));
    assert_eq!(head.single("KBN-XSRF"), Ok(Some("1")));
    assert_eq!(head.single("x-absent"), Ok(None));
}

#[test]
fn space_around_a_value_is_not_part_of_it() {
    assert_eq!(accepted(CHECKIN).single("X-Request-Id"), Ok(Some("a b")));
}

#[test]
fn an_empty_value_is_a_value() {
    assert_eq!(accepted(CHECKIN).single("X-Empty"), Ok(Some("")));
}

#[test]
fn a_repeated_header_is_not_single_and_keeps_its_order() {
    let head = accepted(CHECKIN);
    assert_eq!(head.single("X-Twice"), Err(HeaderError::Repeated));
    assert_eq!(head.header("X-TWICE").collect::<Vec<_>>(), [b"one", b"two"]);
}

#[test]
fn a_value_that_is_not_utf_8_is_bytes_only() {
    let head = accepted(b"GET / HTTP/1.1\r\nHost: a\r\nX-Raw: \xff\r\n\r\n");
    assert_eq!(head.single("x-raw"), Err(HeaderError::NotText));
    assert_eq!(head.header("x-raw").next(), Some(&b"\xff"[..]));
}

#[test]
fn header_names_keep_the_case_they_came_in() {
    let head = accepted(CHECKIN);
    assert_eq!(head.headers().next(), Some(("Host", &b"localhost:8220"[..])));
    assert_eq!(head.headers().count(), 11);
}

#[test]
fn methods_are_case_sensitive_and_may_be_unknown() {
    assert_eq!(accepted("brew / HTTP/1.1\r\nHost: a\r\n\r\n").method(), "brew");
}

#[test]
fn a_head_of_exactly_the_limit_is_read() {
    let request = get(&format!("X: {}\r\n", "x".repeat(100)));
    let mut peer = Peer::new();
    peer.limits.head_bytes_max = request.len();
    assert_eq!(peer.feed(&request), [Event::Head("GET /".into()), Event::End]);
}

#[test]
fn a_head_one_byte_over_the_limit_is_431() {
    let request = get(&format!("X: {}\r\n", "x".repeat(100)));
    let mut peer = Peer::new();
    peer.limits.head_bytes_max = request.len() - 1;
    assert_eq!(peer.feed(&request), [Event::Bad(BadRequest::HeadTooLarge)]);
    assert_eq!(BadRequest::HeadTooLarge.status(), 431);
}

#[test]
fn a_head_that_never_ends_is_431_at_the_limit() {
    let mut peer = Peer::new();
    assert_eq!(peer.feed("GET / HTTP/1.1\r\nHost: a\r\nX: "), []);
    for _ in 0..11 {
        assert_eq!(peer.feed("x".repeat(1024)), []);
    }
    assert_eq!(peer.feed("x".repeat(1024)), [Event::Bad(BadRequest::HeadTooLarge)]);
}

#[test]
fn a_request_line_over_the_limit_is_431() {
    assert_eq!(refused(format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000))), BadRequest::HeadTooLarge);
}

#[test]
fn the_limit_counts_the_head_alone() {
    let mut peer = Peer::new();
    let body = "x".repeat(100_000);
    let events = peer.feed(post("Content-Length: 100000\r\n", &body));
    assert_eq!(events, [Event::Head("POST /".into()), Event::Body(body), Event::End]);
}

#[test]
fn a_hundred_header_lines_are_read_and_one_more_is_431() {
    assert_eq!(accepted(get(&"X: y\r\n".repeat(99))).headers().count(), 100);
    assert_eq!(refused(get(&"X: y\r\n".repeat(100))), BadRequest::TooManyHeaders);
    assert_eq!(BadRequest::TooManyHeaders.status(), 431);
}

#[test]
fn header_limits_beyond_the_ceiling_mean_the_ceiling() {
    let mut peer = Peer::new();
    peer.limits.headers_max = usize::MAX;
    let events = peer.feed(get(&"X: y\r\n".repeat(HEADERS_CEILING)));
    assert_eq!(events, [Event::Bad(BadRequest::TooManyHeaders)]);
}

#[test]
fn a_partial_head_holds_no_more_than_the_limit() {
    let mut peer = Peer::new();
    peer.limits.head_bytes_max = 1000;
    for _ in 0..9 {
        assert_eq!(peer.feed("x".repeat(100)), []);
        assert_eq!(peer.connection.phase(), Phase::Head);
        assert!(peer.connection.held_bytes() <= 1000);
    }
    peer.feed("x".repeat(100));
    assert_eq!(peer.connection.held_bytes(), 0);
}

#[test]
fn a_connection_holds_nothing_while_idle_and_while_a_request_is_handled() {
    let mut peer = Peer::new();
    assert_eq!(peer.connection.held_bytes(), 0);
    peer.feed(&CHECKIN[..50]);
    assert!(peer.connection.held_bytes() >= 50);
    peer.feed(&CHECKIN[50..]);
    assert_eq!(peer.connection.held_bytes(), 0);
    peer.feed("{}");
    assert_eq!(peer.connection.phase(), Phase::Awaiting);
    assert_eq!(peer.connection.held_bytes(), 0);
    peer.connection.respond(Response::new(200, "{}"));
    assert!(peer.connection.held_bytes() > 0);
    assert_eq!(peer.write().1, KEPT);
    assert_eq!(peer.connection.held_bytes(), 0);
}

#[test]
fn a_connection_is_64_bytes_at_most() {
    assert!(size_of::<HttpConnection>() <= 64);
}
