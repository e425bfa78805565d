//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::tls::KeyExchange;

/// More sockets than this do not fit into a process with 20,000 open files.
const AGENTS_MAX: u64 = 19_000;

/// Thousands of Elastic Agents in one process, to measure a Fleet Server on this machine.
#[derive(Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

#[derive(Subcommand)]
pub(crate) enum Scenario {
    /// Enrol, each agent over a connection of its own
    Enroll(Options),
    /// Connect, check in and stay parked: memory per agent, CPU of connecting and of staying
    Park(ParkOptions),
    /// Park, run a command that makes a new policy revision, follow it to the last agent
    Rollout(RolloutOptions),
    /// Park, drop all connections at once, connect and park again
    Reconnect(Options),
    /// Fetch one file, such as an artifact, with all agents at once: rate in sum, memory, CPU
    Download(DownloadOptions),
    /// Check-ins that return at once (server: checkin_long_poll 1ms, checkin_jitter 0)
    Storm(Options),
    /// One agent alone: enrolment, check-in that returns at once, ack
    Latency(LatencyOptions),
    /// Start the server again and again: how long until its first answer
    Start(StartOptions),
    /// The machine alone: an echo of messages of the given sizes
    Floor(FloorOptions),
    /// Print a policy of a given size, to roll out
    Policy(PolicyOptions),
    /// The echo server of the floor
    #[command(hide = true)]
    FloorServe(FloorServeOptions),
}

#[derive(Args)]
pub(crate) struct Options {
    /// Address of the server, such as https://localhost:8220; loopback only
    #[arg(long)]
    pub(crate) url: String,
    /// Enrollment token; not needed when --state holds enough agents
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// PEM file with the authority that signed the server's certificate
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Key exchange to offer
    #[arg(long, value_enum, default_value = "x25519")]
    pub(crate) key_exchange: KeyExchange,
    /// Agents
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=AGENTS_MAX))]
    pub(crate) agents: u64,
    /// Agents that connect or enrol at a time [default: 200; reconnect: all]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) concurrency: Option<u64>,
    /// Threads of this program
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) threads: u64,
    /// Process whose memory and CPU are reported
    #[arg(long)]
    pub(crate) server_pid: Option<u32>,
    /// How long agents stay parked, or the storm lasts
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// How long any phase may last that ends by itself
    #[arg(long, default_value_t = 300)]
    pub(crate) deadline_seconds: u64,
    /// Failed calls that an agent repeats in one phase [default: 0; reconnect: 10]
    #[arg(long)]
    pub(crate) retries: Option<u32>,
    /// Keep the enrolled agents in this file and use them again
    #[arg(long)]
    pub(crate) state: Option<PathBuf>,
    /// Compress check-ins, as agents do from 9.4 on
    #[arg(long)]
    pub(crate) gzip_requests: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// Leave out the measurement of the machine alone
    #[arg(long)]
    pub(crate) no_floor: bool,
}

#[derive(Args)]
pub(crate) struct ParkOptions {
    #[command(flatten)]
    pub(crate) common: Options,
    /// Check in again 1 to 1.5 s after each end of a poll, as real agents do
    #[arg(long)]
    pub(crate) behave: bool,
}

#[derive(Args)]
pub(crate) struct DownloadOptions {
    #[command(flatten)]
    pub(crate) common: Options,
    /// Path of what is fetched, such as /api/fleet/artifacts/NAME/SHA256
    #[arg(long)]
    pub(crate) path: String,
    /// How often; the first time the server reads it from its store
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// Let the kernel drop the bodies unread, but for those of one agent in 100: what the server alone can do
    #[arg(long)]
    pub(crate) drop_bodies: bool,
}

#[derive(Args)]
pub(crate) struct RolloutOptions {
    #[command(flatten)]
    pub(crate) common: Options,
    /// Shell command that makes the new revision
    #[arg(long)]
    pub(crate) trigger: String,
    /// Enrollment token of the agent that checks in during the rollout [default: --token]
    #[arg(long)]
    pub(crate) probe_token: Option<String>,
}

#[derive(Args)]
pub(crate) struct LatencyOptions {
    #[command(flatten)]
    pub(crate) common: Options,
    /// Measurements of each kind
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rounds: u32,
}

#[derive(Args)]
pub(crate) struct StartOptions {
    /// Address that the server will have, such as https://localhost:8220; loopback only
    #[arg(long)]
    pub(crate) url: String,
    /// Command that starts the server and becomes it
    #[arg(long)]
    pub(crate) server: String,
    /// Starts to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// Key exchange to offer
    #[arg(long, value_enum, default_value = "x25519")]
    pub(crate) key_exchange: KeyExchange,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct FloorOptions {
    /// Bytes of a request
    #[arg(long, default_value_t = 7_000)]
    pub(crate) request_bytes: usize,
    /// Bytes of a response
    #[arg(long, default_value_t = 300)]
    pub(crate) response_bytes: usize,
    /// Connections at a time
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=AGENTS_MAX))]
    pub(crate) concurrency: u64,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct FloorServeOptions {
    #[arg(long)]
    pub(crate) request_bytes: usize,
    #[arg(long)]
    pub(crate) response_bytes: usize,
}

#[derive(Args)]
pub(crate) struct PolicyOptions {
    /// Size to fill the policy up to
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) bytes: u64,
    /// Differs between two policies that are to be two revisions
    #[arg(long, default_value_t = 1)]
    pub(crate) mark: u64,
}
