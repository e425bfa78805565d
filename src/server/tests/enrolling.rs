//! Enrolment: one look-up for many, and nothing left of one that nobody got.

use std::time::Duration;

use serde_json::json;

use super::world::{ENROLL, World, post};
use crate::server::Event;
use crate::store::Lane;

#[test]
fn two_hundred_enrolments_at_once_with_one_key_make_one_key_search() {
    let (mut world, token) = World::with_policy();
    world.held.insert(Lane::Read);
    let connections: Vec<_> =
        (0..200).map(|_| world.post(ENROLL, &token, &json!({"type": "PERMANENT"}))).collect();
    assert_eq!(world.count("Authenticate"), 1);
    world.release();
    assert_eq!((world.count("Authenticate"), world.count("TokenByKey")), (1, 1));
    for connection in connections {
        assert_eq!(world.answer(connection).status, 200);
    }
    assert_eq!(world.agents().len(), 200);
}

#[test]
fn an_enrolment_whose_client_is_gone_before_its_answer_is_taken_back() {
    let (mut world, token) = World::with_policy();
    world.held.insert(Lane::Write);
    let connection = world.post(ENROLL, &token, &json!({"type": "PERMANENT"}));
    world.tell(Event::Lost { connection });
    world.release();
    assert_eq!(world.count("UndoEnrollment"), 1);
    assert!(world.agents().is_empty());
    assert!(world.server.is_idle());
}

#[test]
fn an_enrolment_whose_answer_is_not_taken_is_taken_back() {
    let (mut world, token) = World::with_policy();
    let connection = world.open();
    world.deaf.insert(connection);
    world.send(connection, &post(ENROLL, &token, r#"{"type":"PERMANENT"}"#));
    assert_eq!(world.agents().len(), 1);
    // one byte short of all of it
    let bytes = world.server.connections.get(connection).unwrap().http.unsent_bytes();
    world.tell(Event::Sent { connection, bytes: bytes - 1 });
    assert_eq!(world.count("UndoEnrollment"), 0);
    world.tell(Event::Lost { connection });
    assert_eq!(world.count("UndoEnrollment"), 1);
    assert!(world.agents().is_empty());
}

#[test]
fn an_enrolment_whose_answer_was_written_stays() {
    let (mut world, token) = World::with_policy();
    let connection = world.post(ENROLL, &token, &json!({"type": "PERMANENT"}));
    assert_eq!(world.answer(connection).status, 200);
    world.tell(Event::Lost { connection });
    assert_eq!((world.count("UndoEnrollment"), world.agents().len()), (0, 1));
}

#[test]
fn an_enrolment_that_the_store_makes_too_late_is_taken_back() {
    let (mut world, token) = World::with_policy();
    world.held.insert(Lane::Write);
    let connection = world.post(ENROLL, &token, &json!({"type": "PERMANENT"}));
    world.pass(Duration::from_secs(100));
    assert_eq!(world.answer(connection).status, 503);
    world.release();
    assert_eq!(world.count("UndoEnrollment"), 1);
    assert!(world.agents().is_empty());
}

#[test]
fn two_enrolments_of_one_id_at_once_make_one_agent() {
    let (mut world, token) = World::with_policy();
    world.held.insert(Lane::Write);
    let body = json!({"type": "PERMANENT", "enrollment_id": "e"});
    let (first, second) = (world.post(ENROLL, &token, &body), world.post(ENROLL, &token, &body));
    let refused = world.answer(second);
    assert_eq!((refused.status, refused.error()), (429, "EnrollDuplicate"));
    world.release();
    assert_eq!(world.answer(first).status, 200);
    assert_eq!(world.agents().len(), 1);
}

#[test]
fn a_repeated_enrolment_replaces_the_one_whose_answer_was_lost() {
    let (mut world, token) = World::with_policy();
    let body = json!({"type": "PERMANENT", "enrollment_id": "e"});
    let first = world.post(ENROLL, &token, &body);
    let first = world.answer(first);
    let second = world.post(ENROLL, &token, &body);
    let second = world.answer(second);
    assert_ne!(first.body["item"]["id"], second.body["item"]["id"]);
    let left = world.agents();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, second.body["item"]["id"].as_str().unwrap());
}
