//! Clients that vanish, dawdle or say nothing. Each time the server has to go on serving the others, and nothing of the
//! client is left.

use serde_json::json;

use crate::support::{Options, Request, Server, event, eventually, in_thread, online};

fn is_well(server: &Server) {
    assert_eq!(server.ask(&Request::get("/api/status")).status, 200);
}

/// How many sockets the server's process holds; none where the system does not tell (elsewhere than on Linux).
fn sockets(server: &Server) -> usize {
    let folder = format!("/proc/{}/fd", server.process.id());
    let Ok(descriptors) = std::fs::read_dir(folder) else { return 0 };
    let targets = descriptors.flatten().filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// Whether the server holds no more sockets than `before`.
fn are_closed(server: &Server, before: usize) {
    eventually("the sockets of clients that are gone are closed", || {
        (sockets(server) <= before).then_some(())
    });
}

#[test]
fn a_client_that_leaves_at_any_byte_of_an_enrolment() {
    let server = Server::with(Options::plain());
    let before = sockets(&server);
    let request =
        server.enrolment(&json!({ "type": "PERMANENT", "metadata": { "local": { "a": "b" } } })).bytes();
    for kept in 0..request.len() {
        let mut connection = server.connect();
        connection.send(&request[..kept]);
    }
    are_closed(&server, before);
    is_well(&server);
    assert_eq!(server.stop().open().agents().len(), 0);
}

#[test]
fn a_client_that_leaves_at_any_byte_of_a_tls_connection() {
    let server = Server::start();
    let before = sockets(&server);
    // what a TLS client sends first, recorded by a listener of our own
    let hello = client_hello(&server);
    for kept in (0..hello.len()).step_by(7) {
        server.connect_plainly().send(&hello[..kept]);
    }
    are_closed(&server, before);
    is_well(&server);
}

/// The first bytes that a TLS client sends.
fn client_hello(server: &Server) -> Vec<u8> {
    use std::io::Read;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = in_thread(move || {
        let mut hello = vec![0; 4_096];
        let count = listener.accept().unwrap().0.read(&mut hello).unwrap();
        hello.truncate(count);
        hello
    });
    assert!(server.try_connect_to(port).is_err());
    heard.recv().unwrap()
}

#[test]
fn a_client_that_breaks_off_before_its_enrolment_is_answered_leaves_no_agent() {
    // the hash takes long enough for the server to see that nobody waits for the answer
    let server = Server::with(Options::plain().server("pdkdf2.iterations", 200_000));
    let mut connection = server.connect();
    let body = json!({ "type": "PERMANENT", "id": "x", "replace_token": "t" });
    connection.send(server.enrolment(&body).header("Expect", "100-continue").head());
    assert_eq!(connection.response().status, 100);
    connection.send(body.to_string());
    connection.break_off();
    server.process.stderr.wait_for("taken back");
    assert_eq!(server.stop().open().agents().len(), 0);
}

#[test]
fn a_client_that_leaves_before_its_enrolment_is_answered_may_try_again() {
    let server = Server::with(Options::plain().server("pdkdf2.iterations", 200_000));
    let before = sockets(&server);
    let body = json!({ "type": "PERMANENT", "id": "x", "replace_token": "t" });
    let mut connection = server.connect();
    connection.send(server.enrolment(&body).bytes());
    drop(connection);
    are_closed(&server, before);
    // whatever became of it, nothing is left that refuses the next try
    eventually("the enrolment was taken back or never made", || {
        let answer = server.ask(&server.enrolment(&body));
        (answer.status == 200).then_some(())
    });
    assert_eq!(server.stop().open().agents().len(), 1);
}

#[test]
fn a_client_that_leaves_before_its_acks_are_answered() {
    let server = Server::with(Options::plain());
    let agent = server.settled();
    let action = server.order_settings(&agent.id, "debug");
    let mut connection = server.connect();
    connection.send(agent.acks(&[event(&action, &agent)]).bytes());
    drop(connection);
    // it tries again and is told that all is well
    server.ask(&agent.acks(&[event(&action, &agent)])).ok();
    assert_eq!(server.stop().open().results(&action).len(), 1);
}

#[test]
fn a_client_that_leaves_while_it_is_parked() {
    let server = Server::start();
    let agent = server.settled();
    let before = sockets(&server);
    for round in 0..5 {
        drop(server.park_saying(&agent, &json!({ "status": "online", "message": format!("{round}") })));
    }
    are_closed(&server, before);
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(server.check_in(&agent, &online()).ok()["actions"][0]["id"], action);
}

#[test]
fn a_client_that_leaves_while_it_is_sent_a_large_policy() {
    let server = Server::start();
    let large = json!({
        "outputs": { "default": { "type": "elasticsearch", "hosts": ["http://h:9200"] } },
        "inputs": (0..20_000).map(|i| json!({ "id": format!("the input of number {i}"), "type": "logfile" })).collect::<Vec<_>>(),
    });
    server.apply("default", &large);
    let before = sockets(&server);
    for _ in 0..5 {
        let agent = server.enrol();
        let mut connection = server.connect();
        connection.send(agent.check_in(&online()).bytes());
        // it reads the beginning and no more
        drop(connection);
    }
    are_closed(&server, before);
    is_well(&server);
}

#[test]
fn a_client_that_sends_one_byte_at_a_time_is_served() {
    let server = Server::start();
    let agent = server.enrol();
    let mut connection = server.connect();
    for byte in agent.acks(&[event("policy:default:1", &agent)]).bytes() {
        connection.send([byte]);
    }
    assert_eq!(connection.response().ok()["items"][0]["status"], 200);
}

#[test]
fn a_client_that_sends_a_byte_of_chunked_gzip_at_a_time_is_served() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let mut connection = server.connect();
    for byte in agent.check_in(&online()).gzipped().chunked_bytes(1) {
        connection.send([byte]);
    }
    assert_eq!(connection.response().ok()["actions"][0]["type"], "POLICY_CHANGE");
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answer() {
    let server = Server::with(Options::plain());
    let mut connection = server.connect();
    connection.send(server.enrolment(&json!({ "type": "PERMANENT" })).bytes());
    connection.end_sending();
    assert_eq!(connection.response().status, 200);
    assert!(connection.is_over());
}

#[test]
fn a_parked_client_that_ends_its_side_is_gone() {
    for options in [Options::plain(), Options::default()] {
        let server = Server::with(options);
        let agent = server.settled();
        let mut connection = server.park(&agent);
        connection.end_sending();
        assert!(connection.answer().is_none());
        let action = server.order_settings(&agent.id, "debug");
        assert_eq!(server.check_in(&agent, &online()).ok()["actions"][0]["id"], action);
    }
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let server = Server::with(Options::plain().server("timeouts.read_header", "200ms"));
    let mut connection = server.connect();
    if let Some(answer) = connection.answer() {
        answer.is_error(408, "RequestTimeout");
    }
    assert!(connection.is_over());
}

#[test]
fn a_head_that_never_ends_times_out() {
    let server = Server::with(Options::plain().server("timeouts.read_header", "200ms"));
    let mut connection = server.connect();
    connection.send("GET /api/status HTTP/1.1\r\nHost:");
    connection.response().is_error(408, "RequestTimeout");
    assert!(connection.is_over());
}

#[test]
fn a_body_that_never_ends_times_out() {
    let server = Server::with(Options::plain().server("timeouts.read", "200ms"));
    let request = server.enrolment(&json!({ "type": "PERMANENT" }));
    let mut connection = server.connect();
    connection.send(request.head());
    connection.send("{");
    let answer = connection.response();
    answer.is_error(408, "RequestTimeout");
    assert_eq!(answer.json()["message"], "timeout on request");
}

#[test]
fn an_idle_connection_is_closed() {
    let server = Server::with(Options::plain().server("timeouts.idle", "200ms"));
    let mut connection = server.connect();
    assert_eq!(connection.ask(&Request::get("/api/status")).status, 200);
    assert!(connection.is_over());
}

#[test]
fn a_handshake_that_never_ends_is_closed() {
    let server = Server::start();
    let mut connection = server.connect_plainly();
    connection.send([0x16, 0x03, 0x01]);
    assert!(connection.is_over());
}

#[test]
fn many_that_dawdle_do_not_hold_up_the_others() {
    let server = Server::start();
    let dawdling: Vec<_> = (0..300).map(|_| server.connect_plainly()).collect();
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut connection = server.connect();
            connection.send("POST /api/fleet/agents/enroll HTTP/1.1\r\nHost: a\r\nX: ");
            connection
        })
        .collect();
    let agent = server.settled();
    let mut parked = server.park(&agent);
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(parked.response().ok()["actions"][0]["id"], action);
    drop((dawdling, slow));
}

#[test]
fn plain_http_on_a_tls_port_ends() {
    let server = Server::start();
    let mut connection = server.connect_plainly();
    connection.send(Request::get("/api/status").bytes());
    connection.read_to_its_end();
    is_well(&server);
}

#[test]
fn a_thousand_that_come_and_go_leave_nothing() {
    let server = Server::with(Options::plain());
    let before = sockets(&server);
    let agent = server.settled();
    for round in 0..1_000 {
        let mut connection = server.connect();
        match round % 4 {
            0 => drop(connection),
            1 => connection.send("GET /api/sta"),
            2 => connection.send(agent.check_in(&online()).bytes()),
            _ => connection.send(Request::get("/api/status").bytes()),
        }
    }
    are_closed(&server, before);
    is_well(&server);
}

#[test]
fn a_client_that_ends_its_side_in_the_middle_of_its_body_is_told() {
    let server = Server::with(Options::plain());
    let request = server.enrolment(&json!({ "type": "PERMANENT" }));
    let mut connection = server.connect();
    connection.send(request.head());
    connection.send("{");
    connection.end_sending();
    if let Some(answer) = connection.answer() {
        answer.is_error(499, "StatusClientClosedRequest");
    }
    assert!(connection.is_over());
    assert_eq!(server.stop().open().agents().len(), 0);
}

#[test]
fn a_parked_client_whose_connection_breaks_is_gone() {
    let server = Server::start();
    let agent = server.settled();
    let before = sockets(&server);
    server.park(&agent).break_off();
    are_closed(&server, before);
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(server.check_in(&agent, &online()).ok()["actions"][0]["id"], action);
}
