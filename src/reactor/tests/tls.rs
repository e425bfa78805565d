//! TLS connections: echo, records in pieces, closing.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};

use super::support::{Client, Command, Running, Seen, ca, client, client_config, pair, settings, start};

/// A server with a fresh certificate, and a client's settings for it.
fn tls(version: &'static SupportedProtocolVersion) -> (Running, Arc<ClientConfig>) {
    let ca = ca("test");
    let mut settings = settings();
    settings.tls = Some(pair(&ca, 1).tls());
    (start(settings), client_config(&ca, None, version))
}

fn echo(client: &mut Client, bytes: &[u8]) {
    client.write_all(bytes).unwrap();
    let mut echoed = vec![0; bytes.len()];
    client.read_exact(&mut echoed).unwrap();
    assert!(echoed == bytes);
}

#[test]
fn what_is_sent_comes_back_over_tls_1_3() {
    let (running, config) = tls(&TLS13);
    echo(&mut client(running.external, &config), b"hello");
    let (_, tls) =
        running.wait(|seen| if let Seen::Opened(id, _, tls) = seen { Some((id, tls)) } else { None });
    assert!(tls);
}

#[test]
fn what_is_sent_comes_back_over_tls_1_2() {
    let (running, config) = tls(&TLS12);
    echo(&mut client(running.external, &config), b"hello");
}

#[test]
fn a_resumed_session_works_in_both_versions() {
    for version in [&TLS12, &TLS13] {
        let (running, config) = tls(version);
        for _ in 0..2 {
            let mut client = client(running.external, &config);
            echo(&mut client, b"again");
            // the ticket of TLS 1.3 comes after the handshake; a second round trip has read it
            echo(&mut client, b"and again");
        }
        let mut client = client(running.external, &config);
        echo(&mut client, b"x");
        assert_eq!(client.conn.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    }
}

#[test]
fn http_1_1_is_chosen_when_offered() {
    let (running, config) = tls(&TLS13);
    let mut config = ClientConfig::clone(&config);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = client(running.external, &Arc::new(config));
    echo(&mut client, b"x");
    assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn a_client_that_speaks_only_h2_is_told_that_there_is_none() {
    let (running, config) = tls(&TLS13);
    let mut config = ClientConfig::clone(&config);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = client(running.external, &Arc::new(config));
    let error = client.write_all(b"x").and_then(|()| client.read_exact(&mut [0])).unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

/// Everything the client sends goes out a byte at a time.
struct Drip(std::net::TcpStream);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Drip {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_may_come_one_byte_at_a_time() {
    for version in [&TLS12, &TLS13] {
        let (running, config) = tls(version);
        let whole = client(running.external, &config);
        whole.sock.set_nodelay(true).unwrap();
        let mut client = rustls::StreamOwned::new(whole.conn, Drip(whole.sock));
        client.write_all(&[7; 2_000]).unwrap();
        let mut echoed = [0; 2_000];
        client.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, [7; 2_000]);
    }
}

#[test]
fn many_large_messages_come_back_in_order() {
    let (running, config) = tls(&TLS13);
    let mut client = client(running.external, &config);
    let mut state = 1u32;
    for length in [1, 16_383, 16_384, 16_385, 100_000, 3] {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        echo(&mut client, &bytes);
    }
}

#[test]
fn a_close_notify_ends_and_the_answer_still_comes() {
    for version in [&TLS12, &TLS13] {
        let (running, config) = tls(version);
        let mut client = client(running.external, &config);
        client.write_all(b"last words").unwrap();
        client.conn.send_close_notify();
        client.flush().unwrap();
        let mut echoed = Vec::new();
        // ends without error only if the server says close_notify too
        client.read_to_end(&mut echoed).unwrap();
        assert_eq!(echoed, b"last words");
        running.wait(|seen| matches!(seen, Seen::Ended(_)).then_some(()));
        running.wait_lost();
    }
}

#[test]
fn an_end_without_close_notify_is_an_end() {
    let (running, config) = tls(&TLS13);
    let mut client = client(running.external, &config);
    echo(&mut client, b"x");
    client.sock.shutdown(Shutdown::Write).unwrap();
    running.wait(|seen| matches!(seen, Seen::Ended(_)).then_some(()));
    running.wait_lost();
}

#[test]
fn a_goodbye_is_noticed_while_nobody_reads() {
    for version in [&TLS12, &TLS13] {
        let (running, config) = tls(version);
        let mut client = client(running.external, &config);
        echo(&mut client, b"x");
        running.command(Command::Listen(false));
        client.conn.send_close_notify();
        client.flush().unwrap();
        drop(client);
        running.wait(|seen| matches!(seen, Seen::Ended(_)).then_some(()));
    }
}

#[test]
fn records_that_the_core_cannot_take_wait_and_answers_still_go_out() {
    let (running, config) = tls(&TLS13);
    let mut client = client(running.external, &config);
    echo(&mut client, b"x");
    running.command(Command::Listen(false));
    for _ in 0..50 {
        client.write_all(&[1; 500]).unwrap();
    }
    running.command(Command::Show(5));
    let mut shown = [0; 5];
    client.read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"xxxxx");
    running.command(Command::Listen(true));
    let mut echoed = vec![0; 25_000];
    client.read_exact(&mut echoed).unwrap();
    assert!(echoed.iter().all(|byte| *byte == 1));
}

#[test]
fn keys_may_change_while_bytes_flow() {
    let (running, config) = tls(&TLS13);
    let mut client = client(running.external, &config);
    echo(&mut client, b"x");
    for _ in 0..3 {
        client.conn.refresh_traffic_keys().unwrap();
        echo(&mut client, &[3; 20_000]);
    }
}
