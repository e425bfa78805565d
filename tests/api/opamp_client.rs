//! The public OpAMP client, written in Go, against our server: over HTTP and over a WebSocket, both with TLS. Its program is in
//! `tests/opamp/client-go`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::{Output, Server, build_with_go, collector, described, eventually, uid};

/// Builds the client, once for all tests; none where that cannot be.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(|| build_with_go("tests/opamp/client-go")).as_deref()
}

/// The client as it runs.
struct Client {
    child: Child,
    orders: ChildStdin,
    said: Output,
}

impl Client {
    fn start(program: &Path, server: &Server, scheme: &str) -> Self {
        let mut command = Command::new(program);
        command
            .arg(format!("-url={scheme}://localhost:{}/v1/opamp", server.port))
            .arg(format!("-token={}", server.token()))
            .arg(format!("-ca={}", server.authority().display()))
            .arg(format!("-uid={}", collector(&uid(1)).replace('-', "")))
            .arg(format!("-compress={}", scheme == "https"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Output::of(child.stdout.take().unwrap());
        let orders = child.stdin.take().unwrap();
        Client { child, orders, said }
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").unwrap();
    }

    /// Waits until it tells of this event; what it says of it.
    fn hears(&self, event: &str) -> Value {
        let is_it = |line: &str| {
            let said: Value = serde_json::from_str(line).ok()?;
            (said["event"] == event).then_some(said)
        };
        self.said.find(event, is_it).unwrap_or_else(|| panic!("no {event}:\n{}", self.said.text()))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // it may have ended before
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a collector goes through, from its first word to its last.
fn lives(scheme: &str) {
    let Some(program) = program() else { return };
    let server = Server::start();
    let mut client = Client::start(program, &server, scheme);
    client.hears("connected");
    client.hears("message");
    let shown = server.collector_when(&uid(1), "it says how it is", |it| it.get("health").is_some());
    assert_eq!(shown["tags"], json!(["go-client", "real"]));
    assert_eq!((&shown["status"], &shown["effective_config"]), (&json!("online"), &json!({"receivers": {}})));

    client.order("health out of disk");
    server.collector_when(&uid(1), "it is not well", |it| it["status"] == "error");
    client.order("health");
    client.order("config exporters: {a: {api_key: k}}");
    let redacted = json!({"exporters": {"a": {"api_key": "REDACTED"}}});
    server.collector_when(&uid(1), "it runs something else", |it| it["effective_config"] == redacted);

    server.apply("default", &offering());
    eventually("the policy is in force", || server.tell(&described(uid(2))).remote_config);
    client.order("health");
    let offer = client.hears("offer");
    assert_eq!(offer["config"], "receivers:\n  otlp: null\n");
    let shown = server.collector_when(&uid(1), "it runs what it was given", |it| {
        it["remote_config_status"]["status"] == "APPLIED"
            && it["effective_config"]["receivers"]["otlp"].is_null()
    });
    assert_eq!(shown["remote_config_status"]["last_remote_config_hash"], offer["text"]);
    // a client that is asked for all answers at once: it may not be asked again and again
    let messages = shown["sequence_num"].as_u64().unwrap();
    assert!(messages < 40, "{messages} messages");

    client.order("stop");
    client.hears("stopped");
    if scheme == "wss" {
        // over HTTP the client goes without a word
        let gone =
            server.collector_when(&uid(1), "it is gone", |it| it["last_checkin_status"] == "disconnected");
        assert_eq!(gone["status"], "offline");
    }
    assert!(!client.said.text().contains("failure"), "{}", client.said.text());
}

/// A policy that offers a configuration.
fn offering() -> Value {
    json!({ "outputs": { "default": { "type": "elasticsearch", "hosts": ["http://localhost:9200"], "api_key": "x:y" } },
        "inputs": [], "otel": { "receivers": { "otlp": null } } })
}

#[test]
fn the_public_client_lives_over_http() {
    lives("https");
}

#[test]
fn the_public_client_lives_over_a_websocket() {
    lives("wss");
}

#[test]
fn the_public_client_is_told_when_the_server_goes_and_comes_back() {
    let Some(program) = program() else { return };
    let server = Server::start();
    let client = Client::start(program, &server, "wss");
    client.hears("message");
    let port = server.port;
    let mut installation = server.stop();
    installation.options = installation.options.port(port);
    let server = installation.start();
    let before = server.agent(&collector(&uid(1)))["sequence_num"].clone();
    server.collector_when(&uid(1), "it has come back", |it| it["sequence_num"] != before);
}
