//! Two servers on one cluster: agents come to either, as a balancer sends them.

use std::thread;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::proxy::{Fault, Proxy};
use crate::site::{Site, actions, are_parked, ask, park, parked, patient, runs, token};
use crate::support::{Agent, Connection, Request, Response, Server, event, eventually};

const AGENTS: usize = 200;
/// Clients at work at once.
const CLIENTS: usize = 8;

/// An agent that comes to another server each time.
struct Traveller {
    agent: Agent,
    revision_idx: i64,
    token: String,
    /// Ids of the actions it was given.
    got: Vec<String>,
    parked: Option<Connection>,
}

impl Traveller {
    fn new() -> Self {
        let agent = Agent { id: String::new(), key: String::new() };
        Traveller { agent, revision_idx: 0, token: String::new(), got: Vec::new(), parked: None }
    }

    fn enrol(&mut self, server: &Server) {
        let request = server.enrolment(&json!({"type": "PERMANENT", "metadata": {"local": {}}}));
        self.agent = Agent::of(&ask(server, &request));
    }

    fn said(&self) -> Value {
        runs(self.revision_idx, &self.token)
    }

    fn check_in(&mut self, server: &Server) {
        let mut connection = patient(server.port).expect("the server listens");
        connection.send(self.agent.check_in(&self.said()).bytes());
        self.parked = Some(connection);
    }

    /// Takes what its check-in is answered with.
    fn take(&mut self) {
        let response = self.parked.take().expect("it has checked in").response();
        self.has_got(&response);
    }

    fn has_got(&mut self, response: &Response) {
        let got = actions(response);
        for id in &got {
            if let Some(revision) = id.strip_prefix(&format!("policy:{}:", crate::site::POLICY)) {
                self.revision_idx = revision.parse().unwrap();
            }
        }
        self.got.extend(got);
        let token = token(response);
        if !token.is_empty() {
            self.token = token;
        }
    }

    /// Acknowledges what it got last.
    fn acknowledge(&self, server: &Server) {
        let last = self.got.last().expect("it got something");
        let response = ask(server, &self.agent.acks(&[event(last, &self.agent)]));
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

/// Does something with each, several at once.
fn each(travellers: &mut [Traveller], work: impl Fn(usize, &mut Traveller) + Sync) {
    let share = travellers.len().div_ceil(CLIENTS);
    thread::scope(|scope| {
        for (part, share_of_them) in travellers.chunks_mut(share).enumerate() {
            let work = &work;
            scope.spawn(move || {
                for (place, traveller) in share_of_them.iter_mut().enumerate() {
                    work(part * share + place, traveller);
                }
            });
        }
    });
}

#[test]
fn each_agent_is_given_each_revision_and_each_action_once_whichever_server_it_comes_to() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let servers = [site.serve(), site.serve()];
    let mut travellers: Vec<Traveller> = (0..AGENTS).map(|_| Traveller::new()).collect();
    let server = |number: usize| &servers[number % 2];
    let all_parked = || {
        eventually("all are parked", || (parked(&servers[0]) + parked(&servers[1]) == AGENTS).then_some(()))
    };
    each(&mut travellers, |number, traveller| {
        traveller.enrol(server(number));
        traveller.check_in(server(number + 1));
        traveller.take();
        traveller.acknowledge(server(number));
        traveller.check_in(server(number));
    });
    all_parked();
    site.revise(2);
    each(&mut travellers, |number, traveller| {
        traveller.take();
        // its next check-in may find a server that was not told of the revision yet
        traveller.check_in(server(number + 1));
        traveller.acknowledge(server(number + 1));
    });
    all_parked();
    site.act("first", travellers.iter().map(|traveller| &traveller.agent));
    each(&mut travellers, |number, traveller| {
        traveller.take();
        traveller.check_in(server(number));
        traveller.acknowledge(server(number));
        // its answer was lost, and it sends it to the other one
        traveller.acknowledge(server(number + 1));
    });
    all_parked();
    site.act("second", travellers.iter().map(|traveller| &traveller.agent));
    each(&mut travellers, |number, traveller| {
        traveller.take();
        traveller.check_in(server(number + 1));
    });
    all_parked();
    // a server that stops answers whoever is parked with what it has for them: nothing
    let stopping = servers.map(Server::stop);
    for traveller in &mut travellers {
        traveller.take();
        assert_eq!(traveller.got, ["policy:p:1", "policy:p:2", "first", "second"]);
    }
    drop(stopping);
    is_stored(&site, &travellers);
}

/// What was acknowledged on either server.
fn is_stored(site: &Site<'_>, travellers: &[Traveller]) {
    let documents = site.documents("agents");
    assert_eq!(documents.len(), AGENTS);
    for traveller in travellers {
        assert_eq!(documents[&traveller.agent.id]["policy_revision_idx"], 2);
    }
    let results = site.documents("actions-results");
    let expected = |traveller: &Traveller| format!("first:{}", traveller.agent.id);
    let mut expected: Vec<String> = travellers.iter().map(expected).collect();
    expected.sort_unstable();
    assert!(results.keys().eq(&expected), "{} results", results.len());
}

#[test]
fn what_one_server_orders_reaches_an_agent_on_the_other() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let servers = [site.serve(), site.serve()];
    let agents = site.settled(&servers[0], 1);
    let mut connections = park(&servers[1], &agents, &runs(1, ""));
    let action = servers[0].order_settings(&agents[0].id, "debug");
    assert_eq!(actions(&connections[0].response()), [action]);
}

#[test]
fn an_agent_unenrolled_on_one_server_is_refused_by_the_other() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let servers = [site.serve(), site.serve()];
    let agents = site.settled(&servers[0], 1);
    // the other one knows its key
    let mut connections = park(&servers[1], &agents, &runs(1, ""));
    let action = servers[1].order_unenroll(&agents[0].id);
    assert_eq!(actions(&connections[0].response()), std::slice::from_ref(&action));
    ask(&servers[0], &agents[0].acks(&[event(&action, &agents[0])])).ok();
    assert_eq!(ask(&servers[1], &agents[0].check_in(&runs(1, ""))).status, 401);
}

#[test]
fn an_agent_keeps_its_output_key_whichever_server_delivers_the_policy() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let servers = [site.serve(), site.serve()];
    let agents = site.settled(&servers[0], 3);
    let key = |server: &Server, agent: &Agent| {
        let answer = ask(server, &agent.check_in(&runs(0, ""))).ok();
        let output = &answer["actions"][0]["data"]["policy"]["outputs"]["default"];
        output["api_key"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    for agent in &agents {
        let first = key(&servers[0], agent);
        assert_eq!(key(&servers[1], agent), first);
        assert_eq!(key(&servers[0], agent), first);
    }
}

/// The second of the wall clock, by which check-ins are told apart.
fn second() -> i64 {
    fleet_server::reactor::Clock::start().now().wall.0 / 1000
}

/// Two servers, the first behind a proxy, and an agent.
fn behind_a_proxy(cluster: &Cluster) -> (Site<'_>, Proxy, [Server; 2], Vec<Agent>) {
    let site = Site::new(cluster);
    let proxy = Proxy::before(cluster.url());
    let servers = [site.serve_with(site.options(proxy.url())), site.serve()];
    let agents = site.settled(&servers[0], 1);
    (site, proxy, servers, agents)
}

/// A check-in whose writes are held up by the proxy; what comes from now on is of a later second.
fn held_up(proxy: &Proxy, server: &Server, check_in: &Request) -> Connection {
    proxy.fail("/_bulk", Fault::Hold);
    let mut late = patient(server.port).unwrap();
    late.send(check_in.bytes());
    proxy.wait_for_victims(1);
    let older = second();
    eventually("the next second begins", || (second() > older).then_some(()));
    late
}

#[test]
fn a_check_in_that_is_written_late_does_not_overwrite_a_newer_one() {
    let Some(cluster) = Cluster::shared() else { return };
    let (site, proxy, servers, agents) = behind_a_proxy(cluster);
    let agent = &agents[0];
    let said = |message: &str| json!({"status": "online", "message": message});
    let late = held_up(&proxy, &servers[0], &agent.check_in(&said("older")));
    let newer = park(&servers[1], &agents, &said("newer"));
    assert_eq!(site.document(agent)["last_checkin_message"], "newer");
    proxy.heal();
    // it is parked once it is written
    are_parked(&servers[0], 1);
    assert_eq!(site.document(agent)["last_checkin_message"], "newer");
    drop((late, newer));
}

#[test]
fn upgrade_details_that_are_written_late_do_not_overwrite_newer_ones() {
    let Some(cluster) = Cluster::shared() else { return };
    let (site, proxy, servers, agents) = behind_a_proxy(cluster);
    let agent = &agents[0];
    site.act("upgrade", &agents);
    let said = |state: &str| {
        let details = json!({"action_id": "upgrade", "target_version": "9.6.1", "state": state});
        json!({"status": "online", "message": "", "upgrade_details": details})
    };
    // it is known before anybody speaks of it
    eventually("the action is found", || {
        ask(&servers[1], &agent.acks(&[event("upgrade", agent)])).status.eq(&200).then_some(())
    });
    let mut late = held_up(&proxy, &servers[0], &agent.check_in(&said("UPG_REQUESTED")));
    let mut newer = patient(servers[1].port).unwrap();
    newer.send(agent.check_in(&said("UPG_REPLACING")).bytes());
    let state = || site.document(agent)["upgrade_details"]["state"].as_str().map(str::to_owned);
    assert_eq!(eventually("it is written", state), "UPG_REPLACING");
    proxy.heal();
    assert_eq!(actions(&late.response()), ["upgrade"]);
    assert_eq!(state().as_deref(), Some("UPG_REPLACING"));
}

#[test]
fn each_of_two_servers_that_start_on_an_empty_cluster_makes_what_is_missing() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let servers = [site.serve(), site.serve()];
    // both make the index of agents, at the same moment
    let mut travellers: Vec<Traveller> = (0..2 * CLIENTS).map(|_| Traveller::new()).collect();
    each(&mut travellers, |number, traveller| traveller.enrol(&servers[number % 2]));
    let path = format!("/{}/_mapping", site.index("agents"));
    let (_, mapping) = cluster.admin("GET", &path, &Value::Null);
    assert_eq!(mapping[site.index("agents")]["mappings"]["dynamic"], "false", "{mapping}");
    assert_eq!(site.documents("agents").len(), travellers.len());
}
