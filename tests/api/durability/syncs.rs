//! A loop of `kill -9` passes without any sync, for the system keeps what was written. So the system calls are looked at:
//! between a request that writes and its answer, the database's log is written and then synced.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::{Agent, Installation, Options, Request, Response, Server, event, eventually, succeeds};

/// Calls that matter: what reads requests and writes answers, and what writes and syncs files.
const CALLS: &str =
    "trace=read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync";
/// A header line that marks the request of each step in the trace.
const MARK: &str = "X-Request-Id";

/// What one line of the trace says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Request,
    Answer,
    Write,
    /// Begun and ended on one line of the trace.
    Synced,
    SyncBegins,
    SyncEnds,
}

fn strace_is_there() -> bool {
    let there = succeeds("strace", &["--version"]);
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(there || !ci, "strace is not installed: this test needs it, and CI runs every test");
    there
}

#[test]
fn each_acknowledged_write_is_synced_before_its_answer() {
    if !strace_is_there() {
        eprintln!("strace is not installed: nothing was tested");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let name = trace.display().to_string();
    // -D: the server stays this process's child; -y: names of files; -s: room for the first lines of a head
    let wrapper = ["strace", "-f", "-D", "-y", "-s", "400", "-e", CALLS, "-e", "signal=none", "-o", &name];
    let server =
        Installation::new(Options::plain().server("timeouts.checkin_long_poll", "50ms").wrapper(&wrapper))
            .start();
    let steps = write_everything(&server);
    server.stop();
    let text = eventually("the trace is whole", || {
        let text = fs::read_to_string(&trace).unwrap();
        text.lines().last().is_some_and(|line| line.contains("+++ exited")).then_some(text)
    });
    for step in steps {
        is_synced(&text, step, &trace);
    }
}

/// Does everything that is acknowledged, one after the other; the names of the steps.
fn write_everything(server: &Server) -> Vec<&'static str> {
    let mut steps = Vec::new();
    let mut step = |name: &'static str, request: Request, operator: bool| -> Response {
        steps.push(name);
        let request = request.header(MARK, format!("step-{name}."));
        let answer = if operator { server.ask_as_operator(&request) } else { server.ask(&request) };
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        answer
    };
    let agent = Agent::of(&step("enrol", server.enrolment(&json!({ "type": "PERMANENT" })), false));
    step("policy-ack", agent.acks(&[event("policy:default:1", &agent)]), false);
    let orders = format!("/api/fleet/agents/{}/actions", agent.id);
    let settings = json!({ "action": { "type": "SETTINGS", "data": { "log_level": "debug" } } });
    let ordered = step("order", Request::post(&orders).json(&settings), true).json();
    let action = ordered["actionId"].as_str().unwrap().to_owned();
    step("ack", agent.acks(&[event(&action, &agent)]), false);
    let said = json!({ "status": "online", "components": [{ "id": "c" }], "poll_timeout": "1s" });
    step("check-in", agent.check_in(&said), false);
    let secret = Request::post("/api/fleet/secrets").json(&json!({ "value": "s" }));
    step("secret", secret, true);
    let ordered = step("order-again", Request::post(&orders).json(&settings), true).json();
    let cancel = format!("/api/fleet/agents/actions/{}/cancel", ordered["actionId"].as_str().unwrap());
    step("cancel", Request::post(&cancel), true);
    step("audit", agent.audit_unenroll("uninstall"), false);
    let policy = json!({ "outputs": { "default": { "type": "elasticsearch", "hosts": ["http://h:9200"] } }, "inputs": [] });
    step("apply", Request::new("PUT", "/api/fleet/agent_policies/p/full").json(&policy), true);
    let token = Request::post("/api/fleet/enrollment_api_keys").json(&json!({ "policy_id": "p" }));
    let token = step("token", token, true).json();
    let id = token["item"]["id"].as_str().unwrap();
    step("revoke", Request::new("DELETE", &format!("/api/fleet/enrollment_api_keys/{id}")), true);
    step("delete", Request::new("DELETE", "/api/fleet/agent_policies/p"), true);
    let unenroll = format!("/api/fleet/agents/{}/unenroll", agent.id);
    let ordered = step("order-unenroll", Request::post(&unenroll).json(&json!({})), true).json();
    let action = ordered["actionId"].as_str().unwrap().to_owned();
    step("unenroll", agent.acks(&[event(&action, &agent)]), false);
    steps
}

/// Between the request of `step` and its answer: the log of the database is written, then synced.
fn is_synced(trace: &str, step: &str, file: &Path) {
    let mark = format!("step-{step}.");
    let calls: Vec<Call> = trace.lines().filter_map(|line| call(line, &mark)).collect();
    let request = calls.iter().position(|call| *call == Call::Request);
    let request = request.unwrap_or_else(|| panic!("{step}: no request in {}", file.display()));
    let answer = calls[request..].iter().position(|call| *call == Call::Answer).expect("an answer");
    let between = &calls[request..request + answer];
    let written = between.iter().position(|call| *call == Call::Write);
    let written = written.unwrap_or_else(|| panic!("{step}: nothing is written: {between:?}"));
    let after = &between[written..];
    let begun = after.iter().position(|call| *call == Call::SyncBegins).map(|begun| &after[begun..]);
    let whole = after.contains(&Call::Synced) || begun.is_some_and(|after| after.contains(&Call::SyncEnds));
    assert!(whole, "{step}: written and not synced: {between:?}");
}

fn call(line: &str, mark: &str) -> Option<Call> {
    let is = |names: &[&str]| names.iter().any(|name| line.contains(&format!(" {name}(")));
    let resumed = |names: &[&str]| names.iter().any(|name| line.contains(&format!("<... {name} resumed>")));
    let syncs = ["fsync", "fdatasync"];
    let of_log = line.contains("fleet.db-wal") || line.contains("fleet.db>");
    if line.contains(mark) && line.contains("HTTP/1.1 200") {
        return Some(Call::Answer);
    }
    if line.contains(mark) {
        return Some(Call::Request);
    }
    if is(&["pwrite64", "pwritev", "write", "writev"]) && of_log {
        return Some(Call::Write);
    }
    if is(&syncs) && of_log {
        // one line, unless another thread's call came between
        let begins = line.contains("<unfinished");
        return if begins { Some(Call::SyncBegins) } else { line.contains("= 0").then_some(Call::Synced) };
    }
    (resumed(&syncs) && line.contains("= 0")).then_some(Call::SyncEnds)
}
