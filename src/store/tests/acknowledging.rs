//! Acknowledgements of policies, and results of actions.

use super::*;
use crate::model::ActionResult;

on_every_store! {
    an_acknowledged_revision_is_written,
    a_lower_revision_is_not,
    nor_one_of_another_policy,
    nor_one_of_nobody,
    results_are_listed_oldest_first,
    the_first_result_of_an_agent_stays,
    a_result_keeps_all_its_fields,
}

fn acknowledge(fixture: &Fixture, policy_id: &str, revision_idx: i64) -> i64 {
    let (agent, policy_id) = ("a".to_owned(), policy_id.to_owned());
    fixture.done(Operation::PolicyAcknowledged { agent, policy_id, revision_idx, at: NOW });
    fixture.agent("a").map_or(-1, |agent| agent.policy_revision_idx)
}

fn an_acknowledged_revision_is_written(fixture: &Fixture) {
    fixture.enroll("a");
    assert_eq!(acknowledge(fixture, "p", 3), 3);
    assert_eq!(acknowledge(fixture, "p", 4), 4);
}

fn a_lower_revision_is_not(fixture: &Fixture) {
    fixture.enroll("a");
    acknowledge(fixture, "p", 3);
    assert_eq!(acknowledge(fixture, "p", 2), 3);
}

fn nor_one_of_another_policy(fixture: &Fixture) {
    fixture.enroll("a");
    assert_eq!(acknowledge(fixture, "q", 3), 0);
}

fn nor_one_of_nobody(fixture: &Fixture) {
    assert_eq!(acknowledge(fixture, "p", 3), -1);
}

fn result(action_id: &str, agent_id: &str, error: &str) -> ActionResult {
    ActionResult {
        action_id: action_id.to_owned(),
        agent_id: agent_id.to_owned(),
        error: error.to_owned(),
        timestamp: NOW.rfc3339(),
        ..ActionResult::default()
    }
}

fn create(fixture: &Fixture, result: ActionResult) {
    fixture.done(Operation::CreateResult(Box::new(result)));
}

fn results(fixture: &Fixture, action_id: &str) -> Vec<ActionResult> {
    match fixture.ask(Operation::ResultsOfAction(action_id.to_owned())) {
        Ok(Answer::Results(results)) => results,
        other => panic!("{other:?}"),
    }
}

fn results_are_listed_oldest_first(fixture: &Fixture) {
    create(fixture, result("x", "b", ""));
    create(fixture, result("y", "c", ""));
    create(fixture, result("x", "a", ""));
    let agents: Vec<_> = results(fixture, "x").into_iter().map(|result| result.agent_id).collect();
    assert_eq!(agents, ["b", "a"]);
    assert!(results(fixture, "unknown").is_empty());
}

fn the_first_result_of_an_agent_stays(fixture: &Fixture) {
    create(fixture, result("x", "a", "first"));
    create(fixture, result("x", "a", "second"));
    let results = results(fixture, "x");
    assert_eq!((results.len(), results[0].error.as_str()), (1, "first"));
}

fn a_result_keeps_all_its_fields(fixture: &Fixture) {
    let written = ActionResult {
        namespaces: vec!["space".to_owned()],
        action_input_type: Some("osquery".to_owned()),
        action_data: Some(raw(&1)),
        action_response: Some(raw(&serde_json::json!({"osquery": {"count": 2}}))),
        data: Some(raw(&serde_json::json!({"upload_id": "u"}))),
        started_at: Some(NOW.rfc3339()),
        completed_at: Some(seconds_later(1).rfc3339()),
        ..result("x", "a", "e")
    };
    let expected = raw(&written);
    create(fixture, written);
    assert_eq!(raw(&results(fixture, "x")[0]).get(), expected.get());
}
