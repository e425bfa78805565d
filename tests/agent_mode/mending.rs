//! Configurations that are bad, and what becomes of them: what was served is served on, and what is mended is served.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;

use fleet_server::agent_mode::messages::{ActionRequest, CheckinObserved};
use fleet_server::agent_mode::seam::State;
use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{eventually, free_port};
use crate::wire::{are, of};
use crate::world::{World, nowhere};

fn is_failed(observed: &CheckinObserved, id: &str) -> bool {
    observed.units.iter().any(|unit| unit.id == id && unit.state == State::Failed as i32)
}

/// The unit is FAILED with this in its message.
fn fails(world: &World, id: &str, text: &str) {
    let fails =
        |observed: &CheckinObserved| is_failed(observed, id) && of(observed, id).message.contains(text);
    world.stream.hear_when(fails);
}

/// Both units are STARTING, and say that it is for want of a cluster: a server serves.
fn serves(world: &World) {
    world.stream.hear_when(|observed| {
        are(observed, State::Starting)
            && observed.units.iter().all(|unit| unit.message.contains("127.0.0.1:9 is not reached"))
    });
}

const TOO_HIGH: u32 = 70_000;

#[test]
fn a_first_configuration_that_was_bad_is_forgotten_once_it_is_mended() {
    let mut world = World::start();
    world.want(&json!({ "port": TOO_HIGH }), &nowhere());
    fails(&world, "input-1", "inputs.0.server.port");
    // the agent filters such a line by the level of its unit
    assert!(world.program.stderr.wait_for("the unit failed").contains(r#""unit.id":"input-1""#));
    world.want(&json!({}), &nowhere());
    serves(&world);
    world.listens(world.port);
}

#[test]
fn a_bad_configuration_that_is_mended_by_another_port_is_forgotten() {
    let mut world = World::start();
    world.want(&json!({}), &nowhere());
    serves(&world);
    world.want(&json!({ "port": TOO_HIGH }), &nowhere());
    fails(&world, "input-1", "inputs.0.server.port");
    world.port = free_port();
    world.want(&json!({}), &nowhere());
    world.hear(State::Configuring);
    serves(&world);
    world.listens(world.port);
}

#[test]
fn another_port_with_a_certificate_that_is_not_there_leaves_the_old_server_until_it_is() {
    let mut world = World::start();
    world.want(&json!({}), &nowhere());
    serves(&world);
    let old = world.port;
    let [certificate, key] = ["c.pem", "k.pem"].map(|name| world.program.directory.path().join(name));
    let ssl = json!({"ssl": {"enabled": true, "certificate": certificate, "key": key}});
    world.port = free_port();
    world.want(&ssl, &nowhere());
    fails(&world, "input-1", "c.pem");
    world.listens(old);
    let pair = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    std::fs::write(&certificate, made.pem()).unwrap();
    // files are looked at every 10 s, and whenever something comes
    world.signal(Signal::HUP);
    world.hear(State::Configuring);
    world.listens(world.port);
    world.stream.hear_when(|observed| !is_failed(observed, "input-1"));
}

#[test]
fn a_file_that_comes_later_than_the_first_configuration_mends_it() {
    let mut world = World::start();
    let token = world.program.directory.path().join("token");
    let mut output = nowhere();
    output["service_token_path"] = json!(token);
    world.want(&json!({}), &output);
    fails(&world, "output-1", "service_token_path");
    std::fs::write(&token, "t\n").unwrap();
    serves(&world);
}

#[test]
fn a_bad_configuration_does_not_stop_what_waits_for_its_port() {
    let mut world = World::start();
    let taken = TcpListener::bind(("127.0.0.1", world.port)).unwrap();
    world.want(&json!({}), &nowhere());
    world.hear(State::Failed);
    world.want(&json!({ "limits": {"max_agents": "many"} }), &nowhere());
    fails(&world, "input-1", "inputs.0.server.limits.max_agents");
    drop(taken);
    world.listens(world.port);
    fails(&world, "input-1", "inputs.0.server.limits.max_agents");
}

#[test]
fn while_its_port_is_in_use_diagnostics_tell_the_configuration_that_is_tried() {
    let mut world = World::start();
    let actions = world.controller.actions();
    actions.hear();
    let _taken = TcpListener::bind(("127.0.0.1", world.port)).unwrap();
    world.want(&json!({}), &nowhere());
    world.hear(State::Failed);
    actions.say(ActionRequest { id: "d".into(), r#type: 1, level: 1, ..ActionRequest::default() });
    let answer = actions.hear();
    assert_eq!((answer.id.as_str(), answer.status), ("d", 0));
    let text = |name: &str| {
        let file = answer.diagnostic.iter().find(|file| file.filename == name);
        String::from_utf8(file.unwrap_or_else(|| panic!("{name} is missing")).content.clone()).unwrap()
    };
    assert!(text("fleet-server.yml").contains(&format!("port: {}", world.port)));
    let state: Value = serde_json::from_str(&text("fleet-server-state.json")).unwrap();
    assert!(state["server"].is_null());
}

#[test]
fn a_token_that_changes_while_its_port_is_in_use_is_the_one_that_is_used() {
    let mut world = World::start();
    let token = world.program.directory.path().join("token");
    std::fs::write(&token, "old-token").unwrap();
    let taken = TcpListener::bind(("127.0.0.1", world.port)).unwrap();
    let cluster = TcpListener::bind("127.0.0.1:0").unwrap();
    cluster.set_nonblocking(true).unwrap();
    let hosts = json!([format!("http://{}", cluster.local_addr().unwrap())]);
    let output = json!({"type": "elasticsearch", "hosts": hosts, "service_token_path": token});
    world.want(&json!({}), &output);
    world.hear(State::Failed);
    std::fs::write(&token, "new-token").unwrap();
    drop(taken);
    world.listens(world.port);
    eventually("it asks with the new token", || {
        let (stream, _) = cluster.accept().ok()?;
        stream.set_nonblocking(false).unwrap();
        let mut head =
            BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        head.find(|line| line.contains("new-token")).map(drop)
    });
}
