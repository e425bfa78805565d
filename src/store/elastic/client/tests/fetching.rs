//! One file of a host that is no cluster.

use std::time::Duration;

use super::server::{Peer, Server};
use super::support::{PATIENCE, TOKEN, closed_port};
use crate::config::{EnvironmentProxies, Proxy, Secret};
use crate::store::elastic::client::{FetchError, fetch};

const BYTES_MAX: u64 = 1_000;

fn file(url: &str) -> Result<Vec<u8>, FetchError> {
    fetch(url, &Proxy::None, BYTES_MAX, PATIENCE)
}

/// A host that gives each request this answer, to which its length is added.
fn giving(head: &'static str, body: &'static str) -> Server {
    Server::plain(move |peer: &mut Peer| {
        peer.take()?;
        peer.say(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    })
}

#[test]
fn a_file_is_asked_for_without_a_word_of_clusters() {
    let host = giving("200 OK", "the file");
    assert_eq!(file(&format!("{}/a/key?x=1", host.http())).unwrap(), b"the file");
    let seen = host.next();
    assert!(seen.head.starts_with("GET /a/key?x=1 HTTP/1.1\r\n"), "{}", seen.head);
    assert!(seen.field("user-agent").is_some_and(|agent| agent.contains("Fleet-Server")));
    for field in ["authorization", "x-elastic-product-origin", "accept-encoding"] {
        assert!(seen.field(field).is_none_or(|value| value == "identity"), "{}", seen.head);
    }
}

#[test]
fn only_200_is_a_file() {
    for (head, status) in [("404 Not Found", 404), ("204 Empty", 204), ("500 Oh", 500), ("206 Part", 206)] {
        let host = giving(head, "");
        assert!(matches!(file(&host.http()), Err(FetchError::Status(got)) if got == status), "{head}");
    }
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let host = Server::plain(|peer: &mut Peer| {
        let seen = peer.read()?;
        let left: u32 = seen.head[5..6].parse().unwrap();
        peer.say(match left {
            0 => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfile".to_owned(),
            _ => format!(
                "HTTP/1.1 302 Found\r\nLocation: /{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                left - 1
            ),
        })
    });
    assert_eq!(file(&format!("{}/5", host.http())).unwrap(), b"file");
    assert!(file(&format!("{}/6", host.http())).is_err());
}

#[test]
fn a_file_has_a_bound_whether_its_length_is_announced_or_not() {
    let body: &'static str = "x".repeat(1_001).leak();
    assert_eq!(file(&giving("200 OK", &body[1..]).http()).unwrap().len(), 1_000);
    assert!(matches!(file(&giving("200 OK", body).http()), Err(FetchError::Answer(_))));
    let endless = Server::plain(|peer: &mut Peer| {
        peer.take()?;
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            peer.say(format!("64\r\n{}\r\n", "x".repeat(100)))?;
        }
    });
    assert!(matches!(file(&endless.http()), Err(FetchError::Answer(_))));
}

#[test]
fn a_host_that_says_nothing_or_half_is_given_up() {
    let silent = Server::plain(|peer: &mut Peer| {
        peer.take()?;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
        peer.wait_for_end()
    });
    let hasty = fetch(&silent.http(), &Proxy::None, BYTES_MAX, Duration::from_millis(100));
    assert!(matches!(hasty, Err(FetchError::Answer(_))), "{hasty:?}");
    assert!(matches!(file(&closed_port().1), Err(FetchError::Unanswered(_))));
    let cut_off = Server::plain(|peer: &mut Peer| {
        peer.take()?;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    });
    assert!(matches!(file(&cut_off.http()), Err(FetchError::Answer(_))));
}

#[test]
fn a_proxy_of_the_environment_is_used_and_its_password_not_told() {
    let proxy = giving("200 OK", "from afar");
    let url = proxy.http().replace("://", &format!("://me:{TOKEN}@"));
    let named = |url: String| {
        let http = Some(Secret::new(url));
        Proxy::Environment(EnvironmentProxies { http, https: None, except: Vec::new() })
    };
    let far = fetch("http://key.invalid/key", &named(url), BYTES_MAX, PATIENCE);
    assert_eq!(far.unwrap(), b"from afar");
    let head = proxy.next().head;
    // the port is always named
    assert!(head.starts_with("GET http://key.invalid:80/key HTTP/1.1\r\n"), "{head}");
    let dead = named(format!("http://me:{TOKEN}@127.0.0.1:{}", closed_port().0));
    let error = fetch("http://key.invalid/key", &dead, BYTES_MAX, PATIENCE).unwrap_err().to_string();
    assert!(error.contains("proxy") && !error.contains(TOKEN), "{error}");
}

#[test]
fn what_is_no_url_is_not_asked_for() {
    for url in ["", "key", "ftp://h/key", "http://", "https:///key", "http://h o/", "file:///etc/passwd"] {
        assert!(matches!(file(url), Err(FetchError::Url)), "{url}");
    }
}
