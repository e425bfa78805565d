//! Uploads: files that agents send (files.md, "Upload from a host" and the cases at its end).

use fleet_server::model::file::{hex, sha256};
use fleet_server::model::raw::raw;
use fleet_server::model::{FileArea, FileKey, FileStatus, NewFile};
use fleet_server::store::Operation;
use serde_json::{Value, json};

use crate::support::files::{announcement, content, transit_sha256};
use crate::support::{Agent, Options, Server, gzip, now_millis};

/// Bytes of a chunk.
const CHUNK: usize = 4_194_304;

fn plain() -> (Server, Agent) {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    (server, agent)
}

#[test]
fn a_file_of_any_size_is_kept_in_chunks_of_4_mib_of_which_the_final_one_says_so() {
    let (server, agent) = plain();
    let all = content(2 * CHUNK);
    let sizes = [(1, 1), (CHUNK - 1, 1), (CHUNK, 1), (CHUNK + 1, 2), (2 * CHUNK, 2)];
    for (bytes, count) in sizes {
        let data = &all[..bytes];
        let upload_id = server.begin_upload(&agent, &format!("x{bytes}"), bytes);
        server.ask(&agent.chunk(&upload_id, count, b"beyond")).is_error(400, "ErrInvalidChunkNum");
        server.ask(&agent.chunk(&upload_id, -1, b"before")).is_error(400, "ErrInvalidChunkNum");
        server.send_chunks(&agent, &upload_id, data);
        assert_eq!(server.complete_upload(&agent, &upload_id, data).ok(), json!({ "status": "ok" }));
    }
    let mut installation = server.stop();
    let opened = installation.open();
    for (bytes, count) in sizes {
        let file = opened.upload(&format!("x{bytes}"), &agent).unwrap();
        assert_eq!((file.status, file.bytes), (FileStatus::Ready, Some(bytes as u64)));
        assert_eq!(file.transit_sha256, Some(transit_sha256(&all[..bytes])));
        let last: Vec<bool> = opened.chunks(&file).iter().map(|chunk| chunk.last).collect();
        assert_eq!(last, (1..=count).map(|number| number == count).collect::<Vec<_>>(), "{bytes}");
        assert!(opened.content(&file) == all[..bytes], "{bytes}");
    }
}

#[test]
fn a_size_that_no_file_has_is_refused_and_nothing_is_written() {
    let (server, agent) = plain();
    let cases = [
        (json!(0), "ErrInvalidFileSize"),
        (json!(-1), "ErrInvalidFileSize"),
        (json!(1.5), "ErrFileSizeRequired"),
        (json!("5"), "ErrFileSizeRequired"),
        (json!(9_223_372_036_854_775_807_i64), "ErrFileSizeTooLarge"),
        (Value::Null, "ErrFileSizeRequired"),
    ];
    for (size, error) in cases {
        let mut body = announcement(&agent, "x", 1);
        body["file"]["size"] = size;
        server.ask(&agent.begin_upload(&body)).is_error(400, error);
    }
    assert!(server.stop().open().upload("x", &agent).is_none());
}

#[test]
fn what_a_file_is_must_be_said_in_the_order_of_the_protocol() {
    let (server, agent) = plain();
    let request = agent.begin_upload(&json!({}));
    server.ask(&request.clone().body("").without("Authorization")).is_error(400, "ErrFileInfoBodyRequired");
    server.ask(&request.clone().body("{").without("Authorization")).is_error(400, "BadRequest");
    server.ask(&request.clone().without("Authorization")).is_error(400, "ErrAgentIDMissing");
    let nobody = json!({ "agent_id": "nobody" });
    server.ask(&request.clone().json(&nobody).without("Authorization")).is_error(401, "ErrNoAuthHeader");
    server.ask(&request.json(&nobody)).is_error(403, "ErrAgentIdentity");
    for field in ["action_id", "src", "file"] {
        let mut body = announcement(&agent, "x", 1);
        body[field] = json!("  ");
        server.ask(&agent.begin_upload(&body)).is_error(400, "ErrFieldRequired");
    }
}

#[test]
fn a_source_that_cannot_be_part_of_an_index_s_name_is_refused() {
    let (server, agent) = plain();
    for source in ["../x", "a,b", "*", "A"] {
        let mut body = announcement(&agent, "x", 1);
        body["src"] = json!(source);
        server.ask(&agent.begin_upload(&body)).is_error(400, "BadRequest");
    }
}

#[test]
fn uploads_may_be_switched_off_and_limited_in_size() {
    for (most, status, error) in [("0", 403, "ErrFileFeatureDisable"), ("9", 400, "ErrFileSizeTooLarge")] {
        let server = Server::with(Options::plain().server("limits.max_file_storage_size", most));
        let agent = server.enrol();
        server.ask(&agent.begin_upload(&announcement(&agent, "x", 10))).is_error(status, error);
    }
}

#[test]
fn a_chunk_sent_twice_is_fine_and_one_with_a_wrong_hash_is_not_kept() {
    let (server, agent) = plain();
    let data = content(CHUNK + 5);
    let upload_id = server.begin_upload(&agent, "x", data.len());
    let (first, second) = data.split_at(CHUNK);
    let wrong = agent.chunk(&upload_id, 0, first).with("X-Chunk-Sha2", hex(&sha256(b"other")));
    server.ask(&wrong).is_error(400, "ErrHashMismatch");
    for _ in 0..2 {
        assert_eq!(server.ask(&agent.chunk(&upload_id, 0, first)).status, 200);
    }
    let shouted = hex(&sha256(second)).to_uppercase();
    let request = agent.chunk(&upload_id, 1, second).with("X-Chunk-Sha2", shouted);
    assert_eq!(server.ask(&request).status, 200);
    server.complete_upload(&agent, &upload_id, &data).ok();
}

#[test]
fn a_chunk_is_kept_as_it_came_whatever_its_coding() {
    let (server, agent) = plain();
    let data = gzip(b"a file that was compressed before");
    let upload_id = server.begin_upload(&agent, "x", data.len());
    let chunk = agent.chunk(&upload_id, 0, &data).header("Content-Encoding", "gzip");
    assert_eq!(server.ask(&chunk).status, 200);
    server.complete_upload(&agent, &upload_id, &data).ok();
    let mut installation = server.stop();
    let opened = installation.open();
    assert_eq!(opened.content(&opened.upload("x", &agent).unwrap()), data);
}

#[test]
fn a_chunk_sent_anew_with_other_bytes_replaces_the_first_while_the_upload_is_open() {
    let (server, agent) = plain();
    let upload_id = server.begin_upload(&agent, "x", 5);
    for data in [b"wrong", b"right"] {
        assert_eq!(server.ask(&agent.chunk(&upload_id, 0, data)).status, 200);
    }
    server.complete_upload(&agent, &upload_id, b"right").ok();
    server.ask(&agent.chunk(&upload_id, 0, b"wrong")).is_error(400, "ErrUploadStopped");
    let mut installation = server.stop();
    let opened = installation.open();
    assert_eq!(opened.content(&opened.upload("x", &agent).unwrap()), b"right");
}

#[test]
fn chunks_come_in_any_order_and_a_missing_one_may_still_come() {
    let (server, agent) = plain();
    let data = content(2 * CHUNK + 1);
    let upload_id = server.begin_upload(&agent, "x", data.len());
    let chunks: Vec<&[u8]> = data.chunks(CHUNK).collect();
    server.complete_upload(&agent, &upload_id, &data).is_error(400, "ErrMissingChunks");
    for number in [2, 0] {
        assert_eq!(server.ask(&agent.chunk(&upload_id, number, chunks[number])).status, 200);
    }
    server.complete_upload(&agent, &upload_id, &data).is_error(400, "ErrMissingChunks");
    assert_eq!(server.ask(&agent.chunk(&upload_id, 1, chunks[1])).status, 200);
    server.complete_upload(&agent, &upload_id, &data).ok();
    server.complete_upload(&agent, &upload_id, &data).is_error(400, "ErrStatusNoUploads");
}

/// An upload whose end is refused for good.
fn fails_validation(server: &Server, agent: &Agent, upload_id: &str, transit_sha256: &str) {
    let complete = agent.complete_upload(upload_id, transit_sha256);
    server.ask(&complete).is_error(400, "ErrFailValidation");
    server.ask(&complete).is_error(400, "ErrStatusNoUploads");
    server.ask(&agent.chunk(upload_id, 0, b"more")).is_error(400, "ErrUploadStopped");
}

#[test]
fn chunks_that_are_not_what_was_announced_are_removed_with_the_upload_s_chances() {
    let (server, agent) = plain();
    // over the hexadecimal texts instead of the hashes
    let upload_id = server.begin_upload(&agent, "hash", 1);
    server.send_chunks(&agent, &upload_id, b"a");
    fails_validation(&server, &agent, &upload_id, &hex(&sha256(hex(&sha256(b"a")).as_bytes())));
    // another size than announced
    let upload_id = server.begin_upload(&agent, "size", 2);
    server.send_chunks(&agent, &upload_id, b"a");
    fails_validation(&server, &agent, &upload_id, &transit_sha256(b"a"));
    // short in the middle: the sum is right all the same
    let upload_id = server.begin_upload(&agent, "short", CHUNK + 1);
    for (number, data) in [b"a", b"b"].into_iter().enumerate() {
        assert_eq!(server.ask(&agent.chunk(&upload_id, number, data)).status, 200);
    }
    let hash = hex(&sha256(&[sha256(b"a"), sha256(b"b")].concat()));
    fails_validation(&server, &agent, &upload_id, &hash);
    let mut installation = server.stop();
    let opened = installation.open();
    for action_id in ["hash", "size", "short"] {
        let file = opened.upload(action_id, &agent).unwrap();
        assert_eq!((file.status, opened.chunks(&file).len()), (FileStatus::Failed, 0), "{action_id}");
    }
}

#[test]
fn an_upload_ends_with_a_hash() {
    let (server, agent) = plain();
    let upload_id = server.begin_upload(&agent, "x", 1);
    let complete = agent.complete_upload(&upload_id, " ");
    server.ask(&complete).is_error(400, "TransitHashRequired");
    server.ask(&complete.clone().body("{}")).is_error(400, "TransitHashRequired");
    server.ask(&complete.clone().body("{")).is_error(400, "BadRequest");
    server
        .ask(&complete.body(format!(r#"{{"x":"{}"}}"#, "y".repeat(1024))))
        .is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn another_agent_s_upload_is_nobody_else_s_business() {
    let (server, agent) = plain();
    let other = server.enrol();
    let upload_id = server.begin_upload(&agent, "x", 1);
    server.ask(&other.chunk(&upload_id, 0, b"a")).is_error(403, "ErrAgentIdentity");
    // not even that the number is wrong
    server.ask(&other.chunk(&upload_id, 7, b"a")).is_error(403, "ErrAgentIdentity");
    server.ask(&other.complete_upload(&upload_id, &transit_sha256(b"a"))).is_error(403, "ErrAgentIdentity");
    server.ask(&agent.chunk(&upload_id, 0, b"a").without("Authorization")).is_error(401, "ErrNoAuthHeader");
    let mut installation = server.stop();
    let opened = installation.open();
    assert!(opened.chunks(&opened.upload("x", &agent).unwrap()).is_empty());
}

#[test]
fn a_stranger_that_sends_a_whole_chunk_before_it_looks_reads_why_it_is_refused() {
    for options in [Options::plain(), Options::default()] {
        let server = Server::with(options);
        let (agent, other) = (server.enrol(), server.enrol());
        let upload_id = server.begin_upload(&agent, "x", CHUNK);
        let request = other.chunk(&upload_id, 0, &content(CHUNK));
        for _ in 0..5 {
            let mut connection = server.connect();
            connection.send(request.bytes());
            connection.response().is_error(403, "ErrAgentIdentity");
        }
    }
}

#[test]
fn an_upload_that_nobody_began_is_unknown_to_those_who_may_ask() {
    let (server, agent) = plain();
    server.ask(&agent.chunk("unknown", 0, b"a")).is_error(400, "ErrInvalidFileID");
    let complete = agent.complete_upload("unknown", "x");
    let answer = server.ask(&complete);
    answer.is_error(400, "ErrInvalidFileID");
    assert_eq!(answer.json()["message"], "ErrInvalidID");
    server.ask(&complete.without("Authorization")).is_error(401, "ErrNoAuthHeader");
}

#[test]
fn a_chunk_s_number_and_hash_are_looked_at_before_anything_else() {
    let (server, agent) = plain();
    let chunk = agent.chunk("unknown", 0, b"a").without("Authorization");
    for odd in [
        chunk.clone().without("X-Chunk-Sha2"),
        chunk.clone().with("X-Chunk-Sha2", ""),
        chunk.clone().header("X-Chunk-Sha2", "again"),
        agent.chunk("unknown", "one", b"a"),
        agent.chunk("unknown", "1.5", b"a"),
    ] {
        server.ask(&odd).is_error(400, "BadRequest");
    }
}

#[test]
fn a_chunk_that_is_too_large_or_never_ends_is_refused() {
    let (server, agent) = plain();
    let upload_id = server.begin_upload(&agent, "x", 2 * CHUNK);
    let data = content(CHUNK + 1);
    let chunk = agent.chunk(&upload_id, 0, &data);
    // its announcement is enough
    let mut connection = server.connect();
    connection.send(chunk.head());
    connection.response().is_error(413, "ErrPayloadSizeTooLarge");
    // nothing is announced, and it goes on and on
    let mut connection = server.connect();
    let mut bytes = chunk.chunked_bytes(64 * 1024);
    bytes.truncate(bytes.len() - 5);
    connection.try_send(bytes);
    connection.response().is_error(413, "ErrPayloadSizeTooLarge");
    let mut installation = server.stop();
    let opened = installation.open();
    assert!(opened.chunks(&opened.upload("x", &agent).unwrap()).is_empty());
}

#[test]
fn an_upload_begun_again_starts_over_unless_it_is_whole() {
    let (server, agent) = plain();
    let first = server.begin_upload(&agent, "x", 1);
    server.send_chunks(&agent, &first, b"a");
    let second = server.begin_upload(&agent, "x", 1);
    assert_ne!(first, second);
    server.ask(&agent.chunk(&first, 0, b"a")).is_error(400, "ErrInvalidFileID");
    server.complete_upload(&agent, &second, b"a").is_error(400, "ErrMissingChunks");
    server.send_chunks(&agent, &second, b"b");
    server.complete_upload(&agent, &second, b"b").ok();
    let again = agent.begin_upload(&announcement(&agent, "x", 1));
    server.ask(&again).is_error(400, "ErrStatusNoUploads");
}

#[test]
fn an_upload_of_more_than_a_day_has_expired() {
    const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;
    let (server, agent) = plain();
    let mut installation = server.stop();
    for (action_id, age_millis) in [("old", DAY_MILLIS + 1_000), ("young", DAY_MILLIS - 60_000)] {
        let mut document = announcement(&agent, action_id, 1);
        document["upload_id"] = json!(action_id);
        document["upload_start"] = json!(now_millis() - age_millis);
        document["@timestamp"] = document["upload_start"].clone();
        document["file"]["Status"] = json!("AWAITING_UPLOAD");
        document["file"]["ChunkSize"] = json!(CHUNK);
        let key =
            FileKey { area: FileArea::FromHost("agent".into()), id: format!("{action_id}.{}", agent.id) };
        let new = NewFile { key, upload_id: action_id.to_owned(), document: raw(&document) };
        installation.open().run(Operation::BeginFile(Box::new(new)));
    }
    let server = installation.start();
    server.ask(&agent.chunk("old", 0, b"a")).is_error(400, "ErrUploadExpired");
    server.send_chunks(&agent, "young", b"a");
    server.complete_upload(&agent, "young", b"a").ok();
}

#[test]
fn an_upload_goes_on_after_a_restart() {
    let (server, agent) = plain();
    let data = content(CHUNK + 9);
    let upload_id = server.begin_upload(&agent, "x", data.len());
    assert_eq!(server.ask(&agent.chunk(&upload_id, 0, &data[..CHUNK])).status, 200);
    let server = server.stop().start();
    assert_eq!(server.ask(&agent.chunk(&upload_id, 1, &data[CHUNK..])).status, 200);
    server.complete_upload(&agent, &upload_id, &data).ok();
}
