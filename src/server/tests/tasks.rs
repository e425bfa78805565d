//! The executor's promises: small futures, answers to their own questions, and bugs that stay where they are.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use super::world::{ENROLL, World, path};
use crate::connection::{ConnectionId, Listener};
use crate::handlers::{
    Request, acks, artifact, audit_unenroll, checkin, deliver, enroll, file_delivery, opamp, pgp_key, policy,
    status, uploads,
};
use crate::http::{HttpConnection, Limits, Received};
use crate::store::{Lane, StoreError};
use crate::task::{Cx, Handler, Loan, Task};
use crate::time::{Now, Timestamp};

/// The most that the future of a request may take.
const FUTURE_BYTES_MAX: usize = 2_048;

fn request() -> Request {
    let mut input = &b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"[..];
    let Received::Head(head) = HttpConnection::new().receive(&mut input, &Limits::default()) else {
        panic!()
    };
    let connection = ConnectionId { index: 0, generation: 0 };
    Request {
        connection,
        listener: Listener::External,
        is_encrypted: true,
        head,
        id: String::new(),
        part: String::new(),
        started: now(),
    }
}

fn now() -> Now {
    Now { mono: Duration::ZERO, wall: Timestamp(0) }
}

/// The size of the future that `start` makes.
fn size<F: Future<Output = crate::task::Outcome> + 'static>(start: impl FnOnce(Cx) -> F) -> usize {
    let mut bytes = 0;
    let boxed = |cx| -> Handler {
        let future = start(cx);
        bytes = size_of_val(&future);
        Box::pin(future)
    };
    drop(Task::new(&Rc::new(Loan::default()), now(), boxed));
    bytes
}

#[test]
fn every_handler_s_future_is_under_2_kb() {
    let seat = crate::slots::SlotId { index: 0, generation: 0 };
    let revision = super::world::revision("p", 1).into();
    let sizes = [
        ("artifact", size(|cx| artifact::artifact(cx, request()))),
        ("acks", size(|cx| acks::acks(cx, request()))),
        ("audit unenroll", size(|cx| audit_unenroll::audit_unenroll(cx, request()))),
        ("check-in", size(|cx| checkin::check_in(cx, request()))),
        ("deliver", size(|cx| deliver::deliver(cx, seat))),
        ("enroll", size(|cx| enroll::enroll(cx, request()))),
        ("pgp key", size(|cx| pgp_key::pgp_key(cx, request()))),
        ("collector's message", size(|cx| opamp::message(cx, Default::default(), Vec::new()))),
        ("collector", size(|cx| opamp::opamp(cx, request()))),
        ("file delivery", size(|cx| file_delivery::deliver(cx, request()))),
        ("publish", size(|cx| policy::publish(cx, revision))),
        ("status", size(|cx| status::status(cx, request()))),
        ("upload begin", size(|cx| uploads::begin(cx, request()))),
        ("upload chunk", size(|cx| uploads::chunk(cx, request()))),
        ("upload complete", size(|cx| uploads::complete(cx, request()))),
    ];
    for (name, bytes) in sizes {
        assert!(bytes <= FUTURE_BYTES_MAX, "{name}: {bytes} bytes; all: {sizes:?}");
    }
}

#[test]
fn a_handler_that_panics_is_500_and_counted_and_the_rest_goes_on() {
    let (mut world, agent) = World::with_agent();
    world.held.insert(Lane::Read);
    let connection = world.check_in(&agent);
    world.server.spawn(Some(connection), |_| Box::pin(async { panic!("on purpose") }));
    world.release();
    let reply = world.answer(connection);
    assert_eq!((reply.status, reply.error()), (500, "InternalServerError"));
    assert!(reply.head.contains("Connection: close") && world.closed.contains(&connection));
    assert_eq!(world.server.fleet().counters.handler_bugs, 1);
    let connection = world.check_in(&agent);
    assert!(world.read(connection).is_none());
    assert_eq!(world.server.fleet().lot.parked(), 1);
}

#[test]
fn a_handler_that_panics_gives_back_the_ids_that_it_reserved() {
    let (mut world, token) = World::with_policy();
    let connection = world.open();
    world.server.spawn(Some(connection), move |cx| {
        Box::pin(async move {
            assert!(cx.fleet(|fleet| fleet.claim_enrolment(&["id:wanted".to_owned()], connection)));
            panic!("on purpose")
        })
    });
    world.settle();
    let connection = world.post(ENROLL, &token, &json!({"type": "PERMANENT", "id": "wanted"}));
    assert_eq!(world.answer(connection).status, 200);
}

#[test]
fn a_handler_that_waits_for_nothing_is_500_and_counted() {
    let (mut world, agent) = World::with_agent();
    world.held.insert(Lane::Read);
    let connection = world.check_in(&agent);
    world.server.spawn(Some(connection), |_| Box::pin(std::future::pending()));
    world.settle();
    assert_eq!(world.answer(connection).status, 500);
    assert_eq!(world.server.fleet().counters.handler_bugs, 1);
}

#[test]
fn a_store_that_never_answers_is_503_after_90_seconds() {
    let (mut world, agent) = World::with_agent();
    world.held.extend(Lane::ALL);
    let connection = world.check_in(&agent);
    world.pass(Duration::from_secs(89));
    assert!(world.read(connection).is_none());
    world.pass(Duration::from_secs(7));
    assert_eq!(world.answer(connection).status, 503);
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken_for_that_to_a_later_question() {
    let (mut world, agent) = World::with_agent();
    world.held.insert(Lane::Search);
    // the action's look-up is given up; the policy's acknowledgement is asked for next
    let acks = json!({"events": [{"action_id": "unknown"}, {"action_id": "policy:p:1"}]});
    let connection = world.post(&path(&agent.id, "acks"), &agent.token, &acks);
    world.held.insert(Lane::Write);
    world.pass(Duration::from_secs(95));
    assert_eq!(world.waiting.len(), 2, "the look-up and, since it was given up, the write");
    let (write, operations) = world.waiting.pop().unwrap();
    world.release();
    assert!(world.read(connection).is_none(), "the write has no answer yet");
    let failed = operations.iter().map(|_| Err(StoreError::Unavailable("down".into()))).collect();
    world.tell(crate::server::Event::Answered { batch: write, answers: failed });
    assert_eq!(world.answer(connection).status, 503);
}
