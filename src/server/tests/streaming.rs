//! Answers whose body comes piece by piece, and the places that chunks of files take.

use std::time::Duration;

use serde_json::json;

use super::world::{Enrolled, World, head};
use crate::connection::ConnectionId;
use crate::model::file::{hex, sha256};
use crate::model::raw::raw;
use crate::model::{Bytes, FileArea, FileKey, FileStatus, NewChunk, NewFile};
use crate::server::Event;
use crate::store::{Lane, Operation, StoreError};

/// Bytes of each chunk of the file.
const CHUNK: usize = 1_000;

/// A world with a file of three chunks that the agent may have.
fn with_file() -> (World, Enrolled) {
    let (mut world, agent) = World::with_agent();
    let key = FileKey { area: FileArea::ToHost("agent".into()), id: "f".into() };
    let document = raw(&json!({
        "file": {"size": 3 * CHUNK, "ChunkSize": CHUNK, "Status": "AWAITING_UPLOAD",
            "Meta": {"target_agents": [agent.id]}},
    }));
    let new = NewFile { key: key.clone(), upload_id: "u".into(), document };
    world.ask(Operation::BeginFile(Box::new(new))).unwrap();
    for number in 0..3 {
        let data = vec![b'0' + number as u8; CHUNK];
        let (file, upload_id, sha2) = (key.clone(), "u".to_owned(), hex(&sha256(&data)));
        let (at, data) = (world.now.wall, Bytes(data));
        let chunk = NewChunk { file, upload_id, number, last: number == 2, sha2, at, data };
        world.ask(Operation::PutChunk(Box::new(chunk))).unwrap();
    }
    let (status, transit_sha256) = (FileStatus::Ready, None);
    world.ask(Operation::EndFile { file: key, upload_id: "u".into(), status, transit_sha256 }).unwrap();
    (world, agent)
}

/// Asks for the file on a connection of its own.
fn fetch(world: &mut World, agent: &Enrolled) -> ConnectionId {
    let connection = world.open();
    fetch_on(world, agent, connection);
    connection
}

fn fetch_on(world: &mut World, agent: &Enrolled, connection: ConnectionId) {
    let request = head("/api/fleet/file/f", &agent.token).replacen("POST", "GET", 1);
    world.send(connection, format!("{request}\r\n").as_bytes());
}

/// The client takes what there is for it, and what comes then.
fn listen(world: &mut World, connection: ConnectionId) {
    world.deaf.remove(&connection);
    world.take(connection);
    world.settle();
}

/// How many bytes of the file were written.
fn bytes_of(text: &str) -> usize {
    text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len())
}

#[test]
fn a_client_that_does_not_read_holds_one_chunk() {
    let (mut world, agent) = with_file();
    let connection = world.open();
    world.deaf.insert(connection);
    fetch_on(&mut world, &agent, connection);
    assert_eq!(world.count("ReadChunk"), 1);
    listen(&mut world, connection);
    let text = world.read_text(connection);
    assert!(text.contains(&format!("Content-Length: {}\r\n", 3 * CHUNK)), "{text}");
    assert_eq!((bytes_of(&text), world.count("ReadChunk")), (3 * CHUNK, 3));
    assert!(world.server.is_idle() && world.closed.is_empty());
}

#[test]
fn the_time_of_a_client_counts_anew_for_each_piece_and_not_while_the_store_is_awaited() {
    let (mut world, agent) = with_file();
    let write = world.server.config.server.timeouts.write;
    let connection = world.open();
    for _ in 0..2 {
        world.held.insert(Lane::Files);
        if world.count("FindFile") == 0 {
            fetch_on(&mut world, &agent, connection);
        }
        // the store takes its time, within that of an ask
        world.pass(Duration::from_secs(80));
        world.deaf.insert(connection);
        world.release();
        world.pass(write - Duration::from_secs(1));
        assert!(!world.closed.contains(&connection));
        world.held.insert(Lane::Files);
        listen(&mut world, connection);
    }
    world.deaf.insert(connection);
    world.release();
    world.pass(write + Duration::from_secs(1));
    assert!(world.closed.contains(&connection) && world.server.is_idle());
}

#[test]
fn a_client_that_goes_away_ends_its_delivery() {
    let (mut world, agent) = with_file();
    let connection = world.open();
    world.deaf.insert(connection);
    fetch_on(&mut world, &agent, connection);
    world.tell(Event::Lost { connection });
    assert!(world.server.is_idle() && world.count("ReadChunk") == 1);
    // in the middle of a look-up
    world.held.insert(Lane::Files);
    let connection = fetch(&mut world, &agent);
    world.tell(Event::Lost { connection });
    world.release();
    assert!(world.server.is_idle());
    assert_eq!(world.server.fleet().counters.handler_bugs, 0);
}

#[test]
fn a_failure_in_the_middle_cuts_the_connection() {
    let (mut world, agent) = with_file();
    let connection = world.open();
    world.deaf.insert(connection);
    fetch_on(&mut world, &agent, connection);
    world.failing.insert(Lane::Files, StoreError::Unavailable("down".into()));
    listen(&mut world, connection);
    assert_eq!(bytes_of(&world.read_text(connection)), CHUNK);
    assert!(world.closed.contains(&connection) && world.server.is_idle());
}

#[test]
fn a_failure_before_the_head_is_an_answer() {
    let (mut world, agent) = with_file();
    world.failing.insert(Lane::Files, StoreError::Unavailable("down".into()));
    let connection = fetch(&mut world, &agent);
    assert_eq!(world.answer(connection).status, 503);
}

#[test]
fn those_who_want_the_same_chunk_at_once_share_its_read() {
    let (mut world, agent) = with_file();
    world.held.insert(Lane::Files);
    let connections: Vec<ConnectionId> = (0..5).map(|_| fetch(&mut world, &agent)).collect();
    // found and listed each for itself, read together
    for _ in 0..4 {
        let waiting = std::mem::take(&mut world.waiting);
        for (batch, operations) in waiting {
            let answers = operations.into_iter().map(|operation| world.ask(operation)).collect();
            world.tell(Event::Answered { batch, answers });
        }
    }
    world.release();
    for connection in connections {
        assert_eq!(bytes_of(&world.read_text(connection)), 3 * CHUNK);
    }
    assert!(world.count("ReadChunk") < 15, "{}", world.count("ReadChunk"));
}

#[test]
fn more_deliveries_than_there_are_places_wait_in_line() {
    let (mut world, agent) = with_file();
    let connections: Vec<ConnectionId> = (0..20).map(|_| world.open()).collect();
    world.deaf.extend(connections.iter().copied());
    for connection in &connections {
        fetch_on(&mut world, &agent, *connection);
    }
    let begun = |world: &World| world.count("ReadChunk");
    assert_eq!(begun(&world), 16);
    // one goes away, and the next has its place
    world.tell(Event::Lost { connection: connections[0] });
    assert_eq!(begun(&world), 17);
    for connection in &connections[1..] {
        listen(&mut world, *connection);
    }
    for connection in &connections[1..] {
        assert_eq!(bytes_of(&world.read_text(*connection)), 3 * CHUNK);
    }
    assert!(world.server.is_idle());
}

#[test]
fn who_waits_for_a_place_in_vain_is_told_so() {
    let (mut world, agent) = with_file();
    for _ in 0..16 {
        let connection = world.open();
        world.deaf.insert(connection);
        fetch_on(&mut world, &agent, connection);
    }
    let connection = fetch(&mut world, &agent);
    world.pass(Duration::from_secs(89));
    assert!(!world.is_answered(connection));
    world.pass(Duration::from_secs(7));
    let reply = world.answer(connection);
    assert_eq!((reply.status, reply.error()), (429, "MaxLimit"));
}

#[test]
fn a_delivery_counts_for_its_limit_until_it_is_out() {
    let (mut world, agent) = with_file();
    let in_flight =
        |world: &World| world.server.fleet().admission.in_flight(crate::connection::Listener::External);
    let before = in_flight(&world);
    let connection = world.open();
    world.deaf.insert(connection);
    fetch_on(&mut world, &agent, connection);
    assert_eq!(in_flight(&world), before + 1);
    listen(&mut world, connection);
    assert_eq!(in_flight(&world), before);
}
