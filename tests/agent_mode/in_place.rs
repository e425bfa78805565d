//! Changes that are put in force while agents are parked: none of them is woken, and what is new is in use.

use std::path::Path;

use fleet_server::agent_mode::seam::State;
use serde_json::{Value, json};

use crate::cluster::{Cluster, suffix};
use crate::proxy::{Fault, Proxy};
use crate::support::stream::{self, client_config};
use crate::support::{Agent, Authority, Connection, Pair, Request};
use crate::world::on_cluster;

/// Another token of the service.
fn another_token(cluster: &Cluster) -> String {
    let path = format!("/_security/service/elastic/fleet-server/credential/token/{}", suffix());
    let (_, answer) = cluster.admin("POST", &path, &Value::Null);
    answer["token"]["value"].as_str().unwrap().to_owned()
}

/// The certificate that a new connection is shown.
fn shown(port: u16, authority: &Path) -> Vec<u8> {
    let mut connection = Connection::new(stream::tls(port, client_config(authority, None)).unwrap());
    assert_eq!(connection.ask(&Request::get("/api/status")).status, 200);
    connection.session().peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn certificates_cache_hosts_token_and_the_watch_change_under_parked_agents() {
    let Some((mut world, fleet)) = on_cluster() else { return };
    fleet.revise(1);
    let token = fleet.token();
    world.want_enrolled(&json!({}), &fleet.output());
    world.hear(State::Healthy);
    let agents: Vec<Agent> = (0..2).map(|_| world.enrol(&token)).collect();
    let mut parked = world.park(&agents);

    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::make(directory.path(), "in-place");
    let pairs = ["one", "two"].map(|name| Pair::in_directory(directory.path(), name));
    pairs.iter().for_each(|pair| authority.issue("localhost", pair));
    let server = |pair: &Pair| {
        json!({
            "ssl": {"enabled": true, "certificate": pair.certificate, "key": pair.key},
            "gc": {"cleanup_after_expired_interval": "7d"},
        })
    };
    let mut output = fleet.output();
    let proxy = Proxy::before(output["hosts"][0].as_str().unwrap());
    output["hosts"] = json!([proxy.url()]);
    output["service_token"] = json!(another_token(fleet.cluster));
    world.besides = json!({"cache": {"ttl_api_key": "10m"}, "monitor": {"policy_debounce_time": "60ms"}});
    world.want_enrolled(&server(&pairs[0]), &output);
    let said = world.program.stderr.wait_for("another configuration is in force: output.elasticsearch");
    for key in ["server.ssl", "server.gc.cleanup_after_expired_interval", "cache", "monitor"] {
        assert!(said.contains(&format!("inputs.0.{key}")), "{key}: {said}");
    }
    let first = shown(world.port, &authority.file);
    world.want_enrolled(&server(&pairs[1]), &output);
    world.program.stderr.wait_for("another configuration is in force: inputs.0.server.ssl");
    assert_ne!(shown(world.port, &authority.file), first);
    assert_eq!(world.parked(), 2);

    // the next revision comes by the other host, with the other token, to those who wait since before
    fleet.revise(2);
    for connection in &mut parked {
        assert_eq!(connection.response().ok()["actions"][0]["type"], "POLICY_CHANGE");
    }
    proxy.fail("", Fault::Refuse(503));
    world.hear(State::Degraded);
}
