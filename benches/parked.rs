//! What a parked agent costs in the core, without sockets and TLS: memory, the wake-up of all by a new revision, and the
//! deliveries. `cargo bench --bench parked`; `-- AGENTS` for another number than 100,000.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench measures and shows"
)]

#[path = "common/world.rs"]
mod world;

use std::fs;
use std::time::{Duration, Instant};

use fleet_server::connection::Listener;
use serde_json::json;
use world::World;

const AGENTS: usize = 100_000;
/// What `cargo test --benches` runs: whether it works at all.
const AGENTS_IN_TESTS: usize = 1_000;
/// Of every Linux on x86 and of most others.
const PAGE_BYTES: usize = 4_096;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let agents = asked.unwrap_or(if is_test { AGENTS_IN_TESTS } else { AGENTS });

    let mut world = World::new(Duration::from_secs(300));
    let requests = world.enroll(agents, &["p"], &json!([]));
    let before = resident_bytes();
    let parking = time(|| {
        for request in &requests {
            let connection = world.open(Listener::External);
            world.send(connection, request);
        }
    });
    let parked = world.server.fleet().lot.parked();
    assert_eq!(parked, agents);
    let bytes = resident_bytes().saturating_sub(before);
    show("agents parked", parked as f64, "");
    show("connect, check in and park, each", micros(parking, agents), "us");
    show("resident memory per parked agent, in the core", bytes as f64 / agents as f64, "bytes");

    wake(&mut world, agents);
}

/// A new revision: rendered, every agent's answer made, every answer taken.
fn wake(world: &mut World, agents: usize) {
    world.written_bytes = 0;
    world.held = Some(Vec::new());
    let before = resident_bytes();
    let waking = time(|| {
        world.publish("p", 2);
        while world.server.wake_at().is_some_and(|at| at <= world.now.mono) {
            world.server.tick(world.now);
            world.settle();
        }
    });
    assert_eq!(world.server.fleet().lot.parked(), 0);
    let bytes = resident_bytes().saturating_sub(before);
    show("a revision of 30 kB: rendered, and all woken", waking.as_secs_f64() * 1e3, "ms");
    show("the same per agent", micros(waking, agents), "us");
    show("resident memory per delivery that waits to be taken", bytes as f64 / agents as f64, "bytes");
    let held = world.held.take().unwrap_or_default();
    let taking = time(|| held.into_iter().for_each(|connection| world.take(connection)));
    show("a delivery taken", micros(taking, agents), "us");
    show("bytes of a delivery", world.written_bytes as f64 / agents as f64, "bytes");
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn micros(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

fn show(what: &str, figure: f64, unit: &str) {
    println!("{what:<62} {figure:>12.2} {unit}");
}

/// Of this process; 0 where there is no `/proc`.
fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
