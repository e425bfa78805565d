//! What the machine can do at most: a bare echo of messages of the same sizes, in the same run, with the same
//! number of threads. No TLS, no HTTP, no store. A figure of a server is to be held against it.

mod client;
mod server;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::args::{FloorOptions, FloorServeOptions};
use crate::proc::Process;
use crate::report::{Report, Section};

const ROUND_TRIPS_TIME: Duration = Duration::from_secs(2);
/// Connections of the part that measures round trips.
const ROUND_TRIP_CONNECTIONS_MAX: usize = 100;

/// What is echoed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) request_bytes: usize,
    pub(crate) response_bytes: usize,
    /// Connections made one after another, one round trip each.
    pub(crate) connections: usize,
    /// How many of them at a time.
    pub(crate) at_once: usize,
}

/// Measures connections with one round trip each, then round trips on connections that stay.
pub(crate) fn measure(shape: &Shape) -> Result<Section, String> {
    let echo = Echo::start(shape)?;
    let mut section = Section::new("floor");
    section.set("request_bytes", json!(shape.request_bytes));
    section.set("response_bytes", json!(shape.response_bytes));
    let said = |error: std::io::Error| format!("floor: {error}");

    let cpu = echo.process.cpu_seconds();
    let mut fresh = client::fresh(echo.address, shape).map_err(said)?;
    let count = fresh.times.count() as f64;
    section.number("connections_per_second", count / fresh.elapsed.as_secs_f64());
    section.times("connection", &mut fresh.times);
    section.cpu("connection_server_cpu", cpu, echo.process, count);

    let cpu = echo.process.cpu_seconds();
    let staying = shape.at_once.min(ROUND_TRIP_CONNECTIONS_MAX);
    let mut kept = client::kept(echo.address, shape, staying, ROUND_TRIPS_TIME).map_err(said)?;
    let count = kept.times.count() as f64;
    section.set("round_trip_connections", json!(staying));
    section.number("round_trips_per_second", count / kept.elapsed.as_secs_f64());
    section.times("round_trip", &mut kept.times);
    section.cpu("round_trip_server_cpu", cpu, echo.process, count);
    Ok(section)
}

/// The floor as a scenario.
pub(crate) fn run(options: &FloorOptions) -> Result<bool, String> {
    let at_once = usize::try_from(options.concurrency).unwrap_or(1);
    let shape = Shape {
        request_bytes: options.request_bytes.max(1),
        response_bytes: options.response_bytes.max(1),
        connections: at_once * 10,
        at_once,
    };
    let mut report = Report::new("floor");
    report.add(measure(&shape)?);
    report.print(options.json).map_err(|error| error.to_string())?;
    Ok(true)
}

/// The other end, a process of its own: ends when its standard input does.
pub(crate) fn serve(options: &FloorServeOptions) -> Result<bool, String> {
    server::serve(options.request_bytes, options.response_bytes).map_err(|error| error.to_string())?;
    Ok(true)
}

/// The running echo server; ended when dropped.
struct Echo {
    child: Child,
    process: Process,
    address: SocketAddr,
}

impl Echo {
    fn start(shape: &Shape) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("floor: {error}");
        let program = std::env::current_exe().map_err(said)?;
        let mut child = Command::new(program)
            .arg("floor-serve")
            .args(["--request-bytes", &shape.request_bytes.to_string()])
            .args(["--response-bytes", &shape.response_bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(said)?;
        let mut line = String::new();
        let read = child.stdout.take().map(|output| BufReader::new(output).read_line(&mut line));
        let process = Process { id: Some(child.id()) };
        match (read, line.trim().parse()) {
            (Some(Ok(_)), Ok(address)) => Ok(Self { child, process, address }),
            _ => {
                // It said nothing useful: nothing is lost with it.
                let _ = child.kill().and_then(|()| child.wait());
                Err("floor: the echo server did not start".to_owned())
            }
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
