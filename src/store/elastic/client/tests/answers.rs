//! Answers that are whole, cut off, too large, or none at all.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::server::{Peer, Server, elasticsearch};
use super::support::{Hand, PATIENCE, client, error_of, get, post, settings};
use crate::store::elastic::client::{Client, Request, SendError};

const HEAD: &str = "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\n";

/// Says the same to each request, and hangs up if `ends`.
fn says(text: impl AsRef<[u8]>, ends: bool) -> impl Fn(&mut Peer) -> io::Result<()> {
    let text = [HEAD.as_bytes(), text.as_ref()].concat();
    move |peer| {
        loop {
            peer.take()?;
            peer.say(&text)?;
            if ends {
                return Ok(());
            }
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip_answer(body: &[u8]) -> Vec<u8> {
    let head = format!("content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A client of one host with a small bound.
fn bounded(server: &Server, answer_bytes_max: u64) -> Client {
    let mut client = client(&[server.http()]);
    client.answer_bytes_max = answer_bytes_max;
    client
}

/// A client of one host that waits only for a moment for a body, and a request whose head may take its time.
fn impatient(server: &Server) -> (Client, Request) {
    let mut settings = settings(&[server.http()]);
    settings.timeout = Duration::from_millis(500);
    (Client::new(&settings).unwrap(), Request { timeout: Some(PATIENCE), ..get() })
}

/// The error of `GET /`, which must be one of a bad answer.
fn bad_answer(client: &Client) -> String {
    bad_answer_to(&get(), client)
}

/// The error of a request, which must be one of a bad answer.
fn bad_answer_to(request: &Request, client: &Client) -> String {
    let error = error_of(client, request);
    assert!(matches!(error, SendError::Answer { .. }), "{error}");
    error.to_string()
}

#[test]
fn an_answer_in_chunks_is_whole() {
    let server =
        Server::plain(says("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false));
    let client = client(&[server.http()]);
    for _ in 0..2 {
        assert_eq!(client.send(&get()).unwrap().body, b"abcde");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_gzip_answer_is_inflated_and_its_connection_used_again() {
    let server = Server::plain(says(gzip_answer(&gzip(b"{\"a\":1}")), false));
    let client = client(&[server.http()]);
    for _ in 0..2 {
        assert_eq!(client.send(&get()).unwrap().body, b"{\"a\":1}");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_answer_cut_in_the_middle_is_none() {
    let cut = gzip(b"{\"a\":1}");
    for text in [
        b"content-length: 10\r\n\r\nabc".to_vec(),
        b"transfer-encoding: chunked\r\n\r\n5\r\nabc".to_vec(),
        gzip_answer(&cut[..cut.len() - 6]),
    ] {
        let server = Server::plain(says(text, true));
        bad_answer(&client(&[server.http()]));
        // it may be done, so only what may be repeated is sent again
        let good = Server::plain(elasticsearch);
        assert!(client(&[server.http(), good.http()]).send(&get()).is_ok());
        assert!(client(&[server.http(), good.http()]).send(&post("{}")).is_err());
    }
}

#[test]
fn what_is_not_http_is_no_answer() {
    for text in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "\0\0\0\0",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ] {
        let server = Server::plain(move |peer| {
            peer.take()?;
            peer.say(text)
        });
        error_of(&client(&[server.http()]), &get());
    }
}

#[test]
fn a_head_without_end_is_given_up() {
    let server = Server::plain(|peer| {
        peer.take()?;
        peer.say(HEAD)?;
        loop {
            peer.say("x-filler: 0123456789012345678901234567890123456789\r\n")?;
        }
    });
    error_of(&client(&[server.http()]), &get());
}

#[test]
fn an_announced_answer_that_is_too_large_is_not_read() {
    let server = Server::plain(says("content-length: 101\r\n\r\nabc", false));
    let text = bad_answer(&bounded(&server, 100));
    assert!(text.contains("more than 100 bytes"), "{text}");
}

#[test]
fn an_answer_that_grows_too_large_is_given_up() {
    let chunks = |count: usize| {
        let chunk = format!("a\r\n{}\r\n", "x".repeat(10));
        format!("transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(count))
    };
    let server = Server::plain(says(chunks(11), false));
    assert!(bad_answer(&bounded(&server, 100)).contains("more than 100 bytes"));
    let server = Server::plain(says(chunks(10), false));
    assert_eq!(bounded(&server, 100).send(&get()).unwrap().body.len(), 100);
}

#[test]
fn a_gzip_bomb_is_given_up() {
    let bomb = gzip(&vec![0; 10_000_000]);
    assert!(bomb.len() < 20_000);
    let server = Server::plain(says(gzip_answer(&bomb), false));
    assert!(bad_answer(&bounded(&server, 1_000_000)).contains("more than 1000000 bytes"));
}

#[test]
fn a_host_is_not_to_blame_for_a_large_answer() {
    let hand = Hand::default();
    let server = Server::plain(says("content-length: 101\r\n\r\nabc", false));
    let other = Server::plain(elasticsearch);
    let mut client = hand.client(&[server.http(), other.http()]);
    client.answer_bytes_max = 100;
    bad_answer(&client);
    assert!(!other.saw_more());
    assert!(client.send(&get()).is_ok());
    bad_answer(&client);
}

#[test]
fn an_answer_without_a_body_may_name_a_coding() {
    let head = "content-encoding: gzip\r\ncontent-length: ";
    let server = Server::plain(says(format!("{head}200\r\n\r\n"), false));
    let client_of_head = client(&[server.http()]);
    for _ in 0..2 {
        let request = Request { method: "HEAD", ..get() };
        assert_eq!(client_of_head.send(&request).unwrap().body, b"");
    }
    assert_eq!(server.connections(), 1);
    let server = Server::plain(says(format!("{head}0\r\n\r\n"), false));
    assert_eq!(client(&[server.http()]).send(&get()).unwrap().body, b"");
}

#[test]
fn broken_gzip_and_unknown_encodings_are_no_answers() {
    let server = Server::plain(says(gzip_answer(b"this is no gzip"), false));
    bad_answer(&client(&[server.http()]));
    let server = Server::plain(says("content-encoding: br\r\ncontent-length: 3\r\n\r\nabc", false));
    assert!(bad_answer(&client(&[server.http()])).contains("Content-Encoding"));
}

#[test]
fn a_body_that_stops_coming_is_given_up_in_time() {
    let server = Server::plain(|peer| {
        peer.take()?;
        peer.say(format!("{HEAD}content-length: 10\r\n\r\nabc"))?;
        peer.wait_for_end()
    });
    let (client, request) = impatient(&server);
    assert!(bad_answer_to(&request, &client).contains("in time"));
}

#[test]
fn a_body_that_drips_is_given_up_in_time() {
    let server = Server::plain(|peer| {
        peer.take()?;
        peer.say(format!("{HEAD}content-length: 1000000000\r\n\r\n"))?;
        // the client's end of patience ends the loop
        loop {
            peer.say("x")?;
        }
    });
    let (mut client, request) = impatient(&server);
    client.answer_bytes_max = u64::MAX / 2;
    assert!(bad_answer_to(&request, &client).contains("in time"));
}
