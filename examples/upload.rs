//! An agent that uploads one large file, to measure what that costs a server.
//!
//! `cargo run --release --example upload -- --url https://localhost:8220 --token T --ca fleet-data/tls/ca.crt --megabytes 100
//! --server-pid PID`. It enrols, begins, sends chunk after chunk as a real agent does, completes, and says how long that took
//! and how far the server's memory grew: at its highest, looked at after each chunk, and 5 s after the end. Only loopback
//! addresses are loaded.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

#[path = "common/answer.rs"]
mod answer;
#[path = "common/client.rs"]
mod client;
#[path = "swarm/proc.rs"]
#[expect(dead_code, reason = "only memory is looked at here")]
mod proc;
#[path = "common/request.rs"]
#[expect(dead_code, reason = "this agent does not check in")]
mod request;
#[path = "common/response.rs"]
mod response;
#[path = "common/target.rs"]
mod target;
#[path = "common/tls.rs"]
mod tls;
#[path = "common/uploads.rs"]
mod uploads;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;

use answer::read;
use client::Client;
use proc::Process;
use request::{ENROLL_PATH, post};
use target::Target;
use uploads::Upload;

/// A server that says nothing for so long is given up.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
/// Until memory that is given back has been.
const REST: Duration = Duration::from_secs(5);

/// An agent that uploads one large file.
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
    /// Bytes of the file, in millions
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    megabytes: u32,
    /// Process whose memory is reported
    #[arg(long)]
    server_pid: u32,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program that measures")]
fn run(arguments: &Arguments) -> Result<(), String> {
    let target = Target::parse(&arguments.url)?;
    if !target.addresses()?.iter().all(|address| address.ip().is_loopback()) {
        return Err("only loopback addresses are loaded".to_owned());
    }
    let exchange = tls::KeyExchange::X25519;
    let tls = tls::for_target(&target, arguments.ca.as_deref(), arguments.insecure, exchange)?;
    let mut client = Client::new(target, tls, ANSWER_WAIT_MAX);
    let (id, key) = enroll(&mut client, &arguments.token)?;
    let server = Process { id: Some(arguments.server_pid) };
    let resident =
        || server.memory().map(|memory| memory.resident).ok_or("the server's process cannot be looked at");
    let bytes = usize::try_from(arguments.megabytes).unwrap_or(usize::MAX).saturating_mul(1_000_000);
    // what the first request makes once is not the upload's
    let before = resident()?;
    let announced = json!({
        "file": { "name": "bundle.zip", "mime_type": "application/zip", "size": bytes },
        "action_id": format!("measure-{}", std::process::id()),
        "agent_id": id,
        "src": "agent",
    });
    let mut upload = Upload::begin(&mut client, &key, &announced)?;
    let (mut highest, started) = (before, Instant::now());
    for begin in (0..bytes).step_by(upload.chunk_bytes) {
        let length = upload.chunk_bytes.min(bytes - begin);
        let chunk: Vec<u8> =
            (begin..begin + length).map(|place| (place.wrapping_mul(31) >> 3) as u8).collect();
        upload.send(&chunk)?;
        highest = highest.max(resident()?);
    }
    upload.complete()?;
    client.disconnect();
    let took = started.elapsed();
    highest = highest.max(resident()?);
    std::thread::sleep(REST);
    let after = resident()?;
    println!(
        "{} MB in {:.1} s; server: {before} kB before, {:+} kB at its highest, {:+} kB after",
        arguments.megabytes,
        took.as_secs_f64(),
        highest.cast_signed() - before.cast_signed(),
        after.cast_signed() - before.cast_signed(),
    );
    Ok(())
}

/// The agent's id and key.
fn enroll(client: &mut Client, token: &str) -> Result<(String, String), String> {
    let body = json!({ "type": "PERMANENT", "metadata": { "local": {} } }).to_string();
    let request = post(&client.authority(), ENROLL_PATH, token, false, body.as_bytes());
    let answer = read(&client.exchange(&request)?)?;
    let text = |name: &str| answer["item"][name].as_str().unwrap_or_default().to_owned();
    Ok((text("id"), text("access_api_key")))
}
