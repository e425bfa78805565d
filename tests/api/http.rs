//! HTTP/1.1 as RFC 9112 has it: what is refused, what is accepted, and how connections live on.

use serde_json::json;

use crate::support::{Connection, Options, Request, Server, event, online};

fn plain() -> Server {
    Server::with(Options::plain())
}

const STATUS: &str = "GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends a head that breaks a rule: an answer with `status`, then the end of the connection.
#[track_caller]
fn is_refused(server: &Server, head: &str, status: u16) {
    let mut connection = server.connect();
    connection.send(head);
    let answer = connection.response();
    assert_eq!(answer.status, status, "{head:?}");
    assert_eq!(answer.json()["statusCode"], status);
    assert!(connection.is_over(), "{head:?}: the connection stays open");
    // the server has taken no harm
    assert_eq!(server.ask(&Request::get("/api/status")).status, 200);
}

#[test]
fn what_is_refused_for_its_form_is_answered_under_its_id() {
    let server = plain();
    let long = format!("X-Request-Id: mine\r\nX: {}\r\n", "x".repeat(9_000));
    for lines in [
        "X-Request-Id: mine\r\nHost: other\r\n",
        "A : b\r\nx-request-id:mine\r\n",
        "X-REQUEST-ID: mine \r\nA: b\n",
        &long,
    ] {
        let mut connection = server.connect();
        connection.send(format!("GET /api/status HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"));
        assert_eq!(connection.response().header("X-Request-Id"), Some("mine"), "{lines:?}");
    }
    // two, or half of one, are none
    for lines in [
        "X-Request-Id: a\r\nX-Request-Id: b\r\nHost: other\r\n\r\n",
        &format!("X-Request-Id: {}", "a".repeat(9_000)),
    ] {
        let mut connection = server.connect();
        connection.send(format!("GET /api/status HTTP/1.1\r\nHost: localhost\r\n{lines}"));
        assert_eq!(connection.response().header("X-Request-Id").map(str::len), Some(36), "{lines:?}");
    }
}

fn post_with(lines: &str) -> String {
    format!("POST /api/fleet/agents/a/acks HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

#[test]
fn length_and_coding_together() {
    is_refused(&plain(), &post_with("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"), 400);
}

#[test]
fn a_repeated_length() {
    let server = plain();
    is_refused(&server, &post_with("Content-Length: 2\r\nContent-Length: 2\r\n"), 400);
    is_refused(&server, &post_with("Content-Length: 2\r\nContent-Length: 3\r\n"), 400);
}

#[test]
fn an_odd_length() {
    let server = plain();
    for length in ["+2", "-1", "2,2", "0x2", "", "two", "18446744073709551616"] {
        is_refused(&server, &post_with(&format!("Content-Length: {length}\r\n")), 400);
    }
}

#[test]
fn chunked_that_is_not_last() {
    is_refused(&plain(), &post_with("Transfer-Encoding: chunked, chunked\r\n"), 400);
}

#[test]
fn an_unknown_transfer_coding() {
    is_refused(&plain(), &post_with("Transfer-Encoding: gzip, chunked\r\n"), 501);
}

#[test]
fn a_folded_line() {
    is_refused(&plain(), "GET /api/status HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", 400);
}

#[test]
fn a_bare_line_end() {
    let server = plain();
    is_refused(&server, "GET /api/status HTTP/1.1\nHost: localhost\n\n", 400);
    is_refused(&server, "GET /api/status HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", 400);
}

#[test]
fn space_before_the_colon() {
    is_refused(&plain(), "GET /api/status HTTP/1.1\r\nHost : localhost\r\n\r\n", 400);
}

#[test]
fn no_host() {
    is_refused(&plain(), "GET /api/status HTTP/1.1\r\n\r\n", 400);
}

#[test]
fn two_hosts() {
    is_refused(&plain(), "GET /api/status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
}

#[test]
fn a_malformed_request_line() {
    let server = plain();
    for line in
        ["GET", "GET  /api/status HTTP/1.1", "GET /api/status", " GET / HTTP/1.1", "GET status HTTP/1.1"]
    {
        is_refused(&server, &format!("{line}\r\nHost: localhost\r\n\r\n"), 400);
    }
}

#[test]
fn an_unknown_http_version() {
    is_refused(&plain(), "GET /api/status HTTP/2.0\r\nHost: localhost\r\n\r\n", 505);
}

#[test]
fn connect() {
    is_refused(&plain(), "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 501);
}

#[test]
fn an_unknown_expectation() {
    is_refused(&plain(), &post_with("Expect: the-moon\r\nContent-Length: 2\r\n"), 417);
}

#[test]
fn bytes_that_are_no_http() {
    let server = plain();
    let mut connection = server.connect();
    connection.send([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]);
    connection.send([b'\r', b'\n', b'\r', b'\n']);
    assert_eq!(connection.response().status, 400);
    assert!(connection.is_over());
}

#[test]
fn a_head_over_its_limit() {
    let server = plain();
    let filler = "x".repeat(9_000);
    is_refused(&server, &format!("GET /api/status HTTP/1.1\r\nHost: localhost\r\nX: {filler}\r\n\r\n"), 431);
}

#[test]
fn a_head_of_exactly_its_limit_and_one_byte_more() {
    let server = plain();
    let head = |bytes: usize| {
        let empty = "GET /api/status HTTP/1.1\r\nHost: localhost\r\nX: \r\n\r\n";
        empty.replace("X: ", &format!("X: {}", "x".repeat(bytes - empty.len())))
    };
    assert_eq!(head(8_192).len(), 8_192);
    let mut connection = server.connect();
    connection.send(head(8_192));
    assert_eq!(connection.response().status, 200);
    is_refused(&server, &head(8_193), 431);
}

#[test]
fn the_limit_of_a_head_is_configurable() {
    let server = Server::with(Options::plain().server("limits.max_header_byte_size", 1_000));
    is_refused(
        &server,
        &format!("GET /api/status HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1_000)),
        431,
    );
}

#[test]
fn too_many_headers() {
    let lines = "A: b\r\n".repeat(500);
    is_refused(&plain(), &format!("GET /api/status HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), 431);
}

#[test]
fn a_chunk_that_is_malformed() {
    let server = plain();
    let agent = server.enrol();
    for body in ["x\r\n", "2\r\n{}X\r\n0\r\n\r\n", "-1\r\n", "fffffffffffffffff\r\n", "2 \n{}\r\n0\r\n\r\n"] {
        let mut connection = server.connect();
        let request = agent.acks(&[]).chunked_bytes(100);
        let head = String::from_utf8(request).unwrap();
        let head = head.split("\r\n\r\n").next().unwrap();
        connection.send(format!("{head}\r\n\r\n{body}"));
        assert_eq!(connection.response().status, 400, "{body:?}");
        assert!(connection.is_over(), "{body:?}");
    }
}

#[test]
fn a_chunked_body_is_read() {
    let server = plain();
    let agent = server.enrol();
    let request = agent.acks(&[event("policy:default:1", &agent)]);
    for chunk_bytes in [1, 7, 1_000_000] {
        let mut connection = server.connect();
        connection.send(request.chunked_bytes(chunk_bytes));
        assert_eq!(connection.response().ok()["items"][0]["status"], 200);
    }
}

#[test]
fn chunk_extensions_and_trailers_are_passed_over() {
    let server = plain();
    let agent = server.enrol();
    let mut connection = server.connect();
    let head = format!("Authorization: ApiKey {}\r\nTransfer-Encoding: chunked\r\n", agent.key);
    let target = format!("POST /api/fleet/agents/{}/acks HTTP/1.1\r\nHost: a\r\n{head}\r\n", agent.id);
    connection.send(format!("{target}2;name=value;x=\"y\"\r\n{{}}\r\n0\r\nTrailer: t\r\n\r\n"));
    connection.response().ok();
    assert_eq!(connection.ask(&Request::get("/api/status")).status, 200);
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let server = Server::start();
    let mut connection = server.connect();
    for _ in 0..20 {
        let answer = connection.ask(&server.enrolment(&json!({ "type": "PERMANENT" })));
        answer.ok();
        assert_eq!(answer.header("Connection"), None);
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start();
    let agent = server.settled();
    let mut connection = server.connect();
    let requests = [
        Request::get("/api/status"),
        agent.acks(&[event("policy:default:1", &agent)]),
        Request::get("/nowhere"),
        server.enrolment(&json!({ "type": "PERMANENT" })),
        Request::new("PUT", "/api/status").body("ignored"),
        Request::get("/api/status"),
    ];
    connection.send(requests.iter().flat_map(Request::bytes).collect::<Vec<u8>>());
    let statuses: Vec<u16> = requests.iter().map(|_| connection.response().status).collect();
    assert_eq!(statuses, [200, 200, 404, 200, 405, 200]);
}

#[test]
fn a_request_pipelined_behind_a_parked_check_in_waits_for_its_answer() {
    let server = Server::start();
    let agent = server.settled();
    let mut connection = server.park(&agent);
    connection.send(STATUS);
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(connection.response().ok()["actions"][0]["id"], action);
    assert_eq!(connection.response().ok()["status"], "HEALTHY");
}

#[test]
fn connection_close_is_obeyed() {
    let server = plain();
    let mut connection = server.connect();
    let answer = connection.ask(&Request::get("/api/status").header("Connection", "close"));
    assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")));
    assert!(connection.is_over());
}

#[test]
fn http_1_0_without_and_with_a_host_is_served_and_closed() {
    let server = plain();
    for head in ["GET /api/status HTTP/1.0\r\n\r\n", "GET /api/status HTTP/1.0\r\nHost: a\r\n\r\n"] {
        let mut connection = server.connect();
        connection.send(head);
        assert_eq!(connection.response().status, 200);
        assert!(connection.is_over());
    }
}

#[test]
fn http_1_0_keeps_the_connection_where_asked_to() {
    let server = plain();
    let mut connection = server.connect();
    for _ in 0..2 {
        connection.send("GET /api/status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = connection.response();
        assert_eq!((answer.status, answer.header("Connection")), (200, Some("keep-alive")));
    }
}

#[test]
fn an_absolute_target_is_served() {
    let server = plain();
    let mut connection = server.connect();
    connection.send("GET http://localhost/api/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.response().status, 200);
}

#[test]
fn an_empty_line_before_a_request_is_passed_over() {
    let server = plain();
    let mut connection = server.connect();
    connection.send(format!("\r\n{STATUS}"));
    assert_eq!(connection.response().status, 200);
}

/// Reads an interim answer.
fn is_continued(connection: &mut Connection) {
    assert_eq!(connection.response().status, 100);
}

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let server = Server::start();
    let agent = server.enrol();
    let request = agent.acks(&[event("policy:default:1", &agent)]).header("Expect", "100-continue");
    let (head, bytes) = (request.head(), request.bytes());
    let mut connection = server.connect();
    connection.send(&head);
    is_continued(&mut connection);
    connection.send(&bytes[head.len()..]);
    connection.response().ok();
}

#[test]
fn a_client_that_waits_and_is_refused_is_not_told_to_continue() {
    let server = Server::start();
    let agent = server.enrol();
    let request = agent.acks(&[]).key("YTpi").header("Expect", "100-continue");
    let mut connection = server.connect();
    connection.send(request.head());
    connection.response().is_error(401, "ErrUnauthorized");
}

#[test]
fn a_client_that_waits_for_a_body_that_is_too_large_is_told_at_once() {
    let server = Server::start();
    let agent = server.enrol();
    let request = agent.acks(&[]).body(vec![b' '; 2 * 1024 * 1024 + 1]).header("Expect", "100-continue");
    let mut connection = server.connect();
    connection.send(request.head());
    connection.response().is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn gzip_is_not_sent_to_who_did_not_ask_for_it() {
    let server = Server::with(Options::plain().server("compression_threshold", 10));
    let agent = server.enrol();
    for request in
        [agent.check_in(&online()), agent.check_in(&online()).header("Accept-Encoding", "identity")]
    {
        let answer = server.ask(&request);
        assert_eq!((answer.status, answer.header("Content-Encoding")), (200, None));
    }
}

#[test]
fn compression_level_0_sends_no_gzip() {
    let server =
        Server::with(Options::plain().server("compression_threshold", 10).server("compression_level", 0));
    let agent = server.enrol();
    let answer = server.ask(&agent.check_in(&online()).header("Accept-Encoding", "gzip"));
    assert_eq!((answer.status, answer.header("Content-Encoding")), (200, None));
}

#[test]
fn only_check_ins_are_gzipped() {
    let server = Server::with(Options::plain().server("compression_threshold", 1));
    let agent = server.enrol();
    let enrolment = server.enrolment(&json!({ "type": "PERMANENT" }));
    for request in [Request::get("/api/status"), enrolment, agent.acks(&[])] {
        let answer = server.ask(&request.header("Accept-Encoding", "gzip"));
        assert_eq!((answer.status, answer.header("Content-Encoding")), (200, None));
    }
}
