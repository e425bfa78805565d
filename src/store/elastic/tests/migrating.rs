//! Documents of old that are brought up to date.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::store::tests::elastic::on_elastic;

const MIGRATE: Operation = Operation::MigrateAgents { at: NOW };

fn updated(count: u64, version_conflicts: u64) -> (u16, Value) {
    (
        200,
        json!({"updated": count, "version_conflicts": version_conflicts, "timed_out": false, "failures": []}),
    )
}

#[test]
fn it_is_repeated_until_nobody_has_come_in_between() {
    let asked = AtomicU64::new(0);
    let cluster = Scripted::json(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => updated(7, 2),
        1 => updated(5_000, 0),
        _ => updated(0, 0),
    });
    assert!(matches!(one(&store(&cluster), MIGRATE), Ok(Answer::Done)));
    let asked = cluster.asked();
    assert_eq!(asked.len(), 4, "three for the agents without a name, one for keys of old");
    assert!(asked.iter().all(|asked| asked.is("POST", "/.fleet-agents/_update_by_query")));
    assert!(asked[0].path.contains("conflicts=proceed") && asked[0].path.contains("refresh=true"));
}

#[test]
fn an_index_that_is_missing_has_nothing_old_in_it() {
    let cluster = Scripted::json(|_| (404, json!({"error": {"type": "index_not_found_exception"}})));
    assert!(matches!(one(&store(&cluster), MIGRATE), Ok(Answer::Done)));
}

#[test]
fn what_is_not_done_is_not_called_done() {
    for answer in [
        (503, json!({})),
        (200, json!({})),
        (200, json!({"updated": 0, "timed_out": true})),
        (200, json!({"updated": 1, "failures": [{"status": 400}]})),
    ] {
        let told = answer.clone();
        let cluster = Scripted::json(move |_| answer.clone());
        assert!(one(&store(&cluster), MIGRATE).is_err(), "{told:?}");
    }
}

#[test]
fn on_a_cluster_an_agent_without_a_name_gets_its_id_and_all_else_stays() {
    on_elastic(|fixture| {
        fixture.enroll("a");
        fixture.enroll("b");
        fixture.update("a", Patch::new().set("agent", json!({"version": "9.0.0"})));
        fixture.done(MIGRATE);
        let agent = fixture.agent("a").unwrap().agent.unwrap();
        assert_eq!((agent.id.as_str(), agent.version.as_str()), ("a", "9.0.0"));
    });
}

#[test]
fn on_a_cluster_a_key_of_old_is_kept_to_be_retired() {
    on_elastic(|fixture| {
        fixture.enroll("a");
        let earlier = json!([{"id": "earlier", "retired_at": "2022-01-01T00:00:00Z"}]);
        let old = Patch::new().set("default_api_key_id", "old").set("default_api_key_history", earlier);
        fixture.update("a", old.set("policy_output_permissions_hash", "h"));
        for _ in 0..2 {
            fixture.done(MIGRATE);
            let output = &fixture.agent("a").unwrap().outputs["default"];
            let retired: Vec<&str> = output.to_retire_api_key_ids.iter().map(|key| key.id.as_str()).collect();
            assert_eq!((retired, output.permissions_hash.as_str()), (vec!["earlier", "old"], "h"));
            assert!(output.api_key.is_empty() && output.api_key_id.is_empty());
        }
    });
}
