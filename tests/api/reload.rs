//! Another configuration while the server runs: at SIGHUP and when a file has changed. Parked agents stay parked.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Agent, Authority, Connection, Installation, Metrics, Options, Pair, Request, Server, event, eventually,
    free_port,
};

/// A running server with a configuration file, and an agent that is parked.
struct World {
    server: Server,
    file: PathBuf,
    agent: Agent,
    parked: Connection,
}

impl World {
    fn start(text: &str, options: Options) -> World {
        let installation = Installation::new(options);
        let file = installation.directory.path().join("fleet-server.yml");
        fs::write(&file, text).unwrap();
        let server = installation.start();
        let agent = server.settled();
        let parked = server.park(&agent);
        World { server, file, agent, parked }
    }

    /// Writes the file anew, asks for it to be read, and waits for a line about it.
    fn reload(&self, text: &str, said: &str) -> String {
        fs::write(&self.file, text).unwrap();
        self.server.process.signal(Signal::HUP);
        self.server.process.stderr.wait_for(said)
    }

    /// The agent has been parked all the time: it gets what is ordered now.
    fn still_parked(mut self) {
        let action = self.server.order_settings(&self.agent.id, "debug");
        assert_eq!(self.parked.response().ok()["actions"][0]["id"], action, "nobody was dropped");
    }
}

#[test]
fn another_limit_is_in_force_and_counts_those_who_are_parked() {
    let world = World::start("", Options::plain());
    let other = world.server.settled();
    let limited = "inputs: [{type: fleet-server, server: {limits: {checkin_limit: {max: 1}}}}]\n";
    let said = world.reload(limited, "read again");
    assert!(said.contains("inputs.0.server.limits"), "{said}");
    world.server.check_in(&other, &json!({ "status": "online" })).is_error(429, "MaxLimit");
    world.reload("# no limit\n", "read again; in force");
    let mut parked = world.server.park(&other);
    let action = world.server.order_settings(&other.id, "debug");
    assert_eq!(parked.response().ok()["actions"][0]["id"], action);
    world.still_parked();
}

#[test]
fn a_body_and_a_timeout_are_bounded_anew() {
    let world = World::start("", Options::plain());
    let text = "inputs:\n  - server:\n      limits: {ack_limit: {max_body_byte_size: 10}}\n      timeouts: {checkin_long_poll: 10ms}\n";
    let said = world.reload(text, "read again");
    assert!(said.contains("limits") && said.contains("timeouts"), "{said}");
    let acks = world.agent.acks(&[event("policy:default:1", &world.agent)]);
    world.server.ask(&acks).is_error(413, "ErrPayloadSizeTooLarge");
    let other = world.server.enrol();
    world.server.told(&other, &json!({ "status": "online" }));
    let said = json!({ "status": "online", "agent_policy_id": "default", "policy_revision_idx": 1 });
    assert_eq!(world.server.check_in(&other, &said).ok()["actions"], json!(null), "the poll is short now");
    world.still_parked();
}

fn with_token(secret: &str) -> String {
    format!(
        "inputs:\n  - server:\n      static_policy_tokens:\n        enabled: true\n        policy_tokens:\n          - {{token_key: {secret}, policy_id: default}}\n"
    )
}

#[test]
fn a_static_token_that_is_taken_out_enrols_nobody_any_more() {
    let world = World::start(&with_token("first-secret"), Options::plain());
    let enrol = |secret: &str| {
        let key = STANDARD.encode(format!("any:{secret}"));
        world.server.ask(&world.server.enrolment(&json!({ "type": "PERMANENT" })).key(&key))
    };
    Agent::of(&enrol("first-secret"));
    enrol("second-secret").is_error(401, "ErrUnauthorized");
    let said = world.reload(&with_token("second-secret"), "read again");
    assert!(said.contains("static_policy_tokens") && !said.contains("second-secret"), "{said}");
    enrol("first-secret").is_error(401, "ErrUnauthorized");
    // refused a moment ago, and good now
    Agent::of(&enrol("second-secret"));
    world.still_parked();
}

#[test]
fn another_certificate_is_shown_from_the_next_connection_on() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::make(directory.path(), "reload");
    let pairs = ["one", "two"].map(|name| Pair::in_directory(directory.path(), name));
    pairs.iter().for_each(|pair| authority.issue("localhost", pair));
    let text = |pair: &Pair| {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        format!("inputs:\n  - server:\n      ssl: {{certificate: {certificate}, key: {key}}}\n")
    };
    let world = World::start(&text(&pairs[0]), Options::trusting(&authority.file));
    let shown = || world.server.connect().session().peer_certificates().unwrap()[0].to_vec();
    let first = shown();
    let said = world.reload(&text(&pairs[1]), "the configuration was read again");
    assert!(said.contains("inputs.0.server.ssl"), "{said}");
    assert_ne!(shown(), first);
    let broken = Pair { certificate: directory.path().join("nowhere.crt"), key: pairs[1].key.clone() };
    let said = world.reload(&text(&broken), "stays as it is");
    assert!(said.contains("nowhere.crt"), "{said}");
    assert_ne!(shown(), first);
    world.still_parked();
}

#[test]
fn what_cannot_change_in_place_is_named() {
    let world = World::start("", Options::plain());
    let metrics_port = free_port();
    let mut text =
        format!("inputs: [{{type: fleet-server, server: {{host: 127.0.0.1}}}}]\nhttp.port: {metrics_port}\n");
    let mut changed = vec!["http"];
    // there is only one output
    if world.server.installation.cluster().is_none() {
        text += "output.embedded.retention.action_results: 1h\n";
        changed.push("output.embedded");
    }
    let said = world.reload(&text, "http was changed");
    assert!(said.contains("warn") && said.contains("next start"), "{said}");
    // what -E says stays on top
    world.server.process.stderr.wait_for("read again");
    let log = world.server.process.stderr.text();
    for key in changed {
        assert!(log.contains(&format!("{key} was changed")), "{key}: {log}");
    }
    assert!(!log.contains("inputs.0.server.host was changed"), "{log}");
    world.still_parked();
}

#[test]
fn another_port_is_a_warning_and_the_old_one_serves() {
    let port = free_port();
    let text = |port: u16| format!("inputs: [{{type: fleet-server, server: {{internal_port: {port}}}}}]\n");
    let options = Options::plain().ports_in_file(port);
    let world =
        World::start(&format!("inputs: [{{server: {{port: {port}, internal_port: {port}}}}}]\n"), options);
    let other = free_port();
    let said = world.reload(&text(other), "internal_port was changed");
    assert!(said.contains("next start"), "{said}");
    world.server.process.stderr.wait_for("inputs.0.server.port was changed");
    world.server.ask(&Request::get("/api/status")).ok();
    world.still_parked();
}

#[test]
fn a_bad_file_changes_nothing_and_the_log_says_where_it_is_bad() {
    let world = World::start("logging.level: info\n", Options::plain());
    let said = world.reload("logging.level: debug\nhttp.port: many\n", "stays as it is");
    assert!(said.contains("fleet-server.yml:2") && said.contains("http.port"), "{said}");
    world.server.ask(&Request::get("/api/status").header("X-Request-Id", "not-at-debug"));
    let said = world.reload("logging.level: debug\n", "the configuration was read again");
    assert!(said.contains("logging"), "{said}");
    assert!(!world.server.process.stderr.text().contains("not-at-debug"));
    world.still_parked();
}

#[test]
fn the_log_goes_to_another_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = |name: &str| {
        format!(
            "logging: {{to_stderr: false, files: {{path: {}, name: {name}}}}}\n",
            directory.path().display()
        )
    };
    let options = Options::plain().without("logging.to_stderr").unread();
    let world = World::start(&text("one.log"), options);
    fs::write(&world.file, text("two.log")).unwrap();
    world.server.process.signal(Signal::HUP);
    let second = directory.path().join("two.log");
    eventually("the second file is written", || {
        fs::read_to_string(&second).ok().filter(|text| text.contains("read again"))
    });
    world.still_parked();
}

#[test]
fn a_file_that_changes_is_read_without_a_signal() {
    let world = World::start("logging.level: info\n", Options::plain());
    fs::write(&world.file, "logging.level: debug\n").unwrap();
    world.server.process.stderr.wait_for("the configuration was read again");
    world.server.ask(&Request::get("/api/status").header("X-Request-Id", "at-debug"));
    world.server.process.stderr.wait_for("at-debug");
    world.still_parked();
}

#[test]
fn a_certificate_that_comes_after_the_configuration_that_names_it_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::make(directory.path(), "late");
    let pairs = ["one", "two"].map(|name| Pair::in_directory(directory.path(), name));
    authority.issue("localhost", &pairs[0]);
    let text = |pair: &Pair| {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        format!("inputs:\n  - server:\n      ssl: {{certificate: {certificate}, key: {key}}}\n")
    };
    let world = World::start(&text(&pairs[0]), Options::trusting(&authority.file));
    let said = world.reload(&text(&pairs[1]), "stays as it is");
    assert!(said.contains("inputs.0.server.ssl: cannot read") && said.contains("two.crt"), "{said}");
    authority.issue("localhost", &pairs[1]);
    world.server.process.stderr.wait_for("in force: inputs.0.server.ssl");
    world.still_parked();
}

#[test]
fn a_secret_that_comes_after_the_configuration_that_names_it_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("key-passphrase");
    let authority = Authority::make(directory.path(), "secret");
    let pair = Pair::in_directory(directory.path(), "one");
    authority.issue("localhost", &pair);
    let (certificate, key) = (pair.certificate.display(), pair.key.display());
    let ssl = format!("certificate: {certificate}, key: {key}");
    let text = |more: &str| format!("inputs:\n  - server:\n      ssl: {{{ssl}{more}}}\n");
    let world = World::start(&text(""), Options::trusting(&authority.file));
    let more = format!(", key_passphrase_path: {}", secret.display());
    let said = world.reload(&text(&more), "stays as it is");
    assert!(said.contains("key_passphrase_path"), "{said}");
    fs::write(&secret, "not needed").unwrap();
    world.server.process.stderr.wait_for("in force: inputs.0.server.ssl");
    world.still_parked();
}

#[test]
fn an_emptied_file_changes_nothing() {
    let world = World::start("logging.level: debug\n", Options::plain());
    let said = world.reload("", "stays as it is");
    assert!(said.contains("fleet-server.yml is empty"), "{said}");
    world.server.ask(&Request::get("/api/status").header("X-Request-Id", "still-at-debug"));
    world.server.process.stderr.wait_for("still-at-debug");
    world.still_parked();
}

#[test]
fn nothing_changes_where_nothing_has_changed() {
    let world = World::start("logging.level: info\n", Options::plain());
    world.reload("logging.level: info\n", "nothing else is in force");
    world.still_parked();
}

#[test]
fn metrics_are_shown_through_a_reload() {
    let (options, metrics) = Metrics::of(Options::plain());
    let world = World::start("", options);
    let mut connection = metrics.connect();
    let active = |connection: &mut Connection| {
        let shown = connection.ask(&Request::get("/stats")).ok();
        shown["http_server"]["routes"]["checkin"]["active"].clone()
    };
    assert_eq!(active(&mut connection), 1);
    world.reload("inputs: [{server: {limits: {max_agents: 500}}}]\n", "in force: inputs.0.server.limits");
    assert_eq!(active(&mut connection), 1);
    world.still_parked();
}
