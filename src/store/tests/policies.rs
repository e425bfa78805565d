//! Policies.

use super::*;

on_every_store! {
    a_revision_reads_as_it_was_written,
    an_equal_or_lower_revision_is_a_conflict,
    the_newest_revision_is_the_highest,
    an_unknown_revision_is_none,
    the_newest_of_each_policy_are_listed,
    a_deleted_policy_is_gone_with_all_revisions,
    deleting_revokes_the_tokens,
    deleting_an_unknown_policy_is_fine,
    a_deleted_policy_can_start_over,
}

fn newest(fixture: &Fixture, policy_id: &str, revision_idx: Option<i64>) -> Option<Arc<Policy>> {
    let policy_id = policy_id.to_owned();
    match fixture.ask(Operation::PolicyRevision { policy_id, revision_idx }) {
        Ok(Answer::Policy(policy)) => policy,
        other => panic!("{other:?}"),
    }
}

fn a_revision_reads_as_it_was_written(fixture: &Fixture) {
    let data = r#"{"outputs":{"b":{},"a":{}},  "n": 1.0}"#;
    let data = serde_json::value::RawValue::from_string(data.to_owned()).unwrap();
    let written =
        Policy { data, unenroll_timeout_seconds: 60, default_fleet_server: true, ..revision("p", 5) };
    fixture.done(Operation::CreateRevision(Box::new(written.clone())));
    let read = newest(fixture, "p", None).unwrap();
    assert_eq!(format!("{written:?}"), format!("{read:?}"));
}

fn an_equal_or_lower_revision_is_a_conflict(fixture: &Fixture) {
    fixture.done(create_revision("p", 2));
    assert_eq!(fixture.error(create_revision("p", 2)), StoreError::Conflict);
    assert_eq!(fixture.error(create_revision("p", 1)), StoreError::Conflict);
    fixture.done(create_revision("q", 1));
}

fn the_newest_revision_is_the_highest(fixture: &Fixture) {
    (1..=3).for_each(|revision| fixture.done(create_revision("p", revision)));
    assert_eq!(newest(fixture, "p", None).unwrap().revision_idx, 3);
    assert_eq!(newest(fixture, "p", Some(2)).unwrap().revision_idx, 2);
}

fn an_unknown_revision_is_none(fixture: &Fixture) {
    fixture.done(create_revision("p", 1));
    assert!(newest(fixture, "p", Some(7)).is_none());
    assert!(newest(fixture, "unknown", None).is_none());
}

fn the_newest_of_each_policy_are_listed(fixture: &Fixture) {
    (1..=2).for_each(|revision| fixture.done(create_revision("p", revision)));
    fixture.done(create_revision("q", 7));
    let Ok(Answer::Policies(listed)) = fixture.ask(Operation::LatestPolicies) else { panic!("none") };
    let mut listed: Vec<_> =
        listed.iter().map(|policy| (policy.policy_id.as_str(), policy.revision_idx)).collect();
    listed.retain(|(policy_id, _)| *policy_id != DEFAULT_POLICY_ID);
    listed.sort_unstable();
    assert_eq!(listed, [("p", 2), ("q", 7)]);
}

fn a_deleted_policy_is_gone_with_all_revisions(fixture: &Fixture) {
    (1..=2).for_each(|revision| fixture.done(create_revision("p", revision)));
    fixture.done(create_revision("q", 1));
    fixture.done(Operation::DeletePolicy("p".into()));
    assert!(newest(fixture, "p", None).is_none() && newest(fixture, "p", Some(1)).is_none());
    assert!(newest(fixture, "q", None).is_some());
}

fn deleting_revokes_the_tokens(fixture: &Fixture) {
    fixture.done(create_revision("p", 1));
    let (of_p, of_q) = (fixture.token("p"), fixture.token("q"));
    fixture.done(Operation::DeletePolicy("p".into()));
    assert!(!fixture.is_good(&keys::key_of(&of_p)) && fixture.is_good(&keys::key_of(&of_q)));
    let Ok(Answer::Token(Some(revoked))) = fixture.ask(Operation::TokenByKey(of_p.api_key_id)) else {
        panic!("the revoked token should still be there");
    };
    assert!(!revoked.active);
}

fn deleting_an_unknown_policy_is_fine(fixture: &Fixture) {
    fixture.done(Operation::DeletePolicy("unknown".into()));
}

fn a_deleted_policy_can_start_over(fixture: &Fixture) {
    fixture.done(create_revision("p", 5));
    fixture.done(Operation::DeletePolicy("p".into()));
    fixture.done(create_revision("p", 1));
    assert_eq!(newest(fixture, "p", None).unwrap().revision_idx, 1);
}
