//! What the tests on a real cluster rely on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Options};

#[test]
fn a_cluster_of_a_tests_own_keeps_its_data_through_a_crash_can_be_frozen_and_goes_when_dropped() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    assert!(cluster.service_token().len() > 20);
    assert_eq!(cluster.admin("PUT", "/x/_doc/1", &json!({"a": 1})).0, 201);
    cluster.kill();
    cluster.start_again();
    assert_eq!(cluster.admin("GET", "/x/_doc/1", &Value::Null).1["_source"], json!({"a": 1}));

    cluster.freeze();
    let address = cluster.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0]).is_err(), "frozen, it answers nothing");
    cluster.thaw();
    stream.set_read_timeout(None).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 1);

    drop(cluster);
    assert!(TcpStream::connect(&address).is_err());
}
