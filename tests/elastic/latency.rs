//! How long it takes from a change in Elasticsearch until the first of the agents concerned has it. Figures, not a test:
//!
//! `cargo test --test elastic latency -- --ignored --nocapture`

use std::io::{Write, stderr};
use std::time::Duration;

use fleet_server::reactor::Clock;
use serde_json::{Value, json};

use crate::cluster::{Cluster, pause};
use crate::site::{Site, actions, park, runs, token};
use crate::stand_in::StandIn;
use crate::support::Server;

/// Agents that each change is for.
const AGENTS: usize = 10;
/// Changes while there are others all the time.
const CHANGES: usize = 40;
/// How many changes come after how many seconds of silence each.
const SHORT_SILENCES: [(usize, u64); 3] = [(CHANGES, 0), (6, 20), (6, 60)];
/// After which looks at an index are as rare as they get: every 2 s.
const LONG_SILENCES: [(usize, u64); 1] = [(3, 480)];
/// Each silence is so much longer than the one before: changes come at any moment between two looks.
const SILENCE_STEP: Duration = Duration::from_millis(370);

#[test]
#[ignore = "prints figures"]
fn with_the_fleet_module_of_the_stand_in() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let stand_in = StandIn::before(cluster.url());
    let server = site.serve_with(site.options(stand_in.url()));
    measure(&site, &server, "with the module", &SHORT_SILENCES);
}

#[test]
#[ignore = "prints figures"]
fn without_the_fleet_module() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let server = site.serve();
    measure(&site, &server, "without the module", &SHORT_SILENCES);
}

#[test]
#[ignore = "prints figures; takes half an hour"]
fn without_the_fleet_module_after_long_silence() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let server = site.serve();
    measure(&site, &server, "without the module", &LONG_SILENCES);
}

#[test]
#[ignore = "prints figures"]
fn what_the_cluster_itself_takes() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    site.act("nobody-s", []);
    let clock = Clock::start();
    let index = site.index("actions");
    let look = |number: usize| {
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

fn measure(site: &Site<'_>, server: &Server, name: &str, silences: &[(usize, u64)]) {
    // makes the index
    site.act("nobody-s", []);
    let agents = site.settled(server, AGENTS);
    let ids: Vec<&str> = agents.iter().map(|agent| agent.id.as_str()).collect();
    let clock = Clock::start();
    let mut last_token = String::new();
    let mut change = |number: usize, silence: Duration| {
        let mut connections = park(server, &agents, &runs(1, &last_token));
        pause(silence);
        let id = format!("change-{number}");
        // without a refresh: it is the server's to see to
        let path = format!("/{}/_doc/{id}", site.index("actions"));
        let document = json!({
            "action_id": id,
            "type": "SETTINGS",
            "data": {},
            "agents": ids,
            "expiration": "2100-01-01T00:00:00Z",
            "@timestamp": "2026-01-01T00:00:00Z",
        });
        assert_eq!(site.cluster.admin("PUT", &path, &document).0, 201);
        let written = clock.now().mono;
        // they are served in the order in which the action names them
        let first = connections[0].response();
        let woken = clock.now().mono - written;
        for response in [first].into_iter().chain(connections[1..].iter_mut().map(|c| c.response())) {
            assert_eq!(actions(&response), [id.as_str()]);
            last_token = token(&response);
        }
        woken
    };
    let mut number = 0;
    for (changes, seconds) in silences {
        let mut times = Vec::new();
        for nth in 0..*changes {
            let longer = if *seconds == 0 { Duration::ZERO } else { SILENCE_STEP };
            number += 1;
            times.push(change(number, Duration::from_secs(*seconds) + longer * u32::try_from(nth).unwrap()));
        }
        print(name, *seconds, times);
    }
    assert_eq!(status_of(server), "HEALTHY");
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
