//! Output keys that are there: read for many agents at once.

use super::*;
use crate::model::raw::raw;
use crate::model::{KeyNeed, KeysWanted, OutputCluster};

/// A cluster with a document for each agent: keys with the hash `h`, but for the agent `old`.
fn cluster() -> Scripted {
    Scripted::json(|asked| {
        let docs: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let doc = |doc: &Value| {
            let id = doc["_id"].as_str().unwrap();
            let hash = if id == "old" { "g" } else { "h" };
            let source = match doc["_index"].as_str().unwrap() {
                ".fleet-agents" => {
                    json!({"outputs": {"default": {"api_key": format!("$co.elastic.secret{{s-{id}}}"),
                    "api_key_id": id, "permissions_hash": hash, "type": "elasticsearch"}}})
                }
                _ => json!({"value": format!("{}:secret", &id[2..])}),
            };
            json!({"found": true, "_seq_no": 1, "_primary_term": 1, "_source": source})
        };
        match docs["docs"].as_array() {
            Some(docs) => (200, json!({"docs": docs.iter().map(doc).collect::<Vec<_>>()})),
            // what a key that has to be changed is asked for
            None => (503, json!({})),
        }
    })
}

fn wanted(agent: &str) -> Operation {
    let need = KeyNeed {
        output: "default".into(),
        cluster: OutputCluster::Own,
        roles: raw(&json!({})),
        permissions_hash: "h".into(),
    };
    Operation::OutputKeys(Box::new(KeysWanted { agent: agent.into(), needs: [need].into(), at: NOW }))
}

fn key(answer: &StoreResult) -> Option<&str> {
    match answer {
        Ok(Answer::OutputKeys(keys)) => keys[0].as_ref().map(|key| key.id.as_str()),
        _ => None,
    }
}

fn with_own_secrets(cluster: &Scripted) -> Elastic {
    let store = store_that_asks(cluster);
    store.facts.set(Facts { fleet_module: false, has_keys: true, has_secrets: false }).unwrap();
    store
}

#[test]
fn the_keys_of_a_batch_are_two_requests() {
    let cluster = cluster();
    let answers = with_own_secrets(&cluster).run(["a", "b", "c"].map(wanted).to_vec());
    assert_eq!(answers.iter().map(key).collect::<Vec<_>>(), [Some("a"), Some("b"), Some("c")]);
    assert_eq!(cluster.asked_of("POST", "/_mget").len(), 2);
    assert_eq!(cluster.asked().len(), 2);
}

#[test]
fn one_that_has_to_be_changed_does_not_keep_the_others_from_theirs() {
    let cluster = cluster();
    let answers = with_own_secrets(&cluster).run(["a", "old", "c"].map(wanted).to_vec());
    assert_eq!(answers.iter().map(key).collect::<Vec<_>>(), [Some("a"), None, Some("c")]);
    assert_eq!(status(&answers[1]), 503);
}

/// A cluster whose agents have a key each; that of `stale` has a role of an older revision, `replaced` had another key.
fn cluster_of_clean_keys() -> Scripted {
    Scripted::json(|asked| {
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let document = |wanted: &Value| {
            let id = wanted["_id"].as_str().unwrap();
            let retired = if id == "replaced" { json!([{"id": "before"}]) } else { json!([]) };
            let output = json!({"api_key_id": id, "to_retire_api_key_ids": retired});
            json!({"found": true, "_seq_no": 1, "_primary_term": 1, "_source": {"outputs": {"default": output}}})
        };
        let key = |id: &Value| {
            let role = if id == "stale" { "role-0-rdstale" } else { "role" };
            json!({"id": id, "invalidated": false, "role_descriptors": {role: {}}})
        };
        let all = |values: &Value, of: &dyn Fn(&Value) -> Value| -> Vec<Value> {
            values.as_array().unwrap().iter().map(of).collect()
        };
        match asked.path.as_str() {
            "/_mget" => (200, json!({"docs": all(&body["docs"], &document)})),
            "/_security/_query/api_key" => {
                (200, json!({"api_keys": all(&body["query"]["ids"]["values"], &key)}))
            }
            // what a key that has to be cleaned is asked for
            _ => (503, json!({})),
        }
    })
}

fn cleaned(cluster: &Scripted, agents: &[&str]) -> Vec<u16> {
    let clean = |agent: &&str| Operation::CleanOutputKeys((*agent).to_owned());
    let answers = with_own_secrets(cluster).run(agents.iter().map(clean).collect());
    answers.iter().map(|answer| if answer.is_ok() { 200 } else { status(answer) }).collect()
}

#[test]
fn that_the_keys_of_a_batch_are_clean_is_two_requests() {
    let cluster = cluster_of_clean_keys();
    assert_eq!(cleaned(&cluster, &["a", "b", "c"]), [200; 3]);
    assert_eq!(cluster.asked_of("POST", "/_mget").len(), 1);
    assert_eq!(cluster.asked_of("POST", "/_security/_query/api_key").len(), 1);
    assert_eq!(cluster.asked().len(), 2);
}

#[test]
fn a_key_with_something_left_to_be_cleaned_is_seen_to() {
    let cluster = cluster_of_clean_keys();
    assert_eq!(cleaned(&cluster, &["a", "stale", "replaced"]), [200, 503, 503]);
}
