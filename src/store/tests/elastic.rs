//! The suite on a real Elasticsearch: one for all tests of the process, with indices of its own for each.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::cluster::{Cluster, suffix};
use super::{Fixture, RETENTION};
use crate::config::{Elasticsearch, Secret};
use crate::store::{Changes, Elastic, ElasticWatch, Indices, Lanes, Operation, Store, StoreResult, Watch};

/// The watch's waits end when the store is closed; none need be short.
const POLL: Duration = Duration::from_secs(240);

/// Runs a behaviour on indices of its own; where there can be no cluster, that is said and nothing is run.
pub(in crate::store) fn on_elastic(behaviour: fn(&Fixture)) {
    if let Some(cluster) = Cluster::shared() {
        on_cluster(cluster, behaviour);
    }
}

/// The same on a cluster of the test's own.
pub(in crate::store) fn on_cluster(cluster: &Cluster, behaviour: fn(&Fixture)) {
    behind(cluster, cluster.url(), behaviour);
}

/// The same where the cluster is reached at another address.
pub(in crate::store) fn behind(cluster: &Cluster, url: &str, behaviour: fn(&Fixture)) {
    let indices = Indices::with_suffix(&suffix()).unwrap();
    // a cluster holds only so many
    let _leftovers = Leftovers { cluster, names: [indices.names(), indices.file_names()].concat().join(",") };
    let settings = Elasticsearch { hosts: vec![url.to_owned()], ..settings(cluster) };
    let store = Elastic::open(&settings, indices, RETENTION.expired_actions).unwrap();
    let store = Arc::new(store);
    behaviour(&Fixture::of(Shared(Arc::clone(&store)), Late { store, watch: None }));
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

/// The store and its watch have it.
struct Shared(Arc<Elastic>);

impl Store for Shared {
    fn run(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        self.0.run(batch)
    }

    fn lanes(&self) -> Lanes {
        self.0.lanes()
    }
}

/// The watch, which most tests do without, begins when it is first asked.
struct Late {
    store: Arc<Elastic>,
    watch: Option<ElasticWatch>,
}

impl Watch for Late {
    fn next(&mut self) -> Option<Changes> {
        self.watch.get_or_insert_with(|| self.store.watch(Duration::ZERO, POLL).unwrap()).next()
    }
}
