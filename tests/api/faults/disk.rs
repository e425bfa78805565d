//! A disk without room, as Linux lets a test make one.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use super::said_by;
use crate::support::{Agent, Installation, Options, Request, Server, event, eventually, succeeds};

fn enrolment(server: &Server) -> Request {
    server
        .enrolment(&json!({ "type": "PERMANENT", "metadata": { "local": { "filler": "x".repeat(2_000) } } }))
}

/// Holds a server through the time in which it cannot write: between `fill` and `free`.
fn rides_out(server: Server, fill: impl FnOnce(&Server), free: impl FnOnce(&Server)) {
    let agents: Vec<Agent> = (0..5).map(|_| server.settled()).collect();
    let action = server.order_settings(&agents[0].id, "debug");
    let mut parked = server.park(&agents[1]);
    fill(&server);
    let mut enrolled = Vec::new();
    let refused = eventually("there is no room", || {
        let answer = server.ask(&enrolment(&server));
        (answer.status != 200).then(|| answer.clone()).or_else(|| {
            enrolled.push(Agent::of(&answer));
            None
        })
    });
    refused.is_error(503, "ServiceUnavailable");
    // an ack that cannot be kept is not acknowledged
    let answer = server.ask(&agents[0].acks(&[event(&action, &agents[0])]));
    assert_eq!(
        (answer.status, answer.json()["items"][0]["status"].as_u64()),
        (503, Some(503)),
        "{}",
        answer.text()
    );
    // short trouble is not shown to load balancers, and nobody is sent away
    assert_eq!(server.ask(&Request::get("/api/status")).status, 200);
    free(&server);
    eventually("there is room again", || {
        let answer = server.ask(&enrolment(&server));
        (answer.status == 200).then(|| enrolled.push(Agent::of(&answer)))
    });
    server.ask(&agents[0].acks(&[event(&action, &agents[0])])).ok();
    let order = server.order_settings(&agents[1].id, "info");
    assert_eq!(parked.response().ok()["actions"][0]["id"], order, "it stayed parked through all that");
    let mut installation = server.stop();
    let opened = installation.open();
    assert_eq!(opened.results(&action).len(), 1);
    assert_eq!(opened.agents().len(), agents.len() + enrolled.len(), "those acknowledged, and no others");
    for agent in agents.iter().chain(&enrolled) {
        assert!(opened.agent(&agent.id).is_some_and(|agent| agent.active) && opened.is_good(&agent.key));
    }
}

/// Lets files of the process grow to so many bytes.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = i32::try_from(server.process.id()).ok().and_then(Pid::from_raw);
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[test]
fn files_that_cannot_grow_are_ridden_out() {
    // without the signal that would end a process whose file is at its limit
    let options = Options::plain().wrapper(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    let limit = |server: &Server| {
        let length = fs::metadata(server.installation.path().join("fleet.db-wal")).unwrap().len();
        limit_files(server, Some(length + 100_000));
    };
    rides_out(Server::with(options), limit, |server| limit_files(server, None));
}

/// A small file system of its own; unmounted when dropped.
struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    /// None where this user may not mount.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().display().to_string();
        let mounted = succeeds("mount", &["-t", "tmpfs", "-o", "size=2m,mode=0755", "tmpfs", &place]);
        mounted.then_some(Disk { directory })
    }

    fn filler(&self) -> PathBuf {
        self.directory.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        succeeds("umount", &["-l", &self.directory.path().display().to_string()]);
    }
}

#[test]
fn a_full_disk_is_ridden_out() {
    let Some(disk) = Disk::mount() else {
        eprintln!(
            "this user may not mount a file system: the limit of file sizes stands in for it in another test"
        );
        return;
    };
    let data = disk.directory.path().join("d");
    let server = Server::with(Options::plain().data(&data));
    let fill = |_: &Server| {
        // writes until there is no room; what it came to does not matter
        let _ = fs::write(disk.filler(), vec![0; 4 * 1024 * 1024]);
    };
    rides_out(server, fill, |_| fs::remove_file(disk.filler()).unwrap());
}

#[test]
fn a_start_on_a_full_disk_says_so() {
    let Some(disk) = Disk::mount() else {
        eprintln!("this user may not mount a file system: nothing was tested");
        return;
    };
    let _ = fs::write(disk.filler(), vec![0; 4 * 1024 * 1024]);
    let mut installation = Installation::new(Options::plain().data(&disk.directory.path().join("d")));
    let failed = installation.start_in_vain();
    let said = said_by(&failed);
    assert!(said.contains(&disk.directory.path().display().to_string()), "{said}");
    fs::remove_file(disk.filler()).unwrap();
    installation.start().enrol();
}

#[test]
fn a_standard_output_that_takes_nothing_is_no_reason_not_to_serve() {
    let server = Server::with(Options::plain().wrapper(&["sh", "-c", "exec \"$@\" >/dev/full", "sh"]));
    let listed = server.operate(&["token", "list"]).json();
    assert!(listed.to_string().contains("default"), "{listed}");
}
