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
