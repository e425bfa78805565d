//! Answers whose body comes piece by piece, and the places that chunks of files take.

use std::time::Duration;

use serde_json::{Value, json};

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
    let (world, mut agents) = with_file_for(1);
    (world, agents.remove(0))
}

/// The same for several agents.
fn with_file_for(count: usize) -> (World, Vec<Enrolled>) {
    let (mut world, token) = World::with_policy();
    let agents: Vec<Enrolled> = (0..count).map(|_| world.enroll(&token)).collect();
    put_file(&mut world, &agents, b'0');
    (world, agents)
}

/// Writes the file; its chunks are of this byte, the next and the one after that.
fn put_file(world: &mut World, agents: &[Enrolled], first: u8) {
    let targets: Vec<&str> = agents.iter().map(|agent| agent.id.as_str()).collect();
    let file = json!({"size": 3 * CHUNK, "ChunkSize": CHUNK, "hash": {"sha256": "ab"}, "Meta": {"target_agents": targets}});
    put_chunks(world, &file, (0..3).map(|number| vec![first + number; CHUNK]));
}

/// Writes a file that is described so, whether its chunks agree or not.
fn put_chunks(world: &mut World, file: &Value, chunks: impl ExactSizeIterator<Item = Vec<u8>>) {
    let (key, count) = (file_key(), chunks.len() as u64);
    let mut document = json!({ "file": file });
    document["file"]["Status"] = json!("AWAITING_UPLOAD");
    let new = NewFile { key: key.clone(), upload_id: "u".into(), document: raw(&document) };
    world.ask(Operation::BeginFile(Box::new(new))).unwrap();
    for (number, data) in (0..).zip(chunks) {
        let (file, upload_id, sha2) = (key.clone(), "u".to_owned(), hex(&sha256(&data)));
        let (at, data) = (world.now.wall, Bytes(data));
        let chunk = NewChunk { file, upload_id, number, last: number + 1 == count, sha2, at, data };
        world.ask(Operation::PutChunk(Box::new(chunk))).unwrap();
    }
    let (status, transit_sha256) = (FileStatus::Ready, None);
    world.ask(Operation::EndFile { file: key, upload_id: "u".into(), status, transit_sha256 }).unwrap();
}

fn file_key() -> FileKey {
    FileKey { area: FileArea::ToHost("agent".into()), id: "f".into() }
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
fn a_type_that_no_client_could_read_is_not_sent() {
    let (mut world, token) = World::with_policy();
    let agent = world.enroll(&token);
    let long = format!("text/{}", "x".repeat(251));
    for odd in ["", "text/\u{e4}", "a\r\nb: c", &long] {
        let file = json!({"size": 1, "mime_type": odd, "Meta": {"target_agents": [agent.id]}});
        put_chunks(&mut world, &file, std::iter::once(vec![7]));
        let connection = fetch(&mut world, &agent);
        let text = world.read_text(connection);
        assert!(text.contains("\r\nContent-Type: application/octet-stream\r\n"), "{text}");
        world.ask(Operation::DeleteFile(file_key())).unwrap();
    }
}

#[test]
fn a_file_that_claims_all_there_can_be_breaks_nothing() {
    const HALF: u64 = 1 << 63;
    let (mut world, token) = World::with_policy();
    let agent = world.enroll(&token);
    let file = json!({"size": HALF + 1, "ChunkSize": HALF, "Meta": {"target_agents": [agent.id]}});
    put_chunks(&mut world, &file, [vec![b'a'], vec![b'b']].into_iter());
    for (range, start, end) in [("-1", "HTTP/1.1 206 ", "b"), ("0-", "HTTP/1.1 500 ", "}")] {
        let connection = world.open();
        let request = head("/api/fleet/file/f", &agent.token).replacen("POST", "GET", 1);
        world.send(connection, format!("{request}Range: bytes={range}\r\n\r\n").as_bytes());
        let text = world.read_text(connection);
        assert!(text.starts_with(start) && text.ends_with(end), "{text}");
    }
    assert_eq!(world.server.fleet().counters.handler_bugs, 0);
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

/// Asks for the file and takes nothing of it.
fn fetch_deaf(world: &mut World, agent: &Enrolled) -> ConnectionId {
    let connection = world.open();
    world.deaf.insert(connection);
    fetch_on(world, agent, connection);
    connection
}

/// The whole file came, in its order.
fn assert_whole(world: &mut World, connection: ConnectionId) {
    let text = world.read_text(connection);
    let expected: String = ["0", "1", "2"].map(|byte| byte.repeat(CHUNK)).concat();
    assert!(text.ends_with(&format!("\r\n\r\n{expected}")), "{} bytes", bytes_of(&text));
}

#[test]
fn more_deliveries_than_there_are_places_wait_in_line() {
    let (mut world, agents) = with_file_for(20);
    let connections: Vec<_> = agents.iter().map(|agent| fetch_deaf(&mut world, agent)).collect();
    let begun = |world: &World| world.count("ReadChunk");
    assert_eq!(begun(&world), 16);
    let queues = world.server.places.queues().map(|queue| (queue.name, queue.depth));
    assert_eq!(queues[2..], [("delivery_chunks", 16), ("deliveries_waiting", 4)]);
    // one goes away, and the next has its place
    world.tell(Event::Lost { connection: connections[0] });
    assert_eq!(begun(&world), 17);
    for connection in &connections[1..] {
        listen(&mut world, *connection);
    }
    for connection in &connections[1..] {
        assert_whole(&mut world, *connection);
    }
    assert!(world.server.is_idle());
}

#[test]
fn a_client_takes_no_more_than_its_places_and_keeps_nobody_else_waiting() {
    let (mut world, agents) = with_file_for(2);
    let many: Vec<_> = (0..16).map(|_| fetch_deaf(&mut world, &agents[0])).collect();
    assert_eq!(world.count("ReadChunk"), 2);
    let connection = fetch(&mut world, &agents[1]);
    assert_whole(&mut world, connection);
    for connection in &many {
        listen(&mut world, *connection);
    }
    for connection in many {
        assert_whole(&mut world, connection);
    }
}

#[test]
fn who_takes_nothing_gives_way_to_who_waits_and_goes_on_later() {
    let (mut world, agents) = with_file_for(17);
    let slow: Vec<_> = agents[1..].iter().map(|agent| fetch_deaf(&mut world, agent)).collect();
    // half of them are in the middle of it
    for connection in &slow[..8] {
        world.deaf.remove(connection);
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let count = world.server.output(*connection, &mut slices);
        let bytes = slices[..count].iter().map(|slice| slice.len()).sum();
        world.deaf.insert(*connection);
        world.server.handle(world.now, Event::Sent { connection: *connection, bytes });
        world.settle();
    }
    let connection = fetch(&mut world, &agents[0]);
    assert!(!world.is_answered(connection));
    world.pass(Duration::from_secs(11));
    assert_whole(&mut world, connection);
    for (index, connection) in slow.into_iter().enumerate() {
        listen(&mut world, connection);
        let text = world.read_text(connection);
        assert!(text.ends_with(&"2".repeat(CHUNK)), "{index}");
        assert!(index < 8 || bytes_of(&text) == 3 * CHUNK, "{index}");
    }
    assert!(world.server.is_idle() && world.closed.is_empty());
}

#[test]
fn nobody_gives_way_while_nobody_waits() {
    let (mut world, agent) = with_file();
    let connection = fetch_deaf(&mut world, &agent);
    world.pass(Duration::from_secs(30));
    listen(&mut world, connection);
    assert_eq!(world.count("ReadChunk"), 3);
    assert_whole(&mut world, connection);
}

#[test]
fn who_would_wait_in_too_long_a_line_is_told_so() {
    let (mut world, agent) = with_file();
    for _ in 0..2 + 32 {
        fetch_deaf(&mut world, &agent);
    }
    let connection = fetch(&mut world, &agent);
    let reply = world.answer(connection);
    assert_eq!((reply.status, reply.error()), (429, "MaxLimit"));
}

#[test]
fn a_file_that_is_replaced_on_its_way_is_cut_off() {
    let (mut world, agent) = with_file();
    let connection = fetch_deaf(&mut world, &agent);
    world.ask(Operation::DeleteFile(file_key())).unwrap();
    put_file(&mut world, std::slice::from_ref(&agent), b'5');
    listen(&mut world, connection);
    let text = world.read_text(connection);
    assert!(text.ends_with(&"0".repeat(CHUNK)) && bytes_of(&text) == CHUNK, "{} bytes", bytes_of(&text));
    assert!(world.closed.contains(&connection) && world.server.is_idle());
}

#[test]
fn what_a_client_has_or_what_no_file_has_is_answered_without_a_list_of_chunks() {
    let (mut world, agent) = with_file();
    let request = head("/api/fleet/file/f", &agent.token).replacen("POST", "GET", 1);
    let connection = world.open();
    world.send(connection, format!("{request}Range: bytes={}-\r\n\r\n", 3 * CHUNK).as_bytes());
    assert_eq!((world.answer(connection).status, world.count("FileChunks")), (416, 0));
    let connection = world.open();
    world.send(connection, format!("{request}If-None-Match: \"ab\"\r\n\r\n").as_bytes());
    assert_eq!((world.answer(connection).status, world.count("FileChunks")), (304, 0));
    let connection = fetch(&mut world, &agent);
    assert_whole(&mut world, connection);
    assert_eq!(world.count("FileChunks"), 1);
    assert_eq!(
        world.count("FileChunks { file: FileKey { area: ToHost(\"agent\"), id: \"f\" }, with_sizes: false"),
        1
    );
}

/// The head of the first chunk of an upload that this agent has just begun.
fn upload_head(world: &mut World, agent: &Enrolled, data: &[u8]) -> Vec<u8> {
    let body = json!({"agent_id": agent.id, "action_id": "x", "src": "agent",
        "file": {"name": "n", "mime_type": "m", "size": data.len()}});
    let connection = world.post("/api/fleet/uploads", &agent.token, &body);
    let upload_id = world.answer(connection).body["upload_id"].as_str().unwrap().to_owned();
    let head = head(&format!("/api/fleet/uploads/{upload_id}/0"), &agent.token).replacen("POST", "PUT", 1);
    let hash = hex(&sha256(data));
    format!("{head}X-Chunk-Sha2: {hash}\r\nContent-Length: {}\r\n\r\n", data.len()).into_bytes()
}

#[test]
fn an_upload_that_hardly_comes_gives_way_to_those_that_wait() {
    let (mut world, agents) = with_file_for(18);
    let data = vec![7; 1_000_000];
    let connections: Vec<ConnectionId> = agents[..17]
        .iter()
        .enumerate()
        .map(|(index, agent)| {
            let head = upload_head(&mut world, agent, &data);
            let connection = world.open();
            world.send(connection, &head);
            // the first comes well
            world.send(connection, &data[..if index == 0 { 900_000 } else { 10 }]);
            connection
        })
        .collect();
    assert!(!world.server.wants_input(connections[16], || 0), "it has no place");
    world.pass(Duration::from_secs(11));
    let refused: Vec<_> = connections.iter().filter(|connection| world.is_answered(**connection)).collect();
    assert_eq!(refused, [&connections[1]]);
    assert_eq!(world.answer(connections[1]).status, 429);
    assert!(world.server.wants_input(connections[16], || 0));
    world.send(connections[0], &data[900_000..]);
    assert_eq!(world.answer(connections[0]).status, 200);
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
