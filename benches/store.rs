//! What the embedded store costs: the read that each check-in needs, and group commits of several sizes.
//! `cargo bench --bench store`; the directory is under `TMPDIR`, whose disk decides what a sync costs.

use std::sync::atomic::{AtomicU64, Ordering};

use divan::{Bencher, black_box};
use fleet_server::model::raw::raw;
use fleet_server::model::{ApiKey, Patch};
use fleet_server::store::{Answer, Embedded, Enrollment, Operation, Retention, Store, Written};
use fleet_server::time::Timestamp;
use serde_json::json;

/// Agents in the store before anything is measured.
const AGENTS: usize = 10_000;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn main() {
    divan::main();
}

struct Fixture {
    store: Embedded,
    keys: Vec<ApiKey>,
    _directory: tempfile::TempDir,
}

/// A store with as many agents, each with 2 kB of metadata and 6 kB of components.
fn fixture(agents: usize) -> Fixture {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (store, _, _) =
        Embedded::open(directory.path(), Retention::default(), NOW).expect("a new store opens");
    let mut keys = Vec::new();
    for start in (0..agents).step_by(1000) {
        let ids = || (start..agents.min(start + 1000)).map(id);
        keys.extend(store.run(ids().map(enroll).collect()).into_iter().filter_map(|answer| match answer {
            Ok(Answer::Key(key)) => Some(key),
            _ => None,
        }));
        let patch = || Patch::new().set("components", components()).set("last_checkin_status", "online");
        store.run(ids().map(|agent| Operation::CheckIn { agent, at: NOW, patch: patch() }).collect());
    }
    assert_eq!(keys.len(), agents, "each agent was enrolled");
    Fixture { store, keys, _directory: directory }
}

fn id(number: usize) -> String {
    // spread like random ids
    format!("{:016x}-0000-4000-8000-00000000", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn enroll(agent: String) -> Operation {
    let document = json!({
        "active": true, "policy_id": "default", "type": "PERMANENT", "enrolled_at": NOW.rfc3339(),
        "agent": {"id": agent, "version": "9.6.0"}, "action_seq_no": [-1], "tags": ["linux", "edge"],
        "policy_revision_idx": 1, "local_metadata": metadata(),
    });
    Operation::Enroll(Box::new(Enrollment {
        agent,
        written: Written::New(raw(&document)),
        delete_agents: Vec::new(),
        invalidate_keys: Vec::new(),
    }))
}

fn metadata() -> serde_json::Value {
    let addresses: Vec<_> = (0..60).map(|number| format!("fe80::42:acff:fe11:{number:04x}/64")).collect();
    json!({"host": {"hostname": "host", "ip": addresses}, "os": {"family": "debian", "version": "12"}})
}

fn components() -> serde_json::Value {
    let component = |number: usize| {
        json!({
            "id": format!("log-default-{number}"), "type": "log", "status": "HEALTHY",
            "message": "Healthy: communicating with pid '4242'",
            "units": [{"id": format!("log-default-{number}-unit"), "type": "input", "status": "HEALTHY",
                       "message": "Healthy", "payload": {"streams": {"a": {"error": "", "status": "HEALTHY"}}}}],
        })
    };
    (0..20).map(component).collect()
}

#[divan::bench(args = [1, 32])]
fn agent_by_id(bencher: Bencher<'_, '_>, batch: usize) {
    let fixture = fixture(AGENTS);
    let counter = AtomicU64::new(0);
    bencher
        .counter(divan::counter::ItemsCount::new(batch))
        .with_inputs(|| {
            let next = || counter.fetch_add(1, Ordering::Relaxed) as usize * 7919 % AGENTS;
            (0..batch).map(|_| Operation::AgentById(id(next()))).collect::<Vec<_>>()
        })
        .bench_values(|batch| black_box(fixture.store.run(batch)));
}

#[divan::bench]
fn authenticate(bencher: Bencher<'_, '_>) {
    let fixture = fixture(AGENTS);
    let counter = AtomicU64::new(0);
    let next = || counter.fetch_add(1, Ordering::Relaxed) as usize * 7919 % AGENTS;
    bencher
        .with_inputs(|| vec![Operation::Authenticate(fixture.keys[next()].clone())])
        .bench_values(|batch| black_box(fixture.store.run(batch)));
}

#[divan::bench(args = [1, 100, 1000], sample_count = 30, sample_size = 1)]
fn enrollments(bencher: Bencher<'_, '_>, batch: usize) {
    let fixture = fixture(AGENTS);
    let counter = AtomicU64::new(AGENTS as u64);
    bencher
        .counter(divan::counter::ItemsCount::new(batch))
        .with_inputs(|| {
            let next = || enroll(id(counter.fetch_add(1, Ordering::Relaxed) as usize));
            (0..batch).map(|_| next()).collect::<Vec<_>>()
        })
        .bench_values(|batch| black_box(fixture.store.run(batch)));
}

#[divan::bench(sample_count = 30, sample_size = 1)]
fn heartbeats_of_3333_agents(bencher: Bencher<'_, '_>) {
    let fixture = fixture(AGENTS);
    let counter = AtomicU64::new(1);
    bencher
        .with_inputs(|| {
            let round = counter.fetch_add(1, Ordering::Relaxed);
            let agents = (0..3333).map(|number| id(number * 3)).collect();
            vec![Operation::Heartbeats { agents, at: Timestamp(NOW.0 + round as i64 * 30_000) }]
        })
        .bench_values(|batch| black_box(fixture.store.run(batch)));
}

#[divan::bench(args = [1, 100, 1000], sample_count = 30, sample_size = 1)]
fn check_ins(bencher: Bencher<'_, '_>, batch: usize) {
    let fixture = fixture(AGENTS);
    let counter = AtomicU64::new(0);
    bencher
        .counter(divan::counter::ItemsCount::new(batch))
        .with_inputs(|| {
            let check_in = |_| {
                let count = counter.fetch_add(1, Ordering::Relaxed);
                let patch = Patch::new().set("last_checkin_message", format!("message {count}"));
                let agent = id(count as usize * 7919 % AGENTS);
                Operation::CheckIn { agent, at: Timestamp(NOW.0 + count as i64 * 1000), patch }
            };
            (0..batch).map(check_in).collect::<Vec<_>>()
        })
        .bench_values(|batch| black_box(fixture.store.run(batch)));
}
