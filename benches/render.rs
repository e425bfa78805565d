//! What a policy of 30 kB costs: once per revision, and once per delivery.

use divan::{Bencher, black_box};
use fleet_server::fleet::render::Revision;
use fleet_server::model::{KeyMaking, Policy, Secrets};

const POLICY_BYTES: usize = 30_000;

fn main() {
    divan::main();
}

fn policy() -> Policy {
    let mut inputs = Vec::new();
    let mut bytes = 0;
    while bytes < POLICY_BYTES {
        let number = inputs.len();
        let input = format!(
            r#"{{"id":"logfile-{number}","type":"logfile","use_output":"default","streams":[{{"id":"s-{number}","paths":["/var/log/{number}/*.log"]}}]}}"#
        );
        bytes += input.len();
        inputs.push(input);
    }
    let document = format!(
        r#"{{"policy_id":"p","revision_idx":7,"@timestamp":"2026-01-01T00:00:00Z","data":{{"id":"p","revision":7,"outputs":{{"default":{{"type":"elasticsearch","hosts":["http://localhost:9200"]}}}},"inputs":[{}]}}}}"#,
        inputs.join(",")
    );
    Policy::read(document.as_bytes()).expect("it is JSON").expect("it has an id and data")
}

/// Parse, serialise, deflate: once per revision, on a worker.
#[divan::bench]
fn revision(bencher: Bencher<'_, '_>) {
    let policy = policy();
    bencher.bench_local(|| Revision::render(black_box(&policy), &Secrets::default(), KeyMaking::None));
}

/// An agent's answer out of a rendered revision.
#[divan::bench(args = [false, true])]
fn delivery(bencher: Bencher<'_, '_>, gzip: bool) {
    let revision =
        Revision::render(&policy(), &Secrets::default(), KeyMaking::None).expect("it has an output");
    bencher.bench_local(|| {
        revision.answer(black_box("6f0e52a4-8a1e-4f53-a7f6-0d1f5a7b1c11"), &[], gzip.then_some(0))
    });
}
