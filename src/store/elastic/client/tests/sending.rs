//! What is sent, to which host, how often.

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::server::{Peer, Server, answer, elasticsearch};
use super::support::{
    Hand, PATIENCE, TOKEN, client, closed_port, error_of, get, hasty, post, settings, succeed,
};
use crate::config::{Elasticsearch, Header, Secret};
use crate::store::elastic::client::{Client, Content, Request, SendError};

/// Reads a request and hangs up.
fn hangs_up(peer: &mut Peer) -> std::io::Result<()> {
    peer.take()
}

#[test]
fn one_connection_serves_one_request_after_the_other() {
    let server = Server::plain(elasticsearch);
    let client = client(&[server.http()]);
    for _ in 0..3 {
        succeed(&client, &get());
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn each_request_says_who_we_are() {
    let server = Server::plain(elasticsearch);
    succeed(&client(&[server.http()]), &get());
    let seen = server.next();
    assert!(seen.head.starts_with("GET / HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.field("authorization").unwrap(), format!("Bearer {TOKEN}"));
    assert_eq!(seen.field("x-elastic-product-origin").unwrap(), "fleet");
    assert_eq!(seen.field("accept-encoding").unwrap(), "gzip");
    assert!(seen.field("user-agent").unwrap().starts_with("Elastic-Fleet-Server/"));
    assert_eq!(seen.field("host").unwrap(), server.address.to_string());
}

#[test]
fn a_small_answer_is_asked_for_as_it_is() {
    let server = Server::plain(elasticsearch);
    succeed(&client(&[server.http()]), &Request { small_answer: true, ..get() });
    assert_eq!(server.next().field("accept-encoding"), None);
}

#[test]
fn a_body_has_a_length_and_a_type() {
    let server = Server::plain(elasticsearch);
    let client = client(&[server.http()]);
    succeed(&client, &post("{\"a\":1}"));
    succeed(&client, &Request { content: Content::Lines, ..post("{}\n") });
    succeed(&client, &post(""));
    succeed(&client, &Request { body: b"{}".to_vec(), ..get() });
    let seen = server.next();
    assert_eq!((seen.field("content-type"), &seen.body[..]), (Some("application/json"), &b"{\"a\":1}"[..]));
    assert_eq!(server.next().field("content-type"), Some("application/x-ndjson"));
    let empty = server.next();
    assert_eq!((empty.field("content-type"), empty.field("content-length")), (None, Some("0")));
    let with_body = server.next();
    assert!(with_body.head.starts_with("GET ") && with_body.body == b"{}");
}

#[test]
fn a_request_may_have_an_authorization_of_its_own() {
    let server = Server::plain(elasticsearch);
    let own = Request { authorization: Some(Secret::new("ApiKey abc")), ..get() };
    succeed(&client(&[server.http()]), &own);
    assert_eq!(server.next().field("authorization"), Some("ApiKey abc"));
}

#[test]
fn other_settings_hold_from_the_next_request_on() {
    let (one, other) = (Server::plain(elasticsearch), Server::plain(elasticsearch));
    let client = client(&[one.http()]);
    succeed(&client, &get());
    let with =
        |token: &str| Elasticsearch { service_token: Some(Secret::new(token)), ..settings(&[other.http()]) };
    client.configure(&with("other")).unwrap();
    succeed(&client, &get());
    assert_eq!(other.next().field("authorization"), Some("Bearer other"));
    assert!(client.configure(&with("a\nb")).is_err(), "it cannot be sent");
    succeed(&client, &get());
    assert_eq!(other.next().field("authorization"), Some("Bearer other"));
    assert_eq!(client.requests(), [("other", 3, 0)]);
}

#[test]
fn the_path_of_a_host_comes_first_and_configured_headers_come_along() {
    let server = Server::plain(elasticsearch);
    let mut settings = settings(&[format!("{}/proxied/", server.http())]);
    settings.headers = vec![Header { name: "X-Tenant".to_owned(), value: Secret::new("7") }];
    succeed(&Client::new(&settings).unwrap(), &Request { path: "/_bulk?refresh=true".to_owned(), ..get() });
    let seen = server.next();
    assert!(seen.head.starts_with("GET /proxied/_bulk?refresh=true HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.field("x-tenant"), Some("7"));
}

#[test]
fn what_cannot_be_sent_is_not_sent() {
    let server = Server::plain(elasticsearch);
    let mut settings = settings(&[server.http()]);
    settings.request_bytes_max = 4;
    let client = Client::new(&settings).unwrap();
    let bad_path = Request { path: "/a b".to_owned(), ..get() };
    let bad_secret = Request { authorization: Some(Secret::new(format!("{TOKEN}\n"))), ..get() };
    for request in [post("12345"), bad_path, bad_secret] {
        let error = error_of(&client, &request);
        assert!(matches!(error, SendError::NotSent { .. }) && !error.may_be_repeated(&request), "{error}");
    }
    assert_eq!(server.connections(), 0);
    succeed(&client, &post("1234"));
}

#[test]
fn hosts_that_are_no_urls_are_named() {
    for host in ["es:9200", "ftp://es", "http://", "http://a b"] {
        let error = Client::new(&settings(&[host.to_owned()])).err().unwrap().to_string();
        assert!(error.contains(host), "{error}");
    }
}

#[test]
fn an_answer_of_any_status_is_an_answer() {
    for status in [400, 401, 403, 404, 409, 429, 503] {
        let server = Server::plain(move |peer| {
            peer.take()?;
            // proxies answer in the cluster's place, without its name
            peer.say(format!("HTTP/1.1 {status} No\r\ncontent-length: 2\r\n\r\nno"))
        });
        let response = client(&[server.http()]).send(&get()).unwrap();
        assert_eq!((response.status, &response.body[..]), (status, &b"no"[..]));
    }
}

#[test]
fn a_redirection_is_not_followed() {
    let server = Server::plain(|peer| {
        peer.take()?;
        peer.say("HTTP/1.1 307 Over there\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
    });
    assert_eq!(client(&[server.http()]).send(&post("{}")).unwrap().status, 307);
}

#[test]
fn a_dead_host_is_set_aside_and_tried_again_later() {
    let hand = Hand::default();
    let alive = Server::plain(elasticsearch);
    let (port, dead) = closed_port();
    let client = hand.client(&[dead, alive.http()]);
    // not done on the first for certain, so also what may not be repeated goes to the second
    for _ in 0..3 {
        succeed(&client, &post("{}"));
        alive.next();
    }
    let revived = Server::on(TcpListener::bind(("127.0.0.1", port)).unwrap(), None, elasticsearch);
    hand.pass(59);
    succeed(&client, &get());
    alive.next();
    hand.pass(1);
    succeed(&client, &get());
    succeed(&client, &get());
    revived.next();
    alive.next();
}

#[test]
fn where_all_are_dead_one_is_tried_and_the_error_says_so() {
    let hand = Hand::default();
    let (port, first) = closed_port();
    let (_, second) = closed_port();
    let client = hand.client(&[first, second]);
    let error = error_of(&client, &get());
    assert!(matches!(error, SendError::NotReached { .. }) && error.may_be_repeated(&post("")), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    // the first failed least recently: it is asked as soon as it is back, and both are set aside
    hand.pass(1);
    let _revived = Server::on(TcpListener::bind(("127.0.0.1", port)).unwrap(), None, elasticsearch);
    succeed(&client, &get());
}

#[test]
fn a_host_without_an_address_is_named() {
    let client = client(&["http://no-such-host.invalid:9200".to_owned()]);
    let error = error_of(&client, &get());
    assert!(matches!(error, SendError::NotReached { .. }), "{error}");
    assert!(error.to_string().contains("no-such-host.invalid has no address"), "{error}");
}

#[test]
fn after_a_broken_connection_only_what_may_be_repeated_goes_to_another_host() {
    let (bad, good) = (Server::plain(hangs_up), Server::plain(elasticsearch));
    let error = error_of(&client(&[bad.http(), good.http()]), &post("{}"));
    assert!(matches!(error, SendError::Unknown { .. }) && !error.may_be_repeated(&post("{}")), "{error}");
    assert!(error.to_string().contains("closed"), "{error}");
    assert!(!good.saw_more());
    succeed(&client(&[bad.http(), good.http()]), &get());
    good.next();
}

#[test]
fn a_host_that_has_frozen_holds_up_only_what_may_not_be_repeated() {
    let frozen = Server::plain(|peer| {
        peer.take()?;
        peer.wait_for_end()
    });
    let good = Server::plain(elasticsearch);
    let settings = settings(&[frozen.http(), good.http()]);
    succeed(&hasty(&settings), &get());
    good.next();
    // where no other host works its time is its own
    let patient = Elasticsearch { timeout: Duration::from_millis(200), ..settings };
    let alone = Elasticsearch { hosts: vec![frozen.http()], ..patient };
    let error = error_of(&hasty(&alone), &get());
    assert!(error.to_string().contains("nothing came in time"), "{error}");
}

#[test]
fn a_request_is_tried_once_on_each_host() {
    let (first, second) = (Server::plain(hangs_up), Server::plain(hangs_up));
    error_of(&client(&[first.http(), second.http()]), &get());
    assert_eq!((first.connections(), second.connections()), (1, 1));
}

#[test]
fn a_request_is_not_tried_on_hosts_without_end() {
    let servers: Vec<Server> = (0..8).map(|_| Server::plain(hangs_up)).collect();
    let hosts: Vec<String> = servers.iter().map(Server::http).collect();
    error_of(&client(&hosts), &get());
    assert_eq!(servers.iter().map(Server::connections).sum::<usize>(), 6);
}

#[test]
fn a_connection_that_was_closed_while_nobody_used_it_is_not_used_again() {
    let (close, told) = channel::<()>();
    let (closed, is_closed) = channel();
    let told = Mutex::new(told);
    let server = Server::plain(move |peer| {
        peer.take()?;
        peer.say(answer(200, "{}"))?;
        told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.hang_up()?;
        closed.send(()).unwrap();
        Ok(())
    });
    let client = client(&[server.http()]);
    for _ in 0..3 {
        succeed(&client, &post("{}"));
        close.send(()).unwrap();
        is_closed.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_short_wait_on_a_kept_connection_is_not_as_long_as_the_one_before() {
    let server = Server::plain(|peer| {
        peer.take()?;
        peer.say(answer(200, "{}"))?;
        peer.take()?;
        peer.wait_for_end()
    });
    let client = client(&[server.http()]);
    let wait = |timeout| Request { timeout: Some(timeout), ..get() };
    succeed(&client, &wait(Duration::from_secs(3600)));
    let error = error_of(&client, &wait(Duration::from_millis(50)));
    assert!(error.to_string().contains("in time"), "{error}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let server = Server::plain(|peer| {
        peer.take()?;
        peer.wait_for_end()
    });
    let other = Server::plain(elasticsearch);
    let client = client(&[server.http(), other.http()]);
    let error = error_of(&client, &Request { timeout: Some(Duration::from_millis(50)), ..get() });
    assert!(matches!(error, SendError::Unknown { .. }), "{error}");
    assert!(error.to_string().contains("in time"), "{error}");
    // not asked as well: that would double the wait; but from now on it is preferred
    assert!(!other.saw_more());
    for _ in 0..2 {
        succeed(&client, &get());
        other.next();
    }
}

#[test]
fn something_else_than_elasticsearch_is_set_aside() {
    let other = Server::plain(|peer| {
        peer.take()?;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    });
    let error = error_of(&client(&[other.http()]), &get());
    assert!(matches!(error, SendError::Answer { .. }), "{error}");
    assert!(error.to_string().contains("not Elasticsearch"), "{error}");
    let good = Server::plain(elasticsearch);
    succeed(&client(&[other.http(), good.http()]), &get());
}

#[test]
fn a_host_proves_only_once_that_it_is_elasticsearch() {
    let server = Server::plain(|peer| {
        peer.take()?;
        peer.say(answer(200, "{}"))?;
        peer.take()?;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    });
    let client = client(&[server.http()]);
    succeed(&client, &get());
    succeed(&client, &get());
}

#[test]
fn a_long_poll_takes_no_place_of_other_requests_and_has_a_bound_of_its_own() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let server = Server::plain(move |peer| {
        loop {
            let seen = peer.read()?;
            let waits = seen.head.contains("/poll");
            peer.tell(seen);
            if waits {
                released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            }
            peer.say(answer(200, "{}"))?;
        }
    });
    let mut settings = settings(&[server.http()]);
    settings.connections_per_host_max = 1;
    settings.timeout = Duration::from_secs(1);
    let client = Client::new(&settings).unwrap();
    let poll = Request { path: "/poll".to_owned(), timeout: Some(PATIENCE), ..get() };
    std::thread::scope(|scope| {
        let polling = scope.spawn(|| client.send(&poll).map(|response| response.status));
        server.next();
        succeed(&client, &get());
        let error = error_of(&client, &poll);
        assert!(matches!(error, SendError::NotReached { .. }), "{error}");
        release.send(()).unwrap();
        assert_eq!(polling.join().unwrap().unwrap(), 200);
    });
}

#[test]
fn a_closed_client_ends_what_others_wait_for() {
    let server = Server::plain(|peer| {
        peer.take()?;
        peer.wait_for_end()
    });
    let client = client(&[server.http()]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.send(&get()).map(|response| response.status));
        server.next();
        client.close();
        assert!(waiting.join().unwrap().is_err());
    });
    assert!(client.is_reachable(), "it is not the host's fault");
    let error = error_of(&client, &get());
    assert!(matches!(error, SendError::NotReached { .. }), "{error}");
}
