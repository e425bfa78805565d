//! Thousands of Elastic Agents in one process, to measure a Fleet Server on the same machine.
//!
//! `cargo run --release --example swarm -- park --url https://localhost:8220 --token T
//! --ca fleet-data/tls/ca.crt --agents 10000 --server-pid PID`. Each agent behaves as the real one does
//! ([`agent`], [`message`], [`answer`]), has a source address of its own out of 127.0.0.0/8 ([`transport`])
//! and one connection ([`session`]); an event loop per thread ([`shard`], [`crew`]) follows what the scenario's
//! [`script`] says. Only loopback addresses are loaded.
#![expect(clippy::disallowed_methods, reason = "a measuring program reads the clock")]

#[path = "../common/client.rs"]
mod client;
#[path = "../common/keep.rs"]
mod keep;
#[path = "../common/request.rs"]
mod request;
#[path = "../common/response.rs"]
mod response;
#[path = "../common/target.rs"]
mod target;
#[path = "../common/tls.rs"]
mod tls;

mod agent;
mod failure;
mod message;
mod answer;
mod transport;
mod fetch;
mod session;
mod script;
mod tally;
mod shard;
mod crew;
mod proc;
mod report;
mod floor;
mod greeting;
mod state;
mod args;
mod run;
mod settle;
mod single;
mod policy;
mod scenarios;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Scenario};
use scenarios::{download, enroll, latency, park, reconnect, rollout, start, storm};

#[expect(clippy::print_stderr, reason = "a command line program")]
fn main() -> ExitCode {
    let ended = match Arguments::parse().scenario {
        Scenario::Enroll(options) => enroll::run(&options),
        Scenario::Park(options) => park::run(&options),
        Scenario::Rollout(options) => rollout::run(&options),
        Scenario::Reconnect(options) => reconnect::run(&options),
        Scenario::Download(options) => download::run(&options),
        Scenario::Storm(options) => storm::run(&options),
        Scenario::Latency(options) => latency::run(&options),
        Scenario::Start(options) => start::run(&options),
        Scenario::Floor(options) => floor::run(&options),
        Scenario::FloorServe(options) => floor::serve(&options),
        Scenario::Policy(options) => print_policy(&options),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("some agents failed");
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn print_policy(options: &args::PolicyOptions) -> Result<bool, String> {
    let text = policy::policy(usize::try_from(options.bytes).unwrap_or_default(), options.mark);
    io::stdout().lock().write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(true)
}
