//! Actions.

use super::*;
use crate::model::Signed;

on_every_store! {
    sequence_numbers_count_from_zero,
    pending_actions_are_those_of_the_agent_in_order,
    pending_actions_lie_between_the_bounds,
    expired_actions_are_not_pending,
    actions_without_an_expiration_are_never_pending,
    at_most_a_hundred_are_pending,
    a_pending_action_has_its_place_but_no_agents,
    an_agent_named_twice_has_its_first_place,
    the_newest_document_of_an_action_id_is_found,
    an_unknown_action_is_unknown,
    the_ack_token_finds_the_sequence_number,
    the_newest_actions_are_listed_with_their_agents,
    all_documents_of_an_action_are_found_with_their_agents,
    absent_and_null_data_stay_apart,
    an_action_reads_as_it_was_written,
}

fn create(fixture: &Fixture, action: Action) -> i64 {
    match fixture.ask(Operation::CreateAction(Box::new(action))) {
        Ok(Answer::SeqNo(Some(seq_no))) => seq_no,
        other => panic!("{other:?}"),
    }
}

fn pending_between(fixture: &Fixture, agent: &str, after: i64, up_to: i64) -> Vec<Arc<Action>> {
    let agent = agent.to_owned();
    match fixture.ask(Operation::PendingActions { agent, after, up_to, now: NOW }) {
        Ok(Answer::Actions(actions)) => actions,
        other => panic!("{other:?}"),
    }
}

fn pending(fixture: &Fixture, agent: &str) -> Vec<String> {
    pending_between(fixture, agent, -1, i64::MAX).iter().map(|action| action.action_id.clone()).collect()
}

fn newest(fixture: &Fixture, limit: usize) -> Vec<Arc<Action>> {
    match fixture.ask(Operation::Actions { limit }) {
        Ok(Answer::Actions(actions)) => actions,
        other => panic!("{other:?}"),
    }
}

fn lookup(fixture: &Fixture, action_id: &str) -> ActionLookup {
    match fixture.ask(Operation::ActionById(action_id.to_owned())) {
        Ok(Answer::Action(lookup)) => lookup,
        other => panic!("{other:?}"),
    }
}

fn sequence_numbers_count_from_zero(fixture: &Fixture) {
    let numbers: Vec<_> = ["x", "y", "z"].iter().map(|id| create(fixture, action(id, &["a"]))).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

fn pending_actions_are_those_of_the_agent_in_order(fixture: &Fixture) {
    create(fixture, action("x", &["a", "b"]));
    create(fixture, action("y", &["b"]));
    create(fixture, action("w", &["a"]));
    assert_eq!(pending(fixture, "a"), ["x", "w"]);
    assert_eq!(pending(fixture, "b"), ["x", "y"]);
    assert!(pending(fixture, "c").is_empty());
}

fn pending_actions_lie_between_the_bounds(fixture: &Fixture) {
    for number in 0..5 {
        create(fixture, action(&format!("x{number}"), &["a"]));
    }
    let found = pending_between(fixture, "a", 1, 3);
    assert_eq!(found.iter().map(|action| action.seq_no).collect::<Vec<_>>(), [2, 3]);
    assert!(pending_between(fixture, "a", 3, 1).is_empty());
    assert!(pending_between(fixture, "a", 4, 4).is_empty());
    assert!(pending_between(fixture, "a", i64::MAX, i64::MAX).is_empty());
}

fn expired_actions_are_not_pending(fixture: &Fixture) {
    create(fixture, Action { expiration: NOW.rfc3339(), ..action("now", &["a"]) });
    create(fixture, Action { expiration: seconds_later(1).rfc3339(), ..action("later", &["a"]) });
    create(
        fixture,
        Action { expiration: "2023-11-14T23:13:19.999+01:00".into(), ..action("offset", &["a"]) },
    );
    assert_eq!(pending(fixture, "a"), ["later"]);
}

fn actions_without_an_expiration_are_never_pending(fixture: &Fixture) {
    create(fixture, Action { expiration: String::new(), ..action("none", &["a"]) });
    create(fixture, Action { expiration: "soon".into(), ..action("odd", &["a"]) });
    assert!(pending(fixture, "a").is_empty());
}

fn at_most_a_hundred_are_pending(fixture: &Fixture) {
    let create = |number| Operation::CreateAction(Box::new(action(&format!("x{number}"), &["a"])));
    fixture.store.run((0..105).map(create).collect());
    let first = pending_between(fixture, "a", -1, i64::MAX);
    assert_eq!((first.len(), first[99].seq_no), (100, 99));
    assert_eq!(pending_between(fixture, "a", 99, i64::MAX).len(), 5);
}

fn a_pending_action_has_its_place_but_no_agents(fixture: &Fixture) {
    create(fixture, action("x", &["a", "b", "c"]));
    let found = pending_between(fixture, "b", -1, 0);
    assert_eq!((found[0].place, found[0].agents.len()), (Some((1, 3)), 0));
}

fn an_agent_named_twice_has_its_first_place(fixture: &Fixture) {
    create(fixture, action("x", &["b", "a", "a"]));
    let found = pending_between(fixture, "a", -1, 0);
    assert_eq!((found.len(), found[0].place), (1, Some((1, 3))));
    assert_eq!(newest(fixture, 1)[0].agents, ["b", "a", "a"]);
}

fn the_newest_document_of_an_action_id_is_found(fixture: &Fixture) {
    create(fixture, action("x", &["a"]));
    create(fixture, Action { kind: "CANCEL".into(), ..action("x", &["b"]) });
    create(fixture, action("y", &["b"]));
    let ActionLookup::Found(found) = lookup(fixture, "x") else { panic!("not found") };
    assert_eq!((found.seq_no, found.kind.as_str(), found.agents.len()), (1, "CANCEL", 0));
}

fn an_unknown_action_is_unknown(fixture: &Fixture) {
    assert!(matches!(lookup(fixture, "x"), ActionLookup::Unknown));
}

fn the_ack_token_finds_the_sequence_number(fixture: &Fixture) {
    for _ in 0..3 {
        create(fixture, action("x", &["a"]));
    }
    let seq_no = |document_id: &str| match fixture.ask(Operation::ActionSeqNo(document_id.to_owned())) {
        Ok(Answer::SeqNo(seq_no)) => seq_no,
        other => panic!("{other:?}"),
    };
    for action in newest(fixture, 10) {
        assert_eq!(seq_no(&action.document_id), Some(action.seq_no));
    }
    assert_eq!((seq_no("unknown"), seq_no("")), (None, None));
    assert!(matches!(fixture.ask(Operation::ActionsCheckpoint), Ok(Answer::SeqNo(Some(2)))));
}

fn the_newest_actions_are_listed_with_their_agents(fixture: &Fixture) {
    for number in 0..3 {
        create(fixture, action(&format!("x{number}"), &["b", "a"]));
    }
    let listed = newest(fixture, 2);
    let ids: Vec<_> = listed.iter().map(|action| action.action_id.as_str()).collect();
    assert_eq!(ids, ["x2", "x1"]);
    assert_eq!(listed[0].agents, ["b", "a"]);
}

fn all_documents_of_an_action_are_found_with_their_agents(fixture: &Fixture) {
    create(fixture, action("x", &["a"]));
    create(fixture, action("y", &["a"]));
    create(fixture, action("x", &["b"]));
    let Ok(Answer::Actions(found)) = fixture.ask(Operation::ActionDocuments("x".into())) else {
        panic!("no actions")
    };
    let agents: Vec<_> = found.iter().map(|action| action.agents.join(",")).collect();
    assert_eq!(agents, ["a", "b"]);
    assert!(
        matches!(fixture.ask(Operation::ActionDocuments("z".into())), Ok(Answer::Actions(none)) if none.is_empty())
    );
}

fn absent_and_null_data_stay_apart(fixture: &Fixture) {
    create(fixture, Action { data: None, ..action("absent", &["a"]) });
    create(fixture, Action { data: Some(crate::model::raw::null()), ..action("null", &["a"]) });
    let found = pending_between(fixture, "a", -1, 1);
    assert_eq!((json(&found[0].data), json(&found[1].data)), (None, Some("null")));
}

fn an_action_reads_as_it_was_written(fixture: &Fixture) {
    let written = Action {
        input_type: "osquery".into(),
        start_time: NOW.rfc3339(),
        rollout_duration_seconds: 600,
        timeout: 30,
        traceparent: "00-1-2-01".into(),
        signed: Some(Signed { data: "ZGF0YQ==".into(), signature: "c2ln".into() }),
        namespaces: vec!["space".into()],
        secret_references: vec!["secret".into()],
        ..action("x", &["a"])
    };
    create(fixture, written.clone());
    let read = newest(fixture, 1).remove(0);
    let given = Action { document_id: read.document_id.clone(), seq_no: 0, ..written };
    assert_eq!(format!("{given:?}"), format!("{read:?}"));
    assert!(!read.document_id.is_empty());
}
