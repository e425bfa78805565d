//! Configuration as a running server shows it: sources, errors, log, files (config.md, interface.md).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Failed, Installation, Options, Process, Request, Server, event, eventually, executable, free_port, online,
};

/// An installation with a configuration file.
fn with_file(text: &str, options: Options) -> Installation {
    let installation = Installation::new(options);
    fs::write(installation.directory.path().join("fleet-server.yml"), text).unwrap();
    installation
}

#[track_caller]
fn refusal(mut installation: Installation) -> String {
    let Failed { status, stderr } = installation.start_in_vain();
    assert_eq!(status.code(), Some(1), "{stderr}");
    stderr
}

/// The log so far, each line a JSON object.
fn log(server: &Server) -> Vec<Value> {
    let text = server.process.stderr.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn the_file_in_the_working_directory_is_read() {
    let text = "inputs:\n  - type: fleet-server\n    server:\n      limits:\n        ack_limit:\n          max_body_byte_size: 10\n";
    let server = with_file(text, Options::plain()).start();
    let agent = server.enrol();
    server.ask(&agent.acks(&[event("policy:default:1", &agent)])).is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn a_file_that_is_named_and_not_there_ends_the_start() {
    let said = refusal(Installation::new(Options::plain().argument("-c").argument("nowhere.yml")));
    assert!(said.contains("nowhere.yml"), "{said}");
}

#[test]
fn a_setting_of_the_command_line_wins_over_the_file() {
    let text = "inputs:\n  - server:\n      limits: {ack_limit: {max_body_byte_size: 10}}\n";
    let options = Options::plain().server("limits.ack_limit.max_body_byte_size", 1_000);
    let server = with_file(text, options).start();
    let agent = server.enrol();
    server.ask(&agent.acks(&[event("policy:default:1", &agent)])).ok();
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_one() {
    let server = with_file("inputs:\n  - server:\n      timeouts: {idel: 5s}\n", Options::plain()).start();
    let warnings: Vec<_> = log(&server).into_iter().filter(|line| line["log.level"] == "warn").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let message = warnings[0]["message"].as_str().unwrap();
    assert!(message.contains("idel") && message.contains("idle"), "{message}");
}

#[test]
fn a_value_of_a_wrong_type_is_an_error_with_its_place() {
    let said = refusal(with_file(
        "inputs:\n  - server:\n      limits:\n        max_connections: lots\n",
        Options::plain(),
    ));
    assert!(said.contains("fleet-server.yml:4") && said.contains("max_connections"), "{said}");
}

#[test]
fn every_error_is_told_at_once() {
    let text = "inputs:\n  - server:\n      pdkdf2: {iterations: 999}\n      limits: {max_connections: x}\n";
    let said = refusal(with_file(text, Options::plain()));
    assert!(said.contains("iterations") && said.contains("max_connections"), "{said}");
}

#[test]
fn a_file_that_is_no_yaml_is_an_error_with_its_place() {
    let said = refusal(with_file("inputs:\n  - server: {\n", Options::plain()));
    assert!(said.contains("fleet-server.yml"), "{said}");
}

#[test]
fn a_variable_that_is_not_set_is_an_error_that_names_it() {
    let text = "inputs:\n  - server:\n      timeouts: {idle: \"${NOBODY_SETS_THIS}\"}\n";
    let said = refusal(with_file(text, Options::plain()));
    assert!(said.contains("NOBODY_SETS_THIS"), "{said}");
}

#[test]
fn a_variable_of_the_environment_is_used() {
    let text = "inputs:\n  - server:\n      limits: {ack_limit: {max_body_byte_size: \"${ACK_BYTES}\"}}\n";
    let server = with_file(text, Options::plain().variable("ACK_BYTES", "10")).start();
    let agent = server.enrol();
    server.ask(&agent.acks(&[event("policy:default:1", &agent)])).is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn equal_addresses_are_one_listener() {
    let server = Server::with(Options::plain());
    let lines = log(&server).into_iter().filter(|line| line["message"] == "listening");
    let kinds: Vec<_> = lines.map(|line| line["listener"].clone()).collect();
    assert!(kinds.contains(&json!("external")) && kinds.contains(&json!("admin")), "{kinds:?}");
    assert!(!kinds.contains(&json!("internal")), "{kinds:?}");
}

#[test]
fn a_host_of_ipv6_is_served() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6: nothing was tested");
        return;
    }
    // the internal listener is the one that this test asks how the server does
    let external = free_port();
    let server = Server::with(Options::plain().server("port", external).server("host", "::1"));
    let addresses = server.process.stderr.text();
    assert!(addresses.contains(&format!("[::1]:{external}")), "{addresses}");
    assert!(server.process.stdout.text().contains(&format!("localhost:{external}")));
}

#[test]
fn each_line_of_the_log_is_ecs_json() {
    let server = Server::with(Options::plain().set("logging.level", "debug"));
    let request = Request::get("/nowhere").header("X-Request-Id", "mine");
    assert_eq!(server.ask(&request).status, 404);
    let line = server.process.stderr.wait_for("\"mine\"");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["http.response.status_code"], 404);
    assert_eq!((&line["http.request.method"], &line["url.full"]), (&json!("GET"), &json!("/nowhere")));
    for line in log(&server) {
        let time = line["@timestamp"].as_str().unwrap();
        assert_eq!((time.len(), time.as_bytes()[23]), (24, b'Z'), "{time}");
        for field in ["log.level", "message", "ecs.version"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
        assert_eq!(
            (&line["service.name"], &line["service.type"]),
            (&json!("fleet-server"), &json!("fleet-server"))
        );
    }
}

#[test]
fn a_refusal_says_in_the_log_who_asked_for_what_and_why() {
    let server = Server::with(Options::plain());
    let request = Request::post("/api/fleet/agents/somebody/acks").key(server.token());
    server.ask(&request.header("X-Request-Id", "mine")).is_error(403, "ErrAgentIdentity");
    let line: Value = serde_json::from_str(&server.process.stderr.wait_for("\"mine\"")).unwrap();
    assert!(line["client.address"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert_eq!(line["error.message"], "ErrAgentIdentity: Agent header contains wrong identifier");
    assert_eq!(line["fleet.agent.id"], "somebody");
}

#[test]
fn refused_requests_are_logged_at_info_and_others_at_debug() {
    let server = Server::with(Options::plain());
    server.ask(&Request::get("/api/status").header("X-Request-Id", "went-well"));
    server.ask(&Request::get("/nowhere").header("X-Request-Id", "went-wrong"));
    server.process.stderr.wait_for("went-wrong");
    assert!(!server.process.stderr.text().contains("went-well"));
}

#[test]
fn no_secret_is_in_the_log() {
    let server =
        Server::with(Options::plain().set("logging.level", "trace").server("pdkdf2.iterations", 1_000));
    let body = json!({ "type": "PERMANENT", "replace_token": "the-replace-token", "id": "x" });
    let agent = server.enrol_saying(&body);
    server.settle(&agent);
    server.ask(&server.enrolment(&body).key("YTpub3QtYS1rZXk="));
    server.ask(&Request::get("/api/status").header("X-Request-Id", "the-last").key(&agent.key)).ok();
    server.process.stderr.wait_for("the-last");
    let log = server.process.stderr.text();
    for secret in [server.token(), &agent.key, "the-replace-token", "not-a-key"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn sighup_brings_another_level_of_the_log() {
    let installation = with_file("logging.level: info\n", Options::plain());
    let file = installation.directory.path().join("fleet-server.yml");
    let server = installation.start();
    let agent = server.settled();
    let mut parked = server.park(&agent);
    fs::write(file, "logging.level: debug\n").unwrap();
    server.process.signal(Signal::HUP);
    server.process.stderr.wait_for("read again");
    server.ask(&Request::get("/api/status").header("X-Request-Id", "at-debug"));
    server.process.stderr.wait_for("at-debug");
    let action = server.order_settings(&agent.id, "debug");
    assert_eq!(parked.response().ok()["actions"][0]["id"], action, "nobody was dropped");
}

#[test]
fn a_bad_file_at_sighup_changes_nothing() {
    let installation = with_file("logging.level: info\n", Options::plain());
    let file = installation.directory.path().join("fleet-server.yml");
    let server = installation.start();
    fs::write(file, "logging.level: verbose\n").unwrap();
    server.process.signal(Signal::HUP);
    server.process.stderr.wait_for("verbose");
    assert_eq!(server.ask(&Request::get("/api/status")).status, 200);
}

#[test]
fn the_log_goes_to_files_where_the_operator_says_so() {
    let options =
        Options::plain().argument("-c").argument("other.yml").set("logging.to_stderr", false).unread();
    let installation = Installation::new(options);
    let logs = installation.directory.path().join("logs");
    let text = format!("logging: {{files: {{path: {}, name: mine.log}}}}\n", logs.display());
    fs::write(installation.directory.path().join("other.yml"), text).unwrap();
    let server = installation.start();
    server.enrol();
    let _installation = server.stop();
    let files: Vec<_> = fs::read_dir(&logs).unwrap().flatten().map(|entry| entry.path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(fs::read_to_string(&files[0]).unwrap().contains("listening"));
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(executable());
    let directory = tempfile::tempdir().unwrap();
    command.args(arguments).current_dir(directory.path());
    let mut process = Process::spawn(command, false);
    let status = process.wait();
    (status.code(), process.stdout.whole(), process.stderr.whole())
}

#[test]
fn a_log_file_that_was_renamed_is_made_anew_at_sighup() {
    let installation = with_file(
        "logging: {files: {path: logs}}\n",
        Options::plain().set("logging.to_stderr", false).unread(),
    );
    let logs = installation.directory.path().join("logs");
    let (file, renamed) = (logs.join("fleet-server.log"), logs.join("old"));
    let server = installation.start();
    let written = || fs::read_to_string(&file).unwrap();
    eventually("the first lines are written", || written().contains("listening").then_some(()));
    fs::rename(&file, &renamed).unwrap();
    server.process.signal(Signal::HUP);
    eventually("there is a new file", || fs::exists(&file).unwrap().then_some(()));
    server.ask(&Request::get("/nowhere").header("X-Request-Id", "after"));
    let _installation = server.stop();
    assert!(fs::read_to_string(&renamed).unwrap().contains("listening"));
    assert!(written().contains("after") && !written().contains("listening"), "{}", written());
}

#[test]
fn the_version_is_printed() {
    let (code, stdout, _) = run(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("9.6.0") && stdout.contains(env!("CARGO_PKG_VERSION")), "{stdout}");
}

#[test]
fn a_subcommand_without_a_server_says_so() {
    for command in [&["status"][..], &["agent", "list"], &["policy", "list"]] {
        let (code, _, stderr) = run(&[command, &["-E", "path.data=nowhere"]].concat());
        assert_eq!(code, Some(3), "{stderr}");
        assert!(stderr.contains("no server is running on") && stderr.contains("nowhere"), "{stderr}");
    }
}

#[test]
fn check_config_tells_what_is_wrong() {
    let (code, stdout, _) = run(&["check-config"]);
    assert_eq!(code, Some(0), "{stdout}");
    let (code, stdout, stderr) = run(&["check-config", "-E", "inputs.0.server.port=65536"]);
    assert_eq!(code, Some(1));
    assert!(format!("{stdout}{stderr}").contains("port"), "{stdout}{stderr}");
    let cluster = ["check-config", "-E", "output.elasticsearch.hosts=https://es"];
    for (wrong, told) in [
        (
            "output.elasticsearch.ssl.certificate_authorities=nowhere.crt",
            "output.elasticsearch.ssl: cannot read",
        ),
        ("output.elasticsearch.proxy_url=ftp://proxy", "output.elasticsearch.proxy_url"),
    ] {
        let (code, _, stderr) = run(&[&cluster[..], &["-E", wrong]].concat());
        assert_eq!(code, Some(1), "{wrong}: {stderr}");
        assert!(stderr.contains(told), "{wrong}: {stderr}");
    }
    let long = format!("path.data={}", "x".repeat(120));
    let (code, _, stderr) = run(&["check-config", "-E", &long]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("path.data") && stderr.contains("admin.sock"), "{stderr}");
}

#[test]
fn the_status_of_a_running_server_is_healthy() {
    let server = Server::start();
    let said = server.operate(&["status"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("HEALTHY"), "{}", said.stdout);
}

#[test]
fn without_jitter_a_poll_ends_when_it_is_over() {
    let options = Options::plain().server("timeouts.checkin_long_poll", "10ms");
    let server = Server::with(options);
    let agent = server.settled();
    assert_eq!(server.check_in(&agent, &online()).ok(), json!({ "ack_token": "", "action": "checkin" }));
}
