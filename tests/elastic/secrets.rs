//! Secrets that the fleet module keeps, by its stand-in: one is told at a time.

use std::time::Duration;

use fleet_server::config::{Elasticsearch, Secret};
use fleet_server::model::NewSecret;
use fleet_server::store::{Answer, Elastic, Indices, Operation, Store};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::site::{POLICY, Site, ask};
use crate::stand_in::StandIn;

/// More than are read at once.
const SECRETS: usize = 40;

/// Keeps secrets with the values 0, 1, .. by the fleet module's API; their ids.
fn keep_secrets(stand_in: &StandIn, cluster: &Cluster) -> Vec<String> {
    let settings = Elasticsearch {
        hosts: vec![stand_in.url().to_owned()],
        service_token: Some(Secret::new(cluster.service_token())),
        ..Elasticsearch::default()
    };
    let store = Elastic::open(&settings, Indices::default(), Duration::ZERO).unwrap();
    let keep = |number: usize| {
        let secret = NewSecret { id: None, value: Secret::new(number.to_string()) };
        match store.run(vec![Operation::SetSecret(secret)]).remove(0).unwrap() {
            Answer::SecretId(id) => id,
            other => panic!("{other:?}"),
        }
    };
    (0..SECRETS).map(keep).collect()
}

#[test]
fn secrets_of_the_fleet_module_are_read_at_once_but_for_a_bound_and_a_missing_one_is_left_out() {
    let Some(cluster) = Cluster::shared() else { return };
    let (site, stand_in) = (Site::new(cluster), StandIn::before(cluster.url()));
    let mut ids = keep_secrets(&stand_in, cluster);
    ids.push("unknown".to_owned());
    let server = site.serve_with(site.options(stand_in.url()));
    let texts: Vec<String> = ids.iter().map(|id| format!("<$co.elastic.secret{{{id}}}>")).collect();
    let references: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    let revision = server.apply(
        POLICY,
        &json!({
            "outputs": {"default": {"type": "elasticsearch", "hosts": ["https://h:9200"], "api_key": "own:key"}},
            "inputs": [{"id": "i", "type": "logfile", "texts": texts}],
            "secret_references": references,
        }),
    );
    server.process.stderr.wait_for(&format!("revision {revision} of policy {POLICY} is in force"));
    let told = ask(&server, &server.enrol().check_in(&json!({"status": "online"}))).ok();
    let delivered = &told["actions"][0]["data"]["policy"]["inputs"][0]["texts"];
    let mut expected: Vec<String> = (0..SECRETS).map(|number| format!("<{number}>")).collect();
    expected.push(texts[SECRETS].clone());
    assert_eq!(*delivered, json!(expected), "{told}");
    assert!((2..=16).contains(&stand_in.secrets_read_at_once()), "{}", stand_in.secrets_read_at_once());
}
