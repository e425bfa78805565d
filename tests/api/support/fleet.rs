//! Where the fleet of an installation lives: in its data directory, in a real Elasticsearch under names of its own, or in the
//! memory of the test program. The same cases are compiled into one test program for each.

use std::sync::Arc;
use std::time::Duration;

use fleet_server::config::{Elasticsearch, Secret};
use fleet_server::store::{Elastic, Indices, Memory};
use serde_json::json;

use super::{Authority, Options, Pair};
use crate::cluster::{self, Cluster};

/// Where a fleet lives.
pub(crate) enum Home {
    /// In the embedded store, in the data directory.
    Directory,
    /// In Elasticsearch.
    Cluster(Fleet),
    /// In the memory of this process; so the server is a thread of it.
    Memory(Arc<Memory>),
}

impl Home {
    /// One for a new installation, as this program is for.
    pub(crate) fn of_this_program(options: &Options) -> Home {
        match env!("CARGO_CRATE_NAME") {
            _ if options.is_embedded => Home::Directory,
            "api_elastic" => Fleet::new(options).map_or(Home::Directory, Home::Cluster),
            "api_memory" => Home::Memory(Arc::new(Memory::new(1).0)),
            _ => Home::Directory,
        }
    }
}

/// The indices of a fleet, without the suffix.
const INDICES: [&str; 8] = [
    "agents",
    "actions",
    "actions-results",
    "policies",
    "enrollment-api-keys",
    "artifacts",
    "servers-keys",
    "servers-secrets",
];

/// The indices of files that tests make, likewise.
const FILE_INDICES: [&str; 6] = [
    "fromhost-meta-agent",
    "fromhost-data-agent",
    "tohost-meta-agent",
    "tohost-data-agent",
    "library-meta-scripts",
    "library-data-scripts",
];

/// A fleet of an installation's own in the cluster; its indices go with it.
pub(crate) struct Fleet {
    pub(super) cluster: &'static Cluster,
    /// Empty: the names that Kibana writes to, which only one installation at a time may use.
    suffix: String,
}

impl Fleet {
    /// One for a new installation, where there can be one.
    fn new(options: &Options) -> Option<Fleet> {
        let suffix = if options.is_kibanas { String::new() } else { cluster::suffix() };
        Cluster::shared().map(|cluster| Fleet { cluster, suffix })
    }

    /// The settings of a server on it.
    pub(crate) fn settings(&self, options: Options) -> Options {
        let options = options
            .set("output.elasticsearch.hosts.0", self.cluster.url())
            .set("output.elasticsearch.service_token", self.cluster.service_token())
            .set("inputs.0.monitor.policy_debounce_time", "50ms");
        if self.suffix.is_empty() {
            return options;
        }
        options.set("output.elasticsearch.index_suffix", &self.suffix)
    }

    /// What the embedded store makes of its own: a certificate for localhost and its authority, in `directory`.
    pub(crate) fn certificate(options: Options, directory: &std::path::Path) -> Options {
        let authority = Authority::make(directory, "installation");
        let pair = Pair::in_directory(directory, "installation");
        authority.issue("localhost", &pair);
        options.certificate(&pair, &authority.file)
    }

    /// The store as a server on it has it.
    pub(crate) fn store(&self) -> Elastic {
        let settings = Elasticsearch {
            hosts: vec![self.cluster.url().to_owned()],
            service_token: Some(Secret::new(self.cluster.service_token())),
            ..Elasticsearch::default()
        };
        let indices = if self.suffix.is_empty() {
            Indices::default()
        } else {
            Indices::with_suffix(&self.suffix).unwrap()
        };
        Elastic::open(&settings, indices, Duration::ZERO).unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // a cluster holds a bounded number of shards; nobody waits for it
        let end = if self.suffix.is_empty() { String::new() } else { format!("-{}", self.suffix) };
        let of_fleet = INDICES.map(|index| format!(".fleet-{index}{end}"));
        let stem = if self.suffix.is_empty() { "-".to_owned() } else { format!(".{}.", self.suffix) };
        let of_files = FILE_INDICES.map(|index| format!(".fleet-fileds{stem}{index}"));
        let names = [&of_fleet[..], &of_files].concat().join(",");
        self.cluster.admin("DELETE", &format!("/{names}?ignore_unavailable=true&timeout=0s"), &json!(null));
    }
}
