//! Secrets from the operator to the agent.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Server, executable};

/// Runs `secret set` with `value` on its standard input; what it prints.
fn set(server: &Server, arguments: &[&str], value: &str) -> String {
    let mut command = Command::new(executable());
    command.args(["secret", "set"]).args(arguments);
    command.arg("-E").arg(format!("path.data={}", server.installation.path().display()));
    command.current_dir(server.installation.directory.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn policy(id: &str) -> Value {
    json!({
        "outputs": { "default": { "type": "kafka", "hosts": ["k:9092"], "secrets": { "password": { "id": id } } } },
        "inputs": [{ "id": "i", "type": "log", "header": format!("Bearer $co.elastic.secret{{{id}}}") }],
        "secret_references": [{ "id": id }],
    })
}

#[test]
fn a_secret_reaches_the_agent_and_is_shown_to_nobody_else() {
    let server = Server::start();
    let agent = server.settled();
    let mut parked = server.park(&agent);
    assert_eq!(set(&server, &["--id", "mine"], "s3cret value\n"), "mine");
    let made = set(&server, &["--json"], "other");
    assert!(made.contains("\"id\"") && !made.contains("other"), "{made}");
    server.apply("default", &policy("mine"));
    let answer = parked.response().ok();
    let policy = &answer["actions"][0]["data"]["policy"];
    assert_eq!(policy["inputs"][0]["header"], "Bearer s3cret value");
    assert_eq!(policy["outputs"]["default"]["password"], "s3cret value");
    assert_eq!(policy["secret_paths"], json!(["inputs.0.header", "outputs.default.password"]));
    assert!(policy.get("secret_references").is_none());
    let shown = server.operate(&["policy", "show", "default"]);
    assert!(shown.json().to_string().contains("secret{mine}") && !shown.stdout.contains("s3cret"));
}
