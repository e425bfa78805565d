//! What becomes of memory that is free again.
#![cfg(all(target_os = "linux", feature = "jemalloc"))]

use crate::support::Server;

/// As jemalloc calls the thread in which it gives memory back.
const GIVES_BACK: &str = "jemalloc_bg_thd";

#[test]
fn the_program_gives_memory_back_while_nothing_happens() {
    let server = Server::start();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.process.id())).unwrap().flatten();
    // a thread may have ended since
    let names: Vec<String> =
        tasks.flat_map(|task| std::fs::read_to_string(task.path().join("comm"))).collect();
    assert!(names.iter().any(|name| name.trim() == GIVES_BACK), "{names:?}");
}
