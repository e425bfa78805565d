//! Check-ins and heartbeats: the newer one stays.

use super::*;

on_every_store! {
    a_check_in_writes_its_fields_and_the_time,
    a_check_in_of_nobody_is_fine,
    a_check_in_of_the_same_second_is_written,
    a_repeated_check_in_moves_the_time,
    a_heartbeat_writes_the_time_only,
    an_older_heartbeat_changes_nothing,
    heartbeats_of_nobody_are_fine,
    times_of_a_clock_that_was_ahead_stop_nobody;
    only_ours:
    a_check_in_after_the_clock_was_set_back_is_written_but_its_time,
    a_check_in_after_a_later_heartbeat_is_written_but_its_time,
}

/// Where another server may have written the newer one.
mod on_a_cluster {
    use crate::store::tests::elastic::on_elastic;

    #[test]
    fn an_older_check_in_changes_nothing() {
        on_elastic(super::an_older_check_in_changes_nothing);
    }

    #[test]
    fn a_check_in_older_than_a_heartbeat_changes_nothing() {
        on_elastic(super::a_check_in_older_than_a_heartbeat_changes_nothing);
    }
}

fn online() -> Patch {
    Patch::new().set("last_checkin_status", "online")
}

fn beat(fixture: &Fixture, agents: &[&str], at: Timestamp) {
    let agents = agents.iter().map(|agent| (*agent).to_owned()).collect();
    fixture.done(Operation::Heartbeats { agents, at });
}

fn last_checkin(fixture: &Fixture) -> String {
    fixture.agent("a").unwrap().last_checkin.unwrap()
}

fn a_check_in_writes_its_fields_and_the_time(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.check_in("a", NOW, online().set("components", ["c"]).set("last_checkin_message", "m"));
    let agent = fixture.agent("a").unwrap();
    assert_eq!(agent.last_checkin, Some(NOW.rfc3339()));
    assert_eq!(agent.last_checkin_status.as_deref(), Some("online"));
    assert_eq!(agent.last_checkin_message.as_deref(), Some("m"));
    assert_eq!(text(&agent.components), Some(r#"["c"]"#));
}

fn a_check_in_of_nobody_is_fine(fixture: &Fixture) {
    fixture.check_in("a", NOW, online());
    assert!(fixture.agent("a").is_none());
}

fn an_older_check_in_changes_nothing(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.check_in("a", seconds_later(2), online());
    fixture.check_in("a", seconds_later(1), Patch::new().set("last_checkin_status", "error"));
    let agent = fixture.agent("a").unwrap();
    assert_eq!(agent.last_checkin_status.as_deref(), Some("online"));
    assert_eq!(agent.last_checkin, Some(seconds_later(2).rfc3339()));
}

fn a_check_in_after_the_clock_was_set_back_is_written_but_its_time(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.check_in("a", seconds_later(2), online());
    fixture.check_in("a", seconds_later(1), Patch::new().set("last_checkin_status", "error"));
    let agent = fixture.agent("a").unwrap();
    assert_eq!(agent.last_checkin_status.as_deref(), Some("error"));
    assert_eq!(agent.last_checkin, Some(seconds_later(2).rfc3339()));
}

fn a_check_in_after_a_later_heartbeat_is_written_but_its_time(fixture: &Fixture) {
    fixture.enroll("a");
    beat(fixture, &["a"], seconds_later(30));
    fixture.check_in("a", NOW, online());
    let agent = fixture.agent("a").unwrap();
    assert_eq!(agent.last_checkin_status.as_deref(), Some("online"));
    assert_eq!(agent.last_checkin, Some(seconds_later(30).rfc3339()));
}

fn a_check_in_of_the_same_second_is_written(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.check_in("a", NOW.plus(Duration::from_millis(900)), online());
    fixture.check_in("a", NOW, Patch::new().set("last_checkin_status", "error"));
    assert_eq!(fixture.agent("a").unwrap().last_checkin_status.as_deref(), Some("error"));
}

fn a_check_in_older_than_a_heartbeat_changes_nothing(fixture: &Fixture) {
    fixture.enroll("a");
    beat(fixture, &["a"], seconds_later(30));
    fixture.check_in("a", NOW, online());
    let agent = fixture.agent("a").unwrap();
    assert_eq!((agent.last_checkin_status, agent.last_checkin), (None, Some(seconds_later(30).rfc3339())));
}

fn a_repeated_check_in_moves_the_time(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.check_in("a", NOW, online());
    fixture.check_in("a", seconds_later(30), online());
    assert_eq!(last_checkin(fixture), seconds_later(30).rfc3339());
}

fn a_heartbeat_writes_the_time_only(fixture: &Fixture) {
    fixture.enroll("a");
    fixture.check_in("a", NOW, online());
    beat(fixture, &["a"], seconds_later(30));
    let agent = fixture.agent("a").unwrap();
    assert_eq!(agent.last_checkin, Some(seconds_later(30).rfc3339()));
    assert_eq!(agent.last_checkin_status.as_deref(), Some("online"));
}

fn an_older_heartbeat_changes_nothing(fixture: &Fixture) {
    fixture.enroll("a");
    beat(fixture, &["a"], seconds_later(30));
    beat(fixture, &["a"], NOW);
    assert_eq!(last_checkin(fixture), seconds_later(30).rfc3339());
}

fn times_of_a_clock_that_was_ahead_stop_nobody(fixture: &Fixture) {
    let (tomorrow, soon) = (seconds_later(86_400), seconds_later(600));
    fixture.enroll("a");
    fixture.check_in("a", tomorrow, online());
    fixture.check_in("a", NOW, Patch::new().set("last_checkin_status", "error"));
    let agent = fixture.agent("a").unwrap();
    assert_eq!(
        (agent.last_checkin_status.as_deref(), agent.last_checkin),
        (Some("error"), Some(NOW.rfc3339()))
    );
    beat(fixture, &["a"], tomorrow);
    beat(fixture, &["a"], seconds_later(30));
    assert_eq!(last_checkin(fixture), seconds_later(30).rfc3339());
    beat(fixture, &["a"], soon);
    beat(fixture, &["a"], NOW);
    assert_eq!(last_checkin(fixture), soon.rfc3339(), "so much may come late");
}

fn heartbeats_of_nobody_are_fine(fixture: &Fixture) {
    fixture.enroll("a");
    beat(fixture, &["nobody", "a", "no one"], NOW);
    assert_eq!(last_checkin(fixture), NOW.rfc3339());
    assert!(fixture.agent("nobody").is_none());
}
