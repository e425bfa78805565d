//! What the tests on a real cluster rely on.

use std::net::TcpStream;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Options, suffix};

#[test]
fn the_service_token_writes_to_indices_of_fleet() {
    let Some(cluster) = Cluster::shared() else { return };
    assert!(cluster.service_token().len() > 20);
    let index = format!(".fleet-policies-{}", suffix());
    let (status, answer) = cluster.admin("POST", &format!("/{index}/_doc?refresh=true"), &json!({"a": 1}));
    assert_eq!((status, &answer["_seq_no"]), (201, &json!(0)));
    let (_, answer) = cluster.admin("GET", &format!("/{index}/_count"), &Value::Null);
    assert_eq!(answer["count"], 1);
}

#[test]
fn a_cluster_of_a_tests_own_keeps_its_data_through_a_crash_and_goes_when_dropped() {
    let Some(cluster) = Cluster::start(Options { security: false }) else { return };
    assert_eq!(cluster.admin("PUT", "/x/_doc/1", &json!({"a": 1})).0, 201);
    cluster.kill();
    cluster.start_again();
    assert_eq!(cluster.admin("GET", "/x/_doc/1", &Value::Null).1["_source"], json!({"a": 1}));
    let address = cluster.url().trim_start_matches("http://").to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    drop(cluster);
    assert!(TcpStream::connect(&address).is_err());
}
