//! An agent that uploads one large file, to measure what that costs a server.
//!
//! `cargo run --release --example upload -- --url https://localhost:8220 --token T --ca fleet-data/tls/ca.crt --megabytes 100
//! --server-pid PID`. It enrols, begins, sends chunk after chunk as a real agent does, completes, and says how long that took
//! and how far the server's memory grew: at its highest, looked at after each chunk, and 5 s after the end. Only loopback
//! addresses are loaded.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

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

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use client::Client;
use proc::Process;
use request::{ENROLL_PATH, USER_AGENT, post};
use target::Target;

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
    let mut agent = Agent::enroll(Client::new(target, tls, ANSWER_WAIT_MAX), &arguments.token)?;
    let server = Process { id: Some(arguments.server_pid) };
    let resident =
        || server.memory().map(|memory| memory.resident).ok_or("the server's process cannot be looked at");
    let bytes = u64::from(arguments.megabytes) * 1_000_000;
    // what the first request makes once is not the upload's
    let before = resident()?;
    let (upload_id, chunk_bytes) = agent.begin(bytes)?;
    let (mut hashes, mut highest, started) = (Sha256::new(), before, Instant::now());
    for number in 0..bytes.div_ceil(chunk_bytes) {
        let length = chunk_bytes.min(bytes - number * chunk_bytes);
        let chunk: Vec<u8> = (0..length).map(|place| (place.wrapping_mul(31) ^ number) as u8).collect();
        hashes.update(agent.send(&upload_id, number, &chunk)?);
        highest = highest.max(resident()?);
    }
    agent.complete(&upload_id, &hex(&hashes.finalize()))?;
    agent.client.disconnect();
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

struct Agent {
    client: Client,
    id: String,
    key: String,
}

impl Agent {
    fn enroll(mut client: Client, token: &str) -> Result<Agent, String> {
        let body = json!({ "type": "PERMANENT", "metadata": { "local": {} } }).to_string();
        let request = post(&client.authority(), ENROLL_PATH, token, false, body.as_bytes());
        let answer: Value = ask(&mut client, &request)?;
        let text = |name: &str| answer["item"][name].as_str().unwrap_or_default().to_owned();
        Ok(Agent { client, id: text("id"), key: text("access_api_key") })
    }

    /// The upload's id and the bytes of its chunks.
    fn begin(&mut self, bytes: u64) -> Result<(String, u64), String> {
        let file = json!({ "name": "bundle.zip", "mime_type": "application/zip", "size": bytes });
        let action_id = format!("measure-{}", std::process::id());
        let body = json!({ "file": file, "action_id": action_id, "agent_id": self.id, "src": "agent" });
        let path = "/api/fleet/uploads";
        let answer = self.post(path, &body)?;
        let id = answer["upload_id"].as_str().ok_or_else(|| format!("no upload_id in {answer}"))?;
        Ok((id.to_owned(), answer["chunk_size"].as_u64().unwrap_or(4_194_304)))
    }

    /// Sends one chunk; its hash.
    fn send(&mut self, upload_id: &str, number: u64, chunk: &[u8]) -> Result<[u8; 32], String> {
        let hash: [u8; 32] = Sha256::digest(chunk).into();
        let head = format!(
            "PUT /api/fleet/uploads/{upload_id}/{number} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\n\
             Authorization: ApiKey {}\r\nX-Chunk-Sha2: {}\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {}\r\n\r\n",
            self.client.authority(),
            self.key,
            hex(&hash),
            chunk.len()
        );
        let response = self.client.exchange(&[head.as_bytes(), chunk].concat())?;
        if response.status != 200 {
            return Err(format!("chunk {number}: {}", response.status));
        }
        Ok(hash)
    }

    fn complete(&mut self, upload_id: &str, transit_sha256: &str) -> Result<(), String> {
        let body = json!({ "transithash": { "sha256": transit_sha256 } });
        self.post(&format!("/api/fleet/uploads/{upload_id}"), &body).map(drop)
    }

    fn post(&mut self, path: &str, body: &Value) -> Result<Value, String> {
        let request = post(&self.client.authority(), path, &self.key, false, body.to_string().as_bytes());
        ask(&mut self.client, &request)
    }
}

fn ask(client: &mut Client, request: &[u8]) -> Result<Value, String> {
    let response = client.exchange(request)?;
    let text = response.text()?;
    if response.status != 200 {
        return Err(format!("{}: {}", response.status, String::from_utf8_lossy(&text)));
    }
    serde_json::from_slice(&text).map_err(|error| format!("unreadable answer: {error}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
