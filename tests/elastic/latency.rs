//! How long it takes from a change in Elasticsearch until the first of the agents concerned has it. Figures, not a test:
//!
//! `cargo test --test elastic latency -- --ignored --nocapture`

use std::io::{Write, stderr};
use std::thread;
use std::time::Duration;

use fleet_server::reactor::Clock;
use serde_json::{Value, json};

use crate::cluster::{Cluster, pause};
use crate::site::{Site, actions, park, runs, token};
use crate::stand_in::StandIn;
use crate::support::{Agent, Server};

/// Agents that each change is for.
const AGENTS: usize = 10;
/// Changes while there are others all the time.
const CHANGES: u32 = 40;
/// How many changes come after how many seconds of silence each: the module wakes us whenever it is...
const WITH_MODULE: &[(u32, u64)] = &[(CHANGES, 0), (6, 20)];
/// ...without it the silence counts.
const WITHOUT_MODULE: &[(u32, u64)] = &[(CHANGES, 0), (6, 20), (6, 60)];
/// After which looks at an index are as rare as they get: every 2 s.
const LONG_SILENCE: u64 = 480;
/// Servers that are silent for so long at the same time, each for a change of its own.
const SILENT_SERVERS: u32 = 4;
/// Each silence is so much longer than the one before: changes come at any moment between two looks.
const SILENCE_STEP: Duration = Duration::from_millis(370);

#[test]
#[ignore = "prints figures; takes two minutes"]
fn with_the_fleet_module_of_the_stand_in() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let stand_in = StandIn::before(cluster.url());
    let server = site.serve_with(site.options(stand_in.url()));
    measure(&site, &server, "with the module", WITH_MODULE);
}

#[test]
#[ignore = "prints figures; takes nine minutes"]
fn without_the_fleet_module() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let server = site.serve();
    measure(&site, &server, "without the module", WITHOUT_MODULE);
}

#[test]
#[ignore = "prints figures; takes eight minutes"]
fn without_the_fleet_module_after_long_silence() {
    let Some(cluster) = Cluster::shared() else { return };
    let change = |number: u32| {
        let site = Site::new(cluster);
        let server = site.serve();
        let silence = Duration::from_secs(LONG_SILENCE) + SILENCE_STEP * number;
        let time = Subject::new(&site, &server).change(silence);
        assert_eq!(status_of(&server), "HEALTHY");
        time
    };
    let times = thread::scope(|scope| {
        let running: Vec<_> = (0..SILENT_SERVERS).map(|number| scope.spawn(move || change(number))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    print("without the module", LONG_SILENCE, times);
}

#[test]
#[ignore = "prints figures"]
fn what_the_cluster_itself_takes() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    site.act("nobody-s", []);
    let clock = Clock::start();
    let index = site.index("actions");
    let look = |number: u32| {
        let path = format!("/{index}/_doc/{number}");
        assert_eq!(cluster.admin("PUT", &path, &json!({"action_id": "x", "agents": []})).0, 201);
        let written = clock.now().mono;
        assert_eq!(cluster.admin("POST", &format!("/{index}/_refresh"), &Value::Null).0, 200);
        assert_eq!(cluster.admin("POST", &format!("/{index}/_search"), &json!({"size": 1})).0, 200);
        clock.now().mono - written
    };
    let times: Vec<Duration> = (0..CHANGES).map(look).collect();
    print("a refresh and a search", 0, times);
}

fn measure(site: &Site<'_>, server: &Server, name: &str, silences: &[(u32, u64)]) {
    let mut subject = Subject::new(site, server);
    for &(changes, seconds) in silences {
        let longer = if seconds == 0 { Duration::ZERO } else { SILENCE_STEP };
        let silences = (0..changes).map(|nth| Duration::from_secs(seconds) + longer * nth);
        print(name, seconds, silences.map(|silence| subject.change(silence)).collect());
    }
    assert_eq!(status_of(server), "HEALTHY");
}

/// A server with its agents.
struct Subject<'a> {
    site: &'a Site<'a>,
    server: &'a Server,
    agents: Vec<Agent>,
    clock: Clock,
    changes: u32,
    last_token: String,
}

impl<'a> Subject<'a> {
    fn new(site: &'a Site<'a>, server: &'a Server) -> Self {
        // makes the index
        site.act("nobody-s", []);
        let agents = site.settled(server, AGENTS);
        Subject { site, server, agents, clock: Clock::start(), changes: 0, last_token: String::new() }
    }

    /// How long a change after a silence takes until the first agent has it.
    fn change(&mut self, silence: Duration) -> Duration {
        // before they park: a poll may be over before the silence is
        pause(silence);
        let mut connections = park(self.server, &self.agents, &runs(1, &self.last_token));
        self.changes += 1;
        let id = format!("change-{}", self.changes);
        // without a refresh: it is the server's to see to
        let path = format!("/{}/_doc/{id}", self.site.index("actions"));
        let document = json!({
            "action_id": id,
            "type": "SETTINGS",
            "data": {},
            "agents": self.agents.iter().map(|agent| agent.id.as_str()).collect::<Vec<_>>(),
            "expiration": "2100-01-01T00:00:00Z",
            "@timestamp": "2026-01-01T00:00:00Z",
        });
        assert_eq!(self.site.cluster.admin("PUT", &path, &document).0, 201);
        let written = self.clock.now().mono;
        // they are served in the order in which the action names them
        let first = connections[0].response();
        let woken = self.clock.now().mono - written;
        for response in [first].into_iter().chain(connections[1..].iter_mut().map(|c| c.response())) {
            assert_eq!(actions(&response), [id.as_str()]);
            self.last_token = token(&response);
        }
        woken
    }
}

fn status_of(server: &Server) -> Value {
    crate::site::status(server)["status"].clone()
}

fn print(name: &str, silence: u64, mut times: Vec<Duration>) {
    times.sort_unstable();
    let milliseconds = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1000.0);
    let (p50, max) = (times[times.len() / 2], times[times.len() - 1]);
    // past the capture of test output
    let _ = writeln!(
        stderr(),
        "{name}, {} changes after {silence} s of silence each: done after {} (p50), {} (max)",
        times.len(),
        milliseconds(p50),
        milliseconds(max)
    );
}
