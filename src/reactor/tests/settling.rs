//! Between the end of the handshake and the first answer: what is held back, and what may go wrong.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};

use super::support::{Client, Command, Running, Seen, ca, client, client_config, pair, settings, start};
use crate::config::{ClientAuthentication, PemSource, Secret};

fn server(ca: &super::support::Ca) -> Running {
    let mut settings = settings();
    settings.tls = Some(pair(ca, 1).tls());
    start(settings)
}

/// Does the handshake and says nothing more.
fn shake_hands(client: &mut Client) {
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock).unwrap();
    }
    client.conn.write_tls(&mut client.sock).unwrap();
}

#[test]
fn a_handshake_ends_while_nothing_is_read() {
    for version in [&TLS12, &TLS13] {
        let ca = ca("test");
        let running = server(&ca);
        running.command(Command::Listen(false));
        let mut client = client(running.external, &client_config(&ca, None, version));
        shake_hands(&mut client);
        client.write_all(b"later").unwrap();
        running.wait_opened();
        running.command(Command::Listen(true));
        let mut echoed = [0; 5];
        client.read_exact(&mut echoed).unwrap();
        assert_eq!(&echoed, b"later");
    }
}

#[test]
fn what_is_held_goes_before_an_answer_that_the_socket_does_not_take_at_once() {
    const BYTES: usize = 4 * 1024 * 1024;
    let ca = ca("test");
    let running = server(&ca);
    let mut client = client(running.external, &client_config(&ca, None, &TLS13));
    shake_hands(&mut client);
    running.wait_opened();
    running.command(Command::Show(BYTES));
    let mut shown = vec![0; BYTES];
    client.read_exact(&mut shown).unwrap();
    assert!(shown.iter().all(|byte| *byte == b'x'));
    assert!(client.conn.tls13_tickets_received() > 0, "the ticket came too");
}

#[test]
fn a_ticket_too_large_to_be_held_is_sent_at_once() {
    let ca = ca("test");
    let mut tls = pair(&ca, 1).tls();
    tls.certificate_authorities = vec![PemSource::Inline(Secret::new(ca.pem()))];
    tls.client_authentication = ClientAuthentication::Required;
    let mut settings = settings();
    settings.tls = Some(tls);
    let running = start(settings);
    // the client's chain is in it
    let mut identity = pair(&ca, 2);
    identity.certificate += &super::support::ca("more").pem();
    let mut client = client(running.external, &client_config(&ca, Some(&identity), &TLS13));
    shake_hands(&mut client);
    while client.conn.tls13_tickets_received() == 0 {
        assert!(client.conn.read_tls(&mut client.sock).unwrap() > 0, "the server closed");
        client.conn.process_new_packets().unwrap();
    }
}

#[test]
fn a_goodbye_right_after_the_handshake_is_answered() {
    for version in [&TLS12, &TLS13] {
        let ca = ca("test");
        let running = server(&ca);
        let mut client = client(running.external, &client_config(&ca, None, version));
        shake_hands(&mut client);
        client.conn.send_close_notify();
        client.flush().unwrap();
        // ends without error only if the server says close_notify too
        client.read_to_end(&mut Vec::new()).unwrap();
        running.wait_lost();
    }
}

#[test]
fn a_broken_record_in_one_piece_with_the_end_of_the_handshake_leaves_nothing() {
    let ca = ca("test");
    let running = server(&ca);
    let config = client_config(&ca, None, &TLS13);
    let mut client = client(running.external, &Arc::clone(&config));
    client.conn.write_tls(&mut client.sock).unwrap();
    while client.conn.is_handshaking() {
        assert!(client.conn.read_tls(&mut client.sock).unwrap() > 0, "the server closed");
        client.conn.process_new_packets().unwrap();
    }
    let mut last = Vec::new();
    client.conn.writer().write_all(b"a request").unwrap();
    while client.conn.wants_write() {
        client.conn.write_tls(&mut last).unwrap();
    }
    last.extend_from_slice(&[23, 3, 3, 0, 20]);
    last.extend_from_slice(&[0; 20]);
    client.sock.write_all(&last).unwrap();
    let received =
        running.wait(|seen| if let Seen::Received(id, bytes) = seen { Some((id, bytes)) } else { None });
    assert_eq!(received.1, 9);
    assert_eq!(running.wait_lost(), received.0);
    // its place is free and the loop goes on
    let mut other = super::support::client(running.external, &config);
    other.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
}
