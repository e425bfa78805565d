//! The metrics endpoint: `/`, `/stats`, `/state`, `/dataset` and `/metrics`, on a port and on a Unix socket.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Connection, Options, Request, Response, Server, connect_unix, event, eventually};

/// A server whose metrics are shown on a socket in a directory that lives as long as the test holds it.
fn on_a_socket(options: Options) -> (Server, tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.sock");
    let options = options.set("http.enabled", true).set("http.host", format!("unix://{}", path.display()));
    (Server::with(options), directory, path)
}

fn ask(path: &Path, request: &Request) -> Response {
    Connection::new(connect_unix(path).unwrap()).ask(request)
}

fn get(path: &Path, target: &str) -> Response {
    ask(path, &Request::get(target))
}

fn stats(path: &Path) -> Value {
    get(path, "/stats").ok()
}

fn scrape(path: &Path) -> String {
    let response = get(path, "/metrics");
    assert_eq!(response.status, 200);
    response.text().to_owned()
}

/// The value of one line, told by all that stands before it.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
}

#[test]
fn the_root_names_the_server_and_its_version() {
    let (_server, _directory, path) = on_a_socket(Options::plain());
    assert_eq!(get(&path, "/").ok(), json!({ "name": "fleet-server", "version": "9.6.0" }));
}

#[test]
fn stats_have_the_shape_that_monitoring_reads() {
    let (_server, _directory, path) = on_a_socket(Options::plain());
    let shown = stats(&path);
    let server = &shown["http_server"];
    for field in ["tcp_open", "tcp_close", "tcp_active", "tcp_rejected_rate"] {
        assert!(server[field].is_u64(), "{field}: {server}");
    }
    for route in ["checkin", "enroll", "acks", "status", "auditUnenroll"] {
        for field in [
            "active",
            "total",
            "limit_rate",
            "limit_max",
            "limit_max_rate",
            "fail",
            "drop",
            "body_in",
            "body_out",
        ] {
            assert!(server["routes"][route][field].is_u64(), "{route}.{field}: {server}");
        }
    }
    let process = &shown["beat"];
    assert_eq!(
        (&process["info"]["name"], &process["info"]["version"]),
        (&json!("fleet-server"), &json!("9.6.0"))
    );
    assert!(
        process["info"]["uptime"]["ms"].is_u64() && process["info"]["ephemeral_id"].is_string(),
        "{process}"
    );
    if cfg!(target_os = "linux") {
        for pointer in
            ["/memstats/rss", "/cpu/total/value", "/handles/open", "/handles/limit/soft", "/runtime/threads"]
        {
            assert!(process.pointer(pointer).is_some_and(Value::is_u64), "{pointer}: {process}");
        }
    }
}

#[test]
fn pretty_is_for_people() {
    let (_server, _directory, path) = on_a_socket(Options::plain());
    assert_eq!(get(&path, "/stats").text().lines().count(), 1);
    for target in ["/stats?pretty", "/stats?pretty=true"] {
        let response = get(&path, target);
        assert!(response.text().lines().count() > 10);
        assert!(response.ok()["http_server"].is_object());
    }
}

#[test]
fn what_beats_show_besides_is_empty() {
    let (_server, _directory, path) = on_a_socket(Options::plain());
    assert_eq!((get(&path, "/state").ok(), get(&path, "/dataset").ok()), (json!({}), json!({})));
}

#[test]
fn an_unknown_path_is_404_and_another_method_405() {
    let (_server, _directory, path) = on_a_socket(Options::plain());
    get(&path, "/api/status").is_error(404, "NotFound");
    let response = ask(&path, &Request::post("/stats"));
    assert_eq!((response.status, response.header("Allow")), (405, Some("GET")));
}

#[test]
fn a_reader_gets_the_text_that_it_knows() {
    let (_server, _directory, path) = on_a_socket(Options::plain());
    let kind = |accept: &str| {
        let response = ask(&path, &Request::get("/metrics").header("Accept", accept));
        response.header("Content-Type").unwrap().to_owned()
    };
    assert_eq!(
        kind("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert_eq!(kind("*/*"), "text/plain; version=0.0.4; charset=utf-8");
}

#[test]
fn requests_are_counted_by_route() {
    let (server, _directory, path) = on_a_socket(Options::plain());
    let agent = server.settled();
    let _parked = server.park(&agent);
    server.ask(&agent.acks(&[event("policy:default:1", &agent)])).ok();
    server.ask(&Request::get("/api/status").key("bm8=")).ok();
    server.ask(&agent.acks(&[event("nobody-made-this", &agent)]).key("bm86bm8=")).error();
    let routes = stats(&path)["http_server"]["routes"].clone();
    assert_eq!(
        (&routes["enroll"]["total"], &routes["checkin"]["active"]),
        (&json!(1), &json!(1)),
        "{routes}"
    );
    assert_eq!(routes["acks"]["fail"], 1, "{routes}");
    assert!(routes["acks"]["body_in"].as_u64() > Some(20) && routes["acks"]["body_out"].as_u64() > Some(20));
    let text = scrape(&path);
    assert_eq!(value(&text, "http_server_routes_checkin_active"), 1.0);
    assert_eq!(value(&text, "fleet_server_requests_active{route=\"checkin\"}"), 1.0);
    assert_eq!(value(&text, "fleet_server_requests_total{route=\"enroll\"}"), 1.0);
    assert_eq!(value(&text, "fleet_server_errors_total{route=\"acks\",error=\"ErrUnauthorized\"}"), 1.0);
    assert_eq!(value(&text, "service_info{name=\"fleet-server\",version=\"9.6.0\"}"), 1.0);
}

#[test]
fn agents_deliveries_and_rollouts_are_counted() {
    let (server, _directory, path) = on_a_socket(Options::plain());
    let agents = [server.settled(), server.settled()];
    let mut parked: Vec<_> = agents.iter().map(|agent| server.park(agent)).collect();
    let text = scrape(&path);
    assert_eq!(value(&text, "fleet_server_agents_parked"), 2.0);
    assert_eq!(value(&text, "fleet_server_enrolments_total"), 2.0);
    let of_policy =
        |text: &str, name: &str| value(text, &format!("fleet_server_policy_{name}{{policy=\"default\"}}"));
    let before =
        (of_policy(&text, "agents"), of_policy(&text, "agents_outdated"), of_policy(&text, "revision"));
    assert_eq!(before, (2.0, 0.0, 1.0));
    let delivered = of_policy(&text, "revisions_delivered_total");
    let policy =
        json!({ "outputs": { "o": { "type": "elasticsearch", "hosts": ["http://h:9200"] } }, "inputs": [] });
    let revision = server.apply("default", &policy);
    for connection in &mut parked {
        assert_eq!(connection.response().ok()["actions"][0]["type"], "POLICY_CHANGE");
    }
    let text = scrape(&path);
    assert_eq!(of_policy(&text, "revision"), revision as f64);
    assert_eq!(of_policy(&text, "revisions_delivered_total"), delivered + 2.0);
    assert_eq!(value(&text, "fleet_server_agents_parked"), 0.0);
}

#[test]
fn the_store_is_measured_by_operation() {
    let (server, _directory, path) = on_a_socket(Options::plain());
    server.enrol();
    let text = scrape(&path);
    assert_eq!(value(&text, "fleet_server_store_operation_seconds_count{operation=\"enroll\"}"), 1.0);
    assert!(value(&text, "fleet_server_queue_bound{queue=\"store_read\"}") > 1_000.0);
    let store = text.lines().find(|line| line.starts_with("fleet_server_store_info{")).unwrap();
    if server.installation.cluster().is_some() {
        assert!(store.contains("kind=\"elasticsearch\"") && !store.contains("watch=\"\""), "{store}");
        assert!(value(&text, "fleet_server_elasticsearch_requests_total{api=\"bulk\"}") > 0.0);
    }
}

#[test]
fn refusals_are_counted_by_their_reason() {
    let options =
        Options::plain().server("limits.status_limit.max", 1).server("limits.status_limit.interval", "1h");
    let (server, _directory, path) = on_a_socket(options.server("limits.status_limit.burst", 1));
    server.ask(&Request::get("/api/status")).ok();
    server.ask(&Request::get("/api/status")).is_error(429, "RateLimit");
    assert_eq!(stats(&path)["http_server"]["routes"]["status"]["limit_rate"], 1);
    let text = scrape(&path);
    assert_eq!(value(&text, "fleet_server_requests_refused_total{route=\"status\",reason=\"rate\"}"), 1.0);
}

#[test]
fn whoever_looks_at_metrics_is_never_limited() {
    let (server, _directory, path) = on_a_socket(Options::plain().server("limits.max_connections", 1));
    let agent = server.settled();
    let _parked = server.park(&agent);
    assert!(server.ask_while_it_lives(&Request::get("/api/status")).is_none(), "there is no place");
    for _ in 0..30 {
        assert_eq!(stats(&path)["http_server"]["routes"]["checkin"]["active"], 1);
    }
}

#[test]
fn the_socket_is_for_owner_and_group_and_gone_after_the_end() {
    let (server, _directory, path) = on_a_socket(Options::plain());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o740);
    let _installation = server.stop();
    assert!(!path.exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let options =
        Options::plain().set("http.enabled", true).set("http.host", format!("unix://{}", path.display()));
    let _server = Server::with(options);
    assert_eq!(get(&path, "/").status, 200);
}

#[test]
fn clients_that_go_before_their_answer_are_counted() {
    let (server, _directory, path) = on_a_socket(Options::plain());
    let agent = server.settled();
    server.park(&agent).break_off();
    eventually("it is counted", || {
        (stats(&path)["http_server"]["routes"]["checkin"]["drop"] == 1).then_some(())
    });
}
