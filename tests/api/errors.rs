//! The rows of http-api.md, "Errors", that are about who asks, and the order of the checks.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use fleet_server::model::Patch;
use serde_json::json;

use crate::support::{Options, Request, Server, event, online};

fn check_in_with(authorization: &str) -> Request {
    let request = Request::post("/api/fleet/agents/a/checkin").header("User-Agent", "Elastic Agent v9.6.0");
    request.header("Authorization", authorization).json(&online())
}

fn encoded(key: impl AsRef<[u8]>) -> String {
    format!("ApiKey {}", STANDARD.encode(key))
}

#[test]
fn no_authorization_header() {
    let server = Server::with(Options::plain());
    for path in ["enroll", "a/checkin", "a/acks", "a/audit/unenroll"] {
        let answer = server.ask(&Request::post(&format!("/api/fleet/agents/{path}")).json(&online()));
        answer.is_error(401, "ErrNoAuthHeader");
        assert_eq!(answer.json()["message"], "no authorization header");
    }
}

#[test]
fn authorization_that_is_no_api_key() {
    let server = Server::with(Options::plain());
    for authorization in ["Bearer x", "apikey YTpi", "ApiKey", "Basic YTpi"] {
        let answer = server.ask(&check_in_with(authorization));
        answer.is_error(400, "ErrMalformedHeader");
        assert_eq!(answer.json()["message"], "malformed authorization header");
    }
}

#[test]
fn an_empty_authorization_header() {
    let server = Server::with(Options::plain());
    server.ask(&check_in_with("")).is_error(400, "ErrMalformedHeader");
}

#[test]
fn several_authorization_headers() {
    let server = Server::with(Options::plain());
    let request = check_in_with(&encoded("a:b")).header("Authorization", encoded("a:b"));
    server.ask(&request).is_error(400, "ErrMalformedHeader");
}

#[test]
fn a_key_that_is_not_base64() {
    let server = Server::with(Options::plain());
    let answer = server.ask(&check_in_with("ApiKey !!"));
    answer.is_error(401, "ErrInvalidToken");
    assert_eq!(answer.json()["message"], "token not valid utf8");
}

#[test]
fn a_key_without_its_padding() {
    let server = Server::with(Options::plain());
    let unpadded = format!("ApiKey {}", STANDARD_NO_PAD.encode("a:bc"));
    assert!(!unpadded.ends_with('=') && unpadded.len() % 4 != 3, "the case needs padding");
    server.ask(&check_in_with(&unpadded)).is_error(401, "ErrInvalidToken");
}

#[test]
fn a_key_that_is_not_utf_8() {
    let server = Server::with(Options::plain());
    server.ask(&check_in_with(&encoded([0xff, b':', b'a']))).is_error(401, "ErrInvalidToken");
}

#[test]
fn a_key_without_a_colon() {
    let server = Server::with(Options::plain());
    let answer = server.ask(&check_in_with(&encoded("a")));
    answer.is_error(400, "ErrMalformedToken");
    assert_eq!(answer.json()["message"], "malformed token");
}

#[test]
fn a_key_with_two_colons() {
    let server = Server::with(Options::plain());
    server.ask(&check_in_with(&encoded("a:b:c"))).is_error(400, "ErrMalformedToken");
}

#[test]
fn space_around_a_key_is_trimmed() {
    let server = Server::with(Options::plain());
    let answer = server.ask(&check_in_with(&format!("ApiKey   {}  ", STANDARD.encode("a:b"))));
    answer.is_error(401, "ErrUnauthorized");
}

#[test]
fn a_key_that_nobody_has() {
    let server = Server::with(Options::plain());
    let answer = server.ask(&check_in_with(&encoded("nobody:secret")));
    answer.is_error(401, "ErrUnauthorized");
    assert_eq!(answer.json()["message"], "unauthorized");
}

#[test]
fn a_key_with_the_wrong_secret() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let wrong = encoded(format!("{}:wrong", agent.key_id()));
    let request = agent.check_in(&online()).with("Authorization", wrong);
    server.ask(&request).is_error(401, "ErrUnauthorized");
    // and the cache that knows the right one does not mind
    server.check_in(&agent, &online()).ok();
}

#[test]
fn a_revoked_token() {
    let server = Server::with(Options::plain());
    let token = server.token().to_owned();
    let key_id = String::from_utf8(STANDARD.decode(&token).unwrap()).unwrap();
    let key_id = key_id.split(':').next().unwrap();
    let revoked = Request::new("DELETE", &format!("/api/fleet/enrollment_api_keys/{key_id}"));
    server.ask_as_operator(&revoked).ok();
    server.ask(&server.enrolment(&json!({ "type": "PERMANENT" }))).is_error(401, "ErrUnauthorized");
}

#[test]
fn a_check_in_with_the_enrollment_key() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let answer = server.ask(&agent.check_in(&online()).key(server.token()));
    answer.is_error(403, "ErrAgentIdentity");
    assert_eq!(answer.json()["message"], "Agent header contains wrong identifier");
}

#[test]
fn a_check_in_with_another_agents_key() {
    let server = Server::with(Options::plain());
    let (agent, other) = (server.enrol(), server.enrol());
    server.ask(&agent.check_in(&online()).key(&other.key)).is_error(403, "ErrAgentIdentity");
}

#[test]
fn acks_with_another_agents_key() {
    let server = Server::with(Options::plain());
    let (agent, other) = (server.enrol(), server.enrol());
    server.ask(&agent.acks(&[]).key(&other.key)).is_error(403, "ErrAgentIdentity");
}

#[test]
fn an_audit_with_another_agents_key() {
    let server = Server::with(Options::plain());
    let (agent, other) = (server.enrol(), server.enrol());
    server.ask(&agent.audit_unenroll("uninstall").key(&other.key)).is_error(403, "ErrAgentIdentity");
}

#[test]
fn a_check_in_as_an_agent_that_does_not_exist() {
    let server = Server::with(Options::plain());
    let mut agent = server.enrol();
    agent.id = "nobody".into();
    server.ask(&agent.check_in(&online())).is_error(403, "ErrAgentIdentity");
}

#[test]
fn an_enrolment_with_an_access_key() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let request = server.enrolment(&json!({ "type": "PERMANENT" })).key(&agent.key);
    server.ask(&request).is_error(401, "ErrUnauthorized");
}

#[test]
fn an_agent_whose_document_has_no_agent_section() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let mut installation = server.stop();
    installation.open().change(&agent.id, Patch::new().remove("agent"));
    let server = installation.start();
    let answer = server.check_in(&agent, &online());
    answer.is_error(400, "ErrAgentCorrupted");
    assert_eq!(answer.json()["message"], "Agent record corrupted");
}

#[test]
fn an_agent_that_is_inactive() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let mut installation = server.stop();
    installation.open().change(&agent.id, Patch::new().set("active", false));
    let server = installation.start();
    let answer = server.check_in(&agent, &online());
    answer.is_error(401, "ErrAgentInactive");
    assert_eq!(answer.json()["message"], "Agent inactive");
}

#[test]
fn an_agent_that_was_unenrolled() {
    let server = Server::with(Options::plain());
    let agent = server.settled();
    let action = server.order_unenroll(&agent.id);
    server.ask(&agent.acks(&[event(&action, &agent)])).ok();
    for request in [agent.check_in(&online()), agent.acks(&[]), agent.audit_unenroll("uninstall")] {
        assert_eq!(server.ask(&request).error().0, 401);
    }
}

#[test]
fn a_static_token_of_a_policy_that_does_not_exist() {
    let options = Options::plain()
        .server("static_policy_tokens.enabled", true)
        .server("static_policy_tokens.policy_tokens", "[{token_key: secret, policy_id: nowhere}]");
    let server = Server::with(options);
    let request = server.enrolment(&json!({ "type": "PERMANENT" }));
    let answer = server.ask(&request.with("Authorization", encoded("any:secret")));
    answer.is_error(400, "ErrPolicyNotFound");
}

#[test]
fn a_bad_api_version_is_told_before_a_bad_key() {
    let server = Server::with(Options::plain());
    let request = check_in_with("Bearer x").header("Elastic-Api-Version", "2020-01-01");
    server.ask(&request).is_error(400, "ErrUnsupportedAPIVersion");
}

#[test]
fn a_bad_key_is_told_before_a_bad_user_agent() {
    let server = Server::with(Options::plain());
    let request = check_in_with(&encoded("nobody:secret")).with("User-Agent", "curl/8");
    server.ask(&request).is_error(401, "ErrUnauthorized");
}

#[test]
fn a_bad_user_agent_is_told_before_a_bad_body() {
    let server = Server::with(Options::plain());
    let agent = server.enrol();
    let request = agent.check_in(&online()).with("User-Agent", "curl/8").body("{");
    server.ask(&request).is_error(400, "InvalidUserAgent");
}
