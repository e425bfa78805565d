//! Enrolments that fail half way.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn enroll(agent: &str) -> Operation {
    Operation::Enroll(Box::new(enrollment(agent, &document(agent))))
}

/// A cluster that makes keys `k0`, `k1`, .. and shows them at once, and knows no agent; its `_bulk` is the test's.
fn cluster(bulk: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Scripted {
    cluster_with(bulk, json!({"found": false}))
}

/// The same where every agent looked up is this document.
fn cluster_with(bulk: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static, later: Value) -> Scripted {
    let (made, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
    Scripted::json(move |asked| {
        if asked.is("PUT", "/_security/api_key") {
            let number = made.fetch_add(1, Ordering::SeqCst);
            return (200, json!({"id": format!("k{number}"), "api_key": "s3cret"}));
        }
        if asked.is("DELETE", "/_security/api_key") {
            let ids = &serde_json::from_str::<Value>(&asked.body).unwrap()["ids"];
            return (200, json!({"invalidated_api_keys": ids, "error_count": 0}));
        }
        if asked.is("POST", "/_bulk") {
            written.fetch_add(1, Ordering::SeqCst);
            return bulk(asked);
        }
        let docs = serde_json::from_str::<Value>(&asked.body).unwrap()["docs"].as_array().unwrap().len();
        let none = json!({"found": false});
        let doc = if written.load(Ordering::SeqCst) == 0 { &none } else { &later };
        (200, json!({"docs": vec![doc; docs]}))
    })
}

fn invalidated(cluster: &Scripted) -> Vec<Value> {
    let ids = |asked: &Asked| serde_json::from_str::<Value>(&asked.body).unwrap()["ids"].clone();
    cluster.asked_of("DELETE", "/_security/api_key").iter().map(ids).collect()
}

#[test]
fn enrolments_of_a_batch_share_one_write_that_waits_for_no_refresh() {
    let cluster = cluster(all_written);
    let answers = store(&cluster).run(vec![enroll("a"), enroll("b"), enroll("c")]);
    let key = |answer| match answer {
        Ok(Answer::Key(key)) => key.id,
        other => panic!("{other:?}"),
    };
    let keys: Vec<String> = answers.into_iter().map(key).collect();
    assert_eq!(keys, ["k0", "k1", "k2"]);
    let writes = cluster.asked_of("POST", "/_bulk");
    assert_eq!((writes.len(), writes_of(&writes[0])), (1, 3));
    assert!(!writes[0].path.contains("refresh"));
    assert_eq!(writes[0].lines()[1]["access_api_key_id"], "k0");
    assert!(invalidated(&cluster).is_empty());
}

#[test]
fn a_key_that_is_not_made_does_not_concern_its_batch() {
    let made = AtomicUsize::new(0);
    let cluster = Scripted::json(move |asked| match asked.path.split('?').next().unwrap() {
        "/_mget" => (200, json!({"docs": vec![json!({"found": false}); 3]})),
        "/_bulk" => all_written(asked),
        _ => match made.fetch_add(1, Ordering::SeqCst) {
            1 => (200, json!("no key")),
            number => (200, json!({"id": format!("k{number}"), "api_key": "s3cret"})),
        },
    });
    let answers = store(&cluster).run(vec![enroll("a"), enroll("b"), enroll("c")]);
    assert!(
        matches!(&answers[..], [Ok(Answer::Key(_)), Err(StoreError::Unreachable(_)), Ok(Answer::Key(_))]),
        "{answers:?}"
    );
    assert_eq!(writes_of(&cluster.asked_of("POST", "/_bulk")[0]), 2);
}

#[test]
fn those_that_failed_are_taken_back_together() {
    let cluster = cluster(|asked| match asked.body.contains("create") {
        true => (200, bulk_answer("create", &[403, 201, 403])),
        false => (200, bulk_answer("update", &[404, 404])),
    });
    let answers = store(&cluster).run(vec![enroll("a"), enroll("b"), enroll("c")]);
    assert_eq!((status(&answers[0]), answers[1].is_ok(), status(&answers[2])), (403, true, 403));
    assert_eq!(cluster.asked_of("POST", "/_bulk").len(), 2);
    assert_eq!(invalidated(&cluster), [json!(["k0", "k2"])]);
}

#[test]
fn where_keys_take_long_those_that_are_made_are_used_and_the_others_are_told() {
    let cluster = cluster(all_written);
    let store = store(&cluster);
    let store = Elastic { patience: Patience::without_waits().for_one_key(), ..store };
    let answers = store.run(vec![enroll("a"), enroll("b"), enroll("c")]);
    assert!(matches!(&answers[0], Ok(Answer::Key(key)) if key.id == "k0"), "{answers:?}");
    for answer in &answers[1..] {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    assert_eq!(writes_of(&cluster.asked_of("POST", "/_bulk")[0]), 1);
    assert!(invalidated(&cluster).is_empty());
}

#[test]
fn a_key_is_made_as_the_protocol_says() {
    let cluster = cluster(all_written);
    store(&cluster).run(vec![enroll("a")]);
    let asked = &cluster.asked_of("PUT", "/_security/api_key")[0];
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let role = json!({"cluster": [], "applications":
        [{"application": "fleet", "privileges": ["no-privileges"], "resources": ["*"]}]});
    let metadata = json!({"agent_id": "a", "managed": true, "managed_by": "fleet-server", "type": "access"});
    let expected =
        json!({"name": "a", "role_descriptors": {"fleet-apikey-access": role}, "metadata": metadata});
    assert_eq!((body, asked.path.as_str()), (expected, "/_security/api_key?refresh=false"));
}

#[test]
fn a_failed_write_takes_the_key_back() {
    let cluster = cluster(|asked| match asked.body.contains("create") {
        true => (200, bulk_answer("create", &[403])),
        false => (200, bulk_answer("update", &[404])),
    });
    assert_eq!(status(&one(&store(&cluster), enroll("a"))), 403);
    assert_eq!(invalidated(&cluster), [json!(["k0"])]);
    // should it have been written after all, it is deleted if it has that key
    let undo = &cluster.asked_of("POST", "/_bulk")[1].lines();
    assert_eq!(undo[1]["script"]["params"]["access_key"], "k0");
}

#[test]
fn one_that_fails_does_not_concern_its_batch() {
    let cluster = cluster(|asked| match writes_of(asked) {
        3 => (200, bulk_answer("create", &[201, 400, 201])),
        _ => (200, bulk_answer("update", &[404])),
    });
    let answers = store(&cluster).run(vec![enroll("a"), enroll("b"), enroll("c")]);
    assert!(matches!(&answers[0], Ok(Answer::Key(key)) if key.id == "k0"));
    assert_eq!(status(&answers[1]), 400);
    assert!(matches!(&answers[2], Ok(Answer::Key(key)) if key.id == "k2"));
    assert_eq!(invalidated(&cluster), [json!(["k1"])]);
}

#[test]
fn a_document_written_by_a_try_whose_answer_was_lost_is_ours() {
    let ours =
        json!({"found": true, "_seq_no": 1, "_primary_term": 1, "_source": {"access_api_key_id": "k0"}});
    let cluster = cluster_with(|_| (200, bulk_answer("create", &[409])), ours);
    let answer = one(&store(&cluster), enroll("a"));
    assert!(matches!(&answer, Ok(Answer::Key(key)) if key.id == "k0"), "{answer:?}");
    assert!(invalidated(&cluster).is_empty());
}

#[test]
fn a_document_that_somebody_else_wrote_meanwhile_is_a_conflict() {
    let other =
        json!({"found": true, "_seq_no": 1, "_primary_term": 1, "_source": {"access_api_key_id": "z"}});
    let bulk = |asked: &Asked| match asked.body.contains("create") {
        true => (200, bulk_answer("create", &[409])),
        false => (200, bulk_answer("update", &[200])),
    };
    let cluster = cluster_with(bulk, other);
    assert_eq!(one(&store(&cluster), enroll("a")).unwrap_err(), StoreError::Conflict);
    assert_eq!(invalidated(&cluster), [json!(["k0"])]);
}

#[test]
fn a_namesake_is_replaced_only_as_it_was_read() {
    let there = json!({"found": true, "_seq_no": 7, "_primary_term": 2});
    let cluster = Scripted::json(move |asked| match asked.path.split('?').next().unwrap() {
        "/_mget" => (200, json!({"docs": [there]})),
        "/_bulk" => (200, bulk_answer("index", &[200])),
        _ => (200, json!({"id": "k", "api_key": "s"})),
    });
    let agent = "a".to_owned();
    let enrollment = Enrollment { delete_agents: vec![agent], ..enrollment("a", &document("a")) };
    let answer = one(&store(&cluster), Operation::Enroll(Box::new(enrollment)));
    assert!(matches!(answer, Ok(Answer::Key(_))), "{answer:?}");
    let action = &cluster.asked_of("POST", "/_bulk")[0].lines()[0];
    let expected = json!({"_index": ".fleet-agents", "_id": "a", "if_seq_no": 7, "if_primary_term": 2});
    assert_eq!(action["index"], expected);
}

#[test]
fn no_key_is_made_where_it_is_not_known_whether_the_agent_is_there() {
    let cluster = Scripted::json(|_| (503, json!({"error": {"type": "t"}})));
    assert_eq!(status(&one(&store(&cluster), enroll("a"))), 503);
    assert!(cluster.asked_of("PUT", "/_security/api_key").is_empty());
}

#[test]
fn a_replacement_names_its_new_key() {
    let there = json!({"found": true, "_seq_no": 7, "_primary_term": 2});
    let cluster = Scripted::json(move |asked| match asked.path.split('?').next().unwrap() {
        "/_mget" => (200, json!({"docs": [there]})),
        "/_bulk" => (200, bulk_answer("update", &[200])),
        _ if asked.method == "DELETE" => (200, json!({"invalidated_api_keys": ["old"], "error_count": 0})),
        _ => (200, json!({"id": "k", "api_key": "s"})),
    });
    let written = Written::Replacement(Patch::new().set("tags", ["t"]));
    let enrollment =
        Enrollment { written, invalidate_keys: vec!["old".into()], ..enrollment("a", &document("a")) };
    assert!(one(&store(&cluster), Operation::Enroll(Box::new(enrollment))).is_ok());
    let script = &cluster.asked_of("POST", "/_bulk")[0].lines()[1]["script"];
    assert_eq!(script["params"]["doc"], json!({"access_api_key_id": "k", "tags": ["t"]}));
    assert_eq!(invalidated(&cluster), [json!(["old"])]);
}
