//! Requests through proxies of the test's own.

use std::io;
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::certificates::{Serving, ca, params, settings_with, signed, trusting};
use super::server::{Peer, Server, elasticsearch};
use super::support::{TOKEN, closed_port, error_of, get, hasty, post, settings, succeed};
use crate::config::{Elasticsearch, EnvironmentProxies, Header, Proxy, Secret};
use crate::store::elastic::client::{Client, SendError};

/// A host that only a proxy could find.
const FAR: &str = "http://es.invalid:9200/path";

/// A client whose requests go through a proxy with user name and password.
fn client(settings: Elasticsearch, proxy_url: &str) -> Client {
    let url = proxy_url.replace("://", &format!("://me:{TOKEN}@"));
    Client::new(&Elasticsearch { proxy: Proxy::Url(Secret::new(url)), ..settings }).unwrap()
}

/// What `Proxy-Authorization` says then.
fn password() -> String {
    format!("Basic {}", STANDARD.encode(format!("me:{TOKEN}")))
}

/// Takes CONNECT and goes where it says.
fn tunnels(peer: &mut Peer) -> io::Result<()> {
    let seen = peer.read()?;
    let target = seen.head.split(' ').nth(1).unwrap().to_owned();
    peer.tell(seen);
    let upstream = TcpStream::connect(target)?;
    peer.say("HTTP/1.1 200 Go ahead\r\nx-proxy: test\r\n\r\n")?;
    peer.pass_on(upstream)
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: Secret::new(value) }
}

#[test]
fn a_proxy_is_told_the_whole_url_of_a_plain_host() {
    let proxy = Server::plain(elasticsearch);
    let mut settings = settings(&[FAR.to_owned()]);
    settings.proxy_headers = vec![header("X-Connect", "1")];
    let client = client(settings, &proxy.http());
    succeed(&client, &get());
    succeed(&client, &post("{\"a\":1}"));
    let first = proxy.next();
    assert!(first.head.starts_with("GET http://es.invalid:9200/path/ HTTP/1.1\r\n"), "{}", first.head);
    assert_eq!(first.field("host"), Some("es.invalid:9200"));
    assert_eq!(first.field("proxy-authorization"), Some(&password()[..]));
    assert_eq!(first.field("authorization"), Some(&format!("Bearer {TOKEN}")[..]));
    // they are for CONNECT
    assert_eq!(first.field("x-connect"), None);
    let second = proxy.next();
    assert!(second.head.starts_with("POST http://es.invalid:9200/path/_doc HTTP/1.1\r\n"), "{}", second.head);
    assert_eq!((second.field("proxy-authorization").is_some(), &second.body[..]), (true, &b"{\"a\":1}"[..]));
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_large_body_goes_through_a_proxy_as_it_is() {
    let proxy = Server::plain(elasticsearch);
    let client = client(settings(&[FAR.to_owned()]), &proxy.http());
    let body = "GET / HTTP/1.1\r\n\r\n".repeat(20_000);
    succeed(&client, &post(&body));
    assert_eq!(proxy.next().body, body.as_bytes());
}

#[test]
fn an_encrypted_host_is_reached_by_connect() {
    let good = ca("good");
    let server = Server::tls(&Serving::with(&signed(&good, &params())).config(), elasticsearch);
    let proxy = Server::plain(tunnels);
    let mut settings = settings_with(server.https(), trusting(&good));
    settings.proxy_headers = vec![header("X-Connect", "1"), header("proxy-authorization", "loses")];
    let client = client(settings, &proxy.http());
    succeed(&client, &get());
    succeed(&client, &get());
    let asked = proxy.next();
    let target = format!("localhost:{}", server.address.port());
    assert!(asked.head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{}", asked.head);
    assert_eq!((asked.field("host"), asked.field("x-connect")), (Some(&target[..]), Some("1")));
    assert_eq!(asked.field("proxy-authorization"), Some(&password()[..]));
    // the service token is for Elasticsearch alone
    assert_eq!(asked.field("authorization"), None);
    let seen = server.next();
    assert!(seen.head.starts_with("GET / HTTP/1.1\r\n") && seen.field("proxy-authorization").is_none());
    assert_eq!((proxy.connections(), server.connections()), (1, 1));
}

#[test]
fn a_proxy_may_be_encrypted_itself() {
    let good = ca("good");
    let config = Serving::with(&signed(&good, &params())).config();
    let (server, proxy) = (Server::tls(&config, elasticsearch), Server::tls(&config, tunnels));
    let through = client(settings_with(server.https(), trusting(&good)), &proxy.https());
    succeed(&through, &post(&"x".repeat(100_000)));
    assert_eq!(server.next().body.len(), 100_000);
    let proxy = Server::tls(&config, elasticsearch);
    let through = client(settings_with(FAR.to_owned(), trusting(&good)), &proxy.https());
    succeed(&through, &get());
    assert!(proxy.next().head.starts_with("GET http://es.invalid:9200/path/ HTTP/1.1\r\n"));
    // verified like the cluster
    let stranger = client(settings_with(FAR.to_owned(), trusting(&ca("other"))), &proxy.https());
    let text = error_of(&stranger, &get()).to_string();
    assert!(text.contains(&format!("proxy {}: TLS: ", proxy.https())), "{text}");
}

#[test]
fn a_proxy_does_not_make_a_bad_certificate_good() {
    let server = Server::tls(&Serving::with(&signed(&ca("other"), &params())).config(), elasticsearch);
    let proxy = Server::plain(tunnels);
    let client = client(settings_with(server.https(), trusting(&ca("good"))), &proxy.http());
    let text = error_of(&client, &get()).to_string();
    assert!(text.contains("UnknownIssuer"), "{text}");
}

/// The error of a request to an encrypted host through a proxy that answers CONNECT like this.
fn refusal(answer: &'static str) -> String {
    let proxy = Server::plain(move |peer| {
        peer.take()?;
        peer.say(answer)
    });
    let client = client(settings(&["https://es.invalid:9200".to_owned()]), &proxy.http());
    let error = error_of(&client, &post("{}"));
    assert!(matches!(error, SendError::NotReached { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&format!("https://es.invalid:9200 is not reached: proxy {}: ", proxy.http())),
        "{text}"
    );
    text
}

#[test]
fn a_proxy_that_refuses_is_named_with_its_reason() {
    assert!(refusal("HTTP/1.1 407 Who are you\r\n\r\n").contains("407"));
    assert!(refusal("SSH-2.0-OpenSSH_9.9\r\n\r\n").contains("not HTTP"));
    assert!(refusal("").contains("closed"));
}

#[test]
fn a_proxys_answer_without_end_is_given_up() {
    let proxy = Server::plain(|peer| {
        peer.take()?;
        peer.say("HTTP/1.1 200 OK\r\n")?;
        loop {
            peer.say("x-filler: 0123456789012345678901234567890123456789\r\n")?;
        }
    });
    let client = client(settings(&["https://es.invalid:9200".to_owned()]), &proxy.http());
    assert!(error_of(&client, &get()).to_string().contains("not HTTP"));
}

#[test]
fn a_silent_proxy_is_given_up_in_time() {
    let proxy = Server::plain(|peer| {
        peer.take()?;
        peer.wait_for_end()
    });
    let settings = settings(&["https://es.invalid:9200".to_owned()]);
    let client = hasty(&Elasticsearch { proxy: Proxy::Url(Secret::new(proxy.http())), ..settings });
    let text = error_of(&client, &get()).to_string();
    assert!(text.contains(&format!("proxy {}: nothing came in time", proxy.http())), "{text}");
}

#[test]
fn a_dead_proxy_is_named() {
    let (_, dead) = closed_port();
    let text = error_of(&client(settings(&[FAR.to_owned()]), &dead), &get()).to_string();
    assert!(text.contains(&format!("proxy {dead}: ")) && text.contains("refused"), "{text}");
}

#[test]
fn this_machine_is_reached_directly_where_the_environment_names_a_proxy() {
    let server = Server::plain(elasticsearch);
    let (_, dead) = closed_port();
    let dead = Some(Secret::new(dead));
    let proxies = EnvironmentProxies { http: dead.clone(), https: dead, except: Vec::new() };
    let proxy = Proxy::Environment(proxies);
    let client = Client::new(&Elasticsearch { proxy, ..settings(&[server.http()]) }).unwrap();
    succeed(&client, &get());
}
