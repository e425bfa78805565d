//! Reading agents and changing fields of them.

use super::*;

on_every_store! {
    an_unknown_agent_is_none,
    the_newest_of_an_enrollment_id_is_found,
    the_agent_of_an_access_key_is_found_as_soon_as_it_has_it,
    updating_an_unknown_agent_is_not_found,
    a_field_is_replaced_whole,
    a_removed_field_is_gone,
    fields_nobody_knows_survive,
    large_fields_keep_their_values,
    large_fields_can_be_emptied,
    a_look_up_tells_large_fields_from_others,
    a_changed_access_key_is_read,
    last_checkin_can_be_set_like_any_field,
    agents_are_listed_by_id_in_pages,
    agents_of_one_policy_are_listed,
    lists_leave_out_what_is_large,
    one_failure_does_not_concern_its_batch,
    a_batch_of_reads_is_answered_in_order,
    an_empty_batch_has_no_answers;

    // on Elasticsearch a script reads the whole document and writes it anew
    only_ours:
    large_fields_keep_their_bytes,
}

fn an_unknown_agent_is_none(fixture: &Fixture) {
    assert!(fixture.agent("a").is_none());
    assert!(fixture.find(Operation::AgentByEnrollmentId("e".into())).is_none());
}

fn the_newest_of_an_enrollment_id_is_found(fixture: &Fixture) {
    for id in ["z", "a"] {
        let mut document = document(id);
        document["enrollment_id"] = "e".into();
        fixture.enroll_as(enrollment(id, &document));
    }
    fixture.enroll("other");
    let found = fixture.find(Operation::AgentByEnrollmentId("e".into())).unwrap();
    assert_eq!((found.id.as_str(), found.enrollment_id.as_deref()), ("a", Some("e")));
}

fn the_agent_of_an_access_key_is_found_as_soon_as_it_has_it(fixture: &Fixture) {
    let of = |id: &str| fixture.find(Operation::AgentByAccessKey(id.to_owned())).map(|agent| agent.id);
    assert_eq!(of("unknown"), None);
    let keys = ["a", "b"].map(|id| (id, fixture.enroll(id)));
    for (id, key) in &keys {
        assert_eq!(of(&key.id).as_deref(), Some(*id));
    }
    assert_eq!(of(""), None);
}

fn updating_an_unknown_agent_is_not_found(fixture: &Fixture) {
    let update = Operation::UpdateAgent { agent: "a".into(), patch: Patch::new().set("active", false) };
    assert_eq!(fixture.error(update), StoreError::NotFound);
}

fn a_field_is_replaced_whole(fixture: &Fixture) {
    fixture.enroll("a");
    let details = |json| Patch::new().set("upgrade_details", json);
    fixture.update("a", details(serde_json::json!({"state": "UPG_FAILED", "metadata": {"x": 1}})));
    fixture.update("a", details(serde_json::json!({"state": "UPG_WATCHING"})));
    let agent = fixture.agent("a").unwrap();
    assert_eq!(json(&agent.upgrade_details), Some(r#"{"state":"UPG_WATCHING"}"#));
}

fn a_removed_field_is_gone(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.update("a", Patch::new().set("audit_unenrolled_reason", "uninstall"));
    assert_eq!(fixture.agent("a").unwrap().audit_unenrolled_reason.as_deref(), Some("uninstall"));
    fixture.update("a", Patch::new().remove("audit_unenrolled_reason").remove("never_there"));
    assert_eq!(fixture.agent("a").unwrap().audit_unenrolled_reason, None);
}

fn fields_nobody_knows_survive(fixture: &Fixture) {
    let mut document = document("a");
    document["upgrade_attempts"] = serde_json::json!(["1h"]);
    document["user_provided_metadata"] = serde_json::json!({"site": 7});
    fixture.enroll_as(enrollment("a", &document));
    fixture.update("a", Patch::new().set("policy_revision_idx", 3));
    fixture.check_in("a", NOW, Patch::new().set("last_checkin_status", "online"));
    let agent = fixture.agent("a").unwrap();
    assert!(agent.has_upgrade_attempts);
    assert_eq!(json(&agent.user_provided_metadata), Some(r#"{"site":7}"#));
}

const METADATA: &str = "{\"z\": 1.50,  \"a\":\"ü\\u00fc\",\n \"host\": {\"ip\": [\"::1\"]}}";
const COMPONENTS: &str = r#"[ {"id":"b"} , {"id":"a"} ]"#;

/// What is stored of large fields, by a check-in.
fn large_fields(fixture: &Fixture) -> (String, String) {
    let as_sent = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    fixture.enroll("a");
    let patch = Patch::new().set("local_metadata", as_sent(METADATA)).set("components", as_sent(COMPONENTS));
    fixture.check_in("a", NOW, patch);
    let agent = fixture.agent("a").unwrap();
    let stored = |detail: &Detail| text(detail).unwrap().to_owned();
    (stored(&agent.local_metadata), stored(&agent.components))
}

fn large_fields_keep_their_bytes(fixture: &Fixture) {
    assert_eq!(large_fields(fixture), (METADATA.to_owned(), COMPONENTS.to_owned()));
}

fn large_fields_keep_their_values(fixture: &Fixture) {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (metadata, components) = large_fields(fixture);
    assert_eq!(value(&metadata), value(METADATA));
    assert_eq!(value(&components), value(COMPONENTS));
}

fn large_fields_can_be_emptied(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.update("a", Patch::new().set("components", ["c"]).null("local_metadata"));
    fixture.update("a", Patch::new().remove("components"));
    let agent = fixture.agent("a").unwrap();
    assert_eq!((text(&agent.local_metadata), text(&agent.components)), (None, None));
}

fn a_look_up_tells_large_fields_from_others(fixture: &Fixture) {
    fixture.enroll("a");
    let is = |detail: &Detail, json: &str| match detail {
        Detail::Absent => false,
        Detail::Whole(raw) => raw.get() == json,
        Detail::Fingerprint(fingerprint) => *fingerprint == Fingerprint::of(json),
    };
    let by_id = || fixture.find(Operation::AgentCheckingIn("a".into())).unwrap();
    assert!(is(&by_id().local_metadata, r#"{"host":{"name":"h"}}"#));
    assert!(matches!(by_id().components, Detail::Absent));
    fixture.check_in("a", NOW, Patch::new().set("components", ["c"]));
    assert!(is(&by_id().components, r#"["c"]"#) && !is(&by_id().components, r#"["d"]"#));
    fixture.update("a", Patch::new().set("components", ["d"]));
    assert!(is(&by_id().components, r#"["d"]"#) && is(&by_id().local_metadata, r#"{"host":{"name":"h"}}"#));
    fixture.update("a", Patch::new().remove("components").null("local_metadata"));
    assert!(matches!((by_id().components, by_id().local_metadata), (Detail::Absent, Detail::Absent)));
    // the rest is there without them
    let rest = fixture.find(Operation::AgentById("a".into())).unwrap();
    assert_eq!(
        (rest.active, rest.policy_id, rest.agent.unwrap().id),
        (true, by_id().policy_id, "a".to_owned())
    );
}

fn a_changed_access_key_is_read(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.update("a", Patch::new().set("access_api_key_id", "new"));
    assert_eq!(fixture.agent("a").unwrap().access_api_key_id, "new");
}

fn last_checkin_can_be_set_like_any_field(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.update("a", Patch::new().set("last_checkin", NOW.rfc3339()));
    assert_eq!(fixture.agent("a").unwrap().last_checkin, Some(NOW.rfc3339()));
    fixture.update("a", Patch::new().set("tags", ["t"]));
    assert_eq!(fixture.agent("a").unwrap().last_checkin, Some(NOW.rfc3339()));
    fixture.update("a", Patch::new().null("last_checkin"));
    assert_eq!(fixture.agent("a").unwrap().last_checkin, None);
}

fn agents_are_listed_by_id_in_pages(fixture: &Fixture) {
    ["c", "a", "e", "b", "d"].iter().for_each(|id| drop(fixture.enroll(id)));
    assert_eq!(list(fixture, None, "", 2), ["a", "b"]);
    assert_eq!(list(fixture, None, "b", 2), ["c", "d"]);
    assert_eq!(list(fixture, None, "d", 2), ["e"]);
    assert!(list(fixture, None, "e", 2).is_empty());
}

fn agents_of_one_policy_are_listed(fixture: &Fixture) {
    ["a", "b", "c"].iter().for_each(|id| drop(fixture.enroll(id)));
    fixture.update("b", Patch::new().set("policy_id", "q"));
    assert_eq!(list(fixture, Some("p"), "", 10), ["a", "c"]);
    assert_eq!(list(fixture, Some("q"), "", 10), ["b"]);
    assert_eq!(list(fixture, Some("p"), "a", 10), ["c"]);
}

fn lists_leave_out_what_is_large(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.check_in("a", NOW, Patch::new().set("components", ["c"]).set("last_checkin_status", "online"));
    let listed = agents(fixture, None, "", 1).remove(0);
    assert_eq!((text(&listed.local_metadata), text(&listed.components)), (None, None));
    let page = Operation::Agents { policy_id: None, from: String::new(), limit: 1, with_metadata: true };
    let Ok(Answer::Agents(with_metadata)) = fixture.ask(page) else { panic!("no agents") };
    assert!(text(&with_metadata[0].local_metadata).is_some() && text(&with_metadata[0].components).is_none());
    assert_eq!(
        (listed.last_checkin, listed.last_checkin_status.as_deref()),
        (Some(NOW.rfc3339()), Some("online"))
    );
}

fn one_failure_does_not_concern_its_batch(fixture: &Fixture) {
    let new = |id| Operation::Enroll(Box::new(enrollment(id, &document(id))));
    let missing = Operation::UpdateAgent { agent: "nobody".into(), patch: Patch::new() };
    let answers = fixture.store.run(vec![new("a"), new("a"), missing, new("b")]);
    assert!(matches!(answers[0], Ok(Answer::Key(_))) && matches!(answers[3], Ok(Answer::Key(_))));
    assert_eq!(answers[1].as_ref().unwrap_err(), &StoreError::Conflict);
    assert_eq!(answers[2].as_ref().unwrap_err(), &StoreError::NotFound);
    assert!(fixture.agent("a").is_some() && fixture.agent("b").is_some());
}

fn a_batch_of_reads_is_answered_in_order(fixture: &Fixture) {
    let key = fixture.enroll("a");
    let answers = fixture.store.run(vec![
        Operation::AgentById("b".into()),
        Operation::Authenticate(key),
        Operation::Authenticate(ApiKey { id: "x".into(), secret: "y".into() }),
        Operation::AgentById("a".into()),
    ]);
    assert!(matches!(answers[0], Ok(Answer::Agent(None))));
    assert!(matches!(answers[1], Ok(Answer::Authenticated { enabled: true })));
    assert!(matches!(answers[2], Err(StoreError::KeyRejected)));
    assert!(matches!(answers[3], Ok(Answer::Agent(Some(_)))));
}

fn an_empty_batch_has_no_answers(fixture: &Fixture) {
    assert!(fixture.store.run(Vec::new()).is_empty());
}

fn agents(fixture: &Fixture, policy_id: Option<&str>, from: &str, limit: usize) -> Vec<Agent> {
    let policy_id = policy_id.map(str::to_owned);
    match fixture.ask(Operation::Agents { policy_id, from: from.to_owned(), limit, with_metadata: false }) {
        Ok(Answer::Agents(agents)) => agents,
        other => panic!("{other:?}"),
    }
}

fn list(fixture: &Fixture, policy_id: Option<&str>, from: &str, limit: usize) -> Vec<String> {
    agents(fixture, policy_id, from, limit).into_iter().map(|agent| agent.id).collect()
}
