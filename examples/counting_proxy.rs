//! Stands between a Fleet Server and its Elasticsearch, passes everything on unchanged and counts it: how many requests by
//! route, how many documents or searches in them, and how much that is for each agent and minute. Plain HTTP on both sides.
//!
//! Start it, give the server its address as the host of `output.elasticsearch`, and read what it prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

#[path = "../tests/elastic/relay.rs"]
mod relay;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::Builder;
use std::time::Duration;

use clap::Parser;
use relay::Message;

/// Requests that are counted later than they come, at most.
const REQUESTS_QUEUED_MAX: usize = 10_000;

/// Counts what a Fleet Server asks its Elasticsearch.
#[derive(Parser)]
struct Arguments {
    /// Where the server finds it
    #[arg(long, default_value = "127.0.0.1:9201")]
    listen: SocketAddr,
    /// Where Elasticsearch is
    #[arg(long, default_value = "127.0.0.1:9200")]
    to: SocketAddr,
    /// Print and begin anew every so many seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Agents on the server: print requests per agent and minute
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    agents: Option<u32>,
}

/// A request that came.
struct Asked {
    route: String,
    /// Writes, look-ups or searches in it.
    things: usize,
    bytes: usize,
}

#[derive(Default)]
struct Count {
    requests: usize,
    things: usize,
    bytes: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (sender, receiver) = mpsc::sync_channel(REQUESTS_QUEUED_MAX);
    let listener = match TcpListener::bind(arguments.listen) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("{}: {error}", arguments.listen);
            return ExitCode::FAILURE;
        }
    };
    let to = arguments.to;
    let accept = move || {
        for client in listener.incoming().flatten() {
            let sender = sender.clone();
            let serve = move || {
                // one of the two has closed the connection
                let _ = pass_on(&client, to, &sender);
                let _ = client.shutdown(Shutdown::Both);
            };
            if let Err(error) = Builder::new().name("connection".into()).spawn(serve) {
                eprintln!("a connection is not served: {error}");
            }
        }
    };
    if let Err(error) = Builder::new().name("accept".into()).spawn(accept) {
        eprintln!("no thread: {error}");
        return ExitCode::FAILURE;
    }
    print_for_ever(&arguments, &receiver)
}

/// Requests and answers of one connection, one after the other.
fn pass_on(client: &TcpStream, to: SocketAddr, counter: &mpsc::SyncSender<Asked>) -> io::Result<()> {
    let cluster = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    cluster.set_nodelay(true)?;
    let (mut requests, mut answers) = (BufReader::new(client), BufReader::new(&cluster));
    let (mut to_client, mut to_cluster) = (client, &cluster);
    while let Some(request) = Message::read(&mut requests, true)? {
        // the counter lives as long as the process
        let _ = counter.send(Asked::of(&request));
        to_cluster.write_all(&request.head)?;
        to_cluster.write_all(&request.body)?;
        let Some(answer) = Message::read(&mut answers, request.method() != "HEAD")? else { return Ok(()) };
        to_client.write_all(&answer.head)?;
        to_client.write_all(&answer.body)?;
    }
    Ok(())
}

impl Asked {
    fn of(request: &Message) -> Self {
        let target = request.target();
        let path = target.split('?').next().unwrap_or_default();
        let lines = request.body.iter().filter(|byte| **byte == b'\n').count();
        let things = match path {
            // a line that says what, and one that says how
            "/_bulk" | "/_msearch" | "/_fleet/_fleet_msearch" => lines / 2,
            "/_mget" => count(&request.body, b"\"_id\""),
            _ => 1,
        };
        let route = format!("{} {}", request.method(), route(path));
        Asked { route, things, bytes: request.head.len() + request.body.len() }
    }
}

/// The path without ids of documents and secrets.
fn route(path: &str) -> String {
    let named = |(place, part): (usize, &str)| match part {
        part if part.is_empty() || part.starts_with(['_', '.']) || place < 2 => part.to_owned(),
        "global_checkpoints" | "api_key" | "secret" | "docs" => part.to_owned(),
        _ => "ID".to_owned(),
    };
    path.split('/').enumerate().map(named).collect::<Vec<_>>().join("/")
}

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}

fn print_for_ever(arguments: &Arguments, receiver: &Receiver<Asked>) -> ExitCode {
    println!("{} stands before {}", arguments.listen, arguments.to);
    let (bell, rings) = mpsc::channel();
    let every = Duration::from_secs(arguments.seconds);
    let ring = move || ring_every(every, &bell);
    if let Err(error) = Builder::new().name("bell".into()).spawn(ring) {
        eprintln!("no thread: {error}");
        return ExitCode::FAILURE;
    }
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(asked) => {
                let count = counts.entry(asked.route).or_default();
                count.requests += 1;
                count.things += asked.things;
                count.bytes += asked.bytes;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return ExitCode::SUCCESS,
        }
        if rings.try_recv().is_ok() {
            print(arguments, &std::mem::take(&mut counts));
        }
    }
}

/// Waits on a channel that nothing is sent to.
fn ring_every(every: Duration, bell: &Sender<()>) {
    let (_sender, never) = mpsc::channel::<()>();
    while never.recv_timeout(every) == Err(RecvTimeoutError::Timeout) && bell.send(()).is_ok() {}
}

fn print(arguments: &Arguments, counts: &BTreeMap<String, Count>) {
    println!("\n{:>9} {:>9} {:>12}  in {} s", "requests", "things", "bytes", arguments.seconds);
    for (route, count) in counts {
        println!("{:>9} {:>9} {:>12}  {route}", count.requests, count.things, count.bytes);
    }
    let total: usize = counts.values().map(|count| count.requests).sum();
    println!("{total:>9} in all");
    if let Some(agents) = arguments.agents {
        let minutes = arguments.seconds as f64 / 60.0;
        println!("{:>9.5} per agent and minute", total as f64 / f64::from(agents) / minutes);
    }
}
