//! A check-in that returns at once, from its bytes to the answer's, through the whole core and the store in memory: what
//! a request costs without the socket. `cargo bench --bench turn`

#![allow(clippy::panic, reason = "a bench")]

#[path = "common/world.rs"]
mod world;

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use fleet_server::connection::Listener;
use serde_json::{Value, json};
use world::World;

fn main() {
    divan::main();
}

fn turn(bencher: Bencher<'_, '_>, components: &Value) {
    let mut world = World::new(Duration::from_millis(1));
    let request = world.enroll(1, &["p"], components).remove(0);
    let connection = world.open(Listener::External);
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        let before = world.written_bytes;
        world.send(connection, &request);
        assert!(world.written_bytes > before);
    });
}

/// With a body of 200 bytes.
#[divan::bench]
fn small(bencher: Bencher<'_, '_>) {
    turn(bencher, &json!([]));
}

/// With 6 kB of components that have not changed.
#[divan::bench]
fn of_real_size(bencher: Bencher<'_, '_>) {
    turn(bencher, &components());
}

/// A request that needs no store.
#[divan::bench]
fn status(bencher: Bencher<'_, '_>) {
    let mut world = World::new(Duration::from_millis(1));
    let connection = world.open(Listener::External);
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        world.send(connection, b"GET /api/status HTTP/1.1\r\nHost: fleet.example:8220\r\n\r\n")
    });
}

/// Components of real size, about 6 kB.
fn components() -> Value {
    let unit = |component: usize, place: usize| {
        json!({"id": format!("log-default-{component}-unit-{place}"), "type": "input", "status": "HEALTHY",
               "message": "Healthy", "payload": {"streams": {"logs": {"status": "HEALTHY", "error": ""}}}})
    };
    let components = (0..10).map(|component| {
        let units: Vec<Value> = (0..3).map(|place| unit(component, place)).collect();
        json!({"id": format!("log-default-{component}"), "type": "log", "status": "HEALTHY",
               "message": "Healthy: communicating with pid '1234'", "units": units})
    });
    components.collect()
}
