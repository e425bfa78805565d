//! The first use of a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::elastic::indices::Index;

fn no_handler() -> Value {
    json!({"error": "no handler found for uri [/x] and method [GET]"})
}

/// A cluster that knows neither the fleet module nor keys, or both, and answers the making of an index by `made`.
fn bare(able: bool, made: (u16, Value)) -> Scripted {
    Scripted::json(move |asked| match asked.method.as_str() {
        "GET" if able => (404, json!({"error": {"type": "index_not_found_exception"}})),
        "GET" => (400, no_handler()),
        "PUT" => made.clone(),
        _ => all_written(asked),
    })
}

#[test]
fn what_a_cluster_can_do_is_asked_once() {
    for able in [true, false] {
        let cluster = bare(able, (200, json!({})));
        let store = store_that_asks(&cluster);
        for _ in 0..3 {
            assert_eq!(
                store.facts().unwrap(),
                Facts { fleet_module: able, has_keys: able, has_secrets: able }
            );
        }
        assert_eq!(cluster.asked().len(), 3);
    }
}

#[test]
fn trouble_says_nothing_of_what_a_cluster_can_do() {
    let works = Arc::new(AtomicBool::new(false));
    let working = Arc::clone(&works);
    let cluster = Scripted::json(move |_| match working.load(Ordering::SeqCst) {
        true => (400, no_handler()),
        false => (503, json!({})),
    });
    let store = store_that_asks(&cluster);
    assert!(store.facts().is_err());
    works.store(true, Ordering::SeqCst);
    assert_eq!(store.facts().unwrap(), Facts { fleet_module: false, has_keys: false, has_secrets: false });
}

#[test]
fn who_is_not_let_in_learns_of_keys_but_not_of_the_module() {
    let cluster = Scripted::json(|asked| match asked.path.as_str() {
        "/_security/_authenticate" => (401, json!({"error": {"type": "security_exception"}})),
        _ => (404, json!({"error": {"type": "index_not_found_exception"}})),
    });
    assert!(store_that_asks(&cluster).facts().unwrap().has_keys);
    let cluster = Scripted::json(|_| (401, json!({"error": {"type": "security_exception"}})));
    assert!(store_that_asks(&cluster).facts().is_err());
}

#[test]
fn more_than_one_shard_is_no_missing_module() {
    let cluster =
        Scripted::json(|_| (400, json!({"error": {"type": "status_exception", "reason": "more than one"}})));
    assert!(store_that_asks(&cluster).facts().unwrap().fleet_module);
}

#[test]
fn an_index_is_made_before_the_first_write_to_it_and_once() {
    let cluster = bare(false, (200, json!({"acknowledged": true})));
    let store = store_that_asks(&cluster);
    for _ in 0..2 {
        assert!(one(&store, update("a", "x")).is_ok());
    }
    let made = cluster.asked_of("PUT", "/.fleet-agents");
    assert_eq!(made.len(), 1);
    let definition: Value = serde_json::from_str(&made[0].body).unwrap();
    assert_eq!(definition["settings"]["index"]["number_of_shards"], 1);
    assert_eq!(definition["mappings"]["dynamic"], false);
}

/// A cluster without the module whose index of agents is there while `there` says so, and is made by us otherwise.
fn that_may_lose_its_index(there: &Arc<AtomicBool>) -> Scripted {
    let there = Arc::clone(there);
    let missing = || json!({"error": {"type": "index_not_found_exception"}});
    Scripted::json(move |asked| match (asked.method.as_str(), asked.path.split('?').next().unwrap()) {
        ("PUT", _) => {
            there.store(true, Ordering::SeqCst);
            (200, json!({}))
        }
        ("GET", "/.fleet-agents/_stats/docs") if there.load(Ordering::SeqCst) => (200, json!({})),
        ("GET", "/.fleet-agents/_stats/docs") => (404, missing()),
        ("GET", _) => (400, no_handler()),
        (_, "/_mget") => (200, json!({"docs": [{"error": missing()["error"]}]})),
        _ => all_written(asked),
    })
}

#[test]
fn an_index_that_was_deleted_meanwhile_is_made_before_the_next_write() {
    let there = Arc::new(AtomicBool::new(false));
    let cluster = that_may_lose_its_index(&there);
    let store = store_that_asks(&cluster);
    let store = Elastic { patience: Patience::without_waits().without_belief(), ..store };
    for made in [1, 1, 2] {
        assert!(one(&store, update("a", "x")).is_ok());
        assert_eq!(cluster.asked_of("PUT", "/.fleet-agents").len(), made);
        there.store(made == 1 && cluster.asked_of("POST", "/_bulk").len() == 1, Ordering::SeqCst);
    }
}

#[test]
fn an_index_that_a_look_up_misses_is_made_at_once() {
    let there = Arc::new(AtomicBool::new(false));
    let cluster = that_may_lose_its_index(&there);
    let store = store_that_asks(&cluster);
    assert!(one(&store, update("a", "x")).is_ok());
    there.store(false, Ordering::SeqCst);
    // it is believed to be there
    assert!(one(&store, update("a", "x")).is_ok());
    assert_eq!(cluster.asked_of("PUT", "/.fleet-agents").len(), 1);
    assert!(matches!(one(&store, Operation::AgentById("a".into())), Ok(Answer::Agent(None))));
    assert!(one(&store, update("a", "x")).is_ok());
    assert_eq!(cluster.asked_of("PUT", "/.fleet-agents").len(), 2);
}

#[test]
fn the_fleet_module_makes_its_own() {
    let cluster = bare(true, (500, json!({})));
    assert!(one(&store_that_asks(&cluster), update("a", "x")).is_ok());
    assert!(cluster.asked().iter().all(|asked| asked.method != "PUT"));
}

#[test]
fn but_not_those_of_a_fleet_with_names_of_its_own() {
    let cluster = bare(true, (200, json!({})));
    let indices = Indices::with_suffix("west").unwrap();
    let store = Elastic { indices, ..store_that_asks(&cluster) };
    assert!(one(&store, update("a", "x")).is_ok());
    assert_eq!(cluster.asked_of("PUT", "/.fleet-agents-west").len(), 1);
}

#[test]
fn an_index_that_is_there_or_may_not_be_made_is_used() {
    let exists = json!({"error": {"type": "resource_already_exists_exception"}});
    let forbidden = json!({"error": {"type": "security_exception"}});
    for made in [(400, exists), (403, forbidden)] {
        let cluster = bare(false, made);
        let store = store_that_asks(&cluster);
        assert!(one(&store, update("a", "x")).is_ok() && one(&store, update("a", "x")).is_ok());
        assert_eq!(cluster.asked_of("PUT", "/.fleet-agents").len(), 1);
    }
}

#[test]
fn nothing_is_written_where_an_index_may_be_missing() {
    let cluster = bare(false, (503, json!({})));
    let store = store_that_asks(&cluster);
    let answers = store.run(vec![update("a", "x"), update("b", "x")]);
    assert_eq!(answers.iter().map(status).collect::<Vec<_>>(), [503, 503]);
    assert!(cluster.asked_of("POST", "/_bulk").is_empty());
    assert!(store.ensure(Index::Agents).is_err());
}
