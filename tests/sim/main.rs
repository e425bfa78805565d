//! A seeded simulation of the core: one thread, no socket, no clock. Virtual time (with leaps, and a wall clock that is set
//! back and forth), agents, operators and strangers, a store in memory that is slow, fails, or loses its answers, news that
//! come late and twice; and the real `Server` in the middle. At the end all trouble ceases, and everything has to come right.
//!
//! A run follows from its seed alone. A broken promise is reported as `seed N, step M: NAME: what happened`; the same again:
//!
//! ```text
//! FLEET_SIM_SEED=N cargo test --test sim                      # this seed alone
//! FLEET_SIM_SEED=N FLEET_SIM_TRACE=1 cargo test --test sim -- --nocapture
//! FLEET_SIM_SEEDS=5000 cargo test --release --test sim        # more of them
//! ```
//!
//! * `run`: the loop of virtual time, and the core's effects.
//! * `agenda`, `dice`: what happens when; chance.
//! * `wire`: clients' ends of connections. `request`: what they send.
//! * `agent`, `answer`: what agents do, and what they make of answers. `stranger`: clients that are no agents.
//! * `store`, `news`: the store with its faults, and what is told of its changes.
//! * `operator`: revisions, actions, policies deleted and made anew.
//! * `tally`: how much of everything happened. `ledger`: what is true outside the core. `promises`, `rest`: what has to hold always, and at rest.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod agenda;
mod agent;
mod answer;
mod dice;
mod ledger;
mod news;
mod operator;
mod promises;
mod request;
#[path = "../../examples/common/response.rs"]
mod response;
mod rest;
mod run;
mod settings;
mod store;
mod stranger;
mod tally;
mod wire;

use run::Sim;

/// Seeds of an ordinary `cargo test`.
const SEEDS: u64 = 256;
/// Each a test of its own, so that they share the processors.
const PARTS: u64 = 4;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the seeds of one part, or, in the first part, the one seed that is asked for.
fn run_part(part: u64) {
    let trace = variable("FLEET_SIM_TRACE").is_some();
    let one = variable("FLEET_SIM_SEED");
    if let Some(seed) = one {
        if part == 0 {
            Sim::new(seed, trace).run();
        }
        return;
    }
    let count = variable("FLEET_SIM_SEEDS").unwrap_or(SEEDS);
    for seed in (0..count).filter(|seed| seed % PARTS == part) {
        Sim::new(seed, trace).run();
    }
}

#[test]
fn every_promise_holds_part_1() {
    run_part(0);
}

#[test]
fn every_promise_holds_part_2() {
    run_part(1);
}

#[test]
fn every_promise_holds_part_3() {
    run_part(2);
}

#[test]
fn every_promise_holds_part_4() {
    run_part(3);
}

#[test]
fn a_seed_repeats_itself() {
    let run = || Sim::new(7, false).run();
    let (first, second) = (run(), run());
    assert!(first.steps > 500, "{first:?}");
    assert_eq!(first, second);
}

/// A simulation in which nothing happens promises nothing: over a few seeds each kind of thing has to have happened.
#[test]
fn the_seeds_reach_what_they_are_for() {
    let mut sum = tally::Tally::default();
    for seed in 0..24 {
        sum.add(&Sim::new(seed, false).run());
    }
    for (name, count) in sum.counts() {
        assert!(count > 0, "{name} never happened: {sum:?}");
    }
}
