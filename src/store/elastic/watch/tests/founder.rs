//! Indices that others write to, made before they do.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::elastic::tests::scripted::Scripted;

/// A cluster that makes indices when `may` says so.
fn cluster(may: &Arc<AtomicBool>) -> Scripted {
    let may = Arc::clone(may);
    let there = json!({"error": {"type": "resource_already_exists_exception", "reason": "r"}});
    Scripted::json(move |asked| match asked.method.as_str() {
        "GET" => (200, json!({"fields": {"agents": {"text": {}}}})),
        _ if !may.load(Ordering::SeqCst) => (503, json!({})),
        _ if asked.path == "/.fleet-agents" => (400, there.clone()),
        _ => (200, json!({})),
    })
}

fn founder(cluster: &Scripted, indices: Indices) -> Founder {
    let settings = Elasticsearch { hosts: vec![cluster.url()], ..Elasticsearch::default() };
    Founder::new(Arc::new(Client::new(&settings).unwrap()), indices)
}

fn made(cluster: &Scripted) -> Vec<String> {
    cluster.asked().into_iter().filter(|asked| asked.method == "PUT").map(|asked| asked.path).collect()
}

#[test]
fn what_others_write_to_is_made_once_and_tried_until_it_is() {
    let may = Arc::new(AtomicBool::new(false));
    let cluster = cluster(&may);
    let mut founder = founder(&cluster, Indices::default());
    founder.go_on(false);
    assert_eq!(made(&cluster).len(), 4);
    founder.go_on(false);
    assert_eq!(made(&cluster).len(), 4, "not at once");
    may.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        founder.due = Duration::ZERO;
        founder.go_on(false);
    }
    let names = ["/.fleet-policies", "/.fleet-enrollment-api-keys", "/.fleet-actions", "/.fleet-agents"];
    assert_eq!(made(&cluster)[4..], names);
    let definition = &cluster.asked_of("PUT", names[0])[0].body;
    assert_eq!(
        serde_json::from_str::<Value>(definition).unwrap()["mappings"]["properties"]["policy_id"]["type"],
        "keyword"
    );
}

#[test]
fn what_the_module_or_nobody_else_makes_is_left_alone() {
    let cluster = cluster(&Arc::new(AtomicBool::new(true)));
    founder(&cluster, Indices::default()).go_on(true);
    founder(&cluster, Indices::with_suffix("west").unwrap()).go_on(false);
    assert!(cluster.asked().is_empty());
}
