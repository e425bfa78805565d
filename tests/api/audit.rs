//! `POST /api/fleet/agents/{id}/audit/unenroll`.

use serde_json::json;

use crate::support::{Options, Server, online};

fn plain() -> Server {
    Server::with(Options::plain())
}

#[test]
fn each_reason_is_noted_and_the_agent_stays_active() {
    for reason in ["uninstall", "orphaned", "key_revoked", "migrated"] {
        let server = plain();
        let agent = server.enrol();
        let answer = server.ask(&agent.audit_unenroll(reason));
        assert_eq!((answer.status, answer.text()), (200, ""));
        let stored = server.stop().agent(&agent.id);
        assert_eq!((stored.active, stored.audit_unenrolled_reason.as_deref()), (true, Some(reason)));
    }
}

#[test]
fn after_orphaned_nothing_else_is_noted() {
    let server = plain();
    let agent = server.enrol();
    assert_eq!(server.ask(&agent.audit_unenroll("orphaned")).status, 200);
    let answer = server.ask(&agent.audit_unenroll("uninstall"));
    answer.is_error(409, "ErrAuditReasonConflict");
    assert_eq!(answer.json()["message"], "agent document contains audit_unenroll_reason");
    assert_eq!(server.stop().agent(&agent.id).audit_unenrolled_reason.as_deref(), Some("orphaned"));
}

#[test]
fn the_conflict_is_told_before_the_body_is_read() {
    let server = plain();
    let agent = server.enrol();
    server.ask(&agent.audit_unenroll("orphaned"));
    let mut connection = server.connect();
    // the body is announced and never sent
    connection.send(agent.audit_unenroll("uninstall").head());
    connection.response().is_error(409, "ErrAuditReasonConflict");
}

#[test]
fn another_reason_follows_any_but_orphaned() {
    let server = plain();
    let agent = server.enrol();
    for reason in ["uninstall", "migrated"] {
        assert_eq!(server.ask(&agent.audit_unenroll(reason)).status, 200);
    }
    assert_eq!(server.stop().agent(&agent.id).audit_unenrolled_reason.as_deref(), Some("migrated"));
}

#[test]
fn an_unknown_reason_is_refused() {
    let server = plain();
    let agent = server.enrol();
    for reason in ["x", "", "Uninstall"] {
        server.ask(&agent.audit_unenroll(reason)).is_error(400, "BadRequest");
    }
}

#[test]
fn without_a_timestamp_it_is_refused() {
    let server = plain();
    let agent = server.enrol();
    for body in [json!({ "reason": "uninstall" }), json!({ "reason": "uninstall", "timestamp": "yesterday" })]
    {
        server.ask(&agent.audit_unenroll("uninstall").json(&body)).is_error(400, "BadRequest");
    }
}

#[test]
fn the_next_check_in_removes_the_note() {
    let server = Server::with(Options::plain().server("timeouts.checkin_long_poll", "50ms"));
    let agent = server.settled();
    assert_eq!(server.ask(&agent.audit_unenroll("uninstall")).status, 200);
    server.check_in(&agent, &online()).ok();
    let stored = server.stop().agent(&agent.id);
    assert_eq!((stored.audit_unenrolled_reason, stored.unenrolled_at), (None, None));
}
