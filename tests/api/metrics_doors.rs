//! Where the metrics endpoint listens, and what becomes of an address that is taken; what is exported against what the
//! documents, the dashboard and the alerts name.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::support::{
    Agent, Connection, Failed, Installation, Metrics, Options, Request, Scrape, Server, event, eventually,
    free_port, roots,
};

/// A server whose endpoint is on a port of its own.
fn on_a_port() -> (Server, u16) {
    let port = free_port();
    (Server::with(Options::default().set("http.enabled", true).set("http.port", port)), port)
}

#[test]
fn metrics_are_on_a_port_of_this_machine_without_tls() {
    let (server, port) = on_a_port();
    let line = server.process.stderr.wait_for("\"metrics\"");
    assert!(line.contains(&port.to_string()), "{line}");
    let answer = Connection::plain(port).ask(&Request::get("/")).ok();
    assert_eq!(answer, json!({ "name": "fleet-server", "version": "9.6.0" }));
}

#[test]
fn a_port_that_the_operator_chose_and_that_is_taken_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let options =
        Options::plain().set("http.enabled", true).set("http.host", "127.0.0.1").set("http.port", port);
    let Failed { stderr, .. } = Installation::new(options).start_in_vain();
    assert!(stderr.contains(&format!("127.0.0.1:{port} is in use")), "{stderr}");
}

#[test]
fn without_a_configuration_the_endpoint_is_on_and_a_taken_port_only_a_warning() {
    // somebody has it: we, or whoever was here before
    let _taken = TcpListener::bind("127.0.0.1:5066");
    let server = Server::with(Options::plain().without("http.enabled"));
    let line = server.process.stderr.wait_for("metrics are not shown");
    assert!(line.contains("5066") && line.contains("warn"), "{line}");
    server.ask(&Request::get("/api/status")).ok();
}

#[test]
fn a_socket_that_another_server_has_ends_the_start() {
    let (options, metrics) = Metrics::of(Options::plain());
    let _other = std::os::unix::net::UnixListener::bind(&metrics.path).unwrap();
    let Failed { stderr, .. } = Installation::new(options).start_in_vain();
    assert!(stderr.contains("metrics.sock is in use"), "{stderr}");
}

#[test]
fn switched_off_nothing_listens() {
    let server = Server::with(Options::plain().set("http.enabled", false).set("http.port", free_port()));
    assert!(!server.process.stderr.text().contains("\"metrics\""));
}

#[test]
fn handshakes_and_resumptions_are_counted() {
    let (server, port) = on_a_port();
    let before = scrape(port);
    let client =
        ClientConfig::builder().with_root_certificates(roots(&server.authority())).with_no_client_auth();
    // the first answer brings the ticket, by which the second connection comes back
    for _ in 0..2 {
        Connection::ask(&mut server.connect_as(client.clone()).unwrap(), &Request::get("/api/status")).ok();
    }
    server.connect_plainly().send("GET / HTTP/1.1\r\n\r\n");
    let after = eventually("the failed handshake is counted", || {
        Some(scrape(port)).filter(|text| of(text, "failed") == of(&before, "failed") + 1.0)
    });
    assert_eq!(of(&after, "full"), of(&before, "full") + 1.0);
    assert_eq!(of(&after, "resumed"), of(&before, "resumed") + 1.0);
    assert!(after.value("fleet_server_loop_turn_seconds_count") > 0.0);
}

/// Handshakes that came to this.
fn of(text: &Scrape, result: &str) -> f64 {
    text.value(&format!("fleet_server_tls_handshakes_total{{result=\"{result}\"}}"))
}

fn scrape(port: u16) -> Scrape {
    Scrape::of(&Connection::plain(port).ask(&Request::get("/metrics")))
}

/// A text file of the tree.
fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Name and type of each metric that a server exports which has seen a little of everything.
fn exported() -> BTreeSet<(String, String)> {
    let (server, port) = on_a_port();
    let agent: Agent = server.settled();
    server.ask(&agent.acks(&[event("policy:default:1", &agent)])).ok();
    let text = scrape(port);
    let types = text.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The rows of the tables in docs/metrics.md. A name may hold `ROUTE`, which stands for each route of the Go server.
fn documented() -> BTreeSet<(String, String)> {
    let text = file("docs/metrics.md");
    let routes: Vec<&str> = text
        .lines()
        .find_map(|line| line.strip_prefix("`ROUTE` is one of "))
        .expect("the routes are listed")
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    let mut rows = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (name, kind) = (cells[1].trim_matches('`'), cells[2]);
        assert_eq!(cells.len(), 7, "name, type, labels, unit, meaning: {line}");
        if name.contains("ROUTE") {
            rows.extend(routes.iter().map(|route| (name.replace("ROUTE", route), kind.to_owned())));
        } else {
            rows.insert((name.to_owned(), kind.to_owned()));
        }
    }
    rows
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_exported() {
    let (exported, documented) = (exported(), documented());
    let undocumented: Vec<_> = exported.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&exported).collect();
    assert!(
        undocumented.is_empty() && gone.is_empty(),
        "not in docs/metrics.md: {undocumented:?}\nnot exported: {gone:?}"
    );
}

/// What stands in a text as the name of a metric of ours.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_name = |word: &&str| {
        ["fleet_server_", "http_server_", "process_", "service_info"]
            .iter()
            .any(|start| word.starts_with(start))
    };
    words.filter(is_name).map(str::to_owned).collect()
}

/// The expressions of a dashboard, wherever they stand.
fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        Value::Object(fields) => {
            let own = fields.get("expr").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(expressions)).collect()
        }
        _ => Vec::new(),
    }
}

/// Names of series that a set of metrics has.
fn series(exported: &BTreeSet<(String, String)>) -> BTreeSet<String> {
    let ends = |(name, kind): &(String, String)| {
        let ends: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        ends.iter().map(|end| format!("{name}{end}")).collect::<Vec<_>>()
    };
    exported.iter().flat_map(ends).collect()
}

#[test]
fn dashboard_and_alerts_use_what_is_exported() {
    let series = series(&exported());
    let dashboard: Value = serde_json::from_str(&file("contrib/grafana-dashboard.json")).unwrap();
    let shown = expressions(&dashboard);
    assert!(shown.len() > 10, "{shown:?}");
    let alerts = file("contrib/alerts.yml");
    let rules = alerts.lines().filter(|line| line.trim_start().starts_with("expr:"));
    let rules: Vec<&str> = rules.collect();
    assert!(rules.len() > 5 && alerts.matches("- alert:").count() == rules.len(), "{rules:?}");
    for expression in shown.iter().map(String::as_str).chain(rules) {
        let names = names_in(expression);
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            assert!(series.contains(&name), "{name} is not exported: {expression}");
        }
    }
}
