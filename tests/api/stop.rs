//! How a server stops, and what a second start finds.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Agent, Options, Request, Server, event, online};

#[test]
fn every_parked_check_in_gets_an_empty_answer() {
    let server = Server::start();
    let agents: Vec<Agent> = (0..server.many(100)).map(|_| server.settled()).collect();
    let mut parked: Vec<_> = agents.iter().map(|agent| server.park(agent)).collect();
    let mut process = server.process;
    process.signal(Signal::TERM);
    for connection in &mut parked {
        assert_eq!(connection.response().ok(), json!({ "ack_token": "", "action": "checkin" }));
    }
    assert!(process.wait().success(), "{}", process.stderr.whole());
}

#[test]
fn what_check_ins_said_is_written_before_the_end() {
    let server = Server::start();
    let agents: Vec<Agent> = (0..20).map(|_| server.settled()).collect();
    let said = |agent: &Agent| json!({ "status": "degraded", "message": format!("of {}", agent.id) });
    let parked: Vec<_> = agents
        .iter()
        .map(|agent| {
            let mut connection = server.connect();
            connection.send(agent.check_in(&said(agent)).bytes());
            connection
        })
        .collect();
    // the last is noted, so the others have been taken
    let last = server.park_saying(&agents[0], &json!({ "status": "online", "message": "the last" }));
    let mut installation = server.stop();
    drop((parked, last));
    let opened = installation.open();
    for agent in &agents[1..] {
        let stored = opened.agent(&agent.id).unwrap();
        assert_eq!(stored.last_checkin_message, Some(format!("of {}", agent.id)));
    }
}

#[test]
fn a_hundred_parked_and_a_hundred_under_way_are_answered_and_written_before_the_end() {
    let server = Server::with(Options::plain());
    let agents: Vec<Agent> = (0..server.many(200)).map(|_| server.settled()).collect();
    let (parked, pending) = agents.split_at(agents.len() / 2);
    let mut parked: Vec<_> = parked.iter().map(|agent| server.park(agent)).collect();
    let said = |agent: &Agent| json!({ "status": "degraded", "message": format!("of {}", agent.id) });
    let send = |agent: &Agent| {
        let mut connection = server.connect();
        connection.send(agent.check_in(&said(agent)).bytes());
        connection
    };
    let mut pending_connections: Vec<_> = pending.iter().map(send).collect();
    // the last is noted, so the others have been taken
    let last = server.settled();
    parked.push(server.park(&last));
    let mut installation = server.stop();
    for connection in parked.iter_mut().chain(&mut pending_connections) {
        assert_eq!(connection.response().ok(), json!({ "ack_token": "", "action": "checkin" }));
    }
    let opened = installation.open();
    for agent in pending {
        let stored = opened.agent(&agent.id).unwrap();
        assert_eq!(stored.last_checkin_message, Some(format!("of {}", agent.id)));
    }
}

#[test]
fn sigint_stops_it_too() {
    let mut process = Server::start().process;
    process.signal(Signal::INT);
    assert!(process.wait().success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // a request under way, which the first signal would wait for
    let server = Server::with(Options::plain().server("timeouts.drain", "5m"));
    let mut connection = server.connect();
    connection
        .send(server.enrolment(&json!({ "type": "PERMANENT" })).header("Expect", "100-continue").head());
    assert_eq!(connection.response().status, 100);
    let mut process = server.process;
    process.signal(Signal::TERM);
    process.stderr.wait_for("stopping");
    process.signal(Signal::TERM);
    process.wait();
}

#[test]
fn a_request_under_way_is_finished() {
    let server = Server::with(Options::plain());
    let request = server.enrolment(&json!({ "type": "PERMANENT" })).header("Expect", "100-continue");
    let (head, bytes) = (request.head(), request.bytes());
    let mut connection = server.connect();
    connection.send(&head);
    assert_eq!(connection.response().status, 100);
    let mut process = server.process;
    process.signal(Signal::TERM);
    process.stderr.wait_for("stopping");
    connection.send(&bytes[head.len()..]);
    let answer = connection.response();
    assert_eq!(answer.header("Connection"), Some("close"));
    let agent = Agent::of(&answer);
    assert!(process.wait().success());
    let mut installation = server.installation;
    assert!(installation.agent(&agent.id).active);
}

#[test]
fn a_request_that_is_not_finished_in_time_does_not_hold_it_up() {
    let server = Server::with(Options::plain().server("timeouts.drain", "200ms"));
    let mut connection = server.connect();
    connection
        .send(server.enrolment(&json!({ "type": "PERMANENT" })).header("Expect", "100-continue").head());
    assert_eq!(connection.response().status, 100);
    let mut process = server.process;
    process.signal(Signal::TERM);
    assert!(process.wait().success(), "{}", process.stderr.whole());
    if let Some(answer) = connection.answer() {
        answer.is_error(499, "StatusClientClosedRequest");
    }
}

#[test]
fn a_check_in_while_it_stops_gets_an_empty_answer_and_a_closed_connection() {
    let server = Server::with(Options::plain());
    let agent = server.settled();
    let mut late = server.connect();
    // this one keeps it from ending at once
    let mut busy = server.connect();
    busy.send(server.enrolment(&json!({ "type": "PERMANENT" })).header("Expect", "100-continue").head());
    assert_eq!(busy.response().status, 100);
    let mut process = server.process;
    process.signal(Signal::TERM);
    process.stderr.wait_for("stopping");
    let answer = late.ask(&agent.check_in(&online()));
    assert_eq!(answer.ok(), json!({ "ack_token": "", "action": "checkin" }));
    assert_eq!(answer.header("Connection"), Some("close"));
    assert!(late.is_over());
    drop(busy);
    assert!(process.wait().success());
}

#[test]
fn the_admin_socket_is_gone_after_the_end() {
    let installation = Server::start().stop();
    assert!(!installation.path().join("admin.sock").exists());
}

#[test]
fn a_second_start_finds_token_agents_policies_and_actions() {
    let server = Server::start();
    let agent = server.settled();
    let policy =
        json!({ "outputs": { "o": { "type": "elasticsearch", "hosts": ["http://h:9200"] } }, "inputs": [] });
    assert_eq!(server.apply("default", &policy), 2);
    let action = server.order_settings(&agent.id, "debug");
    server.ask(&agent.acks(&[event("policy:default:2", &agent), event(&action, &agent)])).ok();
    let authority = std::fs::read(server.authority()).unwrap();
    let server = server.stop().start();
    assert_eq!(std::fs::read(server.authority()).unwrap(), authority, "the CA is the same");
    server.enrol();
    assert_eq!(server.apply("default", &policy), 2, "its content is the same");
    let shown = server.agent(&agent.id);
    assert_eq!(shown["policy_revision"], 2);
    assert_eq!(server.check_in(&agent, &online()).ok()["actions"][0]["id"], action);
    assert_eq!(server.stop().open().results(&action).len(), 1);
}

#[test]
fn the_log_of_a_normal_life_has_no_warnings() {
    let server = Server::start();
    let agent = server.settled();
    let mut parked = server.park(&agent);
    let action = server.order_settings(&agent.id, "debug");
    parked.response().ok();
    server.ask(&agent.acks(&[event(&action, &agent)])).ok();
    server.ask(&Request::get("/api/status")).ok();
    let mut process = server.process;
    process.signal(Signal::TERM);
    process.wait();
    process.stderr.whole();
    assert_eq!(process.stderr.warnings(), Vec::<String>::new());
}
