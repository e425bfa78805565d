//! Outputs with a service token on the embedded store: the test cluster is the one that agents send to.

use std::sync::Arc;

use serde_json::{Value, json};

use super::cluster::{self, Cluster};
use super::*;
use crate::config::Secret;
use crate::model::{AgentOutput, KeyMaking, KeyNeed, KeysWanted, OutputCluster};

/// Runs a behaviour on an embedded store of its own beside the cluster; where there can be none, that is said.
fn beside(behaviour: fn(&Fixture, &Cluster)) {
    let Some(cluster) = Cluster::shared() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (store, watch, _) = Embedded::open(directory.path(), RETENTION, NOW).unwrap();
    let store = WithRemotes::new(Arc::new(store));
    assert_eq!(store.lanes().key_making, KeyMaking::Remote);
    let fixture = Fixture { _directory: Some(directory), ..Fixture::of(store, watch) };
    fixture.enroll("a");
    behaviour(&fixture, cluster);
}

fn block(url: &str, token: &str) -> Value {
    json!({"type": "elasticsearch", "hosts": [url], "service_token": token})
}

/// A need in the output `o` of the cluster, told from others by `hash`.
fn need(cluster: &Cluster, hash: &str) -> KeyNeed {
    need_of(&block(cluster.url(), cluster.service_token()), "o", hash)
}

fn need_of(block: &Value, output: &str, hash: &str) -> KeyNeed {
    KeyNeed {
        output: output.to_owned(),
        cluster: OutputCluster::Remote(Secret::new(block.to_string())),
        roles: raw(&json!({hash: {"cluster": ["monitor"]}})),
        permissions_hash: hash.to_owned(),
    }
}

fn keys(fixture: &Fixture, needs: &[KeyNeed]) -> Vec<Option<ApiKey>> {
    let wanted = KeysWanted { agent: "a".to_owned(), needs: needs.into(), at: NOW };
    match fixture.ask(Operation::OutputKeys(Box::new(wanted))) {
        Ok(Answer::OutputKeys(keys)) => keys,
        other => panic!("{other:?}"),
    }
}

fn key(fixture: &Fixture, need: KeyNeed) -> ApiKey {
    keys(fixture, &[need]).remove(0).unwrap()
}

fn output(fixture: &Fixture, name: &str) -> AgentOutput {
    fixture.agent("a").unwrap().outputs.remove(name).unwrap_or_default()
}

/// A key as the cluster shows it, which for a new one is after its next refresh.
fn shown(cluster: &Cluster, key: &ApiKey) -> Value {
    let path = format!("/_security/api_key?id={}", key.id);
    loop {
        let key = cluster.admin("GET", &path, &Value::Null).1["api_keys"][0].clone();
        if !key.is_null() {
            return key;
        }
        cluster::pause(Duration::from_millis(100));
    }
}

fn roles(cluster: &Cluster, key: &ApiKey) -> Vec<String> {
    shown(cluster, key)["role_descriptors"].as_object().unwrap().keys().cloned().collect()
}

fn is_invalidated(cluster: &Cluster, key: &ApiKey) -> bool {
    shown(cluster, key)["invalidated"] == true
}

#[test]
fn a_key_is_made_in_the_other_cluster_and_stays_as_long_as_its_permissions_do() {
    beside(|fixture, cluster| {
        let made = key(fixture, need(cluster, "h"));
        assert!(key(fixture, need(cluster, "h")) == made);
        let stored = output(fixture, "o");
        assert_eq!((&stored.api_key_id, stored.permissions_hash.as_str()), (&made.id, "h"));
        assert!(stored.secret_id().is_some() && !stored.api_key.contains(&made.secret));
        assert_eq!(shown(cluster, &made)["name"], "a:o");
        // other permissions: the same key, which keeps what the older revision needs until the agent has the newer
        assert!(key(fixture, need(cluster, "i")) == made);
        assert_eq!(roles(cluster, &made), ["h-0-rdstale", "i"]);
        fixture.done(Operation::CleanOutputKeys("a".into()));
        assert_eq!(roles(cluster, &made), ["i"]);
    });
}

#[test]
fn a_key_that_was_replaced_is_invalidated_once_that_is_acknowledged() {
    beside(|fixture, cluster| {
        let first = key(fixture, need(cluster, "h"));
        shown(cluster, &first);
        // what holds it is gone
        let secret_id = output(fixture, "o").secret_id().unwrap().to_owned();
        let gone = crate::model::RetiredKey { secret_id, ..Default::default() };
        fixture.done(Operation::RetireKeys(vec![gone]));
        let second = key(fixture, need(cluster, "h"));
        assert_ne!(first.id, second.id);
        assert!(!is_invalidated(cluster, &first));
        for _ in 0..2 {
            fixture.done(Operation::CleanOutputKeys("a".into()));
            assert!(is_invalidated(cluster, &first) && !is_invalidated(cluster, &second));
            assert!(output(fixture, "o").to_retire_api_key_ids.is_empty());
        }
    });
}

#[test]
fn the_key_of_an_output_that_is_gone_is_invalidated_once_that_is_acknowledged() {
    beside(|fixture, cluster| {
        let block = block(cluster.url(), cluster.service_token());
        let both = keys(fixture, &[need(cluster, "h"), need_of(&block, "second", "h")]);
        let second = both[1].clone().unwrap();
        shown(cluster, &second);
        key(fixture, need(cluster, "h"));
        assert_eq!(output(fixture, "second").api_key_id, "");
        fixture.done(Operation::CleanOutputKeys("a".into()));
        assert!(is_invalidated(cluster, &second) && !is_invalidated(cluster, both[0].as_ref().unwrap()));
    });
}

#[test]
fn an_agent_that_leaves_takes_its_keys_along() {
    beside(|fixture, cluster| {
        let access = fixture.enroll("b");
        let made = key(fixture, need(cluster, "h"));
        shown(cluster, &made);
        let secret_id = output(fixture, "o").secret_id().unwrap().to_owned();
        let mut leaving = fixture.agent("a").unwrap().keys();
        leaving.push(crate::model::RetiredKey { id: access.id.clone(), ..Default::default() });
        fixture.done(Operation::RetireKeys(leaving));
        assert!(is_invalidated(cluster, &made) && !fixture.is_good(&access));
        let left = fixture.ask(Operation::Secrets(vec![secret_id]));
        assert!(matches!(&left, Ok(Answer::Secrets(secrets)) if secrets.is_empty()), "{left:?}");
    });
}

#[test]
fn a_cluster_that_is_down_or_refuses_costs_only_its_own_key() {
    beside(|fixture, cluster| {
        // port 9 of loopback: nobody listens
        let down = need_of(&block("http://127.0.0.1:9", "AAE"), "down", "h");
        let keys = keys(fixture, &[down, need(cluster, "h")]);
        assert!(keys[0].is_none() && keys[1].is_some());
        assert_eq!(output(fixture, "down").api_key_id, "");
    });
}

#[test]
fn who_ask_at_once_for_one_agent_get_the_same_key() {
    beside(|fixture, cluster| {
        let made: Vec<ApiKey> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| key(fixture, need(cluster, "h")))).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|key| *key == made[0]));
        assert!(output(fixture, "o").to_retire_api_key_ids.is_empty());
    });
}

#[test]
fn an_agent_that_nobody_knows_has_no_keys() {
    beside(|fixture, cluster| {
        let needs = [need(cluster, "h")].into();
        let wanted = KeysWanted { agent: "nobody".into(), needs, at: NOW };
        assert_eq!(fixture.error(Operation::OutputKeys(Box::new(wanted))), StoreError::NotFound);
        fixture.done(Operation::CleanOutputKeys("nobody".into()));
    });
}
