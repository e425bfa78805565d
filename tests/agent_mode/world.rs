//! The program under an agent of the tests' own, as a test sees both.

use std::net::TcpStream;

use fleet_server::agent_mode::messages::{AgentInfo, CheckinExpected, CheckinObserved, OUTPUT, UnitExpected};
use fleet_server::agent_mode::seam::State;
use fleet_server::agent_mode::values;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cluster::{Cluster, suffix};
use crate::controller::{CheckIn, Controller};
use crate::fleet::{Fleet, POLICY};
use crate::program::Program;
use crate::support::{Agent, Connection, Request, Response, eventually, executable, free_port};
use crate::wire::{are, expected, input, unit};

/// The program, and the agent that has started it.
pub(crate) struct World {
    pub(crate) controller: Controller,
    pub(crate) program: Program,
    pub(crate) stream: CheckIn,
    /// The last index of a unit's configuration.
    index: u64,
    pub(crate) port: u16,
    pub(crate) internal_port: u16,
    /// Keys of the input beside those of `server`.
    pub(crate) besides: Value,
}

impl World {
    pub(crate) fn start() -> Self {
        World::with(&[])
    }

    pub(crate) fn with(settings: &[String]) -> Self {
        let controller = Controller::start();
        let mut program = Program::start(settings);
        program.say(&controller.startup());
        program.close();
        let stream = controller.check_in();
        stream.hear();
        World {
            controller,
            program,
            stream,
            index: 0,
            port: free_port(),
            internal_port: free_port(),
            besides: json!({}),
        }
    }

    /// The input: its ports, and these keys of `server` more.
    pub(crate) fn input(&mut self, server: &Value) -> UnitExpected {
        self.index += 1;
        let mut source = json!({"type": "fleet-server", "policy": {"id": POLICY}, "server": {
            "host": "127.0.0.1", "port": self.port, "internal_port": self.internal_port,
            "timeouts": {"checkin_jitter": "0"},
        }, "monitor": {"policy_debounce_time": "50ms"}});
        for (key, value) in server.as_object().unwrap() {
            source["server"][key] = value.clone();
        }
        for (key, value) in self.besides.as_object().unwrap() {
            source[key] = value.clone();
        }
        input(self.index, &source)
    }

    pub(crate) fn output(&mut self, source: &Value) -> UnitExpected {
        self.index += 1;
        unit("output-1", OUTPUT, self.index, "elasticsearch", source)
    }

    /// Says what is wanted.
    pub(crate) fn want(&mut self, server: &Value, output: &Value) {
        let units = vec![self.input(server), self.output(output)];
        self.stream.say(expected(units));
    }

    /// The same of an agent with an id.
    pub(crate) fn want_enrolled(&mut self, server: &Value, output: &Value) {
        let units = vec![self.input(server), self.output(output)];
        let info = AgentInfo { id: "supervisor".into(), version: "9.6.0".into() };
        self.stream.say(CheckinExpected { agent_info: Some(info), ..expected(units) });
    }

    pub(crate) fn hear(&self, state: State) -> CheckinObserved {
        self.stream.hear_when(|observed| are(observed, state))
    }

    pub(crate) fn ask(&self, request: &Request) -> Response {
        Connection::plain(self.port).ask(request)
    }

    /// Waits until it listens at this port.
    pub(crate) fn listens(&self, port: u16) {
        eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    }

    pub(crate) fn status(&self) -> Response {
        self.ask(&Request::get("/api/status"))
    }

    pub(crate) fn enrol(&self, token: &str) -> Agent {
        Agent::of(&self.ask(&enrolment(token)))
    }

    /// Lets agents check in that have what there is for them, and waits until they are parked.
    pub(crate) fn park(&self, agents: &[Agent]) -> Vec<Connection> {
        let said =
            json!({"status": "online", "message": "", "agent_policy_id": POLICY, "policy_revision_idx": 1});
        let send = |agent: &Agent| {
            let mut connection = Connection::plain(self.port);
            connection.send(agent.check_in(&said).bytes());
            connection
        };
        let connections: Vec<Connection> = agents.iter().map(send).collect();
        eventually("they are parked", || (self.parked() == agents.len() as u64).then_some(()));
        connections
    }

    /// As its own socket tells it.
    pub(crate) fn parked(&self) -> u64 {
        let data = format!("path.data={}", self.program.directory.path().join("data").display());
        let said = std::process::Command::new(executable()).args(["status", "--json", "-E", &data]).output();
        let status: Value = serde_json::from_slice(&said.unwrap().stdout).unwrap_or_default();
        status["agents"]["parked"].as_u64().unwrap_or_default()
    }

    /// Ends it as an agent does.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.program.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

pub(crate) fn enrolment(token: &str) -> Request {
    let request = Request::post("/api/fleet/agents/enroll").key(token);
    request.header("User-Agent", "elastic agent 9.6.0").json(&json!({"type": "PERMANENT"}))
}

/// An output that nobody answers at.
pub(crate) fn nowhere() -> Value {
    json!({"type": "elasticsearch", "hosts": ["http://127.0.0.1:9"]})
}

/// The payload of both units.
pub(crate) fn payload(observed: &CheckinObserved) -> Option<Value> {
    let payloads: Vec<Option<Value>> =
        observed.units.iter().map(|unit| unit.payload.as_ref().map(values::json)).collect();
    assert!(payloads.windows(2).all(|pair| pair[0] == pair[1]), "{payloads:?}");
    payloads.into_iter().next().flatten()
}

/// The program on a fleet of its own in the cluster; none where there is no cluster.
pub(crate) fn on_cluster() -> Option<(World, Fleet)> {
    let fleet = Fleet::new(Cluster::shared()?, &suffix());
    Some((World::start(), fleet))
}
