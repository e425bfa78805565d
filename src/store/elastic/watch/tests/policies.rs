//! Policies that come, change and go.

use std::collections::BTreeSet;

use super::*;

both_ways! {
    the_start_tells_the_newest_revision_of_each_policy,
    a_new_revision_is_told_and_an_older_one_that_comes_later_is_not,
    a_deleted_policy_is_told,
    a_policy_that_starts_over_is_told_as_deleted_first,
    policies_of_an_index_made_anew_replace_those_of_the_old,
    many_policies_are_told_completely,
}

fn policy(policy_id: &str, revision_idx: i64) -> (String, i64) {
    (policy_id.to_owned(), revision_idx)
}

fn the_start_tells_the_newest_revision_of_each_policy(field: &mut Field) {
    field.make(Index::Policies);
    for (policy_id, revision_idx) in [("p", 1), ("q", 9), ("p", 11), ("q", 8), ("p", 2)] {
        field.write_revision(policy_id, revision_idx);
    }
    assert_eq!(field.start(), (vec![policy("p", 11), policy("q", 9)], -1));
}

fn a_new_revision_is_told_and_an_older_one_that_comes_later_is_not(field: &mut Field) {
    field.make(Index::Policies);
    field.start();
    field.write_revision("p", 8);
    assert_eq!(field.policies(), [policy("p", 8)]);
    field.write_revision("p", 7);
    field.write_revision("q", 1);
    assert_eq!(field.policies(), [policy("q", 1)]);
    field.write_revision("p", 9);
    assert_eq!(field.policies(), [policy("p", 9)]);
}

fn a_deleted_policy_is_told(field: &mut Field) {
    field.make(Index::Policies);
    field.write_revision("p", 1);
    field.write_revision("p", 2);
    field.write_revision("q", 1);
    field.start();
    field.delete(Index::Policies, "p:1");
    field.write_revision("q", 2);
    assert_eq!(field.policies(), [policy("q", 2)], "an old revision gone is no news");
    field.delete(Index::Policies, "p:2");
    field.deleted("p");
}

fn a_policy_that_starts_over_is_told_as_deleted_first(field: &mut Field) {
    field.make(Index::Policies);
    field.write_revision("p", 5);
    field.start();
    field.delete(Index::Policies, "p:5");
    field.write_revision("p", 1);
    field.deleted("p");
    assert_eq!(field.policies(), [policy("p", 1)]);
}

fn policies_of_an_index_made_anew_replace_those_of_the_old(field: &mut Field) {
    field.make(Index::Policies);
    (1..=5).for_each(|revision_idx| field.write_revision("p", revision_idx));
    field.write_revision("q", 3);
    field.start();
    field.remove(Index::Policies);
    field.make(Index::Policies);
    field.write_revision("q", 4);
    let mut deleted = BTreeSet::new();
    let made_anew = loop {
        match field.next_but_health() {
            // a look between the two saw an index without any
            Changes::PolicyDeleted(policy_id) => drop(deleted.insert(policy_id)),
            Changes::Policies(policies) => break policies,
            other => panic!("{other:?}"),
        }
    };
    let told: Vec<_> = made_anew.iter().map(|told| policy(&told.policy_id, told.revision_idx)).collect();
    assert!(deleted.contains("p") && told == [policy("q", 4)], "{deleted:?} {told:?}");
}

fn many_policies_are_told_completely(field: &mut Field) {
    field.make(Index::Policies);
    let document = |number: i64| {
        let policy_id = format!("p{number:03}");
        (policy_id.clone(), json!({"policy_id": policy_id, "revision_idx": 3, "data": {"number": number}}))
    };
    field.write(Index::Policies, &(0..150).map(document).collect::<Vec<_>>());
    field.watch(POLL);
    let mut told = Vec::new();
    while told.len() < 150 {
        told.extend(field.policies());
    }
    assert!(told.into_iter().eq((0..150).map(|number| policy(&format!("p{number:03}"), 3))));
}
