//! Check-ins: the seat, what is pending, what the document says, whatever it looks like.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::world::World;
use crate::model::{Action, Patch};
use crate::server::Event;
use crate::store::{Answer, Changes, Lane, Operation, StoreError};

#[test]
fn a_check_in_without_news_parks_and_is_one_read() {
    let (mut world, agent) = World::with_agent();
    let first = world.check_in(&agent);
    assert!(world.read(first).is_none());
    assert_eq!(world.server.fleet().lot.parked(), 1);
    assert!(world.server.is_idle());
}

#[test]
fn a_second_check_in_takes_the_place_and_the_older_is_answered_at_once() {
    let (mut world, agent) = World::with_agent();
    let first = world.check_in(&agent);
    let second = world.check_in(&agent);
    assert!(world.answer(first).is_empty_check_in());
    assert!(world.read(second).is_none());
    world.tell(Event::Ended { connection: first });
    world.act("SETTINGS", json!({"log_level": "debug"}), &[&agent]);
    assert_eq!(world.answer(second).action_ids().len(), 1);
    assert_eq!(world.server.fleet().lot.len(), 0);
}

#[test]
fn a_check_in_that_ends_late_does_not_take_its_successor_s_place() {
    let (mut world, agent) = World::with_agent();
    // so that there is something to be searched, which takes its time
    world.act("UPDATE_TAGS", json!({}), &[&agent]);
    world.held.insert(Lane::Search);
    let late = world.check_in(&agent);
    let newer = world.check_in(&agent);
    // the newer one's own search was gathered behind the older's: both end here, the older first
    world.release();
    assert!(world.answer(late).is_empty_check_in());
    assert!(world.read(newer).is_none());
    world.act("SETTINGS", json!({}), &[&agent]);
    assert_eq!(world.answer(newer).action_ids().len(), 1);
}

#[test]
fn a_check_in_that_fails_late_does_not_take_its_successor_s_place() {
    let (mut world, agent) = World::with_agent();
    let seq_no = world.act("UPDATE_TAGS", json!({}), &[&agent]);
    world.held.insert(Lane::Search);
    let late = world.check_in(&agent);
    world.update(&agent.id, Patch::new().set("action_seq_no", [seq_no]));
    // this one has nothing to search for
    let newer = world.check_in(&agent);
    assert_eq!(world.server.fleet().lot.parked(), 1);
    let (batch, _) = world.waiting.pop().unwrap();
    world.tell(Event::Answered { batch, answers: vec![Err(StoreError::Unavailable("down".into()))] });
    assert_eq!(world.answer(late).status, 503);
    world.release();
    world.act("SETTINGS", json!({}), &[&agent]);
    assert_eq!(world.answer(newer).action_ids().len(), 1);
}

#[test]
fn an_action_between_search_and_parking_is_delivered() {
    let (mut world, agent) = World::with_agent();
    world.act("UPDATE_TAGS", json!({}), &[&agent]);
    world.held.insert(Lane::Search);
    let connection = world.check_in(&agent);
    world.act("SETTINGS", json!({}), &[&agent]);
    assert!(world.read(connection).is_none());
    world.release();
    assert_eq!(world.answer(connection).action_ids().len(), 1);
}

#[test]
fn a_failed_search_is_not_an_empty_one() {
    let (mut world, agent) = World::with_agent();
    world.act("SETTINGS", json!({}), &[&agent]);
    world.failing.insert(Lane::Search, StoreError::Unavailable("down".into()));
    let failed = world.check_in(&agent);
    assert_eq!(world.answer(failed).status, 503);
    assert_eq!((world.server.fleet().lot.len(), world.agent(&agent.id).unwrap().action_seq_no), (0, -1));
    world.failing.clear();
    let again = world.check_in(&agent);
    assert_eq!(world.answer(again).action_ids().len(), 1);
}

#[test]
fn without_a_known_ack_token_the_document_counts() {
    for token in ["", "unknown"] {
        let (mut world, agent) = World::with_agent();
        let first = world.act("SETTINGS", json!({}), &[&agent]);
        world.act("CANCEL", json!({"target_id": "x"}), &[&agent]);
        world.update(&agent.id, Patch::new().set("action_seq_no", [first]));
        let connection = world.check_in_with(&agent, json!({ "ack_token": token }));
        let reply = world.answer(connection);
        assert_eq!(reply.action_ids().len(), 1);
        assert_eq!(reply.body["actions"][0]["type"], "CANCEL");
    }
}

#[test]
fn the_action_with_the_lowest_seq_no_is_delivered() {
    let (mut world, agent) = World::with_agent();
    assert_eq!(world.act("SETTINGS", json!({}), &[&agent]), 0);
    let connection = world.check_in(&agent);
    assert_eq!(world.answer(connection).action_ids().len(), 1);
}

#[test]
fn what_was_acknowledged_by_token_does_not_come_again() {
    let (mut world, agent) = World::with_agent();
    world.act("SETTINGS", json!({}), &[&agent]);
    let connection = world.check_in(&agent);
    let token = world.answer(connection).body["ack_token"].clone();
    let policy = json!({"ack_token": token, "agent_policy_id": "p", "policy_revision_idx": 1});
    let connection = world.check_in_with(&agent, policy);
    assert!(world.read(connection).is_none());
    assert_eq!(world.agent(&agent.id).unwrap().action_seq_no, 0);
}

#[test]
fn news_told_again_neither_repeat_an_action_nor_hide_a_later_one() {
    let (mut world, agent) = World::with_agent();
    let first = world.act("SETTINGS", json!({}), &[&agent]);
    let Ok(Answer::Actions(told)) = world.ask(Operation::Actions { limit: 1 }) else { panic!() };
    world.act("CANCEL", json!({"target_id": "x"}), &[&agent]);
    let again = Changes::Actions { actions: told, checkpoint: first };
    world.tell_news(again.clone());
    // the search goes up to what was told last, not to what was told again
    let connection = world.check_in(&agent);
    let reply = world.answer(connection);
    assert_eq!(reply.action_ids().len(), 2);
    let policy =
        json!({"ack_token": reply.body["ack_token"], "agent_policy_id": "p", "policy_revision_idx": 1});
    let connection = world.check_in_with(&agent, policy);
    world.tell_news(again);
    assert!(world.read(connection).is_none());
}

/// The newest action of the store as an index made anew has it: under this number, with this document's id.
fn as_made_anew(world: &mut World, document_id: &str, seq_no: i64) -> Changes {
    let Ok(Answer::Actions(told)) = world.ask(Operation::Actions { limit: 1 }) else { panic!() };
    let action = Action { document_id: document_id.to_owned(), seq_no, ..(*told[0]).clone() };
    Changes::Actions { actions: vec![Arc::new(action)], checkpoint: seq_no }
}

#[test]
fn actions_of_an_index_made_anew_reach_parked_agents_that_had_more_of_the_old() {
    let (mut world, agent) = World::with_agent();
    for _ in 0..3 {
        world.act("SETTINGS", json!({}), &[&agent]);
    }
    let connection = world.check_in(&agent);
    let token = world.answer(connection).body["ack_token"].clone();
    let policy = json!({"ack_token": token, "agent_policy_id": "p", "policy_revision_idx": 1});
    let parked = world.check_in_with(&agent, policy);
    assert!(world.read(parked).is_none());
    let news = as_made_anew(&mut world, "new", 0);
    world.tell_news(news.clone());
    assert!(world.read(parked).is_none(), "of the same index it would be known");
    world.tell_news(Changes::ActionsStartOver);
    world.tell_news(news);
    assert_eq!(world.answer(parked).action_ids().len(), 1);
}

#[test]
fn a_document_that_names_more_actions_than_there_are_hides_none() {
    let (mut world, agent) = World::with_agent();
    world.act("SETTINGS", json!({}), &[&agent]);
    world.update(&agent.id, Patch::new().set("action_seq_no", [40]));
    let body = json!({"ack_token": "of-an-index-that-is-gone"});
    let connection = world.check_in_with(&agent, body);
    assert_eq!(world.answer(connection).action_ids().len(), 1);
}

#[test]
fn an_expired_action_that_is_told_again_is_not_delivered() {
    let (mut world, agent) = World::with_agent();
    world.act("SETTINGS", json!({}), &[&agent]);
    let Ok(Answer::Actions(actions)) = world.ask(Operation::Actions { limit: 1 }) else { panic!() };
    world.pass(Duration::from_secs(25 * 3_600));
    let connection = world.check_in(&agent);
    world.tell_news(Changes::Actions { actions, checkpoint: 0 });
    assert!(world.read(connection).is_none());
}

#[test]
fn actions_that_no_agent_gets_do_not_hide_those_behind_them() {
    let (mut world, agent) = World::with_agent();
    for _ in 0..250 {
        world.act("UPDATE_TAGS", json!({}), &[&agent]);
    }
    world.act("SETTINGS", json!({}), &[&agent]);
    let connection = world.check_in(&agent);
    let reply = world.answer(connection);
    assert_eq!(reply.body["actions"][0]["type"], "SETTINGS");
}

#[test]
fn a_malformed_stored_field_does_not_fail_any_check_in() {
    let fields = [
        "policy_revision_idx",
        "action_seq_no",
        "last_checkin_status",
        "last_checkin_message",
        "unhealthy_reason",
        "enrolled_at",
        "unenrolled_at",
        "upgraded_at",
        "upgrade_started_at",
        "upgrade_attempts",
        "upgrade_details",
        "upgrade",
        "audit_unenrolled_reason",
        "tags",
        "namespaces",
        "replace_token",
        "local_metadata",
        "user_provided_metadata",
        "components",
        "outputs",
        "agent_policy_id",
        "enrollment_id",
        "type",
    ];
    for field in fields {
        for value in [json!({"a": [5]}), json!(5), json!("text"), json!([[]])] {
            let (mut world, agent) = World::with_agent();
            world.update(&agent.id, Patch::new().set(field, &value));
            for _ in 0..2 {
                let fields = json!({"agent_policy_id": "p", "policy_revision_idx": 1, "local_metadata": {"a": 1},
                                    "components": [], "upgrade": {}});
                let connection = world.check_in_with(&agent, fields);
                let reply = world.read(connection);
                assert!(reply.is_none(), "{field} {value}: {reply:?}");
            }
            assert_eq!(world.agent(&agent.id).unwrap().last_checkin_status.as_deref(), Some("online"));
        }
    }
}

#[test]
fn what_an_agent_runs_is_recorded_although_its_acknowledgement_was_lost() {
    let (mut world, agent) = World::with_agent();
    world.check_in(&agent);
    let stored = world.agent(&agent.id).unwrap();
    assert_eq!((stored.agent_policy_id.as_deref(), stored.policy_revision_idx), (Some("p"), 1));
}

#[test]
fn a_client_that_ends_its_side_while_parked_gives_up_its_place() {
    let (mut world, agent) = World::with_agent();
    let connection = world.check_in(&agent);
    world.tell(Event::Ended { connection });
    assert!(world.closed.contains(&connection));
    assert_eq!(world.server.fleet().lot.len(), 0);
}

#[test]
fn a_client_that_ends_its_side_before_it_is_parked_gives_up_its_place() {
    let (mut world, agent) = World::with_agent();
    world.held.insert(Lane::Read);
    let connection = world.check_in(&agent);
    world.tell(Event::Ended { connection });
    world.release();
    assert!(world.closed.contains(&connection));
    assert_eq!(world.server.fleet().lot.len(), 0);
    assert!(world.server.is_idle());
}

#[test]
fn heartbeats_of_the_parked_are_written_together() {
    let (mut world, token) = World::with_policy();
    let agents: Vec<_> = (0..5).map(|_| world.enroll(&token)).collect();
    for agent in &agents {
        world.check_in(agent);
    }
    world.operations.clear();
    world.pass(Duration::from_secs(60));
    assert_eq!(world.count("Heartbeats"), 1);
    assert_eq!(world.count("CheckIn"), 0);
    let stored = world.agent(&agents[0].id).unwrap();
    assert!(stored.last_checkin > stored.enrolled_at);
}

#[test]
fn what_another_version_of_the_stack_has_stored_in_a_section_survives_a_check_in() {
    let (mut world, agent) = World::with_agent();
    let stored = Patch::new()
        .set("agent", json!({"id": agent.id, "version": "9.5.0", "type": "t"}))
        .set("upgrade", json!({"rollbacks": [], "more": 1.50}));
    world.update(&agent.id, stored);
    let rollbacks = json!({"agent_policy_id": "p", "policy_revision_idx": 1, "upgrade": {"rollbacks": [{"version": "9.5.0"}]}});
    world.check_in_with(&agent, rollbacks);
    let stored = world.agent(&agent.id).unwrap();
    let info = stored.agent.unwrap();
    assert_eq!((info.version.as_str(), info.others["type"].get()), ("9.6.0", "\"t\""));
    assert_eq!(
        (stored.upgrade["more"].get(), stored.upgrade["rollbacks"].get()),
        ("1.5", r#"[{"version":"9.5.0"}]"#)
    );
}

#[test]
fn an_agent_is_active_and_finds_its_actions_whatever_type_says_so() {
    let (mut world, agent) = World::with_agent();
    world.update(&agent.id, Patch::new().set("active", "true").set("action_seq_no", 0).set("tags", "one"));
    world.update(&agent.id, Patch::new().set("agent", json!({"id": agent.id, "version": null})));
    let connection = world.check_in(&agent);
    assert!(world.read(connection).is_none(), "it is parked");
    let stored = world.agent(&agent.id).unwrap();
    assert_eq!((stored.action_seq_no, stored.tags), (0, vec!["one".to_owned()]));
}
