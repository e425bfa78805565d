//! `/v1/opamp` as a WebSocket: OpenTelemetry collectors that stay connected.

use fleet_server::api::opamp::message::{AgentToServer, RemoteConfigStatus};
use serde_json::json;

use crate::support::{Options, Server, Socket, collector, described, eventually, frame, uid};

/// First bytes of frames.
const BINARY: u8 = 2;
const PING: u8 = 9;
const FINAL: u8 = 0x80;

fn plain() -> Server {
    Server::with(Options::plain())
}

#[test]
fn each_message_gets_one_answer() {
    let server = Server::start();
    let mut socket = server.socket();
    let answer = socket.tell(&described(uid(1)));
    assert_eq!((answer.instance_uid, answer.flags, answer.capabilities), (uid(1), 1, 5));
    // two at once
    let next = |sequence_num| AgentToServer { sequence_num, ..described(uid(1)) };
    let both = [next(2), next(3)].map(|message| frame(FINAL | BINARY, &Socket::payload(&message)));
    socket.connection.send(both.concat());
    assert_eq!((socket.told().capabilities, socket.told().capabilities), (0, 0));
    assert_eq!(server.agent(&collector(&uid(1)))["sequence_num"], 3);
}

#[test]
fn several_collectors_may_share_one() {
    let server = plain();
    let mut socket = server.socket();
    for last in 1..4 {
        assert_eq!(socket.tell(&described(uid(last))).instance_uid, uid(last));
    }
    assert_eq!(server.agent(&collector(&uid(2)))["status"], "online");
}

#[test]
fn a_message_may_come_right_behind_the_request_for_the_socket() {
    let server = plain();
    let mut connection = server.connect();
    let mut bytes = server.upgrade().bytes();
    bytes.extend(frame(FINAL | BINARY, &Socket::payload(&described(uid(1)))));
    connection.send(bytes);
    assert_eq!(connection.response_without_body().status, 101);
    assert_eq!(Socket { connection }.told().capabilities, 5);
}

#[test]
fn who_shows_no_token_gets_no_socket() {
    let server = plain();
    let answer = server.ask(&server.upgrade().key("dW5rbm93bjprZXk="));
    assert_eq!((answer.status, answer.text()), (401, ""));
    let answer = server.ask(&server.upgrade().without("Upgrade"));
    assert_eq!((answer.status, answer.text()), (400, "Bad Request"));
    let answer = server.ask(&server.upgrade().with("Sec-WebSocket-Version", "12"));
    assert_eq!((answer.status, answer.header("Sec-WebSocket-Version")), (426, Some("13")));
}

#[test]
fn the_token_is_looked_at_once() {
    let server = plain();
    let mut socket = server.socket();
    socket.tell(&described(uid(1)));
    let revoked = server.operate(&["token", "list"]).json();
    let id = revoked["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{revoked}")).to_owned();
    server.operate(&["token", "revoke", &id]).json();
    assert!(socket.tell(&described(uid(1))).error_response.is_none());
}

#[test]
fn a_message_may_come_in_fragments_with_a_ping_between() {
    let server = plain();
    let mut socket = server.socket();
    let payload = Socket::payload(&described(uid(1)));
    let (first, rest) = payload.split_at(10);
    socket.connection.send(frame(BINARY, first));
    socket.connection.send(frame(FINAL | PING, b"here?"));
    assert_eq!(socket.frame(), Some((0x8a, b"here?".to_vec())));
    socket.connection.send(frame(FINAL, rest));
    assert_eq!(socket.told().capabilities, 5);
}

#[test]
fn a_message_that_cannot_be_read_is_answered_and_the_socket_stays() {
    let server = plain();
    let mut socket = server.socket();
    for garbage in [&b""[..], b"\x01", b"\x00garbage"] {
        socket.connection.send(frame(FINAL | BINARY, garbage));
        assert_eq!(socket.told().error_response.unwrap().kind, 1);
    }
    assert!(socket.tell(&described(uid(1))).error_response.is_none());
}

#[test]
fn what_breaks_the_protocol_ends_the_socket_with_the_code_for_it() {
    let server = plain();
    let large = &frame(FINAL | BINARY, &vec![0; 70_000])[..14];
    let mut too_large = large.to_vec();
    too_large[2..10].copy_from_slice(&(3_u64 * 1024 * 1024 + 2).to_be_bytes());
    for (bytes, code) in [
        (vec![FINAL | BINARY, 1, 0], 1002),
        (frame(FINAL | 0x40 | BINARY, b"\0"), 1002),
        (frame(FINAL | 3, b"\0"), 1002),
        (frame(FINAL, b"\0"), 1002),
        ([frame(BINARY, b"\0"), frame(FINAL | BINARY, b"\0")].concat(), 1002),
        (frame(FINAL | 1, b"text"), 1003),
        (too_large, 1009),
        (frame(BINARY, b"\0").into_iter().chain(frame(0, b"").repeat(1_100)).collect(), 1008),
        (frame(FINAL | 8, &1000_u16.to_be_bytes()), 1000),
    ] {
        let mut socket = server.socket();
        socket.connection.send(&bytes);
        assert_eq!(socket.close_code(), code, "{:?}", &bytes[..2]);
    }
}

#[test]
fn a_flood_of_pings_ends_the_socket() {
    let server = plain();
    let mut socket = server.socket();
    socket.connection.send(frame(FINAL | PING, b"").repeat(1_000));
    let mut frames = std::iter::from_fn(|| socket.frame());
    let last = frames.find(|(first, _)| *first == 0x88).unwrap();
    assert_eq!(last.1, 1008_u16.to_be_bytes());
    // the others are not concerned
    server.socket().tell(&described(uid(1)));
}

#[test]
fn a_server_that_stops_says_so() {
    let server = plain();
    let mut silent = server.socket();
    let mut socket = server.socket();
    socket.tell(&described(uid(1)));
    let mut installation = server.stop();
    assert_eq!((socket.close_code(), silent.close_code()), (1001, 1001));
    assert!(installation.agent(&collector(&uid(1))).last_checkin.is_some());
}

#[test]
fn a_collector_that_vanishes_leaves_the_server_well() {
    let server = plain();
    for last in 1..10 {
        let mut socket = server.socket();
        socket.send(&described(uid(last)));
        socket.connection.break_off();
    }
    server.socket().tell(&described(uid(0)));
}

#[test]
fn sockets_count_as_requests_while_they_live() {
    let server = Server::with(
        Options::plain().server("limits.opamp_limit.max", 1).server("limits.opamp_limit.burst", 1_000_000),
    );
    let mut socket = server.socket();
    socket.tell(&described(uid(1)));
    server.ask(&server.opamp(&described(uid(1)))).is_error(429, "MaxLimit");
    drop(socket);
    eventually("the place is free again", || {
        (server.ask(&server.opamp(&described(uid(1)))).status == 200).then_some(())
    });
}

/// A policy that offers a configuration.
fn offering(mark: u8) -> serde_json::Value {
    json!({ "outputs": { "default": { "type": "elasticsearch", "hosts": ["http://localhost:9200"], "api_key": "x:y" } },
        "inputs": [], "otel": { "receivers": { "otlp": null }, "mark": mark } })
}

#[test]
fn a_new_configuration_is_pushed() {
    let server = Server::start();
    let mut socket = server.socket();
    assert!(socket.tell(&described(uid(1))).remote_config.is_none());
    server.apply("default", &offering(1));
    let pushed = socket.told();
    assert_eq!((pushed.instance_uid, pushed.capabilities), (uid(1), 7));
    let first = pushed.remote_config.unwrap();
    let yaml = String::from_utf8(first.config.unwrap().config_map[""].body.clone()).unwrap();
    assert_eq!(yaml, "mark: 1\nreceivers:\n  otlp: null\n");
    let status = RemoteConfigStatus {
        last_remote_config_hash: first.config_hash.clone(),
        status: 1,
        ..Default::default()
    };
    let answer = socket.tell(&AgentToServer { remote_config_status: Some(status), ..described(uid(1)) });
    assert!(answer.remote_config.is_none());
    assert_eq!(server.agent(&collector(&uid(1)))["remote_config_status"]["status"], "APPLIED");
    server.apply("default", &offering(2));
    let second = socket.told().remote_config.unwrap();
    assert_ne!(first.config_hash, second.config_hash);
}

#[test]
fn a_revision_with_the_same_configuration_is_not_pushed() {
    let server = plain();
    let mut socket = server.socket();
    socket.tell(&described(uid(1)));
    server.apply("default", &offering(1));
    let hash = socket.told().remote_config.unwrap().config_hash;
    let mut policy = offering(1);
    policy["description"] = "only that".into();
    server.apply("default", &policy);
    server.apply("default", &offering(2));
    // the next that comes is that of the third revision
    assert_ne!(socket.told().remote_config.unwrap().config_hash, hash);
}
