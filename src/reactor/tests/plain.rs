//! Plain connections: echo, half-close, loss, the doors.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use super::support::{Command, PATIENCE, Seen, connect, settings, start};
use crate::config::Endpoint;
use crate::reactor::accept::METRICS_CONNECTIONS_MAX;
use crate::reactor::{Address, MetricsDoor, Reactor, ReactorError};
use crate::server::Listener;

#[test]
fn what_is_sent_comes_back() {
    let running = start(settings());
    let mut stream = running.connect();
    stream.write_all(b"hello").unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"hello");
}

#[test]
fn a_half_closed_connection_is_answered_and_then_closed() {
    let running = start(settings());
    let mut stream = running.connect();
    stream.write_all(b"one two").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed).unwrap();
    assert_eq!(echoed, b"one two");
    let id = running.wait(|seen| if let Seen::Ended(id) = seen { Some(id) } else { None });
    assert_eq!(running.wait_lost(), id);
}

#[test]
fn a_peer_that_ends_while_nobody_reads_is_noticed() {
    let running = start(settings());
    let stream = running.connect();
    let id = running.wait_opened();
    running.command(Command::Listen(false));
    drop(stream);
    assert_eq!(running.wait(|seen| if let Seen::Ended(id) = seen { Some(id) } else { None }), id);
}

#[test]
fn an_end_is_not_told_before_the_bytes_that_lie_before_it() {
    let running = start(settings());
    let mut stream = running.connect();
    running.wait_opened();
    running.command(Command::Listen(false));
    stream.write_all(b"unread").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // a second connection's round trip: the loop has seen the first one's end by then
    drop(running.connect());
    running.wait_opened();
    running.command(Command::Listen(true));
    let first = running.wait(|seen| match seen {
        Seen::Received(_, bytes) => Some(bytes),
        Seen::Ended(_) => None,
        _ => None,
    });
    assert_eq!(first, b"unread".len());
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed).unwrap();
    assert_eq!(echoed, b"unread");
}

#[test]
fn a_reset_is_a_loss() {
    let running = start(settings());
    let stream = running.connect();
    let id = running.wait_opened();
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(running.wait_lost(), id);
}

#[test]
fn a_lingering_close_lets_the_peer_finish_sending() {
    let running = start(settings());
    let mut stream = running.connect();
    let id = running.wait_opened();
    running.command(Command::Listen(false));
    running.command(Command::Show(7));
    running.command(Command::Close(id, true));
    assert_eq!(running.wait_lost(), id);
    // unread bytes would make a plain close a reset, and the answer would be lost to it: as much as a chunk of a file
    stream.write_all(&vec![0; 5 * 1024 * 1024]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"xxxxxxx");
}

#[test]
fn a_lingering_close_does_not_read_for_ever() {
    let running = start(settings());
    let mut stream = running.connect();
    let id = running.wait_opened();
    running.command(Command::Close(id, true));
    running.wait_lost();
    let chunk = [0; 64 * 1024];
    // far more than 8 MiB and the socket's buffers hold: at last the peer is gone
    assert!((0..1_000).any(|_| stream.write_all(&chunk).is_err()));
}

#[test]
fn each_door_has_its_name_and_admin_is_for_the_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let mut settings = settings();
    settings.internal = Some(Address { host: "localhost".to_owned(), port: 0 });
    settings.admin_socket = Some(path.clone());
    let running = start(settings);
    let mut doors: Vec<_> = running.addresses.iter().map(|(listener, _)| *listener).collect();
    doors.dedup();
    assert_eq!(doors, [Listener::External, Listener::Internal, Listener::Admin]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"admin").unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"admin");
    let door =
        running.wait(|seen| if let Seen::Opened(_, door, tls) = seen { Some((door, tls)) } else { None });
    assert_eq!(door, (Listener::Admin, false));
    drop(running);
    assert!(!path.exists(), "removed at the end");
}

#[test]
fn localhost_is_both_families_on_one_port() {
    let mut settings = settings();
    settings.external.host = "localhost".to_owned();
    let reactor = Reactor::new(settings).unwrap();
    let ports: Vec<_> =
        reactor.addresses().map(|(_, address)| address.rsplit(':').next().unwrap().to_owned()).collect();
    assert!(ports.iter().all(|port| *port == ports[0] && port != "0"), "{ports:?}");
}

#[test]
fn equal_addresses_are_one_listener() {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let mut settings = settings();
    settings.external.port = port;
    settings.internal = Some(settings.external.clone());
    let reactor = Reactor::new(settings).unwrap();
    assert_eq!(reactor.addresses().count(), 1);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = settings();
    settings.external.port = taken.local_addr().unwrap().port();
    let error = Reactor::new(settings).err().unwrap();
    assert_eq!(error.to_string(), format!("{} is in use by another process", taken.local_addr().unwrap()));
}

#[test]
fn a_stale_admin_socket_is_replaced_and_a_long_path_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut stale = settings();
    stale.admin_socket = Some(path);
    assert!(Reactor::new(stale).is_ok());
    let mut long = settings();
    long.admin_socket = Some(directory.path().join("x".repeat(100)).join("admin.sock"));
    assert!(matches!(Reactor::new(long), Err(ReactorError::PathTooLong(_))));
}

#[test]
fn beyond_110_percent_connections_are_closed_when_accepted() {
    let mut settings = settings();
    settings.bounds.connections_max = 10;
    let running = start(settings);
    let held: Vec<_> = (0..11)
        .map(|_| {
            let stream = running.connect();
            running.wait_opened();
            stream
        })
        .collect();
    let mut refused = running.connect();
    assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0);
    drop(held);
    running.wait_lost();
    let mut stream = running.connect();
    running.wait_opened();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn of_those_who_look_at_metrics_so_many_are_let_in_and_agents_come_all_the_same() {
    let mut settings = settings();
    let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
    settings.metrics = Some(MetricsDoor { endpoint, by_default: false });
    let running = start(settings);
    let door = running.addresses.iter().find(|(listener, _)| *listener == Listener::Metrics);
    let address = door.unwrap().1.parse().unwrap();
    let held: Vec<_> = (0..METRICS_CONNECTIONS_MAX)
        .map(|_| {
            let stream = connect(address);
            running.wait_opened();
            stream
        })
        .collect();
    assert_eq!(connect(address).read(&mut [0; 1]).unwrap_or(0), 0);
    let _agent = running.connect();
    running.wait_opened();
    drop(held);
}

#[test]
fn accepted_sockets_inherit_keepalive_and_no_delay() {
    use crate::reactor::listeners::Doors;
    let poll = mio::Poll::new().unwrap();
    let doors = Doors::open(&settings(), poll.registry()).unwrap();
    let address = doors.addresses().next().unwrap().1.to_owned();
    let _client = std::net::TcpStream::connect(&address).unwrap();
    let crate::reactor::socket::Socket::Tcp(stream) = doors.doors[0].accept().unwrap() else { panic!("TCP") };
    let options = socket2::SockRef::from(&stream);
    assert!(options.keepalive().unwrap() && options.tcp_nodelay().unwrap());
    #[cfg(target_os = "linux")]
    assert_eq!(options.tcp_user_timeout().unwrap(), Some(std::time::Duration::from_secs(60)));
}
