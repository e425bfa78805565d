//! What a check-in says of an upgrade under way (checkin.md, "POST checkin", step 3).

use fleet_server::model::Patch;
use serde_json::{Value, json};

use crate::support::{Agent, Options, Server, action};

/// A server, an agent with an UPGRADE called `a`, and whatever is stored of it.
fn upgrading(stored: &Patch) -> (Server, Agent) {
    let server = Server::with(Options::plain().server("timeouts.checkin_long_poll", "50ms"));
    let agent = server.settled();
    let mut installation = server.stop();
    let opened = installation.open();
    opened.put_action(action("a", "UPGRADE", &json!({ "version": "9.6.1" }), &[&agent.id]));
    if !stored.is_empty() {
        opened.change(&agent.id, stored.clone());
    }
    drop(opened);
    (installation.start(), agent)
}

fn details(state: &str, metadata: &Value) -> Value {
    let details =
        json!({ "action_id": "a", "target_version": "9.6.1", "state": state, "metadata": metadata });
    json!({ "status": "online", "upgrade_details": details })
}

#[test]
fn upgrade_details_are_kept() {
    let (server, agent) = upgrading(&Patch::new());
    let body =
        details("UPG_DOWNLOADING", &json!({ "download_percent": 0.5, "download_rate": "1.5MBps", "x": 1 }));
    server.check_in(&agent, &body).ok();
    let stored = server.stop().agent(&agent.id).upgrade_details.unwrap();
    let stored: Value = serde_json::from_str(stored.get()).unwrap();
    assert_eq!((&stored["state"], &stored["target_version"]), (&json!("UPG_DOWNLOADING"), &json!("9.6.1")));
    let metadata = &stored["metadata"];
    assert_eq!((metadata["download_rate"].as_f64(), metadata.get("x")), (Some(1_500_000.0), None));
}

#[test]
fn upgrade_details_of_an_unknown_action_are_not_kept() {
    let (server, agent) = upgrading(&Patch::new());
    let mut body = details("UPG_REQUESTED", &Value::Null);
    body["upgrade_details"]["action_id"] = json!("nobody knows it");
    server.check_in(&agent, &body).ok();
    assert!(server.stop().agent(&agent.id).upgrade_details.is_none());
}

#[test]
fn upgrade_details_that_lack_what_they_need_are_refused() {
    let (server, agent) = upgrading(&Patch::new());
    let bodies = [
        details("UPG_FAILED", &Value::Null),
        details("UPG_FAILED", &json!({})),
        details("UPG_FAILED", &json!({ "error_msg": "" })),
        details("UPG_SCHEDULED", &json!({})),
        details("UPG_DOWNLOADING", &json!({ "download_percent": "much" })),
    ];
    for body in bodies {
        server.check_in(&agent, &body).is_error(400, "BadRequest");
    }
}

#[test]
fn upgrade_details_that_are_gone_mean_the_upgrade_is_done() {
    let (server, agent) = upgrading(&Patch::new());
    server.check_in(&agent, &details("UPG_REPLACING", &Value::Null)).ok();
    server.check_in(&agent, &json!({ "status": "online", "upgrade_details": null })).ok();
    let stored = server.stop().agent(&agent.id);
    assert!(stored.upgrade_details.is_none() && stored.upgraded_at.is_some());
    assert!(stored.upgrade_started_at.is_none());
}

#[test]
fn upgrade_details_are_replaced_whole() {
    let (server, agent) = upgrading(&Patch::new());
    server.check_in(&agent, &details("UPG_DOWNLOADING", &json!({ "download_percent": 0.5 }))).ok();
    server
        .check_in(
            &agent,
            &details("UPG_FAILED", &json!({ "error_msg": "no space", "failed_state": "UPG_DOWNLOADING" })),
        )
        .ok();
    let stored = server.stop().agent(&agent.id).upgrade_details.unwrap();
    let stored: Value = serde_json::from_str(stored.get()).unwrap();
    assert_eq!(stored["metadata"], json!({ "error_msg": "no space", "failed_state": "UPG_DOWNLOADING" }));
}

#[test]
fn watching_an_upgrade_ends_its_attempts() {
    let (server, agent) = upgrading(&Patch::new().set("upgrade_attempts", ["2026-01-01T00:00:00Z"]));
    server.check_in(&agent, &details("UPG_WATCHING", &Value::Null)).ok();
    assert!(!server.stop().agent(&agent.id).has_upgrade_attempts);
}

#[test]
fn a_version_says_that_the_upgrade_is_done_if_its_acknowledgement_was_lost() {
    let begun = Patch::new().set("upgrade_started_at", "2026-01-01T00:00:00Z").null("upgraded_at");
    let (server, agent) = upgrading(&begun);
    let online = json!({ "status": "online" });
    server.check_in(&agent, &online).ok();
    server.ask(&agent.check_in(&online).with("User-Agent", "elastic agent v9.6.1")).ok();
    let stored = server.stop().agent(&agent.id);
    assert!(stored.upgrade_started_at.is_none() && stored.upgraded_at.is_some());
}
