//! A fleet of a test's own in the shared cluster.

use std::time::Duration;

use fleet_server::config::{Elasticsearch, Secret};
use fleet_server::model::Policy;
use fleet_server::model::raw::raw;
use fleet_server::reactor::Clock;
use fleet_server::store::{Answer, Elastic, Indices, Operation, Store};
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// The policy that the program runs under.
pub(crate) const POLICY: &str = "fleet-server-policy";
/// What its indices are called, between `.fleet-` and its own name.
const KINDS: [&str; 6] =
    ["agents", "actions", "actions-results", "policies", "enrollment-api-keys", "servers-secrets"];

/// A fleet; its indices go with it.
pub(crate) struct Fleet {
    pub(crate) cluster: &'static Cluster,
    suffix: String,
    store: Elastic,
}

impl Fleet {
    /// An empty one.
    pub(crate) fn new(cluster: &'static Cluster, suffix: &str) -> Self {
        let settings = Elasticsearch {
            hosts: vec![cluster.url().to_owned()],
            service_token: Some(Secret::new(cluster.service_token())),
            ..Elasticsearch::default()
        };
        let indices = Indices::with_suffix(suffix).unwrap();
        let store = Elastic::open(&settings, indices, Duration::ZERO).unwrap();
        Fleet { cluster, suffix: suffix.to_owned(), store }
    }

    /// The output unit's source.
    pub(crate) fn output(&self) -> Value {
        json!({
            "type": "elasticsearch",
            "hosts": [self.cluster.url()],
            "service_token": self.cluster.service_token(),
            "index_suffix": self.suffix,
        })
    }

    /// Writes a revision of the policy, as Kibana does.
    pub(crate) fn revise(&self, revision_idx: i64) {
        let role =
            json!({"cluster": ["monitor"], "indices": [{"names": ["logs-*"], "privileges": ["create_doc"]}]});
        let data = json!({
            "id": POLICY,
            "revision": revision_idx,
            "outputs": {"default": {"type": "elasticsearch", "hosts": ["http://localhost:9200"]}},
            "output_permissions": {"default": {"r": role}},
            "inputs": [{"type": "fleet-server"}],
            "agent": {"monitoring": {"enabled": false}},
        });
        self.ask(Operation::CreateRevision(Box::new(Policy {
            policy_id: POLICY.to_owned(),
            revision_idx,
            timestamp: "2026-01-01T00:00:00Z".to_owned(),
            data: raw(&data),
            unenroll_timeout_seconds: 0,
            namespaces: vec!["default".to_owned()],
            default_fleet_server: false,
        })));
    }

    /// An enrollment token of the policy.
    pub(crate) fn token(&self) -> String {
        let at = Clock::start().now().wall;
        match self.ask(Operation::CreateToken { policy_id: POLICY.into(), name: "t".into(), at }) {
            Answer::Token(Some(token)) => token.api_key,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&self, operation: Operation) -> Answer {
        self.store.run(vec![operation]).remove(0).unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // a cluster holds a bounded number of shards
        let names: Vec<String> = KINDS.iter().map(|kind| format!(".fleet-{kind}-{}", self.suffix)).collect();
        let path = format!("/{}?ignore_unavailable=true&timeout=0s", names.join(","));
        self.cluster.admin("DELETE", &path, &Value::Null);
    }
}
