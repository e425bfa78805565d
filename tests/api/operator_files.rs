//! What an operator does with files: `agent diagnostics --output` and `file ..`.

use std::os::unix::fs::PermissionsExt;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::files::content;
use crate::support::{Agent, Options, Request, Server, event, online};

/// A server with an agent that has what it is to run.
fn plain() -> (Server, Agent) {
    let server = Server::with(Options::plain());
    let agent = server.settled();
    (server, agent)
}

/// The action that the agent is told next.
fn told(server: &Server, agent: &Agent) -> String {
    let action = server.told(agent, &online())["actions"][0].clone();
    assert_eq!(action["type"], "REQUEST_DIAGNOSTICS", "{action}");
    action["id"].as_str().unwrap().to_owned()
}

#[test]
fn diagnostics_are_ordered_awaited_checked_and_saved() {
    let (server, agent) = plain();
    let folder = server.installation.directory.path();
    let file = folder.join("bundle.zip");
    let data = content(5_000_000);
    let arguments = ["agent", "diagnostics", &agent.id, "--output", file.to_str().unwrap()];
    let said = thread::scope(|scope| {
        let operator = scope.spawn(|| server.operate(&arguments));
        let action_id = told(&server, &agent);
        server.upload(&agent, &action_id, &data);
        operator.join().unwrap()
    });
    assert_eq!(said.json()["size"], data.len());
    assert!(std::fs::read(&file).unwrap() == data);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds configurations");
    let left = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().ends_with(".part")));
}

#[test]
fn diagnostics_that_an_agent_refuses_or_does_not_send_are_told() {
    let (server, agent) = plain();
    let file = server.installation.directory.path().join("bundle.zip");
    let arguments = ["agent", "diagnostics", &agent.id, "--output", file.to_str().unwrap()];
    let said = thread::scope(|scope| {
        let operator = scope.spawn(|| server.operate(&arguments));
        let action_id = told(&server, &agent);
        let mut refusal = event(&action_id, &agent);
        refusal["error"] = json!("no space left");
        server.ask(&agent.acks(&[refusal])).ok();
        operator.join().unwrap()
    });
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("no space left"), "{}", said.stderr);
    let said = server.operate(&[&arguments[..], &["--wait", "0"]].concat());
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("has not sent the file"), "{}", said.stderr);
    assert!(!file.exists());
}

#[test]
fn diagnostics_that_are_ended_by_a_signal_leave_nothing() {
    let (server, agent) = plain();
    let folder = server.installation.directory.path().join("saved");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("bundle.zip");
    let arguments = ["agent", "diagnostics", &agent.id, "--output", file.to_str().unwrap()];
    let mut operator = server.begin_to_operate(&arguments);
    told(&server, &agent);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "it has begun");
    operator.signal(Signal::TERM);
    assert_eq!(operator.wait().code(), Some(1));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn diagnostics_that_cannot_be_written_are_not_ordered() {
    let (server, agent) = plain();
    let said = server.operate(&["agent", "diagnostics", &agent.id, "--output", "no/such/folder/bundle.zip"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("no/such/folder"), "{}", said.stderr);
    assert!(server.stop().open().actions().is_empty());
}

#[test]
fn what_an_agent_sent_is_listed_and_fetched_under_kibana_s_paths() {
    let (server, agent) = plain();
    server.upload(&agent, "x", b"data");
    server.begin_upload(&agent, "y", 1);
    let list = server.ask_as_operator(&Request::get(&format!("/api/fleet/agents/{}/uploads", agent.id))).ok();
    let statuses: Vec<(&Value, &Value)> =
        list["items"].as_array().unwrap().iter().map(|item| (&item["actionId"], &item["status"])).collect();
    assert_eq!(statuses.len(), 2, "{list}");
    assert!(statuses.contains(&(&json!("x"), &json!("READY"))), "{list}");
    let whole = list["items"].as_array().unwrap().iter().find(|item| item["actionId"] == "x").unwrap();
    let path = whole["filePath"].as_str().unwrap();
    assert_eq!(server.ask_as_operator(&Request::get(path)).body, b"data");
    let open = format!("/api/fleet/agents/files/y.{}/n", agent.id);
    assert_eq!(server.ask_as_operator(&Request::get(&open)).status, 404);
}

#[test]
fn a_file_is_added_fetched_listed_and_deleted() {
    let (server, agent) = plain();
    let file = server.installation.directory.path().join("tool.bin");
    let data = content(4_194_304 + 7);
    std::fs::write(&file, &data).unwrap();
    let add = [
        "file",
        "add",
        file.to_str().unwrap(),
        "--id",
        "tool",
        "--agent",
        &agent.id,
        "--mime-type",
        "text/x",
    ];
    let item = server.operate(&add).json();
    assert_eq!(
        (&item["id"], &item["status"], &item["size"]),
        (&json!("tool"), &json!("READY"), &json!(data.len()))
    );
    let fetched = server.ask(&Request::get("/api/fleet/file/tool").key(&agent.key));
    assert_eq!((fetched.status, fetched.header("Content-Type")), (200, Some("text/x")));
    assert!(fetched.body == data);
    let list = server.operate(&["file", "list"]).json();
    assert_eq!((list["items"][0]["id"].as_str(), list["items"].as_array().unwrap().len()), (Some("tool"), 1));
    // whole already
    assert_eq!(server.operate(&add).code, Some(1));
    assert_eq!(server.operate(&["file", "delete", "tool"]).code, Some(0));
    server.ask(&Request::get("/api/fleet/file/tool").key(&agent.key)).is_error(404, "ErrNoFile");
    assert_eq!(server.operate(&["file", "delete", "tool"]).code, Some(1));
}

#[test]
fn a_file_for_an_agent_that_nobody_knows_is_refused() {
    let (server, agent) = plain();
    let file = server.installation.directory.path().join("tool.bin");
    std::fs::write(&file, "tool").unwrap();
    let refused =
        server.operate(&["file", "add", file.to_str().unwrap(), "--agent", &agent.id, "--agent", "NOPE"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("there is no agent NOPE"), "{}", refused.stderr);
    assert_eq!(server.operate(&["file", "list"]).json()["items"], json!([]));
}

/// A file of the kernel that is another each time it is read.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_changes_while_it_is_read_is_given_to_nobody() {
    let (server, _) = plain();
    let refused = server.operate(&["file", "add", "/proc/sys/kernel/random/uuid", "--library", "odd"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("it has changed while it was read"), "{}", refused.stderr);
    let list = server.operate(&["file", "list"]).json();
    assert_eq!(list["items"][0]["status"], "AWAITING_UPLOAD");
}

#[test]
fn a_file_of_a_library_is_for_endpoint() {
    let (server, agent) = plain();
    let file = server.installation.directory.path().join("script");
    std::fs::write(&file, "script").unwrap();
    server.operate(&["file", "add", file.to_str().unwrap(), "--id", "s", "--library", "scripts"]).json();
    let get = Request::get("/api/fleet/file/s?source=scripts").key(&agent.key);
    assert_eq!(server.ask(&get.header("X-elastic-product-origin", "endpoint-security")).body, b"script");
    let list = server.operate(&["file", "list"]).json();
    assert_eq!(list["items"][0]["area"], "library-scripts", "{list}");
    std::fs::write(&file, "").unwrap();
    for refused in [&["--agent", "a"][..], &["--library", "A/B"]] {
        let said = server.operate(&[&["file", "add", file.to_str().unwrap()], refused].concat());
        assert_eq!(said.code, Some(1), "{}", said.stdout);
    }
}
