//! Keys of agents for outputs, on a real Elasticsearch: made, kept, changed, retired (elasticsearch.md, "Output keys").

use std::sync::Arc;

use serde_json::{Value, json};

use super::cluster::{self, Cluster};
use super::elastic::on_elastic;
use super::secrets::secrets;
use super::*;
use crate::model::{AgentOutput, KeyNeed, KeysWanted, OutputCluster};

/// Makes a test of each behaviour.
macro_rules! on_elasticsearch {
    ($($behaviour:ident),+ $(,)?) => {
        /// All, for other kinds of cluster.
        pub(in crate::store) const BEHAVIOURS: &[fn(&Fixture)] = &[$($behaviour),+];
        mod elastic {
            $(#[test] fn $behaviour() { super::on_elastic(super::$behaviour) })+
        }
    };
}

on_elasticsearch! {
    a_new_key_may_do_what_the_policy_says_and_stands_in_the_document,
    a_key_stays_as_long_as_its_permissions_do,
    a_key_whose_permissions_change_gets_the_new_roles_and_keeps_the_old,
    a_key_that_is_gone_is_made_anew_and_the_old_one_retired,
    an_acknowledgement_drops_old_roles_and_replaced_keys,
    two_who_ask_at_once_get_the_same_key,
    a_key_of_an_older_document_stands_in_it,
    odd_fields_of_an_output_cost_an_agent_nothing,
    the_key_of_an_output_that_is_gone_is_retired,
    an_agent_that_leaves_takes_its_keys_along,
    an_unknown_agent_has_no_keys,
    keys_of_another_cluster_are_made_there,
    another_cluster_that_does_not_answer_costs_only_its_own_key,
    another_cluster_that_does_not_answer_does_not_keep_what_is_gone,
    how_another_cluster_does_is_told_where_kibana_looks,
}

fn need(output: &str, hash: &str, roles: &Value) -> KeyNeed {
    KeyNeed {
        output: output.to_owned(),
        cluster: OutputCluster::Own,
        roles: raw(roles),
        permissions_hash: hash.to_owned(),
    }
}

fn one(hash: &str) -> KeyNeed {
    need("default", hash, &json!({hash: {"cluster": ["monitor"]}}))
}

fn all(fixture: &Fixture, agent: &str, needs: Vec<KeyNeed>) -> Vec<Option<ApiKey>> {
    let wanted = KeysWanted { agent: agent.to_owned(), needs: needs.into(), at: NOW };
    match fixture.ask(Operation::OutputKeys(Box::new(wanted))) {
        Ok(Answer::OutputKeys(keys)) => keys,
        other => panic!("{other:?}"),
    }
}

fn key(fixture: &Fixture, need: KeyNeed) -> ApiKey {
    all(fixture, "a", vec![need]).remove(0).unwrap()
}

fn output(fixture: &Fixture, name: &str) -> AgentOutput {
    fixture.agent("a").unwrap().outputs.remove(name).unwrap_or_default()
}

/// A key as the cluster shows it, which for a new one is after its next refresh.
fn shown(key: &ApiKey) -> Value {
    /// Ten seconds.
    const LOOKS_MAX: usize = 100;
    let cluster = Cluster::shared().unwrap();
    let path = format!("/_security/api_key?id={}", key.id);
    let look = || cluster.admin("GET", &path, &Value::Null).1["api_keys"][0].clone();
    let waited = || {
        cluster::pause(Duration::from_millis(100));
        look()
    };
    let mut looks = std::iter::once(look()).chain(std::iter::repeat_with(waited)).take(LOOKS_MAX);
    looks.find(|key| !key.is_null()).expect("the cluster shows the key")
}

/// The names of its roles.
fn roles(key: &ApiKey) -> Vec<String> {
    shown(key)["role_descriptors"].as_object().unwrap().keys().cloned().collect()
}

fn a_new_key_may_do_what_the_policy_says_and_stands_in_the_document(fixture: &Fixture) {
    fixture.enroll("a");
    let made = key(fixture, one("h"));
    assert!(fixture.is_good(&made));
    assert_eq!(roles(&made), ["h"]);
    let stored = output(fixture, "default");
    assert_eq!((stored.api_key_id.as_str(), stored.permissions_hash.as_str()), (made.id.as_str(), "h"));
    assert_eq!((stored.kind.as_str(), stored.to_retire_api_key_ids.len()), ("elasticsearch", 0));
    let secret_id = stored.secret_id().unwrap();
    let text = format!("{}:{}", made.id, made.secret);
    assert_eq!(secrets(fixture, &[secret_id]).get(secret_id), Some(text.as_str()));
    assert_eq!(shown(&made)["name"], "a:default");
}

fn a_key_stays_as_long_as_its_permissions_do(fixture: &Fixture) {
    fixture.enroll("a");
    let made = key(fixture, one("h"));
    assert!(key(fixture, one("h")) == made);
    assert!(output(fixture, "default").to_retire_api_key_ids.is_empty());
}

fn a_key_whose_permissions_change_gets_the_new_roles_and_keeps_the_old(fixture: &Fixture) {
    fixture.enroll("a");
    let made = key(fixture, one("h"));
    // a key made a moment ago is waited for
    assert!(key(fixture, one("i")) == made);
    assert_eq!(roles(&made), ["h-0-rdstale", "i"]);
    assert_eq!(output(fixture, "default").permissions_hash, "i");
    assert!(key(fixture, one("h")) == made);
    assert_eq!(roles(&made), ["h", "h-0-rdstale", "i-0-rdstale"]);
}

fn a_key_that_is_gone_is_made_anew_and_the_old_one_retired(fixture: &Fixture) {
    fixture.enroll("a");
    let first = key(fixture, one("h"));
    fixture.done(Operation::InvalidateKeys(vec![first.id.clone()]));
    let second = key(fixture, one("i"));
    assert!(second.id != first.id && fixture.is_good(&second));
    let stored = output(fixture, "default");
    let retired = &stored.to_retire_api_key_ids[..];
    assert_eq!((stored.api_key_id.as_str(), retired.len()), (second.id.as_str(), 1));
    assert_eq!((retired[0].id.as_str(), retired[0].output.as_str()), (first.id.as_str(), ""));
    assert_eq!(retired[0].retired_at, NOW.rfc3339());
    assert!(!retired[0].secret_id.is_empty() && Some(retired[0].secret_id.as_str()) != stored.secret_id());
}

/// An agent with a key that was replaced but is good, and the one in its place.
fn replaced(fixture: &Fixture) -> (ApiKey, ApiKey) {
    let first = key(fixture, one("h"));
    // the document names a secret that is gone: a new key is made, and the old one waits
    let mut broken =
        json!({"api_key": "", "api_key_id": first.id, "permissions_hash": "h", "type": "elasticsearch"});
    broken["api_key"] = "$co.elastic.secret{gone}".into();
    fixture.update("a", Patch::new().set("outputs", json!({"default": broken})));
    let second = key(fixture, one("h"));
    assert!(fixture.is_good(&first) && fixture.is_good(&second) && first.id != second.id);
    (first, second)
}

fn an_acknowledgement_drops_old_roles_and_replaced_keys(fixture: &Fixture) {
    fixture.enroll("a");
    let (first, second) = replaced(fixture);
    assert!(key(fixture, one("i")) == second);
    assert_eq!(roles(&second), ["h-0-rdstale", "i"]);
    for _ in 0..2 {
        fixture.done(Operation::CleanOutputKeys("a".into()));
        assert_eq!(roles(&second), ["i"]);
        assert!(!fixture.is_good(&first) && fixture.is_good(&second));
        let stored = output(fixture, "default");
        assert!(stored.to_retire_api_key_ids.is_empty() && stored.api_key_id == second.id);
    }
    fixture.done(Operation::CleanOutputKeys("nobody".into()));
}

fn two_who_ask_at_once_get_the_same_key(fixture: &Fixture) {
    fixture.enroll("a");
    let keys: Vec<ApiKey> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| key(fixture, one("h")))).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(output(fixture, "default").api_key_id, keys[0].id);
    assert!(output(fixture, "default").to_retire_api_key_ids.is_empty());
}

fn a_key_of_an_older_document_stands_in_it(fixture: &Fixture) {
    let access = fixture.enroll("a");
    let text = format!("{}:{}", access.id, access.secret);
    let stored =
        json!({"default": {"api_key": text, "api_key_id": access.id, "permissions_hash": "h"}, "odd": 7});
    fixture.update("a", Patch::new().set("outputs", stored));
    assert!(key(fixture, one("h")) == access);
}

fn odd_fields_of_an_output_cost_an_agent_nothing(fixture: &Fixture) {
    fixture.enroll("a");
    let (first, second) = replaced(fixture);
    let stored = |retired: &Value| {
        let secret = crate::model::secret::reference(output(fixture, "default").secret_id().unwrap());
        let block = json!({"api_key": secret, "api_key_id": second.id, "permissions_hash": null, "type": 7,
            "to_retire_api_key_ids": retired});
        fixture.update("a", Patch::new().set("outputs", json!({"default": block, "odd": 7})));
    };
    stored(&Value::Null);
    assert!(key(fixture, one("i")) == second);
    // a list of anything, for each script that goes through it
    stored(&json!([null, 7, "x", {"id": first.id, "output": null, "secret_id": null}]));
    fixture.done(Operation::CleanOutputKeys("a".into()));
    assert!(!fixture.is_good(&first) && fixture.is_good(&second));
    stored(&json!([null, 7]));
    fixture.done(Operation::InvalidateKeys(vec![second.id.clone()]));
    let third = key(fixture, one("h"));
    assert!(third != second && fixture.is_good(&third));
    let retired = &output(fixture, "default").to_retire_api_key_ids[..];
    assert!(retired.len() == 1 && retired[0].id == second.id, "{retired:?}");
}

fn the_key_of_an_output_that_is_gone_is_retired(fixture: &Fixture) {
    fixture.enroll("a");
    let needs = vec![one("h"), need("second", "h", &json!({"r": {"cluster": []}}))];
    let keys = all(fixture, "a", needs);
    let (first, second) = (keys[0].clone().unwrap(), keys[1].clone().unwrap());
    assert!(key(fixture, one("h")) == first);
    assert_eq!(output(fixture, "second").api_key_id, "");
    let stored = output(fixture, "default");
    assert_eq!(stored.to_retire_api_key_ids[0].id, second.id);
    fixture.done(Operation::CleanOutputKeys("a".into()));
    assert!(fixture.is_good(&first) && !fixture.is_good(&second));
    assert!(output(fixture, "default").to_retire_api_key_ids.is_empty());
}

fn an_agent_that_leaves_takes_its_keys_along(fixture: &Fixture) {
    let access = fixture.enroll("a");
    let (first, second) = replaced(fixture);
    let agent = fixture.agent("a").unwrap();
    let secret_id = agent.outputs["default"].secret_id().unwrap().to_owned();
    fixture.done(Operation::RetireKeys(agent.keys()));
    for key in [access, first, second] {
        assert!(!fixture.is_good(&key));
    }
    assert!(secrets(fixture, &[&secret_id]).is_empty());
}

fn an_unknown_agent_has_no_keys(fixture: &Fixture) {
    let wanted = KeysWanted { agent: "nobody".into(), needs: Arc::from([one("h")]), at: NOW };
    assert_eq!(fixture.error(Operation::OutputKeys(Box::new(wanted))), StoreError::NotFound);
}

fn far(hosts: &str, token: &str) -> KeyNeed {
    let block = json!({"type": "remote_elasticsearch", "hosts": [hosts], "service_token": token});
    let cluster = OutputCluster::Remote(crate::config::Secret::new(block.to_string()));
    KeyNeed { output: "far".into(), cluster, ..one("h") }
}

/// The test cluster stands for another one.
fn keys_of_another_cluster_are_made_there(fixture: &Fixture) {
    fixture.enroll("a");
    let cluster = Cluster::shared().unwrap();
    let need = far(cluster.url(), cluster.service_token());
    let made = key(fixture, need.clone());
    assert!(fixture.is_good(&made) && key(fixture, need.clone()) == made);
    let stored = output(fixture, "far");
    assert_eq!((stored.kind.as_str(), stored.api_key_id.as_str()), ("elasticsearch", made.id.as_str()));
    // the other cluster knows it no more: as if the name now stood for a third one
    fixture.done(Operation::InvalidateKeys(vec![made.id.clone()]));
    let second = key(fixture, need);
    assert_ne!(second.id, made.id);
    let retired = &output(fixture, "far").to_retire_api_key_ids[0];
    assert_eq!((retired.id.as_str(), retired.output.as_str()), (made.id.as_str(), "far"));
}

fn another_cluster_that_does_not_answer_costs_only_its_own_key(fixture: &Fixture) {
    fixture.enroll("a");
    // port 9 of loopback: nobody listens
    let keys = all(fixture, "a", vec![one("h"), far("http://127.0.0.1:9", "AAE")]);
    assert!(keys[0].is_some() && keys[1].is_none());
    assert_eq!(output(fixture, "far").api_key_id, "");
}

fn another_cluster_that_does_not_answer_does_not_keep_what_is_gone(fixture: &Fixture) {
    fixture.enroll("a");
    let old = need("old", "h", &json!({"r": {"cluster": []}}));
    let gone = key(fixture, old);
    // the other one comes first, and has no place in the document
    let down = KeyNeed { output: "away".into(), ..far("http://127.0.0.1:9", "AAE") };
    assert!(all(fixture, "a", vec![down, one("h")])[0].is_none());
    assert_eq!(output(fixture, "old").api_key_id, "");
    assert_eq!(output(fixture, "default").to_retire_api_key_ids[0].id, gone.id);
}

/// What was told of an output, oldest first: its state, and whether there was a message.
fn told_health(output: &str) -> Vec<String> {
    let cluster = Cluster::shared().unwrap();
    let query = json!({"query": {"match_phrase": {"output": output}}, "sort": [{"_seq_no": "asc"}]});
    let path = "/logs-fleet_server.output_health-*/_search?expand_wildcards=all";
    let (_, answer) = cluster.admin("POST", path, &query);
    let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
    let told = hits.iter().map(|hit| {
        let source = &hit["_source"];
        assert_eq!(source["data_stream"]["dataset"], "fleet_server.output_health", "{source}");
        assert!(Timestamp::parse(source["@timestamp"].as_str().unwrap()).is_some(), "{source}");
        format!("{} {}", source["state"].as_str().unwrap(), source["message"] != "")
    });
    told.collect()
}

fn how_another_cluster_does_is_told_where_kibana_looks(fixture: &Fixture) {
    fixture.enroll("a");
    let cluster = Cluster::shared().unwrap();
    let output = format!("far{}", cluster::suffix());
    let named = |need: KeyNeed| KeyNeed { output: output.clone(), ..need };
    let at = |minutes: i64| Timestamp(NOW.0 + minutes * 60_000);
    let mind = |minutes: i64| {
        fixture.done(Operation::MindOutputs { at: at(minutes), outputs: vec![output.clone()] })
    };
    let told = || told_health(&output).join(", ");
    // port 9 of loopback: nobody listens
    assert!(all(fixture, "a", vec![one("h"), named(far("http://127.0.0.1:9", "AAE"))])[1].is_none());
    mind(1);
    assert_eq!(told(), "DEGRADED true");
    // said again when it is old
    mind(11);
    assert_eq!(told(), "DEGRADED true, DEGRADED true");
    let near = named(far(cluster.url(), cluster.service_token()));
    assert!(all(fixture, "a", vec![one("h"), near])[1].is_some());
    mind(2);
    assert_eq!(told(), "DEGRADED true, DEGRADED true, HEALTHY false");
}
