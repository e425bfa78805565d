//! `GET /api/status`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Options, Request, Server, event, free_port};

fn short() -> Value {
    json!({ "name": "fleet-server", "status": "HEALTHY" })
}

#[test]
fn without_a_key_the_body_is_short() {
    assert_eq!(Server::start().ask(&Request::get("/api/status")).ok(), short());
}

#[test]
fn with_a_key_the_version_is_told() {
    let server = Server::start();
    let agent = server.enrol();
    for key in [server.token(), &agent.key] {
        let answer = server.ask(&Request::get("/api/status").key(key)).ok();
        assert_eq!(answer["version"]["number"], "9.6.0");
        assert!(answer["version"]["build_hash"].is_string() && answer["version"]["build_time"].is_string());
    }
}

#[test]
fn with_a_revoked_key_the_body_is_short() {
    let server = Server::start();
    let agent = server.settled();
    let request = Request::get("/api/status").key(&agent.key);
    assert!(server.ask(&request).ok()["version"].is_object());
    let action = server.order_unenroll(&agent.id);
    server.ask(&agent.acks(&[event(&action, &agent)])).ok();
    assert_eq!(server.ask(&request).ok(), short());
}

#[test]
fn a_failed_authentication_gives_the_short_body() {
    let server = Server::start();
    let keys = [format!("ApiKey {}", STANDARD.encode("a:b")), "Bearer x".to_owned(), "ApiKey !!".to_owned()];
    for authorization in keys {
        let answer = server.ask(&Request::get("/api/status").header("Authorization", authorization));
        assert_eq!(answer.ok(), short());
    }
}

#[test]
fn the_status_is_not_limited_by_default() {
    let server = Server::with(Options::plain());
    let mut connection = server.connect();
    let request = Request::get("/api/status").bytes();
    connection.send(request.repeat(500));
    for _ in 0..500 {
        assert_eq!(connection.response().status, 200);
    }
}

#[test]
fn the_internal_listener_serves_the_same() {
    let internal = free_port();
    let server = Server::with(Options::plain().server("internal_port", internal));
    assert_ne!(server.port, internal);
    let agent = server.enrol();
    let mut connection = server.connect_to(internal);
    assert_eq!(connection.ask(&Request::get("/api/status")).ok(), short());
    connection.ask(&agent.acks(&[])).ok();
}
