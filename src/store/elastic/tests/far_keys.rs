//! Keys in other clusters that refuse to make them.

use super::*;
use crate::config::Secret;
use crate::model::raw::raw;
use crate::model::{KeyNeed, KeysWanted, OutputCluster};

/// Stands for both clusters; refuses to make keys.
fn cluster() -> Scripted {
    Scripted::json(|asked| match (asked.method.as_str(), asked.path.split('?').next().unwrap_or_default()) {
        ("POST", "/_mget") => {
            let found = json!({"found": true, "_seq_no": 1, "_primary_term": 1, "_source": {}});
            (200, json!({"docs": [found]}))
        }
        ("PUT", "/_security/api_key") => {
            (403, json!({"error": {"type": "security_exception"}, "status": 403}))
        }
        ("HEAD", _) => (200, json!({})),
        _ => all_written(asked),
    })
}

fn wanted(agent: &str, hosts: &str, token: &str) -> Operation {
    let block = json!({"type": "remote_elasticsearch", "hosts": [hosts], "service_token": token});
    let need = KeyNeed {
        output: "far".into(),
        cluster: OutputCluster::Remote(Secret::new(block.to_string())),
        roles: raw(&json!({"r": {"cluster": []}})),
        permissions_hash: "h".into(),
    };
    Operation::OutputKeys(Box::new(KeysWanted { agent: agent.into(), needs: [need].into(), at: NOW }))
}

fn has_none(answer: &StoreResult) -> bool {
    matches!(answer, Ok(Answer::OutputKeys(keys)) if keys[..] == [None])
}

#[test]
fn a_cluster_that_refuses_a_key_is_not_asked_for_those_of_all_others_at_once() {
    let cluster = cluster();
    let store = store(&cluster);
    for agent in ["a", "b", "c"] {
        assert!(has_none(&one(&store, wanted(agent, &cluster.url(), "t"))), "{agent}");
    }
    assert_eq!(cluster.asked_of("PUT", "/_security/api_key").len(), 1);
    // it is reached in another way now
    assert!(has_none(&one(&store, wanted("d", &cluster.url(), "u"))));
    assert_eq!(cluster.asked_of("PUT", "/_security/api_key").len(), 2);
}

#[test]
fn a_cluster_whose_output_no_policy_has_is_not_asked_after() {
    let cluster = cluster();
    let store = store(&cluster);
    assert!(has_none(&one(&store, wanted("a", &cluster.url(), "t"))));
    let mind = |outputs: &[&str]| {
        let outputs = outputs.iter().map(|output| (*output).to_owned()).collect();
        assert!(matches!(one(&store, Operation::MindOutputs { at: NOW, outputs }), Ok(Answer::Done)));
        cluster.asked_of("HEAD", "/").len()
    };
    assert_eq!((mind(&["far"]), mind(&["far", "other"]), mind(&["other"]), mind(&["far"])), (1, 2, 2, 2));
}
