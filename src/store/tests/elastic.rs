//! The suite on a real Elasticsearch: one for all tests of the process, with indices of its own for each.

use std::time::Duration;

use serde_json::Value;

use super::cluster::{Cluster, suffix};
use super::{Fixture, RETENTION};
use crate::config::{Elasticsearch, Secret};
use crate::store::{Changes, Elastic, Indices, Watch};

/// Runs a behaviour on indices of its own; where there can be no cluster, that is said and nothing is run.
pub(in crate::store) fn on_elastic(behaviour: fn(&Fixture)) {
    if let Some(cluster) = Cluster::shared() {
        on_cluster(cluster, behaviour);
    }
}

/// The same on a cluster of the test's own.
pub(in crate::store) fn on_cluster(cluster: &Cluster, behaviour: fn(&Fixture)) {
    let indices = Indices::with_suffix(&suffix()).unwrap();
    // a cluster holds only so many
    let _leftovers = Leftovers { cluster, names: indices.names().join(",") };
    let store = Elastic::open(&settings(cluster), indices, RETENTION.expired_actions).unwrap();
    behaviour(&Fixture::of(store, Unwatched));
}

/// Removes a test's indices when it is over.
struct Leftovers<'a> {
    cluster: &'a Cluster,
    names: String,
}

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        // nobody waits for it
        let path = format!("/{}?ignore_unavailable=true&timeout=0s", self.names);
        self.cluster.admin("DELETE", &path, &Value::Null);
    }
}

/// How a server reaches the test cluster.
pub(in crate::store) fn settings(cluster: &Cluster) -> Elasticsearch {
    Elasticsearch {
        hosts: vec![cluster.url().to_owned()],
        service_token: Some(Secret::new(cluster.service_token())),
        timeout: Duration::from_secs(60),
        ..Elasticsearch::default()
    }
}

/// For tests that do not watch.
struct Unwatched;

impl Watch for Unwatched {
    fn next(&mut self) -> Option<Changes> {
        None
    }
}
