//! An agent made of the public module's messages and service (`controller-go`), against the real program on a real
//! Elasticsearch: code on the other side that nobody here has written.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleet_server::agent_mode::messages::{INPUT, OUTPUT};
use fleet_server::agent_mode::seam::State;
use serde_json::{Value, json};

use crate::cluster::{Cluster, suffix};
use crate::fleet::{Fleet, POLICY};
use crate::program::Program;
use crate::support::{Connection, Output, Request, build_with_go, free_port};

/// Diagnostics fit in it.
const LARGE: usize = 1024 * 1024;

/// Builds the agent, once for all tests; none where that cannot be.
fn agent() -> Option<&'static Path> {
    static AGENT: OnceLock<Option<PathBuf>> = OnceLock::new();
    AGENT.get_or_init(|| build_with_go("tests/agent_mode/controller-go")).as_deref()
}

/// The agent as it runs, and the program that it has started.
struct Pair {
    child: Child,
    orders: ChildStdin,
    said: Output,
    /// Ends with the pair.
    _program: Program,
}

impl Pair {
    fn start(agent: &Path, message_bytes_max: usize, settings: &[String]) -> Self {
        let mut command = Command::new(agent);
        command.arg(format!("-message-bytes-max={message_bytes_max}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = Output::of(child.stdout.take().unwrap());
        let orders = child.stdin.take().unwrap();
        let startup = hears(&said, "startup", |_| true);
        let mut program = Program::start(settings);
        program.say(&STANDARD.decode(startup["startup"].as_str().unwrap()).unwrap());
        program.close();
        Pair { child, orders, said, _program: program }
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").unwrap();
    }

    /// Waits until the program says this of all its units: the number of them, their state and the index of the first.
    fn observes(&self, count: usize, state: &str, index: u64) -> Value {
        hears(&self.said, "observed", |said| {
            let units = said["units"].as_array().map(Vec::as_slice).unwrap_or_default();
            units.len() == count
                && units.iter().all(|unit| unit["state"] == state)
                && units.first().is_none_or(|unit| unit["index"] == index)
        })
    }
}

fn hears(said: &Output, event: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let find = |line: &str| {
        let said: Value = serde_json::from_str(line).ok()?;
        (said["event"] == event && is_it(&said)).then_some(said)
    };
    said.find(event, find).unwrap_or_else(|| panic!("no {event}:\n{}", said.text()))
}

impl Drop for Pair {
    fn drop(&mut self) {
        // it may have ended before
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both units as an agent sends them; `state` by its number.
fn wanted(fleet: &Fleet, port: u16, index: u64, state: State) -> String {
    let input = json!({
        "type": "fleet-server",
        "policy": {"id": POLICY},
        "server": {"host": "127.0.0.1", "port": port, "internal_port": port, "timeouts": {"idle": format!("{index}m")}},
        "server.limits.max_connections": 1_000 + index,
    });
    let unit = |id: &str, kind: i32, name: &str, source: Value| json!({"id": id, "type": kind, "state": state as i32, "index": index, "level": 2, "name": name, "source": source});
    let units = [
        unit("fleet-server-default", INPUT, "fleet-server", input),
        unit("default", OUTPUT, "elasticsearch", fleet.output()),
    ];
    json!({"agent": "supervisor", "units": units}).to_string()
}

/// From the first configuration to the end, where messages of more bytes than this go in pieces.
fn lives(message_bytes_max: usize) {
    let (Some(agent), Some(cluster)) = (agent(), Cluster::shared()) else { return };
    let fleet = Fleet::new(cluster, &suffix());
    fleet.revise(1);
    let port = free_port();
    let mut pair = Pair::start(agent, message_bytes_max, &[]);
    hears(&pair.said, "answer", |said| said["id"] == "init" && said["status"] == "SUCCESS");
    hears(&pair.said, "observed", |said| said["version"] == "fleet-server");

    pair.order(&format!("expect {}", wanted(&fleet, port, 1, State::Healthy)));
    pair.observes(2, "HEALTHY", 1);
    assert_eq!(Connection::plain(port).ask(&Request::get("/api/status")).status, 200);
    let enrolment = Request::post("/api/fleet/agents/enroll").key(&fleet.token());
    let enrolment = enrolment.header("User-Agent", "elastic agent 9.6.0").json(&json!({"type": "PERMANENT"}));
    assert_eq!(Connection::plain(port).ask(&enrolment).status, 200);

    pair.order(&format!("expect {}", wanted(&fleet, port, 2, State::Healthy)));
    pair.observes(2, "HEALTHY", 2);

    pair.order(r#"diagnostics {"additional_metrics":["CONN"]}"#);
    let answer = hears(&pair.said, "answer", |said| said["id"] == "diagnostics-1");
    if message_bytes_max > LARGE {
        assert!(answer["files"]["fleet-server.yml"].as_u64().is_some_and(|bytes| bytes > 0), "{answer}");
    } else {
        // an answer cannot be cut
        assert!(answer["result"].as_str().is_some_and(|result| result.contains("bytes")), "{answer}");
    }

    pair.order("close");
    let streams = |said: &Value| said["version"] == "fleet-server" && said["units"][1]["state"] == "HEALTHY";
    hears(&pair.said, "observed", streams);

    pair.order(&format!("expect {}", wanted(&fleet, port, 2, State::Stopped)));
    pair.observes(2, "STOPPED", 2);
    pair.order(r#"expect {"agent": "supervisor", "units": []}"#);
    hears(&pair.said, "observed", |said| said["version"].is_null() && said["units"].is_null());
}

#[test]
fn the_public_module_runs_it_from_its_first_configuration_to_its_end() {
    lives(100 * LARGE);
}

#[test]
fn the_public_module_and_it_understand_each_others_pieces() {
    // either unit fits, both do not
    lives(900);
}
