//! Files that agents get (files.md, "Delivery to a host" and the cases at its end).

use fleet_server::model::FileArea;
use fleet_server::model::file::{hex, sha256};

use crate::support::files::{StoredFile, content};
use crate::support::{Agent, Options, Request, Response, Server};

/// Bytes of a chunk as agents send them.
const CHUNK: usize = 4_194_304;
/// The client that may have files of libraries.
const ENDPOINT: &str = "endpoint-security";

fn get(agent: &Agent, target: &str) -> Request {
    Request::get(&format!("/api/fleet/file/{target}")).key(&agent.key)
}

/// A server with an agent for whom these files are there.
fn with_files(files: impl FnOnce(&Agent) -> Vec<StoredFile>) -> (Server, Agent) {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let mut installation = server.stop();
    let opened = installation.open();
    files(&agent).into_iter().for_each(|file| opened.put_file(file));
    drop(opened);
    (installation.start(), agent)
}

fn small(agent: &Agent) -> StoredFile {
    // eleven chunks
    StoredFile::for_agent("small", agent, &content(42)).in_chunks_of(4)
}

#[test]
fn a_file_comes_whole_with_what_is_known_of_it_and_its_chunks_in_order() {
    let (server, agent) = with_files(|agent| vec![small(agent)]);
    let answer = server.ask(&get(&agent, "small"));
    assert_eq!((answer.status, &answer.body), (200, &content(42)));
    let hash = hex(&sha256(&content(42)));
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    assert_eq!(answer.header("Content-Length"), Some("42"));
    assert_eq!(answer.header("Accept-Ranges"), Some("bytes"));
    assert_eq!(answer.header("X-File-SHA2"), Some(hash.as_str()));
    assert_eq!(answer.header("ETag"), Some(format!("\"{hash}\"").as_str()));
    // the connection stays
    let mut connection = server.connect();
    for _ in 0..2 {
        assert_eq!(connection.ask(&get(&agent, "small?x=y")).body, content(42));
    }
}

#[test]
fn a_file_of_which_little_is_known_comes_all_the_same() {
    let (server, agent) = with_files(|agent| {
        vec![StoredFile { says_little: true, ..StoredFile::for_agent("f", agent, b"data") }]
    });
    let answer = server.ask(&get(&agent, "f"));
    assert_eq!((answer.status, answer.text()), (200, "data"));
    assert_eq!(answer.header("Content-Type"), Some("application/octet-stream"));
    assert_eq!((answer.header("X-File-SHA2"), answer.header("ETag")), (None, None));
}

#[test]
fn only_whole_files_come_and_only_to_the_agents_they_name() {
    let (server, agent) = with_files(|agent| {
        vec![small(agent), StoredFile { is_ready: false, ..StoredFile::for_agent("open", agent, b"data") }]
    });
    let other = server.enrol();
    for (who, target) in [(&other, "small"), (&agent, "open"), (&agent, "unknown"), (&agent, "small%2Fx")] {
        let answer = server.ask(&get(who, target));
        answer.is_error(404, "ErrNoFile");
        assert_eq!(answer.json()["message"], "file not found");
    }
    server.ask(&get(&agent, "small").without("Authorization")).is_error(401, "ErrNoAuthHeader");
    server.ask(&get(&agent, "small").key(server.token())).is_error(404, "AgentNotFound");
}

#[test]
fn a_library_s_file_comes_to_the_one_client_that_may_have_it() {
    let library = |library: &str, id: &str| StoredFile {
        area: FileArea::Library(library.into()),
        ..StoredFile::new(id, b"library")
    };
    let (server, agent) = with_files(|agent| vec![library("scripts", "l"), small(agent)]);
    let ask = |target: &str, client: Option<&str>| {
        let request = get(&agent, target);
        server.ask(&match client {
            Some(client) => request.header("X-elastic-product-origin", client),
            None => request,
        })
    };
    for target in ["l?source=scripts", "l?x=1&source=%20SCRIPTS%20", "l?source=s*c%2Fr%3Cipts"] {
        assert_eq!(ask(target, Some(" Endpoint-Security")).body, b"library", "{target}");
    }
    for client in [None, Some("fleet"), Some("")] {
        ask("unknown?source=scripts", client).is_error(403, "ErrClientFileForbidden");
    }
    ask("unknown?source=scripts", Some(ENDPOINT)).is_error(404, "ErrFileForDeliveryNotFound");
    ask("l?source=other", Some(ENDPOINT)).is_error(404, "ErrFileForDeliveryNotFound");
    // nothing is left of the name: as if there was none
    assert_eq!(ask("small?source=*", None).body, content(42));
    ask("l?source=*", Some(ENDPOINT)).is_error(404, "ErrNoFile");
}

fn ranged(server: &Server, agent: &Agent, target: &str, range: &str) -> Response {
    server.ask(&get(agent, target).header("Range", range))
}

#[test]
fn a_range_is_the_part_that_was_asked_for() {
    let (server, agent) = with_files(|agent| vec![small(agent)]);
    let all = content(42);
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=3-4", 3, 5),
        ("bytes=4-7", 4, 8),
        ("bytes=10-", 10, 42),
        ("bytes=40-1000", 40, 42),
        ("bytes=-1", 41, 42),
        ("bytes=-1000", 0, 42),
    ] {
        let answer = ranged(&server, &agent, "small", range);
        assert_eq!((answer.status, answer.body.as_slice()), (206, &all[from..to]), "{range}");
        assert_eq!(answer.header("Content-Range"), Some(format!("bytes {from}-{}/42", to - 1).as_str()));
        assert!(answer.header("ETag").is_some());
    }
    for range in ["bytes=", "bytes=0-30,20-41"] {
        let answer = ranged(&server, &agent, "small", range);
        assert_eq!((answer.status, answer.body), (200, all.clone()), "{range}");
    }
}

#[test]
fn a_range_may_lie_over_the_border_of_two_chunks() {
    let all = content(CHUNK + 100);
    let (server, agent) = with_files(|agent| vec![StoredFile::for_agent("large", agent, &all)]);
    let answer = ranged(&server, &agent, "large", "bytes=4194300-4194310");
    assert_eq!((answer.status, answer.body.as_slice()), (206, &all[4_194_300..4_194_311]));
    assert!(server.ask(&get(&agent, "large")).body == all);
}

#[test]
fn a_range_that_the_file_has_not_is_refused_with_its_size() {
    let (server, agent) = with_files(|agent| vec![small(agent)]);
    for range in ["bytes=42-", "bytes=-0", "bytes=5-4", "bytes=x", "bytes=18446744073709551616-", "lines=1-2"]
    {
        let answer = ranged(&server, &agent, "small", range);
        answer.is_error(416, "ErrRangeNotSatisfiable");
        assert_eq!(answer.header("Content-Range"), Some("bytes */42"), "{range}");
    }
    let several = ranged(&server, &agent, "small", "bytes=0-1,3-4");
    several.is_error(416, "ErrRangeNotSatisfiable");
    assert_eq!(several.json()["message"], "Multipart ranges not satisfiable");
    let twice = get(&agent, "small").header("Range", "bytes=0-1").header("Range", "bytes=0-1");
    server.ask(&twice).is_error(416, "ErrRangeNotSatisfiable");
}

#[test]
fn a_file_that_the_client_has_is_not_sent_again() {
    let (server, agent) = with_files(|agent| vec![small(agent)]);
    let etag = format!("\"{}\"", hex(&sha256(&content(42))));
    let ask = |tags: &str| {
        let mut connection = server.connect();
        connection.send(get(&agent, "small").header("If-None-Match", tags).bytes());
        connection.response_without_body()
    };
    for tags in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let answer = ask(&tags);
        assert_eq!((answer.status, answer.header("ETag")), (304, Some(etag.as_str())), "{tags}");
    }
    assert_eq!(ask("\"x\"").status, 200);
}

#[test]
fn head_of_a_file_is_not_allowed() {
    let (server, agent) = with_files(|agent| vec![small(agent)]);
    let mut connection = server.connect();
    connection.send(Request::new("HEAD", "/api/fleet/file/small").key(&agent.key).bytes());
    let answer = connection.response_without_body();
    assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET")));
    assert_eq!(connection.ask(&get(&agent, "small")).body, content(42));
}

#[test]
fn a_file_of_which_chunks_are_missing_is_not_begun() {
    let (server, agent) = with_files(|agent| {
        vec![
            StoredFile {
                left_out: vec![1],
                ..StoredFile::for_agent("gap", agent, &content(12)).in_chunks_of(4)
            },
            StoredFile {
                left_out: vec![2],
                ..StoredFile::for_agent("short", agent, &content(12)).in_chunks_of(4)
            },
            StoredFile { left_out: vec![0], ..StoredFile::for_agent("empty", agent, b"data") },
        ]
    });
    for target in ["gap", "short"] {
        server.ask(&get(&agent, target)).is_error(500, "InternalServerError");
    }
    server.ask(&get(&agent, "empty")).is_error(404, "ErrNoFile");
}
