//! What may happen to a cluster, with a real server on it. Throughout: parked agents stay parked, nobody is told that his
//! key is bad, nothing acknowledged is lost, and all is well again by itself. How long that takes and how much memory the
//! server has meanwhile is printed (`cargo test --test elastic faults -- --nocapture`); nothing hangs on it.

mod answers;
mod breakable;
mod cluster;
mod credentials;
mod hosts;
mod indices;
#[cfg(target_os = "linux")]
mod network;

use std::io::{Write, stderr};
use std::time::Duration;

use fleet_server::reactor::Clock;

use crate::load::{ACTION, Load};
use crate::site::{Site, actions, ask, park, parked, runs, status};
use crate::support::{Agent, Connection, Options, Server, event, eventually};

/// Agents that are parked through the trouble.
const PARKED: usize = 10;
/// What has to be acknowledged before the trouble begins, and after it is over.
const ACKNOWLEDGED_MIN: usize = 10;

/// A server in use: agents are parked, others come and go.
struct Scene<'a> {
    site: &'a Site<'a>,
    server: &'a Server,
    agents: Vec<Agent>,
    connections: Vec<Connection>,
    load: Load,
    resident_before: u64,
}

/// Times since the cluster was back.
struct Recovery {
    /// The first acknowledgement of an agent that came when the cluster was back.
    answered: Duration,
    /// The cluster has taken an action for the parked agents.
    written: Duration,
    /// The first and the last of them that it reached.
    first_woken: Duration,
    last_woken: Duration,
    /// The server says that it is healthy.
    healthy: Duration,
}

/// Settings of a server through trouble: a key that proved good is believed for a second, so that the cluster is asked about
/// keys all the time.
fn options(site: &Site<'_>, url: &str) -> Options {
    site.options(url).set("inputs.0.cache.ttl_api_key", "1s").set("inputs.0.cache.jitter_api_key", "1ms")
}

impl<'a> Scene<'a> {
    fn on(site: &'a Site<'a>, server: &'a Server) -> Self {
        site.act(ACTION, []);
        let agents = site.settled(server, PARKED);
        let connections = park(server, &agents, &runs(1, ""));
        let load = Load::on(server);
        load.wait_for(ACKNOWLEDGED_MIN);
        let resident_before = memory_kb(server, "VmRSS");
        Scene { site, server, agents, connections, load, resident_before }
    }

    /// To be called in the middle of the trouble. Those who wait for their policy are counted with them.
    fn all_are_parked(&self) {
        assert!(parked(self.server) >= PARKED);
    }

    /// The cluster is back: waits until all is well, checks what has to hold and prints what was seen.
    fn ends_well(self, name: &str) {
        let Scene { site, server, agents, connections, load, resident_before } = self;
        let recovery = recover(site, server, &agents, connections);
        load.wait_for(ACKNOWLEDGED_MIN);
        let tally = load.end();
        tally.is_stored(site);
        assert!(!server.process.stderr.text().contains("panicked"), "{}", server.process.stderr.text());
        let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
        let line = format!(
            "{name}: after the cluster was back, first acknowledgement {} s, an action written {} s, first parked agent woken {} s, all {PARKED} {} s, \
             healthy {} s; resident before, highest, after: {resident_before}, {}, {} kB; answers by status {:?}, {} \
             connections broken, {} enrolments and {} acknowledgements, none lost",
            seconds(recovery.answered),
            seconds(recovery.written),
            seconds(recovery.first_woken),
            seconds(recovery.last_woken),
            seconds(recovery.healthy),
            memory_kb(server, "VmHWM"),
            memory_kb(server, "VmRSS"),
            tally.statuses,
            tally.broken,
            tally.enrolled.len(),
            tally.policy_acks.len() + tally.action_acks.len(),
        );
        // past the capture of test output
        let _ = writeln!(stderr(), "{line}");
    }
}

fn recover(site: &Site<'_>, server: &Server, agents: &[Agent], connections: Vec<Connection>) -> Recovery {
    let clock = Clock::start();
    let back = clock.now().mono;
    let since = || clock.now().mono - back;
    let (answered, written) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let acknowledges = || ask(server, &agents[0].acks(&[event(ACTION, &agents[0])])).status == 200;
            eventually("an acknowledgement is taken", || acknowledges().then(since))
        });
        site.act("after", agents);
        let written = since();
        (asking.join().expect("it is answered"), written)
    });
    let mut woken = Vec::new();
    for mut connection in connections {
        assert_eq!(actions(&connection.response()), ["after"]);
        woken.push(since());
    }
    let is_healthy = || status(server)["status"] == "HEALTHY";
    let healthy = eventually("the server is healthy", || is_healthy().then(since));
    Recovery { answered, written, first_woken: woken[0], last_woken: woken[woken.len() - 1], healthy }
}

/// Waits until the server knows of the trouble.
fn is_degraded(server: &Server) {
    eventually("the server is degraded", || (status(server)["status"] == "DEGRADED").then_some(()));
}

/// A line of the process's status: kB.
fn memory_kb(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
