//! Look-ups and searches: what is not known is not "none".

use super::*;

fn look_up(agent: &str) -> Operation {
    Operation::AgentById(agent.into())
}

#[test]
fn a_failed_look_up_is_a_failure() {
    for (answered, expected) in [(503, 503), (429, 429), (401, 401), (403, 403), (404, 404), (500, 500)] {
        let cluster = Scripted::json(move |_| (answered, json!({"error": {"type": "t", "reason": "r"}})));
        let answers = store(&cluster).run(vec![look_up("a"), look_up("b")]);
        assert_eq!(answers.iter().map(status).collect::<Vec<_>>(), [expected; 2]);
    }
}

#[test]
fn a_failed_document_is_a_failure_and_does_not_hide_the_others() {
    let cluster = Scripted::json(|asked| {
        let docs = serde_json::from_str::<Value>(&asked.body).unwrap();
        let doc = |doc: &Value| match doc["_id"].as_str().unwrap() {
            "a" => json!({"found": true, "_seq_no": 1, "_primary_term": 1, "_source": {"policy_id": "p"}}),
            "b" => json!({"error": {"type": "no_shard_available_action_exception", "reason": "x"}}),
            "c" => json!({"error": {"type": "index_not_found_exception"}}),
            _ => json!({"found": false}),
        };
        (200, json!({"docs": docs["docs"].as_array().unwrap().iter().map(doc).collect::<Vec<_>>()}))
    });
    let answers = store(&cluster).run(["a", "b", "c", "d"].map(look_up).to_vec());
    assert!(matches!(&answers[0], Ok(Answer::Agent(Some(agent))) if agent.policy_id == "p"));
    assert_eq!(status(&answers[1]), 503);
    assert!(matches!(answers[2], Ok(Answer::Agent(None))) && matches!(answers[3], Ok(Answer::Agent(None))));
}

#[test]
fn look_ups_of_a_batch_are_one_request() {
    let cluster = Scripted::json(|_| {
        let none = json!({"found": false});
        (200, json!({"docs": [none, none, none]}))
    });
    let batch = vec![look_up("a"), Operation::ActionSeqNo("d".into()), look_up("b")];
    let answers = store(&cluster).run(batch);
    assert!(matches!(answers[1], Ok(Answer::SeqNo(None))));
    let asked: Value = serde_json::from_str(&cluster.asked()[0].body).unwrap();
    assert_eq!((cluster.asked().len(), &asked["docs"][1]["_index"]), (1, &json!(".fleet-actions")));
    assert_eq!(asked["docs"][1]["_source"], false);
}

#[test]
fn an_answer_for_the_wrong_number_of_questions_is_none_at_all() {
    let cluster = Scripted::json(|_| (200, json!({"docs": [{"found": false}]})));
    let answers = store(&cluster).run(vec![look_up("a"), look_up("b")]);
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Unreachable(_)))), "{answers:?}");
}

fn search_answer(hits: &Value) -> Value {
    json!({"status": 200, "timed_out": false, "_shards": {"failed": 0}, "hits": {"hits": hits}})
}

/// Answers each search of a request by what its body names.
fn searching(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> Scripted {
    Scripted::json(move |asked| {
        let lines: Vec<&str> = asked.body.lines().collect();
        let responses: Vec<Value> = lines.chunks(2).map(|search| answer(search[1])).collect();
        (200, json!({"responses": responses}))
    })
}

#[test]
fn without_an_index_of_tokens_it_is_not_known_whether_a_key_enrols() {
    let cluster = searching(|_| json!({"status": 404, "error": {"type": "index_not_found_exception"}}));
    let answer = one(&store(&cluster), Operation::TokenByKey("k".to_owned()));
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
}

#[test]
fn a_failed_search_is_a_failure_and_does_not_hide_the_others() {
    let cluster = searching(|body| match body {
        body if body.contains("late") => {
            json!({"status": 200, "timed_out": true, "_shards": {"failed": 0}, "hits": {"hits": []}})
        }
        body if body.contains("torn") => {
            json!({"status": 200, "timed_out": false, "_shards": {"failed": 1}, "hits": {"hits": []}})
        }
        body if body.contains("refused") => json!({"status": 503, "error": {"type": "t"}}),
        body if body.contains("garbled") => json!({"status": 200}),
        body if body.contains("missing") => {
            json!({"status": 404, "error": {"type": "index_not_found_exception"}})
        }
        _ => search_answer(&json!([{"_id": "a", "_source": {}}])),
    });
    let names = ["late", "good", "torn", "refused", "garbled", "missing"];
    let answers = store(&cluster).run(names.map(|name| Operation::AgentByEnrollmentId(name.into())).to_vec());
    assert_eq!([status(&answers[0]), status(&answers[2]), status(&answers[3])], [503; 3]);
    assert!(matches!(&answers[1], Ok(Answer::Agent(Some(agent))) if agent.id == "a"));
    assert!(matches!(answers[4], Err(StoreError::Unreachable(_))));
    assert!(matches!(answers[5], Ok(Answer::Agent(None))));
}

fn pending(up_to: i64) -> Operation {
    Operation::PendingActions { agent: "a".into(), after: -1, up_to, now: NOW }
}

#[test]
fn a_search_for_actions_waits_for_its_checkpoint_where_the_cluster_can() {
    let cluster = searching(|_| search_answer(&json!([])));
    let answers = store(&cluster).run(vec![pending(7), Operation::TokenByKey("k".into()), pending(-1)]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let waiting = cluster.asked_of("POST", "/_fleet/_fleet_msearch");
    assert_eq!((waiting.len(), waiting[0].lines().len()), (1, 2));
    assert_eq!(waiting[0].lines()[0]["wait_for_checkpoints"], json!([7]));
    let plain = cluster.asked_of("POST", "/_msearch");
    // there is nothing up to -1
    assert_eq!((plain.len(), plain[0].lines().len()), (1, 2));
}

#[test]
fn a_key_of_two_active_enrollment_tokens_stands_for_none() {
    let token = |active: bool, policy: &str| json!({"_id": policy, "_source": {"api_key_id": "k", "active": active, "policy_id": policy}});
    let policy_of = |hits: Value| {
        let cluster = searching(move |_| search_answer(&hits));
        match one(&store(&cluster), Operation::TokenByKey("k".into())) {
            Ok(Answer::Token(token)) => token.map(|token| token.policy_id),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(policy_of(json!([token(true, "p"), token(true, "q")])), None);
    assert_eq!(policy_of(json!([token(true, "p"), token(false, "q")])).as_deref(), Some("p"));
    assert_eq!(policy_of(json!([])), None);
}

#[test]
fn a_search_without_a_bound_waits_for_nothing_and_follows_a_refresh() {
    let cluster = searching(|_| search_answer(&json!([])));
    // before the first news of the watch
    assert!(one(&store(&cluster), pending(i64::MAX)).is_ok());
    let asked: Vec<String> =
        cluster.asked().iter().map(|asked| asked.path.split('?').next().unwrap().to_owned()).collect();
    assert_eq!(asked, ["/.fleet-actions/_refresh", "/_msearch"]);
}

#[test]
fn a_number_that_the_index_never_gave_out_is_not_waited_for() {
    let hit = json!({"_id": "d", "_seq_no": 2, "_source": {"action_id": "x", "agents": ["a"]}});
    let cluster = Scripted::json(move |asked| {
        let refused = json!({"status": 400, "error": {"type": "search_phase_execution_exception"}});
        let answer = |waited_for: &Value| match waited_for["wait_for_checkpoints"][0].as_i64() {
            Some(40) => refused.clone(),
            _ => search_answer(&json!([hit])),
        };
        let responses: Vec<Value> = asked.lines().iter().step_by(2).map(answer).collect();
        (200, json!({"responses": responses}))
    });
    // the index was made anew, and the watch has yet to tell
    let answers = store(&cluster).run(vec![pending(40), pending(2)]);
    for answer in &answers {
        assert!(matches!(answer, Ok(Answer::Actions(actions)) if actions.len() == 1), "{answer:?}");
    }
    let asked = |path: &str| cluster.asked_of("POST", path).len();
    assert_eq!((asked("/_fleet/_fleet_msearch"), asked("/_msearch")), (1, 1));
}

#[test]
fn and_is_like_any_other_where_it_cannot() {
    let cluster = searching(|_| search_answer(&json!([])));
    let store = store_that_asks(&cluster);
    store.facts.set(Facts { fleet_module: false, has_keys: true, has_secrets: false }).unwrap();
    store.run(vec![pending(7), Operation::TokenByKey("k".into())]);
    let asked = cluster.asked();
    assert_eq!((asked.len(), asked[0].path.as_str()), (1, "/_msearch"));
    assert!(!asked[0].body.contains("wait_for_checkpoints"));
}

#[test]
fn an_action_that_was_answered_once_is_gone_and_another_may_still_come() {
    let cluster = searching(|body| match body {
        // the trace of an answer
        body if body.contains(r#""_source":false"#) && body.contains("old") => {
            search_answer(&json!([{"_id": "r"}]))
        }
        body if body.contains("there") => search_answer(&json!([{"_id": "d", "_seq_no": 3, "_source": {}}])),
        _ => search_answer(&json!([])),
    });
    let lookup = |id: &str| Operation::ActionById(id.into());
    let answers = store(&cluster).run(vec![lookup("old"), lookup("there"), lookup("new")]);
    use crate::store::ActionLookup::{Found, Gone, Unknown};
    assert!(matches!(answers[0], Ok(Answer::Action(Gone))));
    assert!(matches!(&answers[1], Ok(Answer::Action(Found(action))) if action.seq_no == 3));
    assert!(matches!(answers[2], Ok(Answer::Action(Unknown))));
}

#[test]
fn an_action_whose_traces_cannot_be_looked_for_is_not_unknown() {
    let cluster = searching(|body| match body.contains(r#""_source":false"#) {
        true => json!({"status": 503, "error": {"type": "t"}}),
        false => search_answer(&json!([])),
    });
    assert_eq!(status(&one(&store(&cluster), Operation::ActionById("x".into()))), 503);
}

#[test]
fn an_enrollment_id_is_looked_for_after_a_refresh() {
    let cluster = Scripted::json(|asked| match asked.is("POST", "/_msearch") {
        true => (200, json!({"responses": [search_answer(&json!([]))]})),
        false => (200, json!({"_shards": {"failed": 0}})),
    });
    assert!(one(&store(&cluster), Operation::AgentByEnrollmentId("e".into())).is_ok());
    let paths: Vec<String> = cluster.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/.fleet-agents/_refresh?ignore_unavailable=true", "/_msearch"]);
    let cluster = Scripted::json(|_| (503, json!({})));
    assert_eq!(status(&one(&store(&cluster), Operation::AgentByEnrollmentId("e".into()))), 503);
}

#[test]
fn a_list_of_which_a_page_fails_is_no_list() {
    let cluster = searching(|body| match body.contains("search_after") {
        true => json!({"status": 503, "error": {"type": "t"}}),
        false => {
            let hit = |number: usize| json!({"_id": number.to_string(), "_source": {}, "sort": [number]});
            search_answer(&(0..50).map(hit).collect::<Vec<_>>().into())
        }
    });
    assert_eq!(status(&one(&store(&cluster), Operation::Actions { limit: 100 })), 503);
}

#[test]
fn a_list_that_does_not_end_is_no_list() {
    let cluster = searching(|_| {
        let hit = json!({"_id": "x", "_source": 7, "sort": [1]});
        search_answer(&vec![hit; 50].into())
    });
    let answer = one(&store(&cluster), Operation::Actions { limit: 100 });
    assert!(matches!(answer, Err(StoreError::Unreachable(_))), "{answer:?}");
}

#[test]
fn an_action_that_cannot_be_read_does_not_hide_the_others() {
    let cluster = searching(|_| {
        let hit = |seq_no: i64, source: Value| json!({"_id": "d", "_seq_no": seq_no, "_source": source, "sort": [1]});
        search_answer(&json!([hit(1, json!(7)), hit(2, json!({"action_id": "x"})), hit(3, json!([]))]))
    });
    match one(&store(&cluster), pending(9)) {
        Ok(Answer::Actions(actions)) => assert_eq!((actions.len(), actions[0].seq_no), (1, 2)),
        other => panic!("{other:?}"),
    }
}
