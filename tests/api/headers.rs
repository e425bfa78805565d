//! Paths, methods and headers (http-api.md, "Routes" and "Headers").

use serde_json::json;

use crate::support::{Options, Request, Response, Server, online};

fn plain() -> Server {
    Server::with(Options::plain())
}

fn enrol_as(server: &Server, user_agent: &str) -> Response {
    server.ask(&server.enrolment(&json!({ "type": "PERMANENT" })).with("User-Agent", user_agent))
}

/// Enrols as this User-Agent; the version that is stored.
fn version_stored(user_agent: &str) -> String {
    let server = plain();
    let id = enrol_as(&server, user_agent).ok()["item"]["id"].as_str().unwrap().to_owned();
    server.stop().agent(&id).agent.unwrap().version
}

#[test]
fn a_newer_patch_is_accepted_and_stored() {
    assert_eq!(version_stored("Elastic Agent v9.6.7"), "9.6.7");
}

#[test]
fn a_user_agent_in_any_case_with_a_suffix_is_accepted() {
    assert_eq!(version_stored("eLaStIc AGeNt v8.0.0-anything"), "8.0.0");
}

#[test]
fn a_build_is_accepted_and_kept() {
    assert_eq!(version_stored("Elastic Agent v9.6.0+build1"), "9.6.0+build1");
}

#[test]
fn a_snapshot_is_accepted() {
    assert_eq!(version_stored("Elastic Agent v9.6.0-SNAPSHOT"), "9.6.0");
}

#[test]
fn the_oldest_agent_is_accepted() {
    assert_eq!(version_stored("elastic agent 7.13.0"), "7.13.0");
}

#[test]
fn a_newer_minor_is_not_supported() {
    let answer = enrol_as(&plain(), "elastic agent 9.7.0");
    answer.is_error(400, "UnsupportedVersion");
    assert_eq!(answer.json()["message"], "version is not supported");
}

#[test]
fn a_newer_major_is_not_supported() {
    enrol_as(&plain(), "Elastic Agent v10.0.0").is_error(400, "UnsupportedVersion");
}

#[test]
fn an_agent_that_is_too_old_is_not_supported() {
    enrol_as(&plain(), "Elastic Agent v7.12.9").is_error(400, "UnsupportedVersion");
}

#[test]
fn letters_glued_to_a_number_are_not_supported() {
    enrol_as(&plain(), "Elastic Agent v9.6.0beta1").is_error(400, "UnsupportedVersion");
}

#[test]
fn foreign_user_agents_are_invalid() {
    let server = plain();
    for user_agent in ["elastic-agent 9.6.0", "Elastic Agent", "curl/8.0", "Elastic Agent v9.6.0 (x)"] {
        let answer = enrol_as(&server, user_agent);
        answer.is_error(400, "InvalidUserAgent");
        assert_eq!(answer.json()["message"], "user-agent is invalid");
    }
}

#[test]
fn without_a_user_agent_the_body_is_not_read() {
    let server = plain();
    let request = server.enrolment(&json!({ "type": "PERMANENT" })).without("User-Agent");
    let mut connection = server.connect();
    // the body is announced and never sent
    connection.send(request.head());
    connection.response().is_error(400, "InvalidUserAgent");
}

#[test]
fn acks_do_not_look_at_the_user_agent() {
    let server = plain();
    let agent = server.enrol();
    server.ask(&agent.acks(&[]).header("User-Agent", "curl/8")).ok();
}

#[test]
fn an_unknown_path_below_agents_is_not_found() {
    let answer = plain().ask(&Request::post("/api/fleet/agents/temporary"));
    answer.is_error(404, "NotFound");
}

#[test]
fn another_method_is_not_allowed() {
    let server = plain();
    let answer = server.ask(&Request::new("PUT", "/api/fleet/agents/enroll").body("{}"));
    assert_eq!((answer.status, answer.header("Allow"), answer.text()), (405, Some("POST"), ""));
    let answer = server.ask(&Request::get("/api/fleet/agents/a/checkin"));
    assert_eq!((answer.status, answer.header("Allow")), (405, Some("POST")));
}

#[test]
fn a_method_that_nobody_knows_is_not_allowed() {
    let answer = plain().ask(&Request::new("BREW", "/api/status"));
    assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET")));
    assert!(answer.header("X-Request-Id").is_some());
    assert!(answer.header("Date").is_some_and(|date| date.ends_with(" GMT")), "{:?}", answer.header("Date"));
}

#[test]
fn head_of_the_status_is_not_allowed_and_has_no_body() {
    let server = plain();
    let mut connection = server.connect();
    connection.send(Request::new("HEAD", "/api/status").bytes());
    let answer = connection.response_without_body();
    assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET")));
    // nothing stands between this answer and the next
    assert_eq!(connection.ask(&Request::get("/api/status")).status, 200);
}

#[test]
fn a_trailing_slash_is_not_found() {
    plain().ask(&Request::get("/api/status/")).is_error(404, "NotFound");
}

#[test]
fn an_empty_segment_is_not_found() {
    plain().ask(&Request::post("/api/fleet/agents//checkin")).is_error(404, "NotFound");
}

#[test]
fn a_query_is_ignored() {
    let server = plain();
    for target in ["/api/status?", "/api/status?a=b"] {
        assert_eq!(server.ask(&Request::get(target)).status, 200);
    }
}

#[test]
fn the_id_of_the_path_is_percent_decoded() {
    let server = plain();
    let agent = server.enrol_saying(&json!({ "type": "PERMANENT", "id": "a b/c" }));
    let request = Request::post("/api/fleet/agents/a%20b%2Fc/acks").key(&agent.key).body("{}");
    server.ask(&request).ok();
}

#[test]
fn what_browsers_and_kibana_add_is_ignored() {
    let server = plain();
    let agent = server.settled();
    let request = agent.acks(&[]).header("kbn-xsrf", "1").header("X-Anything", "at all");
    server.ask(&request.header("Content-Type", "text/plain")).ok();
}

#[test]
fn a_request_id_is_echoed() {
    let server = plain();
    for request in [Request::get("/api/status"), Request::get("/nowhere"), Request::new("PUT", "/api/status")]
    {
        let answer = server.ask(&request.header("X-Request-Id", "my own"));
        assert_eq!(answer.header("X-Request-Id"), Some("my own"), "{}", answer.status);
    }
}

#[test]
fn without_a_request_id_a_uuid_is_made_for_every_answer() {
    let server = plain();
    let mut seen = Vec::new();
    for request in [Request::get("/api/status"), Request::get("/nowhere"), Request::new("PUT", "/api/status")]
    {
        let id = server.ask(&request).header("X-Request-Id").unwrap().to_owned();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
        assert!(!seen.contains(&id));
        seen.push(id);
    }
}

#[test]
fn the_version_of_the_api_is_answered() {
    let server = plain();
    let version = |answer: Response| answer.header("Elastic-Api-Version").map(str::to_owned);
    let ours = Some("2023-06-01".to_owned());
    assert_eq!(version(server.ask(&Request::get("/api/status"))), ours);
    let same = Request::get("/api/status").header("Elastic-Api-Version", "2023-06-01");
    assert_eq!(version(server.ask(&same)), ours);
    let empty = Request::get("/api/status").header("Elastic-Api-Version", "");
    assert_eq!(version(server.ask(&empty)), ours);
}

#[test]
fn the_version_of_the_api_is_not_answered_where_there_is_none() {
    let server = plain();
    for request in [Request::get("/nowhere"), Request::new("PUT", "/api/status")] {
        assert_eq!(server.ask(&request).header("Elastic-Api-Version"), None);
    }
}

#[test]
fn an_api_version_that_is_no_date() {
    let answer = plain().ask(&Request::get("/api/status").header("Elastic-Api-Version", "2023-6-1"));
    answer.is_error(400, "ErrInvalidAPIVersionFormat");
    assert_eq!(answer.header("Elastic-Api-Version"), Some("2023-06-01"));
    assert!(answer.json()["message"].as_str().unwrap().contains("2023-6-1"), "{}", answer.text());
}

#[test]
fn an_api_version_that_is_not_ours() {
    let answer = plain().ask(&Request::get("/api/status").header("Elastic-Api-Version", "2020-01-01"));
    answer.is_error(400, "ErrUnsupportedAPIVersion");
    assert_eq!(answer.header("Elastic-Api-Version"), Some("2023-06-01"));
    assert!(answer.json()["message"].as_str().unwrap().contains("2020-01-01"), "{}", answer.text());
}

#[test]
fn headers_that_may_come_once_only() {
    let server = plain();
    let agent = server.settled();
    let twice = [
        ("User-Agent", "x"),
        ("X-Request-Id", "x"),
        ("Elastic-Api-Version", ""),
        ("Content-Encoding", "gzip"),
    ];
    for (name, value) in twice {
        let request = agent.check_in(&online()).header(name, value).header(name, value);
        assert_eq!(server.ask(&request).error(), (400, "BadRequest".to_owned()), "{name}");
    }
}

#[test]
fn several_accept_encoding_lines_are_joined() {
    let server = Server::with(Options::plain().server("compression_threshold", 10));
    let agent = server.enrol();
    let request =
        agent.check_in(&online()).header("Accept-Encoding", "deflate").header("Accept-Encoding", "gzip");
    let answer = server.ask(&request);
    assert_eq!(answer.header("Content-Encoding"), Some("gzip"));
    assert_eq!(answer.ok()["actions"][0]["type"], "POLICY_CHANGE");
}

#[test]
fn answers_with_a_body_are_json() {
    let server = plain();
    let agent = server.enrol();
    let enrolment = server.enrolment(&json!({ "type": "PERMANENT" }));
    for request in [Request::get("/api/status"), enrolment, agent.check_in(&online()), agent.acks(&[])] {
        assert_eq!(server.ask(&request).header("Content-Type"), Some("application/json"));
    }
}
