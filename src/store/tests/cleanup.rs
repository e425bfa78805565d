//! Housekeeping.

use super::*;
use crate::model::ActionResult;

on_every_store! {
    nothing_to_remove_is_nothing;

    // on Elasticsearch results and revisions are for lifecycle policies and Kibana to remove, and agents for Kibana to
    // unenrol and remove; how expired actions are removed there, and remembered, is tested beside that store
    only_ours:
    results_go_after_their_time,
    expired_actions_go_but_are_remembered,
    actions_without_an_expiration_go_too,
    unenrolled_agents_go_after_their_time,
    an_inactive_agent_without_a_date_gets_one,
    replaced_revisions_go_after_their_time,
    the_newest_revisions_stay,
    a_revision_that_an_agent_runs_stays,
    silent_agents_are_unenrolled_where_the_policy_says_so,
    an_agent_that_never_checked_in_counts_from_its_enrolment,
}

fn nothing_to_remove_is_nothing(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.done(create_revision("p", 1));
    assert_eq!(fixture.clean_up(seconds_later(1_000_000)), 0);
    assert!(fixture.agent("a").is_some());
}

fn results_go_after_their_time(fixture: &Fixture) {
    let result = ActionResult {
        action_id: "x".into(),
        agent_id: "a".into(),
        timestamp: "odd".into(),
        ..Default::default()
    };
    fixture.done(Operation::CreateResult(Box::new(result)));
    // the time counts from when housekeeping first sees it
    assert_eq!(fixture.clean_up(NOW), 0);
    assert_eq!(fixture.clean_up(seconds_later(999)), 0);
    assert_eq!(fixture.clean_up(seconds_later(1000)), 1);
    let Ok(Answer::Results(left)) = fixture.ask(Operation::ResultsOfAction("x".into())) else {
        panic!("no results");
    };
    assert!(left.is_empty());
}

fn lookup(fixture: &Fixture, action_id: &str) -> ActionLookup {
    match fixture.ask(Operation::ActionById(action_id.to_owned())) {
        Ok(Answer::Action(lookup)) => lookup,
        other => panic!("{other:?}"),
    }
}

fn create(fixture: &Fixture, action: Action) {
    assert!(fixture.ask(Operation::CreateAction(Box::new(action))).is_ok());
}

fn expired_actions_go_but_are_remembered(fixture: &Fixture) {
    create(fixture, Action { expiration: NOW.rfc3339(), ..action("old", &["a", "b"]) });
    create(fixture, action("young", &["a"]));
    assert_eq!(fixture.clean_up(seconds_later(3999)), 0);
    assert_eq!(fixture.clean_up(seconds_later(4000)), 1);
    assert!(matches!(lookup(fixture, "old"), ActionLookup::Gone));
    assert!(matches!(lookup(fixture, "young"), ActionLookup::Found(_)));
    assert!(matches!(lookup(fixture, "other"), ActionLookup::Unknown));
}

fn actions_without_an_expiration_go_too(fixture: &Fixture) {
    create(fixture, Action { expiration: String::new(), ..action("dated", &["a"]) });
    create(
        fixture,
        Action { expiration: String::new(), timestamp: String::new(), ..action("undated", &["a"]) },
    );
    assert_eq!(fixture.clean_up(seconds_later(10)), 0);
    assert_eq!(fixture.clean_up(seconds_later(4000)), 1);
    assert!(matches!(lookup(fixture, "undated"), ActionLookup::Found(_)));
    assert_eq!(fixture.clean_up(seconds_later(4010)), 1);
}

fn unenrolled_agents_go_after_their_time(fixture: &Fixture) {
    let key = fixture.enroll("a");
    fixture.enroll("b");
    fixture.update("a", Patch::new().set("active", false).set("unenrolled_at", NOW.rfc3339()));
    assert_eq!(fixture.clean_up(seconds_later(2999)), 0);
    assert_eq!(fixture.clean_up(seconds_later(3000)), 1);
    assert!(fixture.agent("a").is_none() && fixture.agent("b").is_some());
    assert!(!fixture.is_good(&key));
}

fn an_inactive_agent_without_a_date_gets_one(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.update("a", Patch::new().set("active", false));
    assert_eq!(fixture.clean_up(seconds_later(10)), 0);
    assert_eq!(fixture.clean_up(seconds_later(3009)), 0);
    assert_eq!(fixture.clean_up(seconds_later(3010)), 1);
}

fn revisions(fixture: &Fixture) -> Vec<i64> {
    let found = |revision_idx| {
        let read = Operation::PolicyRevision { policy_id: "p".into(), revision_idx: Some(revision_idx) };
        matches!(fixture.ask(read), Ok(Answer::Policy(Some(_))))
    };
    (1..=5).filter(|revision_idx| found(*revision_idx)).collect()
}

fn revision_at(revision_idx: i64, seconds: u64) -> Operation {
    let timestamp = seconds_later(seconds).rfc3339();
    Operation::CreateRevision(Box::new(Policy { timestamp, ..revision("p", revision_idx) }))
}

fn replaced_revisions_go_after_their_time(fixture: &Fixture) {
    for (revision_idx, seconds) in [(1, 0), (2, 100), (3, 200), (4, 300)] {
        fixture.done(revision_at(revision_idx, seconds));
    }
    assert_eq!(fixture.clean_up(seconds_later(2099)), 0);
    assert_eq!(fixture.clean_up(seconds_later(2100)), 1);
    assert_eq!(revisions(fixture), [2, 3, 4]);
}

fn the_newest_revisions_stay(fixture: &Fixture) {
    (1..=4).for_each(|revision_idx| fixture.done(create_revision("p", revision_idx)));
    fixture.done(create_revision("q", 1));
    assert_eq!(fixture.clean_up(seconds_later(1_000_000)), 2);
    assert_eq!(revisions(fixture), [3, 4]);
}

fn a_revision_that_an_agent_runs_stays(fixture: &Fixture) {
    (1..=4).for_each(|revision_idx| fixture.done(create_revision("p", revision_idx)));
    fixture.enroll("a");
    fixture.update("a", Patch::new().set("policy_revision_idx", 2));
    assert_eq!(fixture.clean_up(seconds_later(1_000_000)), 1);
    assert_eq!(revisions(fixture), [2, 3, 4]);
}

fn patient_policy() -> Operation {
    Operation::CreateRevision(Box::new(Policy { unenroll_timeout_seconds: 60, ..revision("p", 2) }))
}

fn silent_agents_are_unenrolled_where_the_policy_says_so(fixture: &Fixture) {
    fixture.done(create_revision("p", 1));
    fixture.done(patient_policy());
    let key = fixture.enroll("a");
    fixture.enroll("elsewhere");
    fixture.update("elsewhere", Patch::new().set("policy_id", "q"));
    fixture.check_in("a", seconds_later(10), Patch::new());
    fixture.clean_up(seconds_later(69));
    assert!(fixture.agent("a").unwrap().active);
    fixture.clean_up(seconds_later(70));
    let agent = fixture.agent("a").unwrap();
    assert_eq!((agent.active, agent.unenrolled_at), (false, Some(seconds_later(70).rfc3339())));
    assert!(!fixture.is_good(&key) && fixture.agent("elsewhere").unwrap().active);
}

fn an_agent_that_never_checked_in_counts_from_its_enrolment(fixture: &Fixture) {
    fixture.done(patient_policy());
    fixture.enroll("a");
    fixture.clean_up(seconds_later(59));
    assert!(fixture.agent("a").unwrap().active);
    fixture.clean_up(seconds_later(60));
    assert!(!fixture.agent("a").unwrap().active);
}
