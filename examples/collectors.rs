//! OpenTelemetry collectors that do nothing but stay connected, to measure what one costs a server.
//!
//! `cargo run --release --example collectors -- --url https://localhost:8220 --token T --ca fleet-data/tls/ca.crt
//! --collectors 5000 --server-pid PID`. Each opens a WebSocket of its own, says once who it is and reads the answer; then the
//! server's memory is looked at, when it has settled. Only loopback addresses are loaded.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

#[path = "swarm/proc.rs"]
#[expect(dead_code, reason = "only memory is looked at here")]
mod proc;
#[path = "common/target.rs"]
mod target;
#[path = "common/tls.rs"]
mod tls;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use fleet_server::api::opamp::MESSAGE_HEADER;
use fleet_server::api::opamp::message::AgentToServer;
use prost::Message;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use proc::Process;
use target::Target;

/// A server that says nothing for so long is given up.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// Bytes of the longest answer that is expected.
const ANSWER_BYTES_MAX: usize = 4_096;
/// What a parked agent counts as: ReportsStatus.
const CAPABILITIES: u64 = 1;

/// OpenTelemetry collectors that do nothing but stay connected.
#[derive(Parser)]
struct Arguments {
    /// Address of the server, such as https://localhost:8220; loopback only
    #[arg(long)]
    url: String,
    /// Enrollment token
    #[arg(long)]
    token: String,
    /// PEM file with the authority that signed the server's certificate
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long)]
    insecure: bool,
    /// Collectors
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    collectors: u32,
    /// Process whose memory is reported
    #[arg(long)]
    server_pid: u32,
    /// For so long they stay before the server's memory is looked at
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let target = Target::parse(&arguments.url)?;
    let address = target.addresses()?.into_iter().find(|address| address.ip().is_loopback());
    let address = address.ok_or("only loopback addresses are loaded")?;
    let exchange = tls::KeyExchange::X25519;
    let config = tls::for_target(&target, arguments.ca.as_deref(), arguments.insecure, exchange)?;
    let config = config.ok_or("https:// is expected: what TLS costs is part of the figure")?;
    let server = Process { id: Some(arguments.server_pid) };
    // the first brings what the server makes once
    let first = park(&target, address, &config, &arguments.token, u32::MAX)?;
    let before = server.memory().ok_or("the server's process cannot be looked at")?.resident;
    let mut parked = vec![first];
    for number in 0..arguments.collectors {
        parked.push(park(&target, address, &config, &arguments.token, number)?);
    }
    stay(Duration::from_secs(arguments.seconds));
    let after = server.memory().ok_or("the server's process is gone")?.resident;
    let growth = after.saturating_sub(before);
    let each = growth as f64 / f64::from(arguments.collectors);
    println!("{} collectors: {before} kB before, {after} kB after, {each:.2} kB each", arguments.collectors);
    drop(parked);
    Ok(())
}

/// Nothing happens meanwhile, so nothing is waited for but the time.
fn stay(time: Duration) {
    let (_sender, never) = std::sync::mpsc::channel::<()>();
    let _ = never.recv_timeout(time);
}

/// Connects a collector that says who it is, and reads the answer.
fn park(
    target: &Target,
    address: std::net::SocketAddr,
    config: &Arc<ClientConfig>,
    token: &str,
    number: u32,
) -> Result<Stream, String> {
    let said = |error: std::io::Error| format!("collector {number}: {error}");
    let socket = TcpStream::connect_timeout(&address, ANSWER_WAIT_MAX).map_err(said)?;
    socket.set_nodelay(true).map_err(said)?;
    socket.set_read_timeout(Some(ANSWER_WAIT_MAX)).map_err(said)?;
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let session = ClientConnection::new(Arc::clone(config), name).map_err(|error| error.to_string())?;
    let mut stream = StreamOwned::new(session, socket);
    let request = format!(
        "GET /v1/opamp HTTP/1.1\r\nHost: {}\r\nAuthorization: ApiKey {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target.authority()
    );
    stream.write_all(request.as_bytes()).map_err(said)?;
    let answer = read_until(&mut stream, |bytes| bytes.ends_with(b"\r\n\r\n")).map_err(said)?;
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        return Err(format!("collector {number}: {}", String::from_utf8_lossy(&answer)));
    }
    stream.write_all(&first_message(number)).map_err(said)?;
    let is_whole = |bytes: &[u8]| bytes.get(1).is_some_and(|length| bytes.len() == 2 + usize::from(*length));
    read_until(&mut stream, is_whole).map_err(said)?;
    Ok(stream)
}

/// A frame with a mask of zeros, which changes nothing.
fn first_message(number: u32) -> Vec<u8> {
    let instance_uid = [&[0x0c; 12][..], &number.to_be_bytes()].concat();
    let message = AgentToServer { instance_uid, capabilities: CAPABILITIES, ..AgentToServer::default() };
    let payload = [vec![MESSAGE_HEADER], message.encode_to_vec()].concat();
    // it is shorter than 126 bytes
    let length = u8::try_from(payload.len()).unwrap_or_default();
    [vec![0x82, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// Reads byte after byte, so that nothing of what follows is taken.
fn read_until(stream: &mut Stream, is_whole: impl Fn(&[u8]) -> bool) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) && bytes.len() < ANSWER_BYTES_MAX {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    Ok(bytes)
}
