//! What a machine does to a server: no rights, damage, no room, a busy port, a log that nobody reads.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Signal, getuid};
use serde_json::json;

use crate::support::{
    Connection, Failed, Installation, Options, Process, Request, Server, executable, free_port, online,
};

#[cfg(target_os = "linux")]
mod disk;

/// Starts a server in vain; what it says.
#[track_caller]
fn refusal(mut installation: Installation) -> String {
    let failed = installation.start_in_vain();
    said_by(&failed)
}

#[track_caller]
fn said_by(failed: &Failed) -> String {
    assert_eq!(failed.status.code(), Some(1), "{}", failed.stderr);
    assert!(!failed.stderr.contains("panicked"), "{}", failed.stderr);
    failed.stderr.clone()
}

#[test]
fn a_port_in_use_ends_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = refusal(Installation::new(Options::plain().port(port)));
    assert!(said.contains(&format!("127.0.0.1:{port} is in use")), "{said}");
}

#[test]
fn a_first_start_that_found_its_port_in_use_prints_the_token_the_next_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut installation = Installation::new(Options::plain().port(port));
    installation.start_in_vain();
    drop(listener);
    installation.options = Options::plain();
    installation.start().enrol();
}

#[test]
fn a_file_in_place_of_the_data_directory_ends_the_start() {
    let installation = Installation::new(Options::plain());
    fs::write(installation.path(), "a file").unwrap();
    let path = installation.path();
    let said = refusal(installation);
    assert!(said.contains(&path.display().to_string()) && said.contains("cannot be used"), "{said}");
}

#[test]
fn a_second_process_on_a_data_directory_is_refused() {
    let server = Server::with(Options::plain());
    let mut second = Process::spawn(server.installation.command(free_port()), false);
    assert_eq!(second.wait().code(), Some(1));
    let said = second.stderr.whole();
    assert!(said.contains("is in use by another process"), "{said}");
    // the first has not even noticed
    server.enrol();
}

#[test]
fn a_data_directory_is_free_again_after_kill_9() {
    let server = Server::with(Options::plain());
    let agent = server.settled();
    let server = server.kill().start();
    server.order_settings(&agent.id, "debug");
    assert_eq!(server.check_in(&agent, &online()).ok()["actions"][0]["type"], "SETTINGS");
}

#[test]
fn a_data_directory_whose_path_is_too_long_for_a_socket_ends_the_start() {
    let options = Options::plain().set("path.data", format!("./{}", "long/".repeat(30)));
    let said = refusal(Installation::new(options));
    assert!(said.contains("too long"), "{said}");
}

/// An installation that was used, with its database changed by `damage`; what a start says.
#[track_caller]
fn damaged(damage: impl FnOnce(&Path)) -> String {
    let server = Server::with(Options::plain());
    server.settled();
    let mut installation = server.stop();
    let file = installation.path().join("fleet.db");
    damage(&file);
    let before = fs::read(&file).unwrap();
    let failed = installation.start_in_vain();
    assert_eq!(fs::read(installation.path().join("fleet.db")).unwrap(), before, "it was changed");
    said_by(&failed)
}

#[test]
fn a_database_that_is_none_is_told_and_left_alone() {
    let said = damaged(|file| {
        fs::write(file, "no database at all, and longer than any header".repeat(200)).unwrap()
    });
    assert!(said.contains("fleet.db") && said.contains("damaged"), "{said}");
}

#[test]
fn a_database_with_damaged_pages_is_told_and_left_alone() {
    let said = damaged(|file| {
        let mut bytes = fs::read(file).unwrap();
        let page = 4_096;
        assert!(bytes.len() > 8 * page);
        bytes[2 * page..6 * page].fill(0x5a);
        fs::write(file, bytes).unwrap();
    });
    assert!(said.contains("fleet.db") && said.contains("damaged"), "{said}");
}

#[test]
fn a_database_that_was_cut_off_is_told_and_left_alone() {
    let said = damaged(|file| {
        let length = fs::metadata(file).unwrap().len();
        fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length / 2).unwrap();
    });
    assert!(said.contains("fleet.db") && said.contains("damaged"), "{said}");
}

#[test]
fn another_programs_database_is_told_and_left_alone() {
    let said = damaged(|file| {
        fs::remove_file(file).unwrap();
        let database = rusqlite::Connection::open(file).unwrap();
        database.execute_batch("CREATE TABLE theirs (a)").unwrap();
    });
    assert!(said.contains("another program's database"), "{said}");
}

#[test]
fn a_directory_in_place_of_the_database_ends_the_start() {
    let installation = Installation::new(Options::plain());
    fs::create_dir_all(installation.path().join("fleet.db")).unwrap();
    let said = refusal(installation);
    assert!(said.contains("fleet.db") && said.contains("cannot be opened"), "{said}");
}

/// The first user who is not root on most systems; nothing is theirs.
const NOBODY: u32 = 65_534;

/// A command line for a process that is not root: the program is copied where everybody may run it.
fn as_nobody(installation: &Installation, port: u16) -> Command {
    use std::os::unix::process::CommandExt;
    let program = installation.directory.path().join("program");
    fs::copy(executable(), &program).unwrap();
    fs::set_permissions(installation.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let given = installation.command(port);
    let mut command = Command::new(program);
    command.args(given.get_args()).current_dir(installation.directory.path());
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

#[test]
fn a_data_directory_that_may_not_be_written_ends_the_start() {
    let installation = Server::with(Options::plain()).stop();
    for entry in fs::read_dir(installation.path()).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o444)).unwrap();
        }
    }
    fs::set_permissions(installation.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut process = Process::spawn(as_nobody(&installation, free_port()), false);
    assert_eq!(process.wait().code(), Some(1));
    let said = process.stderr.whole();
    assert!(said.contains(&installation.path().display().to_string()), "{said}");
    assert!(said.contains("ermission"), "{said}");
    fs::set_permissions(installation.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_data_directory_that_may_not_be_made_ends_the_start() {
    let installation = Installation::new(Options::plain());
    let command = as_nobody(&installation, free_port());
    fs::set_permissions(installation.directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut process = Process::spawn(command, false);
    assert_eq!(process.wait().code(), Some(1));
    let said = process.stderr.whole();
    assert!(said.contains(&installation.path().display().to_string()), "{said}");
    fs::set_permissions(installation.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let options = Options::plain().set("logging.level", "debug").unread();
    let server = Server::with(options);
    let mut connection = server.connect();
    // each request is a line of some hundred bytes; a pipe holds 64 KiB
    for _ in 0..20 {
        connection.send(Request::get("/api/status").bytes().repeat(100));
        for _ in 0..100 {
            assert_eq!(connection.response().status, 200);
        }
    }
    let agent = server.settled();
    let mut parked = server.park(&agent);
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(parked.response().ok()["actions"][0]["id"], action);
    // and it stops, although its last words cannot be written
    let mut process = server.process;
    process.signal(Signal::TERM);
    assert!(process.wait().success());
}

#[test]
fn clients_wait_while_there_are_no_descriptors_and_are_served_then() {
    let options = Options::plain().wrapper(&["sh", "-c", "ulimit -n 48; exec \"$@\"", "sh"]);
    let server = Server::with(options);
    let mut connections: Vec<_> = (0..80).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.send(Request::get("/api/status").header("Connection", "close").bytes());
    }
    for connection in &mut connections {
        assert_eq!(connection.response().status, 200);
    }
}

#[test]
fn an_error_of_the_store_is_never_a_401() {
    // the tables that hold keys and agents are gone: an answer about a key cannot be had
    let server = Server::with(Options::plain());
    let agent = server.settled();
    let database = rusqlite::Connection::open(server.installation.path().join("fleet.db")).unwrap();
    database.execute_batch("ALTER TABLE keys RENAME TO hidden; ALTER TABLE agents RENAME TO gone").unwrap();
    let unknown = STANDARD.encode("unknown:secret");
    for request in [agent.check_in(&online()), agent.check_in(&online()).key(&unknown)] {
        let (status, _) = server.ask(&request).error();
        assert_eq!(status, 503);
    }
}

#[test]
fn a_store_that_is_down_at_the_start_makes_it_starting_and_nobody_is_told_that_a_key_is_bad() {
    let options = Options::plain()
        .set("output.elasticsearch.hosts.0", format!("http://127.0.0.1:{}", free_port()))
        .set("output.elasticsearch.service_token", "t");
    let installation = Installation::new(options);
    let port = free_port();
    let process = Process::spawn(installation.command(port), false);
    process.stderr.wait_for("listening");
    let ask = |request: &Request| Connection::plain(port).ask(request);
    let answer = ask(&Request::get("/api/status"));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json(), json!({ "name": "fleet-server", "status": "STARTING" }));
    let unknown = Request::post("/api/fleet/agents/a/acks").key(&STANDARD.encode("a:b")).json(&json!({}));
    let (status, said) = ask(&unknown).error();
    assert_eq!((status, &said[..]), (503, "ServiceUnavailable"));
}
