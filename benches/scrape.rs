//! What a look at metrics costs the loop, with 10,000 parked agents on 100 policies: the text of `/metrics` and the JSON of
//! `/stats`, from the request's bytes to the answer's. `cargo bench --bench scrape`

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench measures and shows"
)]

#[path = "common/world.rs"]
mod world;

use std::time::{Duration, Instant};

use fleet_server::connection::Listener;
use serde_json::json;
use world::World;

const AGENTS: usize = 10_000;
/// What `cargo test --benches` runs: whether it works at all.
const AGENTS_IN_TESTS: usize = 500;
const POLICIES: usize = 100;
/// Looks, of which the median is shown.
const LOOKS: usize = 101;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let agents = if is_test { AGENTS_IN_TESTS } else { AGENTS };
    let mut world = World::new(Duration::from_secs(300));
    let policies: Vec<String> = (0..POLICIES).map(|number| format!("policy-{number}")).collect();
    policies.iter().for_each(|policy| world.publish(policy, 1));
    let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
    let requests = world.enroll(agents, &policies, &json!([]));
    for request in &requests {
        let connection = world.open(Listener::External);
        world.send(connection, request);
    }
    assert_eq!(world.server.fleet().lot.parked(), agents);
    println!("{agents} agents parked on {POLICIES} policies");
    for target in ["/metrics", "/stats"] {
        look(&mut world, target);
    }
}

/// The work on a worker (the process's own figures) runs inline here, so it is in the figure although the loop is free then.
fn look(world: &mut World, target: &str) {
    let connection = world.open(Listener::Metrics);
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut times: Vec<Duration> = (0..LOOKS)
        .map(|_| {
            let start = Instant::now();
            world.send(connection, request.as_bytes());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let millis = |place: usize| times[place].as_secs_f64() * 1e3;
    let bytes = world.written_bytes;
    world.written_bytes = 0;
    world.send(connection, request.as_bytes());
    assert!(world.written_bytes > 500 && bytes > 0, "it was answered");
    println!(
        "{target:<10} p50 {:.2} ms  worst {:.2} ms  {} bytes",
        millis(LOOKS / 2),
        millis(LOOKS - 1),
        world.written_bytes
    );
}
