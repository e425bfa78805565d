//! The program under an agent, from its first configuration to its end: what is served, and what the agent is told of it.

use std::net::{TcpListener, TcpStream};

use fleet_server::agent_mode::messages::{ActionRequest, AgentInfo, CheckinExpected, CheckinObserved};
use fleet_server::agent_mode::seam::State;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fleet::POLICY;
use crate::proxy::{Fault, Proxy};
use crate::support::{Agent, Connection, Request, free_port};
use crate::wire::{are, expected, of, stopped};
use crate::world::{World, enrolment, nowhere, on_cluster, payload};

#[test]
fn without_elasticsearch_it_starts_and_serves_and_says_why_it_is_not_healthy() {
    let mut world = World::start();
    world.want(&json!({}), &nowhere());
    world.listens(world.port);
    let told = |observed: &CheckinObserved| {
        are(observed, State::Starting) && observed.units[0].message.contains("127.0.0.1:9")
    };
    world.stream.hear_when(told);
    assert_eq!(world.status().json()["status"], "STARTING");
}

#[test]
fn a_bad_configuration_fails_its_unit_with_the_key_and_the_old_server_serves_on() {
    let mut world = World::start();
    world.want(&json!({}), &nowhere());
    world.listens(world.port);
    world.want(&json!({"limits": {"max_agents": "many"}}), &nowhere());
    let observed = world.stream.hear_when(|observed| of(observed, "input-1").state == State::Failed as i32);
    let message = &of(&observed, "input-1").message;
    assert!(message.contains("inputs.0.server.limits.max_agents"), "{message}");
    assert_eq!(of(&observed, "output-1").state, State::Starting as i32);
    assert_eq!(world.status().json()["name"], "fleet-server");
    world.want(&json!({}), &json!({"type": "elasticsearch", "hosts": ["ftp://x"]}));
    let observed = world.stream.hear_when(|observed| of(observed, "output-1").state == State::Failed as i32);
    assert!(of(&observed, "output-1").message.contains("output.elasticsearch.hosts"));
    assert_eq!(of(&observed, "input-1").state, State::Starting as i32);
    world.want(&json!({}), &nowhere());
    world.stream.hear_when(|observed| are(observed, State::Starting));
}

#[test]
fn another_port_that_is_in_use_fails_the_input_and_the_old_server_serves_on_until_it_is_free() {
    let mut world = World::start();
    let old = world.port;
    world.want(&json!({}), &nowhere());
    world.listens(old);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    world.port = taken.local_addr().unwrap().port();
    world.want(&json!({}), &nowhere());
    let observed = world.stream.hear_when(|observed| of(observed, "input-1").state == State::Failed as i32);
    let message = &of(&observed, "input-1").message;
    assert!(message.contains("in use"), "{message}");
    assert_eq!(of(&observed, "output-1").state, State::Starting as i32);
    world.listens(old);
    let new = world.port;
    drop(taken);
    world.listens(new);
    world.stream.hear_when(|observed| are(observed, State::Starting));
}

#[test]
fn a_port_in_use_fails_it_and_another_configuration_is_taken_at_once() {
    let mut world = World::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = world.port;
    world.port = taken.local_addr().unwrap().port();
    world.want(&json!({}), &nowhere());
    let observed = world.hear(State::Failed);
    assert!(observed.units[0].message.contains("in use"), "{}", observed.units[0].message);
    world.port = free;
    world.want(&json!({}), &nowhere());
    world.hear(State::Starting);
    world.listens(free);
}

#[test]
fn a_port_that_comes_free_is_taken_without_a_word_of_the_agent() {
    let mut world = World::start();
    let taken = TcpListener::bind(("127.0.0.1", world.port)).unwrap();
    world.want(&json!({}), &nowhere());
    world.hear(State::Failed);
    drop(taken);
    world.hear(State::Starting);
    world.listens(world.port);
}

#[test]
fn sigterm_is_stopping_then_stopped_and_a_good_end() {
    let mut world = World::start();
    world.want(&json!({}), &nowhere());
    world.listens(world.port);
    world.hear(State::Starting);
    world.terminate();
    let heard = world.stream.hear_all();
    let states: Vec<i32> = heard.iter().map(|observed| observed.units[0].state).collect();
    assert!(states.contains(&(State::Stopping as i32)), "{states:?}");
    assert_eq!(states.last(), Some(&(State::Stopped as i32)));
    assert!(world.program.wait().success());
}

#[test]
fn sigterm_before_anything_is_wanted_is_a_good_end_too() {
    let mut world = World::start();
    world.terminate();
    assert!(world.program.wait().success());
}

#[test]
fn a_directory_too_deep_for_the_operators_socket_does_not_stop_it() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(100));
    let mut world = World::with(&[format!("path.data={}", deep.display())]);
    world.want(&json!({}), &nowhere());
    world.listens(world.port);
    world.program.stderr.wait_for("is too long for the address of a socket");
}

#[test]
fn an_agent_that_vanishes_stops_nothing() {
    let mut world = World::start();
    world.want(&json!({}), &nowhere());
    world.listens(world.port);
    let World { controller, stream, mut program, port, .. } = world;
    drop((controller, stream));
    for _ in 0..3 {
        assert_eq!(Connection::plain(port).ask(&Request::get("/api/status")).json()["name"], "fleet-server");
    }
    assert!(program.ended().is_none());
    let pid = i32::try_from(program.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(program.wait().success());
}

#[test]
fn a_log_level_is_followed_and_the_connections_stay() {
    let mut world = World::start();
    world.want(&json!({}), &nowhere());
    world.listens(world.port);
    let mut connection = Connection::plain(world.port);
    connection.ask(&Request::get("/api/status"));
    let mut units = vec![world.input(&json!({})), world.output(&nowhere())];
    units[1].log_level = 3;
    world.stream.say(expected(units));
    world.program.stderr.wait_for("another configuration is in force: logging");
    connection.ask(&Request::get("/api/status").header("X-Request-Id", "at-debug"));
    world.program.stderr.wait_for("at-debug");
}

#[test]
fn while_an_output_hangs_in_its_test_the_agent_is_heard_and_answered() {
    let mut world = World::start();
    // it takes connections and says nothing
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = json!({"type": "elasticsearch", "hosts": [format!("http://{}", hangs.local_addr().unwrap())],
        "bootstrap": {"hosts": ["http://127.0.0.1:9"]}});
    for features_idx in 1..=3 {
        let units = vec![world.input(&json!({})), world.output(&output)];
        world.stream.say(CheckinExpected { features_idx, ..expected(units) });
        world.stream.hear_when(|observed| observed.features_idx == features_idx);
    }
    // nor does the test hold up the end
    world.terminate();
    assert!(world.program.wait().success());
}

#[test]
#[ignore = "waits for most of a minute; .ci/full runs it"]
fn while_an_output_hangs_in_its_test_the_agent_is_told_the_same_again_and_again() {
    let mut world = World::start();
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = json!({"type": "elasticsearch", "hosts": [format!("http://{}", hangs.local_addr().unwrap())],
        "bootstrap": {"hosts": ["http://127.0.0.1:9"]}});
    world.want(&json!({}), &output);
    let mut last = world.stream.hear_when(|observed| observed.units.len() == 2);
    let mut repeated = 0;
    while repeated < 2 {
        let observed = world.stream.hear_again();
        repeated += usize::from(observed.units == last.units);
        last = observed;
    }
    assert_eq!(last.units.len(), 2, "always of both");
}

#[test]
fn the_policys_output_that_fails_is_replaced_by_that_of_the_installation() {
    let mut world = World::start();
    let output = json!({"type": "elasticsearch", "hosts": ["http://127.0.0.1:9"],
        "bootstrap": {"hosts": ["http://127.0.0.1:10"]}});
    world.want(&json!({}), &output);
    let by_bootstrap =
        |observed: &CheckinObserved| observed.units.iter().any(|unit| unit.message.contains("127.0.0.1:10"));
    world.stream.hear_when(by_bootstrap);
    world.listens(world.port);
}

#[test]
fn diagnostics_hold_the_configuration_without_secrets_and_what_requests_come_to() {
    let mut world = World::start();
    let actions = world.controller.actions();
    actions.hear();
    let output = json!({"type": "elasticsearch", "hosts": ["http://127.0.0.1:9"], "service_token": "s3cret"});
    world.want(&json!({}), &output);
    world.listens(world.port);
    let params = br#"{"additional_metrics":["CONN"]}"#.to_vec();
    actions.say(ActionRequest { id: "d".into(), r#type: 1, level: 1, params, ..ActionRequest::default() });
    let answer = actions.hear();
    assert_eq!((answer.id.as_str(), answer.status), ("d", 0));
    let text = |name: &str| {
        let file = answer.diagnostic.iter().find(|file| file.filename == name);
        let file = file.unwrap_or_else(|| panic!("{name} is missing"));
        String::from_utf8(file.content.clone()).unwrap()
    };
    let configuration = text("fleet-server.yml");
    assert!(configuration.contains(&format!("port: {}", world.port)), "{configuration}");
    assert!(!answer.diagnostic.iter().any(|file| String::from_utf8_lossy(&file.content).contains("s3cret")));
    assert!(text("fleet-server-api-tls.txt").contains("TLS is off"));
    assert!(text("fleet-server-output-tls.txt").contains("http://127.0.0.1:9"));
    assert!(text("fleet-server-output-request.txt").contains("failed after"));
    let state: Value = serde_json::from_str(&text("fleet-server-state.json")).unwrap();
    assert_eq!(state["server"]["agents"]["parked"], 0);
}

#[test]
fn what_it_logs_is_read_by_the_agent() {
    let mut world = World::start();
    world.want(&json!({}), &nowhere());
    world.listens(world.port);
    world.terminate();
    assert!(world.program.wait().success());
    for line in world.program.stderr.whole().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("{key} of {line}")).to_owned();
        assert!(["error", "warn", "info", "debug", "trace"].contains(&text("log.level").as_str()), "{line}");
        let timestamp = text("@timestamp");
        // 2006-01-02T15:04:05.000Z
        assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
        assert!(!text("message").is_empty());
    }
}

#[test]
fn an_agent_without_an_id_is_told_its_token_enrols_inside_and_is_healthy_then() {
    let Some((mut world, fleet)) = on_cluster() else { return };
    world.want(&json!({}), &fleet.output());
    let waits = |observed: &CheckinObserved| observed.units.iter().any(|unit| unit.message.contains(POLICY));
    assert_eq!(payload(&world.stream.hear_when(waits)), None);
    fleet.revise(1);
    let token = fleet.token();
    let degraded = world
        .stream
        .hear_when(|observed| are(observed, State::Degraded) && observed.units[0].payload.is_some());
    assert_eq!(payload(&degraded), Some(json!({ "enrollment_token": token })));
    assert_eq!(world.status().status, 503);
    let mut inside = Connection::plain(world.internal_port);
    let agent = Agent::of(&inside.ask(&enrolment(&token)));
    let info = AgentInfo { id: agent.id.clone(), version: "9.6.0".into() };
    let units = vec![world.input(&json!({})), world.output(&fleet.output())];
    world.stream.say(CheckinExpected { agent_info: Some(info), ..expected(units) });
    assert_eq!(payload(&world.hear(State::Healthy)), None);
    assert_eq!(world.status().status, 200);
    // the connection has outlived that
    let policy = inside.ask(&agent.check_in(&json!({"status": "online", "message": ""}))).ok();
    assert_eq!(policy["actions"][0]["type"], "POLICY_CHANGE");
}

#[test]
fn what_can_be_changed_in_place_wakes_no_parked_agent_and_another_port_answers_them() {
    let Some((mut world, fleet)) = on_cluster() else { return };
    fleet.revise(1);
    let token = fleet.token();
    world.want_enrolled(&json!({}), &fleet.output());
    world.hear(State::Healthy);
    let agents: Vec<Agent> = (0..5).map(|_| world.enrol(&token)).collect();
    let mut parked = world.park(&agents);
    let changed =
        json!({"limits": {"max_connections": 900}, "timeouts": {"idle": "40s", "checkin_jitter": "0"}});
    world.want_enrolled(&changed, &fleet.output());
    world
        .program
        .stderr
        .wait_for("another configuration is in force: inputs.0.server.limits, inputs.0.server.timeouts");
    assert_eq!(world.parked(), 5);
    let before = world.port;
    world.port = free_port();
    world.want_enrolled(&changed, &fleet.output());
    for connection in &mut parked {
        let answer = connection.response().ok();
        assert!(answer.get("actions").is_none(), "{answer}");
    }
    world.hear(State::Configuring);
    world.hear(State::Healthy);
    assert!(TcpStream::connect(("127.0.0.1", before)).is_err());
    drop(parked);
    let parked = world.park(&agents[..1]);
    drop(parked);
}

#[test]
fn units_that_are_to_stop_answer_who_is_parked_and_the_process_stays() {
    let Some((mut world, fleet)) = on_cluster() else { return };
    fleet.revise(1);
    let token = fleet.token();
    world.want_enrolled(&json!({}), &fleet.output());
    world.hear(State::Healthy);
    let agents = [world.enrol(&token)];
    let mut parked = world.park(&agents);
    let units = vec![world.input(&json!({})), world.output(&fleet.output())];
    world.stream.say(expected(units.into_iter().map(stopped).collect()));
    assert!(parked[0].response().ok().get("actions").is_none());
    world.hear(State::Stopped);
    assert!(TcpStream::connect(("127.0.0.1", world.port)).is_err());
    assert!(world.program.ended().is_none());
    world.want_enrolled(&json!({}), &fleet.output());
    world.hear(State::Healthy);
}

#[test]
fn while_elasticsearch_fails_it_is_degraded_with_the_reason_and_healthy_again_by_itself() {
    let Some((mut world, fleet)) = on_cluster() else { return };
    fleet.revise(1);
    let mut output = fleet.output();
    let proxy = Proxy::before(output["hosts"][0].as_str().unwrap());
    output["hosts"] = json!([proxy.url()]);
    world.want_enrolled(&json!({}), &output);
    world.hear(State::Healthy);
    proxy.fail("", Fault::Refuse(503));
    let degraded = world.hear(State::Degraded);
    assert!(degraded.units[0].message.contains("503"), "{}", degraded.units[0].message);
    // so short a trouble is hidden from load balancers
    assert_eq!(world.status().status, 200);
    proxy.heal();
    world.hear(State::Healthy);
}
