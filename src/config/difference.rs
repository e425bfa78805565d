//! What a changed configuration means for a server that runs: what takes effect in place, and what with the next start only.

use std::mem::discriminant;

use super::{Config, Store};

/// Two configurations compared.
pub struct Difference {
    /// Keys whose change takes effect in place.
    pub in_place: Vec<&'static str>,
    /// Keys whose change takes effect with the next start.
    pub at_start: Vec<&'static str>,
    /// What is to be in force: as wanted, but for what has to wait.
    pub config: Config,
}

/// A part of the configuration.
struct Part {
    key: &'static str,
    in_place: bool,
    /// Takes over this part of the second.
    copy: fn(&mut Config, &Config),
}

const fn in_place(key: &'static str, copy: fn(&mut Config, &Config)) -> Part {
    Part { key, in_place: true, copy }
}

const fn at_start(key: &'static str, copy: fn(&mut Config, &Config)) -> Part {
    Part { key, in_place: false, copy }
}

/// All parts: together they are the whole configuration.
const PARTS: &[Part] = &[
    in_place("logging", |one, other| one.logging = other.logging.clone()),
    in_place("output.elasticsearch", cluster),
    in_place("inputs.0.server.ssl", |one, other| {
        one.server.tls = other.server.tls.clone();
        one.server.own_certificate = other.server.own_certificate;
    }),
    in_place("inputs.0.server.limits", |one, other| one.server.limits = other.server.limits.clone()),
    in_place("inputs.0.server.timeouts", |one, other| one.server.timeouts = other.server.timeouts.clone()),
    in_place("inputs.0.server.static_policy_tokens", |one, other| {
        one.server.static_policy_tokens = other.server.static_policy_tokens.clone();
    }),
    in_place("inputs.0.server.bulk", |one, other| one.server.bulk = other.server.bulk.clone()),
    in_place("inputs.0.server.gc.schedule_interval", |one, other| {
        one.server.gc.schedule_interval = other.server.gc.schedule_interval;
    }),
    in_place("inputs.0.server.pdkdf2", |one, other| one.server.pdkdf2 = other.server.pdkdf2.clone()),
    in_place("inputs.0.server.pgp", |one, other| one.server.pgp = other.server.pgp.clone()),
    in_place("inputs.0.server.feature_flags", |one, other| {
        one.server.feature_flags = other.server.feature_flags.clone();
    }),
    in_place("inputs.0.server.compression_level", |one, other| {
        one.server.compression_level = other.server.compression_level;
    }),
    in_place("inputs.0.server.compression_threshold", |one, other| {
        one.server.compression_threshold = other.server.compression_threshold;
    }),
    in_place("inputs.0.cache", |one, other| one.server.cache = other.server.cache.clone()),
    at_start("path.data", |one, other| one.data_directory = other.data_directory.clone()),
    at_start("output", |one, other| {
        if discriminant(&one.store) != discriminant(&other.store) {
            one.store = other.store.clone();
        }
    }),
    at_start("output.embedded", |one, other| {
        if let (Store::Embedded(one), Store::Embedded(other)) = (&mut one.store, &other.store) {
            one.clone_from(other);
        }
    }),
    at_start("output.elasticsearch.index_suffix", |one, other| {
        if let (Store::Elasticsearch(one), Store::Elasticsearch(other)) = (&mut one.store, &other.store) {
            one.index_suffix.clone_from(&other.index_suffix);
        }
    }),
    at_start("inputs.0.server.host", |one, other| one.server.host = other.server.host.clone()),
    at_start("inputs.0.server.port", |one, other| one.server.port = other.server.port),
    at_start("inputs.0.server.internal_port", |one, other| {
        one.server.internal_port = other.server.internal_port;
    }),
    in_place("inputs.0.server.gc.cleanup_after_expired_interval", |one, other| {
        one.server.gc.cleanup_after_expired = other.server.gc.cleanup_after_expired;
    }),
    // nothing here traces
    in_place("inputs.0.server.instrumentation", |one, other| {
        one.instrumentation = other.instrumentation.clone();
    }),
    // what is told of them is found out anew
    in_place("inputs.0.policy.id", |one, other| one.policy_id = other.policy_id.clone()),
    in_place("fleet", |one, other| one.fleet = other.fleet.clone()),
    in_place("inputs.0.monitor", |one, other| one.monitor = other.monitor.clone()),
    at_start("http", |one, other| one.metrics = other.metrics.clone()),
];

/// A key that no part has: what it is about is not known here, so it has to wait.
const ANYTHING_ELSE: &str = "another setting";

/// What of a cluster can change while the server uses it: everything but where its documents are.
fn cluster(one: &mut Config, other: &Config) {
    if let (Store::Elasticsearch(one), Store::Elasticsearch(other)) = (&mut one.store, &other.store) {
        let index_suffix = std::mem::take(&mut one.index_suffix);
        one.clone_from(other);
        one.index_suffix = index_suffix;
    }
}

impl Difference {
    /// What changes where `wanted` follows the one that is in force.
    pub fn between(in_force: &Config, wanted: &Config) -> Self {
        let mut found = Difference { in_place: Vec::new(), at_start: Vec::new(), config: in_force.clone() };
        let mut whole = in_force.clone();
        for part in PARTS {
            (part.copy)(&mut whole, wanted);
            let mut changed = in_force.clone();
            (part.copy)(&mut changed, wanted);
            if changed == *in_force {
                continue;
            }
            if part.in_place {
                (part.copy)(&mut found.config, wanted);
                found.in_place.push(part.key);
            } else {
                found.at_start.push(part.key);
            }
        }
        if whole != *wanted {
            found.at_start.push(ANYTHING_ELSE);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Elasticsearch, EmbeddedStore, Retention};

    #[test]
    fn nothing_differs_from_itself() {
        let found = Difference::between(&Config::default(), &Config::default());
        assert!(found.in_place.is_empty() && found.at_start.is_empty());
        assert!(found.config == Config::default());
    }

    #[test]
    fn what_can_change_is_taken_over_and_what_cannot_is_named_and_stays() {
        let mut wanted = Config::default();
        wanted.server.limits.connections_max = 7;
        wanted.server.port = 1;
        wanted.data_directory = "elsewhere".into();
        let found = Difference::between(&Config::default(), &wanted);
        assert_eq!(found.in_place, ["inputs.0.server.limits"]);
        assert_eq!(found.at_start, ["path.data", "inputs.0.server.port"]);
        assert_eq!(found.config.server.limits.connections_max, 7);
        assert_eq!(found.config.server.port, Config::default().server.port);
        assert_eq!(found.config.data_directory, Config::default().data_directory);
    }

    #[test]
    fn another_kind_of_store_has_to_wait() {
        let wanted = Config { store: Store::Elasticsearch(Box::default()), ..Config::default() };
        let found = Difference::between(&Config::default(), &wanted);
        assert_eq!((found.in_place, found.at_start), (vec![], vec!["output"]));
        assert!(found.config == Config::default());
    }

    #[test]
    fn a_cluster_may_get_other_hosts_but_no_other_indices() {
        let config = |cluster: Elasticsearch| Config {
            store: Store::Elasticsearch(Box::new(cluster)),
            ..Config::default()
        };
        let in_force = config(Elasticsearch { index_suffix: "a".into(), ..Elasticsearch::default() });
        let hosts = vec!["http://other:9200".to_owned()];
        let wanted = config(Elasticsearch {
            index_suffix: "b".into(),
            hosts: hosts.clone(),
            ..Elasticsearch::default()
        });
        let found = Difference::between(&in_force, &wanted);
        assert_eq!(found.in_place, ["output.elasticsearch"]);
        assert_eq!(found.at_start, ["output.elasticsearch.index_suffix"]);
        let Store::Elasticsearch(cluster) = found.config.store else { panic!("a cluster") };
        assert_eq!((cluster.hosts, cluster.index_suffix), (hosts, "a".to_owned()));
    }

    #[test]
    fn retention_and_names_without_a_part_have_to_wait() {
        let retention = Retention { action_results: Duration::ZERO, ..Retention::default() };
        let store = Store::Embedded(EmbeddedStore { retention });
        let mut wanted = Config { store, ..Config::default() };
        wanted.server.host_names.push("another".into());
        let found = Difference::between(&Config::default(), &wanted);
        assert_eq!(found.at_start, ["output.embedded", ANYTHING_ELSE]);
    }
}
