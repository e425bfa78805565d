//! TLS beyond trust: our own certificate, versions, files that change, settings that cannot be used.

use std::path::PathBuf;
use std::time::Duration;

use rustls::version;

use super::certificates::{
    Pair, Serving, ca, client_with, inline, params, pem, settings_with, signed, trusting,
};
use super::server::{Server, elasticsearch};
use super::support::{Hand, TOKEN, error_of, get, hasty, settings, succeed};
use crate::config::{ClientIdentity, ClientTls, PemSource, Protocol, Secret};
use crate::store::elastic::client::{Client, ClientError, SendError};

fn identity(pair: &Pair) -> ClientIdentity {
    ClientIdentity {
        certificate: inline(&pem(&pair.chain)),
        key: inline(&pair.key.serialize_pem()),
        key_passphrase: None,
    }
}

#[test]
fn our_certificate_is_shown_to_who_asks() {
    let (good, clients) = (ca("good"), ca("clients"));
    let pair = signed(&good, &params());
    for versions in [&[&version::TLS12], &[&version::TLS13]] {
        let config = Serving { clients: Some(&clients), versions, ..Serving::with(&pair) }.config();
        let server = Server::tls(&config, elasticsearch);
        let ours = Some(identity(&signed(&clients, &params())));
        succeed(&client_with(server.https(), ClientTls { identity: ours, ..trusting(&good) }), &get());
        assert!(server.next().head.starts_with("GET / "));
        let stranger = Some(identity(&signed(&good, &params())));
        for identity in [None, stranger] {
            error_of(&client_with(server.https(), ClientTls { identity, ..trusting(&good) }), &get());
            assert!(!server.saw_more());
        }
    }
}

#[test]
fn one_encrypted_connection_serves_large_requests_one_after_the_other() {
    let good = ca("good");
    let server = Server::tls(&Serving::with(&signed(&good, &params())).config(), elasticsearch);
    let client = client_with(server.https(), trusting(&good));
    for size in [0, 10, 16 * 1024, 300_000] {
        succeed(&client, &super::support::post(&"x".repeat(size)));
        assert_eq!(server.next().body.len(), size);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn only_chosen_versions_are_spoken() {
    let good = ca("good");
    let pair = signed(&good, &params());
    let config = Serving { versions: &[&version::TLS13], ..Serving::with(&pair) }.config();
    let server = Server::tls(&config, elasticsearch);
    let only = |protocol| ClientTls { protocols: vec![protocol], ..trusting(&good) };
    succeed(&client_with(server.https(), only(Protocol::Tls13)), &get());
    let text = error_of(&client_with(server.https(), only(Protocol::Tls12)), &get()).to_string();
    assert!(text.contains("TLS"), "{text}");
}

#[test]
fn a_server_that_speaks_no_tls_or_nothing_is_not_reached() {
    let server = Server::plain(|peer| {
        peer.say("HTTP/1.1 400 Plain text here\r\n\r\n")?;
        peer.wait_for_end()
    });
    let text = error_of(&client_with(server.https(), ClientTls::default()), &get()).to_string();
    assert!(text.contains("is not reached: TLS: "), "{text}");
    let server = Server::plain(|_| Ok(()));
    let text = error_of(&client_with(server.https(), ClientTls::default()), &get()).to_string();
    assert!(text.contains("is not reached: TLS: "), "{text}");
}

#[test]
fn a_handshake_that_does_not_go_on_is_given_up_in_time() {
    let silent = Server::plain(|peer| peer.wait_for_end());
    // the header of a record, and then a byte of it now and then
    let slow = Server::plain(|peer| {
        peer.say([22, 3, 3, 64, 0, 2, 0, 63, 252])?;
        loop {
            peer.say([0])?;
        }
    });
    for server in [silent, slow] {
        let error = error_of(&hasty(&settings(&[server.https()])), &get());
        assert!(matches!(error, SendError::NotReached { .. }), "{error}");
        assert!(error.to_string().contains("TLS: "), "{error}");
    }
}

#[test]
fn changed_files_are_used_once_their_interval_has_passed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let (old, new) = (ca("old"), ca("new"));
    std::fs::write(&path, old.pem()).unwrap();
    let server = Server::tls(&Serving::with(&signed(&new, &params())).config(), elasticsearch);
    let hand = Hand::default();
    let tls = ClientTls {
        certificate_authorities: vec![PemSource::File(path.clone())],
        reload: Some(Duration::from_secs(5)),
        ..ClientTls::default()
    };
    let client = hand.client_of(&settings_with(server.https(), tls));
    error_of(&client, &get());
    std::fs::write(&path, new.pem()).unwrap();
    hand.pass(4);
    error_of(&client, &get());
    hand.pass(1);
    succeed(&client, &get());
}

#[test]
fn a_file_that_became_bad_leaves_the_old_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let good = ca("good");
    std::fs::write(&path, good.pem()).unwrap();
    let server = Server::tls(&Serving::with(&signed(&good, &params())).config(), |peer| {
        peer.take()?;
        peer.say("HTTP/1.1 404 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    });
    let hand = Hand::default();
    let tls = ClientTls {
        certificate_authorities: vec![PemSource::File(path.clone())],
        reload: Some(Duration::from_secs(5)),
        ..ClientTls::default()
    };
    let client = hand.client_of(&settings_with(server.https(), tls));
    assert_eq!(client.send(&get()).unwrap().status, 404);
    std::fs::write(&path, "no certificate").unwrap();
    hand.pass(10);
    assert_eq!(client.send(&get()).unwrap().status, 404);
    assert_eq!(server.connections(), 2);
}

/// Why a client with this section cannot be made.
fn refusal(tls: ClientTls) -> String {
    let error = Client::new(&settings_with("https://es:9200".to_owned(), tls)).err().unwrap();
    assert!(matches!(error, ClientError::Tls(_)));
    error.to_string()
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let missing = PemSource::File(PathBuf::from("no/such/ca.pem"));
    let text = refusal(ClientTls { certificate_authorities: vec![missing], ..ClientTls::default() });
    assert!(text.contains("no/such/ca.pem"), "{text}");
    let text = refusal(ClientTls { certificate_authorities: vec![inline(TOKEN)], ..ClientTls::default() });
    assert!(text.contains("ssl.certificate_authorities") && !text.contains(TOKEN), "{text}");
    let (first, second) = (signed(&ca("a"), &params()), signed(&ca("b"), &params()));
    let mixed = ClientIdentity { key: inline(&second.key.serialize_pem()), ..identity(&first) };
    let text = refusal(ClientTls { identity: Some(mixed), ..ClientTls::default() });
    assert!(text.contains("ssl.certificate") && text.contains("ssl.key"), "{text}");
    let locked = ClientIdentity {
        key: inline(include_str!("../../../../reactor/tests/keys/encrypted.key")),
        key_passphrase: Some(Secret::new(TOKEN)),
        ..identity(&first)
    };
    let text = refusal(ClientTls { identity: Some(locked), ..ClientTls::default() });
    assert!(text.contains("key_passphrase") && !text.contains(TOKEN), "{text}");
    let text = refusal(ClientTls { curve_types: vec!["secp521r1".to_owned()], ..ClientTls::default() });
    assert!(text.contains("curve_types"), "{text}");
}

#[test]
fn a_section_is_not_read_where_nothing_is_encrypted() {
    let missing = PemSource::File(PathBuf::from("no/such/ca.pem"));
    let tls = ClientTls { certificate_authorities: vec![missing], ..ClientTls::default() };
    let plain = crate::config::Elasticsearch { tls: Some(tls), ..settings(&["http://es:9200".to_owned()]) };
    assert!(Client::new(&plain).is_ok());
}
