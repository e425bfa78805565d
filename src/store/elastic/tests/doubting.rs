//! A key whose writing into the agent's document had no clear answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::model::raw::raw;
use crate::model::{KeyNeed, KeysWanted, OutputCluster};
use crate::store::tests::seconds_later;

fn wanted() -> Operation {
    let need = KeyNeed {
        output: "default".into(),
        cluster: OutputCluster::Own,
        roles: raw(&json!({"r": {"cluster": []}})),
        permissions_hash: "h".into(),
    };
    Operation::OutputKeys(Box::new(KeysWanted { agent: "a".into(), needs: Arc::from([need]), at: NOW }))
}

/// A cluster that makes the key `k` and keeps it in the secret `s`; the write to the agent's document comes to `written`. The
/// document names the key once `named` says so.
fn cluster(written: u16, named: &Arc<AtomicBool>) -> Scripted {
    cluster_that_names_it(written, named, false)
}

/// The same; with `at_once` the write has `named` say so, whatever it comes to.
fn cluster_that_names_it(written: u16, named: &Arc<AtomicBool>, at_once: bool) -> Scripted {
    let named = Arc::clone(named);
    Scripted::json(move |asked| {
        let outputs = match named.load(Ordering::SeqCst) {
            true => json!({"default": {"api_key": "$co.elastic.secret{s}", "api_key_id": "k"}}),
            false => json!({}),
        };
        let answer = match (asked.method.as_str(), asked.path.split('?').next().unwrap_or_default()) {
            ("POST", "/_mget") => {
                json!({"docs": [{"found": true, "_seq_no": 1, "_primary_term": 1, "_source": {"outputs": outputs}}]})
            }
            ("PUT", "/_security/api_key") => json!({"id": "k", "api_key": "secret"}),
            ("DELETE", "/_security/api_key") => json!({"invalidated_api_keys": ["k"], "error_count": 0}),
            ("POST", "/_bulk") => {
                named.fetch_or(at_once, Ordering::SeqCst);
                bulk_answer("update", &[written])
            }
            _ => json!({"id": "s", "value": "k:secret"}),
        };
        (200, answer)
    })
}

/// How often the key was invalidated, and its secret deleted.
fn taken_back(cluster: &Scripted) -> (usize, usize) {
    let keys = cluster.asked_of("DELETE", "/_security/api_key");
    (keys.len(), cluster.asked_of("DELETE", "/_fleet/secret/s").len())
}

fn mind(store: &Elastic, minutes: u64) {
    let at = seconds_later(minutes * 60);
    assert!(matches!(one(store, Operation::MindOutputs { at, outputs: Vec::new() }), Ok(Answer::Done)));
}

#[test]
fn a_key_in_doubt_is_taken_back_when_two_looks_do_not_find_it() {
    let cluster = cluster(500, &Arc::default());
    let store = store(&cluster);
    assert_eq!(status(&one(&store, wanted())), 500);
    for minutes in [9, 10, 14] {
        mind(&store, minutes);
        assert_eq!(taken_back(&cluster), (0, 0), "after {minutes} minutes");
    }
    for minutes in [15, 99] {
        mind(&store, minutes);
        assert_eq!(taken_back(&cluster), (1, 1), "after {minutes} minutes");
    }
}

#[test]
fn a_key_in_doubt_that_the_document_names_after_all_is_the_agents() {
    for found_after in [9, 11] {
        let named = Arc::new(AtomicBool::new(false));
        let cluster = cluster(503, &named);
        let store = store(&cluster);
        assert!(one(&store, wanted()).is_err());
        for minutes in [10, 15, 99] {
            named.store(minutes > found_after, Ordering::SeqCst);
            mind(&store, minutes);
        }
        assert_eq!(taken_back(&cluster), (0, 0), "found after {found_after} minutes");
    }
}

#[test]
fn a_key_whose_write_was_refused_is_taken_back_at_once() {
    let cluster = cluster(400, &Arc::default());
    let store = store(&cluster);
    assert!(one(&store, wanted()).is_err());
    assert_eq!(taken_back(&cluster), (1, 1));
}

#[test]
fn a_key_that_was_written_although_the_answer_failed_is_the_agents() {
    let named = Arc::new(AtomicBool::new(false));
    // the document names it from the write on
    let cluster = cluster_that_names_it(500, &named, true);
    let answer = one(&store(&cluster), wanted());
    assert!(
        matches!(&answer, Ok(Answer::OutputKeys(keys)) if keys[0].as_ref().unwrap().id == "k"),
        "{answer:?}"
    );
    assert_eq!(taken_back(&cluster), (0, 0));
}
