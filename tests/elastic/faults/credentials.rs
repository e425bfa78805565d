//! Keys and tokens that are taken away behind our back.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Scene, is_degraded, options};
use crate::cluster::{Cluster, suffix};
use crate::site::{Site, actions, ask, park, parked, runs};
use crate::support::eventually;

#[test]
fn an_agent_whose_key_was_invalidated_is_refused_and_no_other() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let server = site.serve_with(options(&site, cluster.url()));
    let agents = site.settled(&server, 2);
    let mut connections = park(&server, &agents, &runs(1, ""));
    let ids = json!({"ids": [agents[0].key_id()]});
    assert_eq!(cluster.admin("DELETE", "/_security/api_key", &ids).1["error_count"], 0);
    // nobody is sent away for that
    assert_eq!(parked(&server), 2);
    eventually("its key is not believed any more", || {
        let answer = ask(&server, &agents[0].acks(&[]));
        assert!([200, 401].contains(&answer.status), "{}", answer.text());
        (answer.status == 401).then_some(())
    });
    assert_eq!(ask(&server, &agents[1].acks(&[])).status, 200);
    site.act("after", &agents[1..]);
    assert_eq!(actions(&connections[1].response()), ["after"]);
}

/// A service token of the test's own.
struct Token<'a> {
    cluster: &'a Cluster,
    name: String,
    value: String,
}

impl<'a> Token<'a> {
    const PATH: &'static str = "/_security/service/elastic/fleet-server/credential/token";

    fn make(cluster: &'a Cluster) -> Self {
        let name = suffix();
        let (status, made) = cluster.admin("POST", &format!("{}/{name}", Self::PATH), &Value::Null);
        let value = made["token"]["value"].as_str();
        let value = value.unwrap_or_else(|| panic!("{status} {made}")).to_owned();
        Token { cluster, name, value }
    }

    fn revoke(&self) {
        let (status, answer) =
            self.cluster.admin("DELETE", &format!("{}/{}", Self::PATH, self.name), &Value::Null);
        assert_eq!(status, 200, "{answer}");
    }
}

#[test]
fn a_service_token_that_was_revoked_and_replaced() {
    let Some(cluster) = Cluster::shared() else { return };
    let site = Site::new(cluster);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let (old, new) = (Token::make(cluster), Token::make(cluster));
    fs::write(&file, &old.value).unwrap();
    let options = options(&site, cluster.url());
    let server = site.serve_as(options.set("output.elasticsearch.service_token_path", file.display()));
    let scene = Scene::on(&site, &server);
    old.revoke();
    is_degraded(&server);
    scene.all_are_parked();
    fs::write(&file, &new.value).unwrap();
    server.process.signal(Signal::HUP);
    scene.ends_well("service token revoked and replaced");
}
