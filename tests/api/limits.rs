//! Rates, numbers and sizes (http-api.md, "Rate limits" and "Bodies").

use serde_json::{Value, json};

use crate::support::{Agent, Options, Request, Server, action, eventually, free_port, gzip, online};

fn plain() -> Server {
    Server::with(Options::plain())
}

/// An hour for each token: the burst is all there is.
fn limited(route: &str, burst: u32) -> Options {
    Options::plain()
        .server(&format!("limits.{route}_limit.interval"), "1h")
        .server(&format!("limits.{route}_limit.burst"), burst)
}

/// JSON of exactly so many bytes that says `start`.
fn padded(start: &Value, bytes: usize) -> Vec<u8> {
    let text = start.to_string();
    let filler = " ".repeat(bytes - text.len());
    text.replacen('{', &format!("{{{filler}"), 1).into_bytes()
}

/// With this body all is well, with one byte more it is too large.
#[track_caller]
fn body_bytes_max_is(server: &Server, bytes: usize, request: impl Fn(Vec<u8>) -> Request, body: &Value) {
    let fits = server.ask(&request(padded(body, bytes)));
    assert_eq!(fits.status, 200, "{}", fits.text());
    for over in [bytes + 1, bytes + 100_000] {
        let answer = server.ask(&request(padded(body, over)));
        answer.is_error(413, "ErrPayloadSizeTooLarge");
        assert_eq!(answer.json()["message"], "the request body exceeds the maximum allowed size");
    }
    // a length that is not said is found out
    let mut connection = server.connect();
    connection.try_send(request(padded(body, bytes + 1)).chunked_bytes(10_000));
    connection.response().is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn the_body_of_an_enrolment() {
    let server = plain();
    let enrolment = |body: Vec<u8>| server.enrolment(&Value::Null).body(body);
    body_bytes_max_is(&server, 512 * 1024, enrolment, &json!({ "type": "PERMANENT" }));
}

#[test]
fn the_body_of_a_check_in() {
    let server = Server::with(Options::plain().server("timeouts.checkin_long_poll", "50ms"));
    let agent = server.settled();
    body_bytes_max_is(&server, 1024 * 1024, |body| agent.check_in(&Value::Null).body(body), &online());
}

#[test]
fn the_body_of_acks() {
    let server = plain();
    let agent = server.enrol();
    body_bytes_max_is(&server, 2 * 1024 * 1024, |body| agent.acks(&[]).body(body), &json!({ "events": [] }));
}

#[test]
fn the_body_of_an_audit() {
    let server = plain();
    let agent = server.enrol();
    let body = json!({ "reason": "uninstall", "timestamp": "2026-01-02T03:04:05Z" });
    body_bytes_max_is(&server, 1024, |body| agent.audit_unenroll("").body(body), &body);
}

#[test]
fn the_limit_of_a_body_is_configurable() {
    let server = Server::with(Options::plain().server("limits.ack_limit.max_body_byte_size", 100));
    let agent = server.enrol();
    body_bytes_max_is(&server, 100, |body| agent.acks(&[]).body(body), &json!({ "events": [] }));
}

/// A check-in whose gzipped body inflates to so many bytes.
fn inflating_to(agent: &Agent, bytes: usize) -> Request {
    agent.check_in(&Value::Null).body(gzip(&padded(&online(), bytes))).header("Content-Encoding", "gzip")
}

#[test]
fn a_gzip_bomb_is_too_large() {
    let server = plain();
    let agent = server.settled();
    let bomb = inflating_to(&agent, 21 * 1024 * 1024);
    assert!(bomb.bytes().len() < 100_000, "{}", bomb.bytes().len());
    server.ask(&bomb).is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn many_gzip_bombs_at_once_leave_the_server_well() {
    let server = plain();
    let agent = server.settled();
    let bomb = inflating_to(&agent, 100 * 1024 * 1024).bytes();
    let mut connections: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.send(&bomb);
    }
    assert_eq!(server.ask(&Request::get("/api/status")).status, 200);
    for connection in &mut connections {
        connection.response().is_error(413, "ErrPayloadSizeTooLarge");
    }
}

#[test]
fn a_body_that_inflates_to_exactly_the_limit_is_read() {
    let options = Options::plain().server("timeouts.checkin_long_poll", "50ms");
    let server = Server::with(options.server("limits.checkin_limit.max_body_decompressed", 300_000));
    let agent = server.settled();
    server.ask(&inflating_to(&agent, 300_000)).ok();
    server.ask(&inflating_to(&agent, 300_001)).is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn a_body_of_several_mebibytes_is_read() {
    let server = Server::with(Options::plain().server("timeouts.checkin_long_poll", "50ms"));
    let agent = server.settled();
    server.ask(&inflating_to(&agent, 19 * 1024 * 1024)).ok();
}

#[test]
fn gzip_that_is_cut_off_is_refused() {
    let server = plain();
    let agent = server.settled();
    let whole = gzip(online().to_string().as_bytes());
    for kept in [0, 1, 9, 10, 15, whole.len() - 8, whole.len() - 1] {
        let request = agent.check_in(&Value::Null).body(&whole[..kept]).header("Content-Encoding", "gzip");
        assert_eq!(server.ask(&request).error(), (400, "BadRequest".into()), "{kept} of {}", whole.len());
    }
}

#[test]
fn gzip_that_is_damaged_is_refused() {
    let server = plain();
    let agent = server.settled();
    let mut damaged = gzip(online().to_string().as_bytes());
    let sum = damaged.len() - 6;
    damaged[sum] ^= 1;
    for body in [damaged, b"no gzip at all".to_vec()] {
        let request = agent.check_in(&Value::Null).body(body).header("Content-Encoding", "gzip");
        server.ask(&request).is_error(400, "BadRequest");
    }
}

#[test]
fn gzip_without_the_header_is_refused() {
    let server = plain();
    let agent = server.settled();
    let request = agent.check_in(&Value::Null).body(gzip(online().to_string().as_bytes()));
    server.ask(&request).is_error(400, "BadRequest");
}

#[test]
fn acks_are_taken_as_they_come_whatever_their_coding() {
    let server = plain();
    let agent = server.settled();
    server.ask(&agent.acks(&[]).gzipped()).is_error(400, "BadRequest");
    server.ask(&agent.acks(&[]).header("Content-Encoding", "gzip")).ok();
}

#[test]
fn json_ten_thousand_levels_deep_is_refused() {
    let server = plain();
    let agent = server.settled();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    for nested in [deep, objects] {
        for body in [nested.clone(), format!(r#"{{"status":"online","local_metadata":{nested}}}"#)] {
            server.ask(&agent.check_in(&Value::Null).body(body)).is_error(400, "BadRequest");
        }
        let body = format!(r#"{{"type":"PERMANENT","metadata":{{"local":{nested}}}}}"#);
        server.ask(&server.enrolment(&Value::Null).body(body)).is_error(400, "BadRequest");
        // an event that cannot be read counts as one without fields
        let body = format!(r#"{{"events":[{{"action_id":"a","data":{nested}}}]}}"#);
        assert_eq!(server.ask(&agent.acks(&[]).body(body)).json()["items"][0]["status"], 404);
    }
    assert_eq!(server.ask(&Request::get("/api/status")).status, 200);
}

#[test]
fn bodies_that_are_no_json_object_are_refused() {
    let server = plain();
    let agent = server.settled();
    for body in
        ["", "[]", "\"x\"", "5", "{", "{\"status\":", "{\"status\":\"online\"", "nul", "\u{feff}{}", "{]"]
    {
        server.ask(&agent.check_in(&Value::Null).body(body)).is_error(400, "BadRequest");
        server.ask(&server.enrolment(&Value::Null).body(body)).is_error(400, "BadRequest");
        server.ask(&agent.acks(&[]).body(body)).is_error(400, "BadRequest");
        server.ask(&agent.audit_unenroll("").body(body)).is_error(400, "BadRequest");
    }
}

#[test]
fn fields_of_a_wrong_type_are_refused() {
    let server = plain();
    let agent = server.settled();
    for body in [
        json!({ "status": 5 }),
        json!({ "status": "x", "message": [] }),
        json!({ "status": "x", "ack_token": 1 }),
    ] {
        server.check_in(&agent, &body).is_error(400, "BadRequest");
    }
    for body in [json!({ "type": ["PERMANENT"] }), json!({ "type": "PERMANENT", "metadata": "x" })] {
        server.ask(&server.enrolment(&body)).is_error(400, "BadRequest");
    }
}

#[test]
fn the_burst_is_all_that_passes() {
    let server = Server::with(limited("enroll", 2));
    let request = server.enrolment(&json!({ "type": "PERMANENT" }));
    server.ask(&request).ok();
    server.ask(&request).ok();
    let answer = server.ask(&request);
    answer.is_error(429, "RateLimit");
    assert_eq!(answer.json()["message"], "exceeded the rate limit");
    assert!(answer.header("X-Request-Id").is_some());
    assert_eq!((answer.header("Retry-After"), answer.header("Elastic-Api-Version")), (None, None));
}

#[test]
fn the_limit_is_told_before_the_key_is_looked_at_and_the_body_read() {
    let server = Server::with(limited("ack", 1));
    let agent = server.enrol();
    server.ask(&agent.acks(&[])).ok();
    let mut connection = server.connect();
    connection.send(agent.acks(&[]).key("YTpi").body("never sent").head());
    connection.response().is_error(429, "RateLimit");
}

#[test]
fn the_limit_follows_the_path_alone() {
    let server = Server::with(limited("enroll", 3));
    // the method is not looked at, a slash is stripped, and what is unknown below agents counts as an enrolment
    assert_eq!(server.ask(&Request::new("PUT", "/api/fleet/agents/enroll")).status, 405);
    assert_eq!(server.ask(&Request::post("/api/fleet/agents/enroll/")).status, 404);
    assert_eq!(server.ask(&Request::post("/api/fleet/agents/temporary")).status, 404);
    server.ask(&Request::post("/api/fleet/agents/enroll")).is_error(429, "RateLimit");
    assert_eq!(server.ask(&Request::get("/nowhere")).status, 404);
}

#[test]
fn one_parked_check_in_fills_a_limit_of_one() {
    let server = Server::with(Options::plain().server("limits.checkin_limit.max", 1));
    let (agent, other) = (server.settled(), server.settled());
    let mut parked = server.park(&agent);
    let answer = server.check_in(&other, &online());
    answer.is_error(429, "MaxLimit");
    assert_eq!(answer.json()["message"], "exceeded the max limit");
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(parked.response().ok()["actions"][0]["id"], action);
    server.order_settings(&other.id, "debug");
    server.check_in(&other, &online()).ok();
}

#[test]
fn exactly_so_many_agents_fit_and_a_newer_check_in_takes_over() {
    let server = Server::with(Options::plain().server("limits.checkin_limit.max", 3));
    let agents: Vec<Agent> = (0..4).map(|_| server.settled()).collect();
    let mut parked: Vec<_> = agents[..3].iter().map(|agent| server.park(agent)).collect();
    server.check_in(&agents[3], &online()).is_error(429, "MaxLimit");
    // the first comes again from elsewhere, as agents do whose connection broke unnoticed
    let mut again = server.park_saying(&agents[0], &json!({ "status": "online", "message": "again" }));
    assert_eq!(parked[0].response().ok(), json!({ "ack_token": "", "action": "checkin" }));
    server.check_in(&agents[3], &online()).is_error(429, "MaxLimit");
    let action = server.order_settings(&agents[0].id, "debug");
    assert_eq!(again.response().ok()["actions"][0]["id"], action);
}

#[test]
fn max_agents_lets_that_many_park() {
    let options =
        Options::plain().server("limits.max_agents", 50).server("limits.checkin_limit.interval", "1ns");
    let server = Server::with(options.server("limits.enroll_limit.interval", "1ns"));
    let agents: Vec<Agent> = (0..50).map(|_| server.settled()).collect();
    let mut parked: Vec<_> = agents.iter().map(|agent| server.park(agent)).collect();
    let orders: Vec<String> = agents.iter().map(|agent| server.order_settings(&agent.id, "debug")).collect();
    for (connection, order) in parked.iter_mut().zip(orders) {
        assert_eq!(connection.response().ok()["actions"][0]["id"], order);
    }
}

#[test]
fn more_requests_than_max_connections_are_refused() {
    let server = Server::with(Options::plain().server("limits.max_connections", 10));
    let agents: Vec<Agent> = (0..10).map(|_| server.settled()).collect();
    let mut parked: Vec<_> = agents.iter().map(|agent| server.park(agent)).collect();
    let answer = server.ask(&Request::get("/api/status"));
    assert_eq!(answer.status, 429);
    let action = server.order_settings(&agents[0].id, "debug");
    assert_eq!(parked[0].response().ok()["actions"][0]["id"], action);
    assert_eq!(server.ask(&Request::get("/api/status")).status, 200);
}

#[test]
fn connections_beyond_110_percent_are_closed_when_accepted() {
    let server = Server::with(Options::plain().server("limits.max_connections", 10));
    let status = Request::get("/api/status");
    // earlier connections may still count for a moment
    let connections: Vec<_> = eventually("11 connections are served", || {
        let connections = (0..11).map(|_| {
            let mut connection = server.connect();
            let served = connection.try_send(status.bytes()) && connection.whole_answer().is_some();
            served.then_some(connection)
        });
        connections.collect()
    });
    let mut beyond = server.connect();
    beyond.try_send(status.bytes());
    assert!(beyond.whole_answer().is_none(), "it was served");
    drop(connections);
}

#[test]
fn the_operator_is_never_limited() {
    let server = Server::with(limited("status", 5).server("limits.max_connections", 2));
    let agent = server.enrol();
    for _ in 0..30 {
        assert_eq!(server.agent(&agent.id)["id"], agent.id);
    }
}

/// A server and an agent whose one action makes an answer of `bytes`.
fn answering_with(bytes: usize) -> (Server, Agent) {
    let server = plain();
    let (measured, agent) = (server.settled(), server.settled());
    let text = |agent: &Agent, length: usize| {
        action("a", "INPUT_ACTION", &json!({ "text": "x".repeat(length) }), &[&agent.id])
    };
    let mut installation = server.stop();
    installation.open().put_action(text(&measured, 0));
    let server = installation.start();
    let empty = server.check_in(&measured, &online()).body.len();
    let mut installation = server.stop();
    installation.open().put_action(text(&agent, bytes - empty));
    (installation.start(), agent)
}

#[test]
fn an_answer_of_1024_bytes_is_plain_and_one_of_1025_gzipped() {
    for (bytes, coding) in [(1_024, None), (1_025, Some("gzip"))] {
        let (server, agent) = answering_with(bytes);
        let ask = |encoding: &str| server.ask(&agent.check_in(&online()).header("Accept-Encoding", encoding));
        for accepted in ["gzip", "deflate, gzip;q=0.5"] {
            let answer = ask(accepted);
            assert_eq!((answer.body.len(), answer.header("Content-Encoding")), (bytes, coding), "{accepted}");
        }
        for refused in ["gzip;q=0", "identity", ""] {
            let answer = ask(refused);
            assert_eq!((answer.body.len(), answer.header("Content-Encoding")), (bytes, None), "{refused}");
        }
        assert_eq!(server.check_in(&agent, &online()).header("Content-Encoding"), None);
    }
}

#[test]
fn a_policy_answer_of_1024_bytes_is_plain_and_one_of_1025_gzipped() {
    let server = plain();
    let agent = server.settled();
    let answer_with = |padding: usize, encoding: &str| {
        let output = json!({ "type": "elasticsearch", "hosts": ["http://h:9200"] });
        let padded = json!({ "outputs": { "default": output }, "inputs": [], "agent": { "text": "x".repeat(padding) } });
        let before = server.apply("default", &padded) - 1;
        let said = json!({ "status": "online", "agent_policy_id": "default", "policy_revision_idx": before });
        server.ask(&agent.check_in(&said).header("Accept-Encoding", encoding))
    };
    let bytes = answer_with(0, "identity").body.len();
    for (wanted, coding) in [(1_024, None), (1_025, Some("gzip"))] {
        let answer = answer_with(wanted - bytes, "gzip");
        assert_eq!((answer.body.len(), answer.header("Content-Encoding")), (wanted, coding));
    }
}

#[test]
fn an_overload_outside_does_not_starve_the_supervising_agent() {
    let internal = free_port();
    let options = Options::plain()
        .server("internal_port", internal)
        .server("limits.enroll_limit.interval", "1h")
        .server("limits.enroll_limit.burst", 4)
        .server("limits.checkin_limit.max", 2);
    let server = Server::with(options);
    let agents = [server.settled(), server.settled(), server.settled()];
    // outside nothing is left: two agents are parked, and the tokens of the route of enrolments are spent
    let _parked: Vec<_> = agents[..2].iter().map(|agent| server.park(agent)).collect();
    let enrolment = server.enrolment(&json!({ "type": "PERMANENT" }));
    server.ask(&enrolment).ok();
    server.ask(&enrolment).is_error(429, "RateLimit");
    server.ask(&agents[2].check_in(&online())).is_error(429, "MaxLimit");
    // and the agent that runs the server enrols inside, checks in, and gets its policy
    let mut inside = server.connect_to(internal);
    let supervising = Agent::of(&inside.ask(&enrolment));
    let policy = inside.ask(&supervising.check_in(&online())).ok();
    assert_eq!(policy["actions"][0]["type"], "POLICY_CHANGE");
    assert_eq!(inside.ask(&Request::get("/api/status")).status, 200);
}
