//! The metrics endpoint: `/`, `/stats`, `/state`, `/dataset` and `/metrics`, on a port and on a Unix socket.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Metrics, Options, Request, Scrape, Server, event, eventually};

#[test]
fn the_root_names_the_server_and_its_version() {
    let (_server, metrics) = Metrics::of_server(Options::plain());
    assert_eq!(metrics.get("/").ok(), json!({ "name": "fleet-server", "version": "9.6.0" }));
}

#[test]
fn stats_have_the_shape_that_monitoring_reads() {
    let (_server, metrics) = Metrics::of_server(Options::plain());
    let shown = metrics.stats();
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
    let (_server, metrics) = Metrics::of_server(Options::plain());
    assert_eq!(metrics.get("/stats").text().lines().count(), 1);
    for target in ["/stats?pretty", "/stats?pretty=true"] {
        let response = metrics.get(target);
        assert!(response.text().lines().count() > 10);
        assert!(response.ok()["http_server"].is_object());
    }
}

#[test]
fn what_beats_show_besides_is_empty() {
    let (_server, metrics) = Metrics::of_server(Options::plain());
    assert_eq!((metrics.get("/state").ok(), metrics.get("/dataset").ok()), (json!({}), json!({})));
}

#[test]
fn an_unknown_path_is_404_and_another_method_405() {
    let (_server, metrics) = Metrics::of_server(Options::plain());
    metrics.get("/api/status").is_error(404, "NotFound");
    let response = metrics.ask(&Request::post("/stats"));
    assert_eq!((response.status, response.header("Allow")), (405, Some("GET")));
}

#[test]
fn a_reader_gets_the_text_that_it_knows() {
    let (_server, metrics) = Metrics::of_server(Options::plain());
    let kind = |accept: &str| {
        let response = metrics.ask(&Request::get("/metrics").header("Accept", accept));
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
    let (server, metrics) = Metrics::of_server(Options::plain());
    let agent = server.settled();
    let _parked = server.park(&agent);
    server.ask(&agent.acks(&[event("policy:default:1", &agent)])).ok();
    server.ask(&Request::get("/api/status").key("bm8=")).ok();
    server.ask(&agent.acks(&[event("nobody-made-this", &agent)]).key("bm86bm8=")).error();
    let routes = metrics.stats()["http_server"]["routes"].clone();
    assert_eq!(
        (&routes["enroll"]["total"], &routes["checkin"]["active"]),
        (&json!(1), &json!(1)),
        "{routes}"
    );
    assert_eq!(routes["acks"]["fail"], 1, "{routes}");
    assert!(routes["acks"]["body_in"].as_u64() > Some(20) && routes["acks"]["body_out"].as_u64() > Some(20));
    let text = metrics.scrape();
    assert_eq!(text.value("http_server_routes_checkin_active"), 1.0);
    assert_eq!(text.value("fleet_server_requests_active{route=\"checkin\"}"), 1.0);
    assert_eq!(text.value("fleet_server_requests_total{route=\"enroll\"}"), 1.0);
    assert_eq!(text.value("fleet_server_errors_total{route=\"acks\",error=\"ErrUnauthorized\"}"), 1.0);
    assert_eq!(text.value("service_info{name=\"fleet-server\",version=\"9.6.0\"}"), 1.0);
}

#[test]
fn agents_deliveries_and_rollouts_are_counted() {
    let (server, metrics) = Metrics::of_server(Options::plain());
    let agents = [server.settled(), server.settled()];
    let mut parked: Vec<_> = agents.iter().map(|agent| server.park(agent)).collect();
    let text = metrics.scrape();
    assert_eq!(text.value("fleet_server_agents_parked"), 2.0);
    assert_eq!(text.value("fleet_server_enrolments_total"), 2.0);
    let of_policy =
        |text: &Scrape, name: &str| text.value(&format!("fleet_server_policy_{name}{{policy=\"default\"}}"));
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
    let text = metrics.scrape();
    assert_eq!(of_policy(&text, "revision"), revision as f64);
    assert_eq!(of_policy(&text, "revisions_delivered_total"), delivered + 2.0);
    assert_eq!(text.value("fleet_server_agents_parked"), 0.0);
}

#[test]
fn refusals_are_counted_by_their_reason() {
    let options =
        Options::plain().server("limits.status_limit.max", 1).server("limits.status_limit.interval", "1h");
    let (server, metrics) = Metrics::of_server(options.server("limits.status_limit.burst", 1));
    server.ask(&Request::get("/api/status")).ok();
    server.ask(&Request::get("/api/status")).is_error(429, "RateLimit");
    assert_eq!(metrics.stats()["http_server"]["routes"]["status"]["limit_rate"], 1);
    let text = metrics.scrape();
    assert_eq!(text.value("fleet_server_requests_refused_total{route=\"status\",reason=\"rate\"}"), 1.0);
}

#[test]
fn whoever_looks_at_metrics_is_never_limited() {
    let (server, metrics) = Metrics::of_server(Options::plain().server("limits.max_connections", 10));
    let status = Request::get("/api/status");
    // earlier connections may still count for a moment
    let _taken: Vec<_> = eventually("all places are taken", || {
        let connections = (0..11).map(|_| {
            let mut connection = server.connect();
            let served = connection.try_send(status.bytes()) && connection.whole_answer().is_some();
            served.then_some(connection)
        });
        connections.collect::<Option<Vec<_>>>()
    });
    assert!(server.ask_while_it_lives(&status).is_none(), "there is no place");
    for _ in 0..30 {
        assert!(metrics.stats()["http_server"]["tcp_active"].as_u64() >= Some(10));
    }
}

#[test]
fn the_socket_is_for_owner_and_group_and_gone_after_the_end() {
    let (server, metrics) = Metrics::of_server(Options::plain());
    assert_eq!(std::fs::metadata(&metrics.path).unwrap().permissions().mode() & 0o777, 0o740);
    let _installation = server.stop();
    assert!(!metrics.path.exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let (options, metrics) = Metrics::of(Options::plain());
    drop(std::os::unix::net::UnixListener::bind(&metrics.path).unwrap());
    let _server = Server::with(options);
    assert_eq!(metrics.get("/").status, 200);
}

#[test]
fn clients_that_go_before_their_answer_are_counted() {
    let (server, metrics) = Metrics::of_server(Options::plain());
    let agent = server.settled();
    server.park(&agent).break_off();
    eventually("it is counted", || {
        (metrics.stats()["http_server"]["routes"]["checkin"]["drop"] == 1).then_some(())
    });
}
