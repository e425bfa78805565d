//! Handshakes that do not go well.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};

use super::support::{Command, Running, ca, client, client_config, pair, settings, start};
use crate::reactor::Bounds;

fn with_bounds(bounds: Bounds) -> (Running, Arc<rustls::ClientConfig>) {
    let ca = ca("test");
    let mut settings = settings();
    settings.tls = Some(pair(&ca, 1).tls());
    settings.bounds = bounds;
    (start(settings), client_config(&ca, None, &TLS13))
}

fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // a reset is an end too
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// A client's first message.
fn client_hello(config: &Arc<rustls::ClientConfig>) -> Vec<u8> {
    let name = "localhost".try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

fn works(address: SocketAddr, config: &Arc<rustls::ClientConfig>) {
    let mut client = client(address, config);
    client.write_all(b"ok").unwrap();
    client.read_exact(&mut [0; 2]).unwrap();
}

#[test]
fn garbage_gets_an_alert_and_the_server_goes_on() {
    let (running, config) = with_bounds(Bounds::default());
    let mut stream = running.connect();
    stream.write_all(&[0xff; 600]).unwrap();
    let answer = read_all(&mut stream);
    assert_eq!(answer.first(), Some(&21), "an alert record: {answer:?}");
    works(running.external, &config);
}

#[test]
fn every_broken_beginning_is_survived() {
    let (running, config) = with_bounds(Bounds::default());
    let hello = client_hello(&config);
    let mut state = 7u32;
    for _ in 0..300 {
        let mut bytes = hello.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let place = state as usize % bytes.len();
            bytes[place] = (state >> 24) as u8;
        }
        let mut stream = running.connect();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        read_all(&mut stream);
    }
    works(running.external, &config);
}

#[test]
fn plain_http_on_a_tls_port_is_answered_in_plain() {
    let (running, _) = with_bounds(Bounds::default());
    let mut stream = running.connect();
    stream.write_all(b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = String::from_utf8(read_all(&mut stream)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}

#[test]
fn a_client_that_vanishes_in_the_handshake_leaves_nothing() {
    let bounds = Bounds { handshakes_max: 1, ..Bounds::default() };
    let (running, config) = with_bounds(bounds);
    let hello = client_hello(&config);
    for length in [1, hello.len() / 2, hello.len()] {
        let mut stream = running.connect();
        stream.write_all(&hello[..length]).unwrap();
        drop(stream);
        // there is one place: it must be free again
        works(running.external, &config);
    }
}

#[test]
fn a_silent_client_and_a_slow_one_run_out_of_time() {
    let bounds = Bounds { handshake_time_max: Duration::from_millis(50), ..Bounds::default() };
    let (running, config) = with_bounds(bounds);
    let mut silent = running.connect();
    let mut slow = running.connect();
    slow.write_all(&client_hello(&config)[..20]).unwrap();
    assert_eq!(read_all(&mut silent), b"");
    assert_eq!(read_all(&mut slow), b"");
}

#[test]
fn an_established_connection_does_not_run_out_of_handshake_time() {
    let bounds = Bounds { handshake_time_max: Duration::from_millis(300), ..Bounds::default() };
    let (running, config) = with_bounds(bounds);
    let mut client = client(running.external, &config);
    client.write_all(b"ok").unwrap();
    client.read_exact(&mut [0; 2]).unwrap();
    // silent ones that come later run out of time; by then the established one's old deadline has rung
    assert_eq!(read_all(&mut running.connect()), b"");
    assert_eq!(read_all(&mut running.connect()), b"");
    client.write_all(b"ok").unwrap();
    client.read_exact(&mut [0; 2]).unwrap();
}

#[test]
fn more_clients_than_places_are_all_served() {
    let bounds = Bounds { handshakes_max: 2, ..Bounds::default() };
    let (running, config) = with_bounds(bounds);
    let address = running.external;
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| works(address, &config));
        }
    });
}

#[test]
fn slow_clients_do_not_keep_their_places_while_others_wait() {
    let bounds =
        Bounds { handshakes_max: 2, handshake_time_max: Duration::from_secs(600), ..Bounds::default() };
    let (running, config) = with_bounds(bounds);
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(&client_hello(&config)[..20]).unwrap();
            stream
        })
        .collect();
    works(running.external, &config);
    drop(slow);
}

#[test]
fn handshakes_hold_a_bounded_number_of_bytes_together() {
    let bounds = Bounds { handshake_bytes_max: 1_000, ..Bounds::default() };
    let (running, config) = with_bounds(bounds);
    // a large record that never becomes whole
    let mut greedy = running.connect();
    greedy.write_all(&[22, 3, 1, 0x40, 0]).unwrap();
    greedy.write_all(&[1; 2_000]).unwrap();
    assert_eq!(read_all(&mut greedy).len(), 0);
    works(running.external, &config);
}

/// The bytes that lie in the kernel, unread, of what `client` has sent.
fn unread(client: &TcpStream) -> usize {
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let (ours, theirs) = (client.local_addr().unwrap().port(), client.peer_addr().unwrap().port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let servers = lines.filter(|line| port(line[1]) == theirs && port(line[2]) == ours);
    let queues: Vec<_> = servers.map(|line| line[4].split_once(':').unwrap().1.to_owned()).collect();
    assert_eq!(queues.len(), 1);
    usize::from_str_radix(&queues[0], 16).unwrap()
}

#[test]
fn a_request_on_the_heels_of_a_handshake_stays_in_the_kernel_until_it_is_wanted() {
    let (running, config) = with_bounds(Bounds::default());
    running.command(Command::Listen(false));
    let mut stream = running.connect();
    let mut tls = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    tls.write_tls(&mut stream).unwrap();
    while tls.is_handshaking() {
        tls.read_tls(&mut stream).unwrap();
        tls.process_new_packets().unwrap();
    }
    tls.writer().write_all(&[b'x'; 8_000]).unwrap();
    let mut last = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut last).unwrap();
    }
    stream.write_all(&last).unwrap();
    running.wait_opened();
    assert!(unread(&stream) >= 7_500, "{} of {} bytes are unread", unread(&stream), last.len());
    running.command(Command::Listen(true));
    let mut client = rustls::StreamOwned::new(tls, stream);
    let mut echoed = [0; 8_000];
    client.read_exact(&mut echoed).unwrap();
    assert!(echoed.iter().all(|byte| *byte == b'x'));
}

#[test]
fn a_client_with_only_another_version_is_refused() {
    let ca = ca("test");
    let mut tls = pair(&ca, 1).tls();
    tls.protocols = vec![crate::config::Protocol::Tls13];
    let mut settings = settings();
    settings.tls = Some(tls);
    let running = start(settings);
    let mut old = client(running.external, &client_config(&ca, None, &TLS12));
    assert!(old.write_all(b"x").and_then(|()| old.flush()).and_then(|()| old.read_exact(&mut [0])).is_err());
    works(running.external, &client_config(&ca, None, &TLS13));
}
