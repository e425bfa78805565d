//! Writes.

use super::*;
use crate::model::ActionResult;

fn bulk(cluster: &Scripted) -> Vec<Asked> {
    cluster.asked_of("POST", "/_bulk")
}

/// Which agents a request writes, in its order.
fn agents_in(asked: &Asked) -> Vec<String> {
    let ids = asked.lines().into_iter().filter_map(|line| Some(line["update"]["_id"].as_str()?.to_owned()));
    ids.collect()
}

#[test]
fn a_conflict_is_of_its_owner_alone() {
    let cluster = Scripted::json(|asked| match writes_of(asked) {
        3 => (200, bulk_answer("update", &[200, 409, 200])),
        count => (200, bulk_answer("update", &vec![409; count])),
    });
    let answers = store(&cluster).run(vec![update("a", "x"), update("b", "x"), update("c", "x")]);
    assert!(matches!(answers[0], Ok(Answer::Done)) && matches!(answers[2], Ok(Answer::Done)));
    assert_eq!(status(&answers[1]), 409);
    // it met others: it was tried again, alone
    let again = &bulk(&cluster)[1..];
    assert_eq!(again.len(), 5);
    assert!(again.iter().all(|asked| agents_in(asked) == ["b"]));
}

#[test]
fn what_is_refused_to_the_end_fails_for_all_with_its_status() {
    let cluster = Scripted::json(|_| (429, json!({"error": {"type": "es_rejected_execution_exception"}})));
    let answers = store(&cluster).run(vec![update("a", "x"), update("b", "x"), update("c", "x")]);
    assert_eq!(answers.iter().map(status).collect::<Vec<_>>(), [429, 429, 429]);
    assert_eq!(bulk(&cluster).len(), 6);
}

#[test]
fn what_is_refused_for_a_while_is_written_later_and_alone() {
    let cluster = Scripted::json(|asked| match writes_of(asked) {
        3 => (200, bulk_answer("update", &[200, 503, 200])),
        count => (200, bulk_answer("update", &vec![200; count])),
    });
    let answers = store(&cluster).run(vec![check_in("a", "x"), check_in("b", "x"), check_in("c", "x")]);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Answer::Done))));
    assert_eq!(bulk(&cluster).iter().map(agents_in).collect::<Vec<_>>(), [vec!["a", "b", "c"], vec!["b"]]);
}

#[test]
fn one_that_the_cluster_cannot_read_does_not_fail_the_others() {
    let cluster = Scripted::json(|asked| match asked.body.contains("odd") {
        true => (400, json!({"error": {"type": "x_content_parse_exception", "reason": "Duplicate field"}})),
        false => all_written(asked),
    });
    let batch = (0..9).map(|number| check_in(&number.to_string(), if number == 6 { "odd" } else { "x" }));
    let answers = store(&cluster).run(batch.collect());
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), number == 6, "{number}: {answer:?}");
    }
    assert_eq!(status(&answers[6]), 400);
    let written: Vec<_> =
        bulk(&cluster).iter().filter(|it| !it.body.contains("odd")).flat_map(agents_in).collect();
    assert_eq!(written, ["0", "1", "2", "3", "4", "5", "7", "8"]);
}

#[test]
fn an_answer_that_is_not_understood_is_no_success() {
    for odd in ["", "[]", "{}", r#"{"errors":false,"items":[]}"#, r#"{"items":[{"update":{}}]}"#, "<html>"] {
        let cluster = Scripted::text(move |_| (200, odd.to_owned()));
        let answer = one(&store(&cluster), update("a", "x"));
        assert!(matches!(answer, Err(StoreError::Unreachable(_))), "{odd}: {answer:?}");
    }
}

#[test]
fn a_request_stays_small_and_a_large_write_goes_alone() {
    let cluster = Scripted::json(all_written);
    let large = |agent: &str, bytes| check_in(agent, &"x".repeat(bytes));
    let agents: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    let mut batch: Vec<Operation> = agents.iter().map(|agent| large(agent, 150_000)).collect();
    batch.push(large("99", 3_000_000));
    let answers = store(&cluster).run(batch);
    assert!(answers.iter().all(Result::is_ok));
    let requests = bulk(&cluster);
    assert!(requests.iter().all(|asked| asked.body.len() <= 2 * 1024 * 1024 || writes_of(asked) == 1));
    let written: Vec<String> = requests.iter().flat_map(agents_in).collect();
    assert_eq!(written[..20], agents);
    assert_eq!(written[20], "99");
}

#[test]
fn heartbeats_of_thousands_are_one_request() {
    let cluster = Scripted::json(all_written);
    let agents: Vec<String> = (0..5_000).map(|number| format!("{number:036}")).collect();
    assert!(one(&store(&cluster), Operation::Heartbeats { agents: agents.clone(), at: NOW }).is_ok());
    let requests = bulk(&cluster);
    assert_eq!((requests.len(), agents_in(&requests[0])), (1, agents));
}

#[test]
fn what_is_larger_than_the_cluster_takes_is_not_sent() {
    let cluster = Scripted::json(all_written);
    let store = Elastic { request_bytes_max: 2_000.into(), ..store(&cluster) };
    let answers = store.run(vec![check_in("a", "x"), check_in("b", &"x".repeat(2_000)), check_in("c", "x")]);
    assert_eq!((status(&answers[1]), answers[0].is_ok(), answers[2].is_ok()), (413, true, true));
}

#[test]
fn searches_find_changes_of_agents_at_once_and_check_ins_later() {
    let cluster = Scripted::json(all_written);
    let store = store(&cluster);
    store.run(vec![update("a", "x")]);
    store.run(vec![check_in("a", "x")]);
    store.run(vec![Operation::Heartbeats { agents: vec!["a".into()], at: NOW }]);
    let refreshed: Vec<bool> =
        bulk(&cluster).iter().map(|asked| asked.path.contains("refresh=true")).collect();
    assert_eq!(refreshed, [true, false, false]);
}

#[test]
fn scripts_hold_no_values() {
    let cluster = Scripted::json(all_written);
    let nasty = "'+ctx._source.clear()+'";
    store(&cluster).run(vec![check_in("a", nasty), check_in(nasty, "x"), check_in("c", "y")]);
    let lines = bulk(&cluster)[0].lines();
    let scripts: Vec<&Value> =
        lines.iter().skip(1).step_by(2).map(|line| &line["script"]["source"]).collect();
    assert!(
        scripts.iter().all(|script| *script == scripts[0] && !script.as_str().unwrap().contains("clear()+"))
    );
    assert_eq!(lines[1]["script"]["params"]["doc"]["last_checkin_status"], nasty);
    assert_eq!(lines[0]["update"]["retry_on_conflict"], 3);
}

#[test]
fn the_order_of_writes_is_that_of_the_operations() {
    let cluster = Scripted::json(all_written);
    let operations: Vec<Operation> =
        (0..100).map(|number| check_in(&format!("{}", 99 - number), "x")).collect();
    store(&cluster).run(operations);
    let written: Vec<String> = bulk(&cluster).iter().flat_map(agents_in).collect();
    assert_eq!(written, (0..100).map(|number| (99 - number).to_string()).collect::<Vec<_>>());
}

#[test]
fn a_second_answer_of_an_agent_to_an_action_is_fine() {
    let cluster = Scripted::json(|_| (200, bulk_answer("create", &[409])));
    let result = ActionResult { action_id: "x".into(), agent_id: "a".into(), ..ActionResult::default() };
    let answer = one(&store(&cluster), Operation::CreateResult(Box::new(result)));
    assert!(matches!(answer, Ok(Answer::Done)), "{answer:?}");
    let lines = bulk(&cluster)[0].lines();
    assert_eq!(lines[0]["create"]["_id"], "x:a");
    // a data stream wants a time
    assert_eq!(lines[1]["@timestamp"], "1970-01-01T00:00:00Z");
}

#[test]
fn an_action_written_by_a_try_whose_answer_was_lost_has_its_number() {
    let cluster = Scripted::json(|asked| match asked.is("POST", "/_bulk") {
        true => (200, bulk_answer("create", &[409])),
        false => (200, json!({"docs": [{"found": true, "_seq_no": 17, "_primary_term": 1}]})),
    });
    let answer = one(&store(&cluster), Operation::CreateAction(Box::default()));
    assert!(matches!(answer, Ok(Answer::SeqNo(Some(17)))), "{answer:?}");
}

#[test]
fn agents_that_cannot_be_are_not_asked_about() {
    let cluster = Scripted::json(all_written);
    let store = store(&cluster);
    let long = "x".repeat(513);
    assert_eq!(one(&store, update(&long, "x")).unwrap_err(), StoreError::NotFound);
    assert!(matches!(one(&store, check_in("", "x")), Ok(Answer::Done)));
    let beats = Operation::Heartbeats { agents: vec![long.clone(), "a".into(), String::new()], at: NOW };
    assert!(matches!(one(&store, beats), Ok(Answer::Done)));
    assert!(matches!(one(&store, Operation::AgentById(long)), Ok(Answer::Agent(None))));
    assert_eq!(bulk(&cluster).iter().flat_map(agents_in).collect::<Vec<_>>(), ["a"]);
}
