//! The watch.

use std::collections::BTreeMap;

use super::*;

on_every_store! {
    the_start_tells_the_newest_policies_and_the_checkpoint,
    a_new_revision_is_told,
    several_revisions_end_with_the_newest,
    a_deleted_policy_is_told,
    a_policy_that_starts_over_is_told_as_deleted_first,
    new_actions_are_told_in_order_with_their_agents,
    actions_from_before_the_start_are_not_told,
    many_actions_are_told_completely,
    removed_actions_move_the_checkpoint,
    a_failed_operation_tells_nothing,
    what_is_told_can_be_read,
}

/// Takes what the watch tells at its start; the checkpoint.
fn start(fixture: &Fixture) -> i64 {
    let Some(Changes::Policies(_)) = fixture.next() else { panic!("policies come first") };
    match fixture.next() {
        Some(Changes::Actions { actions, checkpoint }) if actions.is_empty() => checkpoint,
        other => panic!("{other:?}"),
    }
}

fn told_policies(fixture: &Fixture) -> Vec<(String, i64)> {
    match fixture.next() {
        Some(Changes::Policies(policies)) => {
            policies.iter().map(|policy| (policy.policy_id.clone(), policy.revision_idx)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// What is told of actions next; that there are none yet may be told again.
fn next_actions(fixture: &Fixture) -> (Vec<Arc<Action>>, i64) {
    loop {
        match fixture.next() {
            Some(Changes::Actions { checkpoint: -1, .. }) => {}
            Some(Changes::Actions { actions, checkpoint }) => return (actions, checkpoint),
            other => panic!("{other:?}"),
        }
    }
}

fn told_actions(fixture: &Fixture) -> (Vec<i64>, i64) {
    let (actions, checkpoint) = next_actions(fixture);
    (actions.iter().map(|action| action.seq_no).collect(), checkpoint)
}

/// The year 2100: a cluster that tells only what has not expired goes by its own clock.
const FAR: Timestamp = Timestamp(4_102_444_800_000);

fn create_lasting(action_id: &str, agents: &[&str]) -> Operation {
    Operation::CreateAction(Box::new(Action { expiration: FAR.rfc3339(), ..action(action_id, agents) }))
}

fn create(fixture: &Fixture, action_id: &str) {
    assert!(fixture.ask(create_lasting(action_id, &["a", "b"])).is_ok());
}

fn the_start_tells_the_newest_policies_and_the_checkpoint(fixture: &Fixture) {
    (1..=2).for_each(|revision| fixture.done(create_revision("p", revision)));
    create(fixture, "x");
    create(fixture, "y");
    let mut policies = told_policies(fixture);
    policies.retain(|(policy_id, _)| policy_id != DEFAULT_POLICY_ID);
    assert_eq!(policies, [("p".to_owned(), 2)]);
    assert_eq!(told_actions(fixture), (vec![], 1));
}

fn a_new_revision_is_told(fixture: &Fixture) {
    assert_eq!(start(fixture), -1);
    fixture.done(create_revision("p", 1));
    assert_eq!(told_policies(fixture), [("p".to_owned(), 1)]);
    fixture.done(create_revision("p", 2));
    assert_eq!(told_policies(fixture), [("p".to_owned(), 2)]);
}

fn several_revisions_end_with_the_newest(fixture: &Fixture) {
    start(fixture);
    (1..=3).for_each(|revision| fixture.done(create_revision("p", revision)));
    fixture.done(create_revision("q", 1));
    let newest = BTreeMap::from([("p".to_owned(), 3), ("q".to_owned(), 1)]);
    let mut told = BTreeMap::new();
    while told != newest {
        told.extend(told_policies(fixture));
    }
}

fn a_deleted_policy_is_told(fixture: &Fixture) {
    start(fixture);
    fixture.done(create_revision("p", 1));
    told_policies(fixture);
    fixture.done(Operation::DeletePolicy("p".into()));
    let told = fixture.next();
    assert!(matches!(&told, Some(Changes::PolicyDeleted(policy_id)) if policy_id == "p"), "{told:?}");
}

fn a_policy_that_starts_over_is_told_as_deleted_first(fixture: &Fixture) {
    start(fixture);
    fixture.done(create_revision("p", 5));
    told_policies(fixture);
    fixture.done(Operation::DeletePolicy("p".into()));
    fixture.done(create_revision("p", 1));
    let told = fixture.next();
    assert!(matches!(&told, Some(Changes::PolicyDeleted(policy_id)) if policy_id == "p"), "{told:?}");
    assert_eq!(told_policies(fixture), [("p".to_owned(), 1)]);
}

fn new_actions_are_told_in_order_with_their_agents(fixture: &Fixture) {
    start(fixture);
    fixture.store.run(["x", "y"].iter().map(|id| create_lasting(id, &["b", "a"])).collect());
    let (actions, checkpoint) = next_actions(fixture);
    let ids: Vec<_> = actions.iter().map(|action| action.action_id.as_str()).collect();
    assert_eq!((ids, checkpoint), (vec!["x", "y"], 1));
    assert_eq!((&actions[0].agents[..], actions[0].seq_no), (&["b".to_owned(), "a".to_owned()][..], 0));
}

fn actions_from_before_the_start_are_not_told(fixture: &Fixture) {
    create(fixture, "before");
    assert_eq!(start(fixture), 0);
    create(fixture, "after");
    assert_eq!(told_actions(fixture), (vec![1], 1));
}

fn many_actions_are_told_completely(fixture: &Fixture) {
    start(fixture);
    let create = |number| create_lasting(&format!("x{number}"), &["a"]);
    fixture.store.run((0..2500).map(create).collect());
    let (mut all, mut told_up_to) = (Vec::new(), -1);
    while told_up_to < 2499 {
        let (numbers, checkpoint) = told_actions(fixture);
        assert!(numbers.iter().all(|number| *number > told_up_to && *number <= checkpoint));
        assert!(checkpoint > told_up_to);
        all.extend(numbers);
        told_up_to = checkpoint;
    }
    assert!(all.into_iter().eq(0..2500));
}

fn removed_actions_move_the_checkpoint(fixture: &Fixture) {
    start(fixture);
    create(fixture, "x");
    assert_eq!(told_actions(fixture), (vec![0], 0));
    assert_eq!(fixture.clean_up(FAR.plus(RETENTION.expired_actions)), 1);
    assert_eq!(told_actions(fixture), (vec![], 1));
    create(fixture, "y");
    assert_eq!(told_actions(fixture), (vec![2], 2));
}

fn a_failed_operation_tells_nothing(fixture: &Fixture) {
    start(fixture);
    fixture.done(create_revision("p", 2));
    told_policies(fixture);
    assert!(fixture.ask(create_revision("p", 1)).is_err());
    fixture.done(Operation::DeletePolicy("unknown".into()));
    fixture.enroll("a");
    create(fixture, "x");
    assert_eq!(told_actions(fixture), (vec![0], 0));
}

fn what_is_told_can_be_read(fixture: &Fixture) {
    start(fixture);
    create(fixture, "x");
    let (_, up_to) = told_actions(fixture);
    let search = Operation::PendingActions { agent: "a".into(), after: -1, up_to, now: NOW };
    assert!(matches!(fixture.ask(search), Ok(Answer::Actions(actions)) if actions.len() == 1));
}

#[test]
fn the_watch_of_memory_ends_with_it() {
    ends_with_the_store(memory());
}

#[test]
fn the_watch_of_embedded_ends_with_it() {
    ends_with_the_store(embedded());
}

fn ends_with_the_store(fixture: Fixture) {
    start(&fixture);
    let Fixture { store, watch, .. } = fixture;
    let waiting = std::thread::Builder::new().spawn(move || watch.into_inner().unwrap().next()).unwrap();
    drop(store);
    assert!(waiting.join().unwrap().is_none());
}

#[test]
fn memory_tells_its_changes_without_waiting() {
    let (store, _) = Memory::new(1);
    let told = store.changes();
    assert!(
        matches!(&told[..], [Changes::Policies(policies), Changes::Actions { checkpoint: -1, .. }] if policies.is_empty())
    );
    assert!(store.changes().is_empty());
    store.run(vec![
        create_revision("p", 1),
        Operation::CreateAction(Box::new(action("x", &["a"]))),
        Operation::CreateAction(Box::new(action("y", &["a"]))),
    ]);
    let told = store.changes();
    assert!(
        matches!(&told[..], [Changes::Policies(_), Changes::Actions { actions, checkpoint: 1 }] if actions.len() == 2),
        "{told:?}"
    );
    assert!(store.changes().is_empty());
}

#[test]
fn memory_does_the_same_for_the_same_seed() {
    let run = |seed| {
        let (store, _) = Memory::new(seed);
        store.run(vec![Operation::Enroll(Box::new(enrollment("a", &document("a"))))]);
        let create = Operation::CreateToken { policy_id: "p".into(), name: "n".into(), at: NOW };
        match store.run(vec![create]).remove(0) {
            Ok(Answer::Token(Some(token))) => token.api_key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
