//! Enrolment and its undoing.

use super::*;

on_every_store! {
    a_new_agent_is_there_at_once,
    the_key_made_for_it_is_good,
    a_second_document_of_the_id_is_a_conflict,
    a_conflict_leaves_nothing_behind,
    an_inactive_namesake_is_deleted_first,
    an_earlier_try_is_deleted_with_its_key,
    a_replacement_keeps_what_it_does_not_name,
    a_replacement_needs_its_agent,
    a_document_that_is_no_object_is_refused,
    undoing_deletes_a_new_document_and_the_key,
    undoing_leaves_a_replaced_document,
    undoing_leaves_the_document_of_a_later_enrolment,
    an_agent_without_a_key_is_there_at_once,
    a_second_agent_without_a_key_is_a_conflict,
}

fn a_new_agent_is_there_at_once(fixture: &Fixture) {
    let key = fixture.enroll("a");
    let agent = fixture.agent("a").unwrap();
    assert_eq!((agent.id.as_str(), agent.active, agent.policy_id.as_str()), ("a", true, "p"));
    assert_eq!(agent.access_api_key_id, key.id);
    assert_eq!((agent.kind.as_str(), agent.action_seq_no), ("PERMANENT", -1));
    assert_eq!(agent.enrolled_at, Some(NOW.rfc3339()));
    assert_eq!(agent.tags, ["a", "b"]);
    assert_eq!(text(&agent.local_metadata), Some(r#"{"host":{"name":"h"}}"#));
    assert_eq!((agent.last_checkin, text(&agent.components)), (None, None));
}

fn the_key_made_for_it_is_good(fixture: &Fixture) {
    let key = fixture.enroll("a");
    assert!(fixture.is_good(&key));
    assert_eq!(fixture.agent("a").unwrap().access_api_key_id, key.id);
}

fn a_second_document_of_the_id_is_a_conflict(fixture: &Fixture) {
    fixture.enroll("a");
    let second = Operation::Enroll(Box::new(enrollment("a", &document("a"))));
    assert_eq!(fixture.error(second), StoreError::Conflict);
}

fn a_conflict_leaves_nothing_behind(fixture: &Fixture) {
    let key = fixture.enroll("a");
    let other_key = fixture.enroll("b");
    let mut second = enrollment("a", &document("a"));
    second.delete_agents = vec!["b".to_owned()];
    second.invalidate_keys = vec![key.id.clone(), other_key.id.clone()];
    assert_eq!(fixture.error(Operation::Enroll(Box::new(second))), StoreError::Conflict);
    assert!(fixture.is_good(&key) && fixture.is_good(&other_key));
    assert!(fixture.agent("b").is_some());
}

fn an_inactive_namesake_is_deleted_first(fixture: &Fixture) {
    let old = fixture.enroll("a");
    fixture.update("a", Patch::new().set("active", false).set("policy_revision_idx", 7));
    fixture.check_in("a", NOW, Patch::new().set("components", ["c"]));
    let mut second = enrollment("a", &document("a"));
    second.delete_agents = vec!["a".to_owned()];
    second.invalidate_keys = vec![old.id.clone()];
    let new = fixture.enroll_as(second);
    let agent = fixture.agent("a").unwrap();
    assert!(agent.active && text(&agent.components).is_none() && agent.last_checkin.is_none());
    assert_eq!((agent.policy_revision_idx, agent.access_api_key_id.as_str()), (0, new.id.as_str()));
    assert!(!fixture.is_good(&old) && fixture.is_good(&new));
}

fn an_earlier_try_is_deleted_with_its_key(fixture: &Fixture) {
    let first = fixture.enroll("first");
    let mut second = enrollment("second", &document("second"));
    second.delete_agents = vec!["first".to_owned(), "never-there".to_owned()];
    second.invalidate_keys = vec![first.id.clone(), "unknown".to_owned()];
    fixture.enroll_as(second);
    assert!(fixture.agent("first").is_none() && fixture.agent("second").is_some());
    assert!(!fixture.is_good(&first));
}

fn a_replacement_keeps_what_it_does_not_name(fixture: &Fixture) {
    let old = fixture.enroll("a");
    fixture.update("a", Patch::new().set("unknown_field", "kept").set("unenrolled_at", NOW.rfc3339()));
    let patch = Patch::new().set("policy_revision_idx", 0).null("unenrolled_at").set("tags", ["c"]);
    let new = fixture.enroll_as(Enrollment {
        written: Written::Replacement(patch),
        invalidate_keys: vec![old.id.clone()],
        ..enrollment("a", &document("a"))
    });
    let agent = fixture.agent("a").unwrap();
    assert_eq!((agent.access_api_key_id, agent.tags), (new.id.clone(), vec!["c".to_owned()]));
    assert_eq!((agent.enrolled_at, agent.unenrolled_at), (Some(NOW.rfc3339()), None));
    assert_eq!(text(&agent.local_metadata), Some(r#"{"host":{"name":"h"}}"#));
    assert!(!fixture.is_good(&old) && fixture.is_good(&new));
}

fn a_replacement_needs_its_agent(fixture: &Fixture) {
    let replacement =
        Enrollment { written: Written::Replacement(Patch::new()), ..enrollment("a", &document("a")) };
    assert_eq!(fixture.error(Operation::Enroll(Box::new(replacement))), StoreError::NotFound);
}

fn a_document_that_is_no_object_is_refused(fixture: &Fixture) {
    let odd = enrollment("a", &serde_json::json!([1, 2]));
    let error = fixture.error(Operation::Enroll(Box::new(odd)));
    assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
    assert!(fixture.agent("a").is_none());
}

fn undoing_deletes_a_new_document_and_the_key(fixture: &Fixture) {
    let key = fixture.enroll("a");
    undo(fixture, "a", &key, true);
    assert!(fixture.agent("a").is_none() && !fixture.is_good(&key));
    // it may be asked for twice
    undo(fixture, "a", &key, true);
}

fn undoing_leaves_a_replaced_document(fixture: &Fixture) {
    let key = fixture.enroll("a");
    undo(fixture, "a", &key, false);
    assert!(fixture.agent("a").is_some() && !fixture.is_good(&key));
}

fn undoing_leaves_the_document_of_a_later_enrolment(fixture: &Fixture) {
    let first = fixture.enroll("a");
    let later = fixture
        .enroll_as(Enrollment { delete_agents: vec!["a".to_owned()], ..enrollment("a", &document("a")) });
    undo(fixture, "a", &first, true);
    assert!(fixture.agent("a").is_some() && fixture.is_good(&later));
}

fn undo(fixture: &Fixture, agent: &str, key: &ApiKey, created: bool) {
    let (agent, access_key) = (agent.to_owned(), key.id.clone());
    fixture.done(Operation::UndoEnrollment { agent, access_key, created });
}

fn create(id: &str, tag: &str) -> Operation {
    let mut document = document(id);
    document["type"] = "OPAMP".into();
    document["tags"] = serde_json::json!([tag]);
    document["identifying_attributes"] = serde_json::json!({"service.name": "otelcol"});
    Operation::CreateAgent { agent: id.to_owned(), document: raw(&document) }
}

fn an_agent_without_a_key_is_there_at_once(fixture: &Fixture) {
    fixture.done(create("a", "first"));
    let agent = fixture.agent("a").unwrap();
    assert_eq!((agent.kind.as_str(), agent.access_api_key_id.as_str()), (Agent::COLLECTOR, ""));
    let collector = agent.collector.unwrap();
    assert_eq!(json(&collector.identifying_attributes), Some(r#"{"service.name":"otelcol"}"#));
    assert_eq!((collector.sequence_num, json(&collector.health)), (None, None));
}

fn a_second_agent_without_a_key_is_a_conflict(fixture: &Fixture) {
    fixture.done(create("a", "first"));
    assert_eq!(fixture.error(create("a", "second")), StoreError::Conflict);
    assert_eq!(fixture.agent("a").unwrap().tags, ["first"]);
}
