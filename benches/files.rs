//! What it costs to keep a chunk of 4 MiB: in the embedded store's database, in a file beside it, and what a check-in waits
//! that is written while chunks come. `cargo bench --bench files`; the directory is under `TMPDIR`, whose disk decides what a
//! sync costs.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::{Bencher, black_box};
use fleet_server::model::raw::raw;
use fleet_server::model::{Bytes, FileArea, FileKey, NewChunk, NewFile, Patch};
use fleet_server::store::{Embedded, Operation, Retention, Store};
use fleet_server::time::Timestamp;
use serde_json::json;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

fn main() {
    divan::main();
}

fn key() -> FileKey {
    FileKey { area: FileArea::FromHost("agent".into()), id: "action.agent".into() }
}

/// A store with an upload that is open.
fn fixture() -> (Embedded, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let (store, _, _) =
        Embedded::open(directory.path(), Retention::default(), NOW).expect("a new store opens");
    let document = raw(&json!({"upload_start": NOW.0, "file": {"Status": "AWAITING_UPLOAD"}}));
    let new = NewFile { key: key(), upload_id: "u".into(), document };
    let begun = store.run(vec![Operation::BeginFile(Box::new(new))]);
    assert!(begun.iter().all(Result::is_ok), "the upload begins: {begun:?}");
    (store, directory)
}

fn chunk(number: u64) -> Vec<Operation> {
    let data = Bytes(vec![number as u8; CHUNK_BYTES]);
    let sha2 = format!("{number:064x}");
    let chunk = NewChunk { file: key(), upload_id: "u".into(), number, last: false, sha2, at: NOW, data };
    vec![Operation::PutChunk(Box::new(chunk))]
}

#[divan::bench(sample_count = 40, sample_size = 1)]
fn chunk_in_the_database(bencher: Bencher<'_, '_>) {
    let (store, _directory) = fixture();
    let counter = AtomicU64::new(0);
    bencher
        .counter(divan::counter::BytesCount::new(CHUNK_BYTES))
        .with_inputs(|| chunk(counter.fetch_add(1, Ordering::Relaxed)))
        .bench_values(|batch| black_box(store.run(batch)));
}

#[divan::bench(sample_count = 40, sample_size = 1)]
fn chunk_in_a_file_beside_it(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let folder = File::open(directory.path()).expect("the directory is there");
    let counter = AtomicU64::new(0);
    let data = vec![7; CHUNK_BYTES];
    bencher.counter(divan::counter::BytesCount::new(CHUNK_BYTES)).bench(|| {
        let name = counter.fetch_add(1, Ordering::Relaxed).to_string();
        let mut file = File::create(directory.path().join(name)).expect("a file can be made");
        file.write_all(&data).and_then(|()| file.sync_all()).expect("it can be written");
        folder.sync_all().expect("its name can be written");
    });
}

#[divan::bench(args = [false, true], sample_count = 100, sample_size = 1)]
fn write_of_a_check_in(bencher: Bencher<'_, '_>, while_chunks_come: bool) {
    let (store, _directory) = fixture();
    let over = AtomicU64::new(0);
    std::thread::scope(|scope| {
        if while_chunks_come {
            scope.spawn(|| {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) > 0 {
                        return;
                    }
                    store.run(chunk(number));
                }
            });
        }
        let check_in = || Operation::CheckIn { agent: "a".into(), at: NOW, patch: Patch::new() };
        bencher.with_inputs(|| vec![check_in()]).bench_values(|batch| black_box(store.run(batch)));
        over.store(1, Ordering::Relaxed);
    });
}
