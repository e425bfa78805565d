//! Slow readers, floods, pipelines: what one does, others do not feel, and the loop does not hold.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::version::TLS13;

use super::support::{Client, Command, Running, Seen, ca, client, client_config, pair, settings, start};

/// More than the kernel's buffers of a connection hold together.
const MUCH: usize = 48 * 1024 * 1024;

fn tls(deliveries_blocked_max: usize) -> (Running, Arc<ClientConfig>) {
    let ca = ca("test");
    let mut settings = settings();
    settings.tls = Some(pair(&ca, 1).tls());
    settings.bounds.deliveries_blocked_max = deliveries_blocked_max;
    (start(settings), client_config(&ca, None, &TLS13))
}

fn echo(stream: &mut (impl Read + Write)) {
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

fn read_exactly(stream: &mut impl Read, mut bytes: usize) {
    let mut buffer = vec![0; 256 * 1024];
    while bytes > 0 {
        let most = buffer.len().min(bytes);
        let read = stream.read(&mut buffer[..most]).unwrap();
        assert!(read > 0, "{bytes} bytes are missing");
        assert!(buffer[..read].iter().all(|byte| *byte == b'x'));
        bytes -= read;
    }
}

/// The bytes that the core was asked for up to now.
fn sent(running: &Running) -> usize {
    running.seen.try_iter().map(|seen| if let Seen::Sent(_, bytes) = seen { bytes } else { 0 }).sum()
}

#[test]
fn a_plain_reader_that_does_not_read_is_not_written_for() {
    let running = start(settings());
    let mut slow = running.connect();
    running.wait_opened();
    running.command(Command::Show(MUCH));
    let mut other = running.connect();
    for _ in 0..100 {
        echo(&mut other);
    }
    assert!(sent(&running) < MUCH / 2);
    read_exactly(&mut slow, MUCH);
}

#[test]
fn a_tls_reader_that_does_not_read_is_not_encrypted_for() {
    let (running, config) = tls(10);
    let mut slow = client(running.external, &config);
    echo(&mut slow);
    running.command(Command::Show(MUCH));
    let mut other = client(running.external, &config);
    for _ in 0..100 {
        echo(&mut other);
    }
    assert!(sent(&running) < MUCH / 2);
    read_exactly(&mut slow, MUCH);
}

#[test]
fn blocked_readers_without_number_do_not_stop_others() {
    let (running, config) = tls(1);
    let mut clients: Vec<Client> = (0..4).map(|_| client(running.external, &config)).collect();
    for client in &mut clients {
        echo(client);
    }
    running.command(Command::Show(MUCH));
    // the others do not read meanwhile, and one of them has the only place
    read_exactly(&mut clients[2], MUCH);
    read_exactly(&mut clients[0], MUCH);
}

#[test]
fn a_flood_does_not_keep_others_waiting() {
    let running = start(settings());
    let mut flooding = running.connect();
    let mut reading = flooding.try_clone().unwrap();
    let mut other = running.connect();
    std::thread::scope(|scope| {
        scope.spawn(move || flooding.write_all(&vec![b'x'; MUCH]).unwrap());
        scope.spawn(move || read_exactly(&mut reading, MUCH));
        for _ in 0..100 {
            echo(&mut other);
        }
    });
}

#[test]
fn pipelined_messages_come_back_in_order() {
    let running = start(settings());
    let mut writing = running.connect();
    let mut reading = writing.try_clone().unwrap();
    let messages: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let expected = messages.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || messages.chunks(40).for_each(|chunk| writing.write_all(chunk).unwrap()));
        let mut echoed = vec![0; expected.len()];
        reading.read_exact(&mut echoed).unwrap();
        assert!(echoed == expected);
    });
}

#[test]
fn a_blocked_reader_that_vanishes_is_lost() {
    let (running, config) = tls(1);
    let mut slow = client(running.external, &config);
    echo(&mut slow);
    let id = running.wait_opened();
    running.command(Command::Show(MUCH));
    slow.read_exact(&mut [0]).unwrap();
    drop(slow);
    assert_eq!(running.wait_lost(), id);
    // its place is free again, and nothing of it is left
    let mut next = client(running.external, &config);
    echo(&mut next);
}

#[test]
fn many_connections_come_and_go() {
    let (running, config) = tls(10);
    let address = running.external;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    echo(&mut client(address, &config));
                }
            });
        }
    });
    for _ in 0..200 {
        running.wait_lost();
    }
}
