//! `POST /v1/opamp`: OpenTelemetry collectors over plain HTTP.

use fleet_server::api::opamp::message::{
    AgentConfigFile, AgentConfigMap, AgentDisconnect, AgentToServer, ComponentHealth, EffectiveConfig,
    RemoteConfigStatus, ServerToAgent,
};
use prost::Message;
use serde_json::{Value, json};

use crate::support::{Options, Request, Server, collector, described, online, uid};

fn plain() -> Server {
    Server::with(Options::plain())
}

/// The second and later messages of a collector that says little.
fn next(uid: Vec<u8>) -> AgentToServer {
    AgentToServer { instance_uid: uid, sequence_num: 2, capabilities: 1, ..AgentToServer::default() }
}

fn error(answer: &ServerToAgent) -> (i32, &str) {
    let error = answer.error_response.as_ref().unwrap_or_else(|| panic!("no error: {answer:?}"));
    (error.kind, &error.error_message)
}

#[test]
fn where_opamp_is_off_there_is_no_such_path() {
    let server = Server::with(Options::plain().server("feature_flags.enable_opamp", "false"));
    server.ask(&server.opamp(&described(uid(1)))).is_error(404, "NotFound");
    server.ask(&Request::post("/v1/opamp")).is_error(404, "NotFound");
}

#[test]
fn who_shows_no_token_or_a_bad_one_is_refused_without_a_word() {
    let server = plain();
    let agent = server.enrol();
    let request = server.opamp(&described(uid(1)));
    for request in [
        request.clone().without("Authorization"),
        request.clone().with("Authorization", "Bearer x"),
        request.clone().key("!!"),
        request.clone().key("dW5rbm93bjprZXk="),
        // good for check-ins, not for collectors
        request.clone().key(&agent.key),
    ] {
        let answer = server.ask(&request);
        assert_eq!((answer.status, answer.text()), (401, ""));
        assert_eq!(answer.header("Content-Type"), Some("application/x-protobuf"));
        assert!(answer.header("X-Request-Id").is_some() && answer.header("Elastic-Api-Version").is_none());
    }
    assert!(server.stop().open().agent(&collector(&uid(1))).is_none());
}

#[test]
fn another_method_is_told_those_allowed() {
    let answer = plain().ask(&Request::new("PUT", "/v1/opamp"));
    assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, POST")));
}

#[test]
fn what_is_no_message_is_a_bad_request() {
    let server = plain();
    let request = server.opamp(&described(uid(1)));
    let answer = server.ask(&request.clone().with("Content-Type", "application/json"));
    assert_eq!((answer.status, answer.text()), (400, "Bad Request"));
    for garbage in [
        request.clone().body("garbage"),
        request.clone().body([0x0a, 200]),
        request.clone().header("Content-Encoding", "gzip"),
        request.clone().body(b"not gzip at all".to_vec()).header("Content-Encoding", "gzip"),
    ] {
        let answer = server.ask(&garbage);
        assert_eq!((answer.status, answer.text()), (400, ""));
    }
}

#[test]
fn a_message_of_the_limit_is_read_and_a_byte_more_is_not() {
    let server = plain();
    let limit = 3 * 1024 * 1024;
    // a field that nobody looks at
    let filled = |bytes: usize| {
        let mut message = described(uid(1)).encode_to_vec();
        message.extend(field(8, &vec![0; bytes - message.len() - 5]));
        assert_eq!(message.len(), bytes);
        message
    };
    let request = server.opamp(&described(uid(1)));
    server.ask(&request.clone().body(filled(limit))).told();
    let too_long = request.clone().body(filled(limit + 1));
    server.ask(&too_long).is_error(413, "ErrPayloadSizeTooLarge");
    let inflates = server.ask(&too_long.gzipped());
    inflates.is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn the_limit_of_messages_can_be_set() {
    let server = Server::with(Options::plain().server("limits.opamp_limit.max_body_byte_size", 20));
    server.ask(&server.opamp(&described(uid(1)))).is_error(413, "ErrPayloadSizeTooLarge");
}

#[test]
fn the_rate_of_messages_can_be_limited() {
    let limits =
        Options::plain().server("limits.opamp_limit.interval", "1h").server("limits.opamp_limit.burst", 1);
    let server = Server::with(limits);
    server.tell(&described(uid(1)));
    server.ask(&server.opamp(&described(uid(1)))).is_error(429, "RateLimit");
}

#[test]
fn an_unknown_collector_is_enrolled() {
    let server = plain();
    let answer = server.tell(&described(uid(1)));
    assert_eq!((&answer.instance_uid, answer.flags, answer.capabilities), (&uid(1), 1, 5));
    assert!(answer.error_response.is_none() && answer.remote_config.is_none());
    assert!(answer.custom_capabilities.unwrap().capabilities.is_empty());
    let shown = server.agent(&collector(&uid(1)));
    assert_eq!(shown["tags"], json!(["otelcol", "a", "b"]));
    assert_eq!((&shown["type"], &shown["status"]), (&json!("OPAMP"), &json!("online")));
    assert_eq!((&shown["policy_id"], &shown["policy_revision"]), (&json!("default"), &json!(1)));
    let agent = json!({"id": collector(&uid(1)), "type": "otelcol", "version": "0.120.0"});
    assert_eq!(shown["agent"], agent);
    assert_eq!(shown["local_metadata"]["host"], json!({"hostname": "h", "name": "h"}));
    assert_eq!(shown["identifying_attributes"]["service.name"], "otelcol");
    assert_eq!(shown["non_identifying_attributes"], json!({"host.name": "h"}));
    assert_eq!(shown["sequence_num"], 1);
    assert!(shown["capabilities"].as_array().unwrap().contains(&json!("ReportsHealth")));
}

#[test]
fn a_known_collector_is_not_told_what_the_server_can_do() {
    let server = plain();
    server.tell(&described(uid(1)));
    assert_eq!(server.tell(&next(uid(1))).capabilities, 0);
    assert_eq!(server.agent(&collector(&uid(1)))["sequence_num"], 2);
}

#[test]
fn all_is_asked_for_unless_it_was_just_said() {
    let server = plain();
    assert_eq!(server.tell(&described(uid(1))).flags, 1);
    assert_eq!(server.tell(&next(uid(1))).flags, 1);
    // a client answers that question at once: asked again, it would for ever
    assert_eq!(server.tell(&described(uid(1))).flags, 0);
}

#[test]
fn a_later_description_changes_nothing() {
    let server = plain();
    server.tell(&AgentToServer { agent_description: None, ..described(uid(1)) });
    server.tell(&described(uid(1)));
    let shown = server.agent(&collector(&uid(1)));
    assert!(shown.get("identifying_attributes").is_none(), "{shown}");
}

#[test]
fn an_instance_uid_of_another_length_is_a_bad_request() {
    let answer = plain().tell(&described(vec![1; 15]));
    assert_eq!(error(&answer), (1, "failed to parse instance_uid"));
    assert_eq!((answer.instance_uid, answer.flags), (vec![1; 15], 0));
}

#[test]
fn an_agent_that_is_no_collector_is_left_alone() {
    let server = plain();
    let agent = server.settled();
    let uid = uuid::Uuid::parse_str(&agent.id).unwrap().into_bytes().to_vec();
    let health = ComponentHealth { last_error: "x".into(), ..ComponentHealth::default() };
    let answer = server.tell(&AgentToServer { health: Some(health), ..described(uid) });
    assert_eq!(error(&answer).0, 1);
    assert_eq!(server.agent(&agent.id)["status"], "online");
}

#[test]
fn a_known_collector_gets_another_instance_uid_when_it_asks() {
    let server = plain();
    server.tell(&described(uid(1)));
    let answer = server.tell(&AgentToServer { flags: 1, ..described(uid(1)) });
    assert_eq!((&answer.instance_uid, answer.capabilities), (&uid(1), 5));
    let new = answer.agent_identification.unwrap().new_instance_uid;
    assert_eq!(uuid::Uuid::from_slice(&new).unwrap().get_version_num(), 7);
    let old = server.agent(&collector(&uid(1)));
    assert_eq!(old["audit_unenrolled_reason"], "reenrolled");
    assert_eq!(server.agent(&collector(&new))["tags"], json!(["otelcol", "a", "b"]));
    // what it says under the old name takes the note back
    server.tell(&next(uid(1)));
    assert!(server.agent(&collector(&uid(1))).get("audit_unenrolled_reason").is_none());
}

#[test]
fn an_unknown_collector_that_asks_for_an_instance_uid_is_known_by_that_alone() {
    let server = plain();
    let answer = server.tell(&AgentToServer { flags: 1, ..described(uid(1)) });
    let new = answer.agent_identification.unwrap().new_instance_uid;
    let mut installation = server.stop();
    let store = installation.open();
    assert!(store.agent(&collector(&new)).is_some() && store.agent(&collector(&uid(1))).is_none());
}

#[test]
fn a_collector_says_goodbye_and_comes_back() {
    let server = plain();
    server.tell(&described(uid(1)));
    let goodbye = AgentToServer { agent_disconnect: Some(AgentDisconnect {}), ..next(uid(1)) };
    let answer = server.tell(&goodbye);
    assert_eq!(answer, ServerToAgent { instance_uid: uid(1), ..ServerToAgent::default() });
    let shown = server.agent(&collector(&uid(1)));
    assert_eq!(
        (&shown["last_checkin_status"], &shown["status"]),
        (&json!("disconnected"), &json!("offline"))
    );
    let answer = server.tell(&next(uid(1)));
    assert_eq!((answer.capabilities, &server.agent(&collector(&uid(1)))["status"]), (5, &json!("online")));
}

#[test]
fn a_goodbye_of_an_unknown_collector_is_a_bad_request() {
    let server = plain();
    let goodbye = AgentToServer { agent_disconnect: Some(AgentDisconnect {}), ..next(uid(1)) };
    let expected = (1, "agent_disconnect set on new enrollment message");
    assert_eq!(error(&server.tell(&goodbye)), expected);
    server.tell(&described(uid(1)));
    assert_eq!(error(&server.tell(&AgentToServer { flags: 1, ..goodbye })), expected);
}

#[test]
fn health_is_what_is_shown() {
    let server = plain();
    server.tell(&described(uid(1)));
    let shown = |health: Option<ComponentHealth>| {
        server.tell(&AgentToServer { health, ..next(uid(1)) });
        let shown = server.agent(&collector(&uid(1)));
        (shown["status"].clone(), shown["last_checkin_message"].clone(), shown["health"].clone())
    };
    let failed = ComponentHealth { last_error: "x".into(), ..ComponentHealth::default() };
    assert_eq!(shown(Some(failed)), (json!("error"), json!("x"), json!({"last_error": "x"})));
    let status = "StatusRecoverableError".to_owned();
    let recovers = ComponentHealth { healthy: true, status, ..ComponentHealth::default() };
    let (status, message, health) = shown(Some(recovers));
    assert_eq!((status, message), (json!("degraded"), json!("StatusRecoverableError")));
    // who says nothing is well, and what was said last is kept
    assert_eq!(shown(None), (json!("online"), json!(""), health));
}

fn running(yaml: &str) -> AgentToServer {
    let file = AgentConfigFile { body: yaml.into(), content_type: String::new() };
    let config_map = AgentConfigMap { config_map: [(String::new(), file)].into() };
    AgentToServer { effective_config: Some(EffectiveConfig { config_map: Some(config_map) }), ..next(uid(1)) }
}

#[test]
fn the_effective_configuration_is_stored_without_secrets_and_replaced_whole() {
    let server = plain();
    server.tell(&described(uid(1)));
    let stored = |message: &AgentToServer| {
        server.tell(message);
        server.agent(&collector(&uid(1)))["effective_config"].clone()
    };
    let config =
        stored(&running("exporters: {a: {api_key: k, endpoint: \"http://u:p@h\"}, b: {routekey: r}}"));
    let a = json!({"api_key": "REDACTED", "endpoint": "http://REDACTED:REDACTED@h"});
    assert_eq!(config, json!({"exporters": {"a": a, "b": {"routekey": "r"}}}));
    let config = stored(&running("exporters: {a: {api_key: k}}"));
    assert_eq!(config, json!({"exporters": {"a": {"api_key": "REDACTED"}}}));
    assert_eq!(stored(&running("")), config);
    assert_eq!(stored(&next(uid(1))), config);
}

#[test]
fn a_large_configuration_is_stored_too() {
    let server = plain();
    server.tell(&described(uid(1)));
    let yaml: String =
        (0..5_000).map(|at| format!("receiver/{at}: {{endpoint: 'h:{at}', token: x}}\n")).collect();
    server.tell(&running(&yaml));
    let config = server.agent(&collector(&uid(1)))["effective_config"].clone();
    assert_eq!(config["receiver/4999"], json!({"endpoint": "h:4999", "token": "REDACTED"}));
}

#[test]
fn a_configuration_that_is_no_yaml_fails_the_update() {
    let server = plain();
    server.tell(&described(uid(1)));
    let answer = server.tell(&AgentToServer { sequence_num: 9, ..running("a: [") });
    assert_eq!(error(&answer), (2, "failed to update agent"));
    assert!(answer.error_response.unwrap().retry_info.is_some());
    assert_eq!(server.agent(&collector(&uid(1)))["sequence_num"], 1);
}

/// A field with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(content);
    bytes
}

#[test]
fn a_protobuf_bomb_is_a_bad_request() {
    let server = plain();
    // a million attributes of two bytes each
    let many = field(3, &[0x0a, 0x00].repeat(1_000_000));
    let deep = field(5, &(0..2_000).fold(Vec::new(), |inner, _| field(6, &field(2, &inner))));
    for bomb in [many, deep] {
        assert_eq!(server.ask(&server.opamp(&described(uid(1))).body(bomb).gzipped()).status, 400);
    }
    server.tell(&described(uid(1)));
}

#[test]
fn messages_and_answers_may_be_compressed() {
    let server = plain();
    let request = server.opamp(&described(uid(1))).gzipped();
    let answer = server.ask(&request.clone().header("Accept-Encoding", "deflate, gzip;q=0.5"));
    assert_eq!(answer.header("Content-Encoding"), Some("gzip"));
    assert_eq!(answer.told().capabilities, 5);
    let answer = server.ask(&request.header("Accept-Encoding", "gzip;q=0"));
    assert_eq!(answer.header("Content-Encoding"), None);
    answer.told();
}

#[test]
fn enrolments_beyond_their_limit_are_told_to_come_later() {
    let limits =
        Options::plain().server("limits.enroll_limit.interval", "1h").server("limits.enroll_limit.burst", 1);
    let server = Server::with(limits);
    server.tell(&described(uid(1)));
    let answer = server.tell(&described(uid(2)));
    assert_eq!(error(&answer), (2, "failed to enroll agent"));
    assert!(answer.error_response.unwrap().retry_info.is_some());
    // one that is known is not concerned
    assert!(server.tell(&described(uid(1))).error_response.is_none());
}

#[test]
fn a_static_token_enrols_collectors() {
    let server = Server::with(
        Options::plain()
            .server("static_policy_tokens.enabled", "true")
            .server("static_policy_tokens.policy_tokens.0.token_key", "s3cret")
            .server("static_policy_tokens.policy_tokens.0.policy_id", "default"),
    );
    // anything:s3cret
    let answer = server.ask(&server.opamp(&described(uid(1))).key("YW55dGhpbmc6czNjcmV0"));
    assert_eq!(answer.told().capabilities, 5);
    assert_eq!(server.agent(&collector(&uid(1)))["policy_id"], "default");
}

#[test]
fn a_restart_forgets_nothing_of_a_collector() {
    let server = plain();
    server.tell(&running("a: {b: 1}"));
    let server = server.stop().start();
    let shown = server.agent(&collector(&uid(1)));
    assert_eq!((&shown["effective_config"], &shown["sequence_num"]), (&json!({"a": {"b": 1}}), &json!(2)));
}

/// A policy that offers a configuration.
fn offering(otel: &Value) -> Value {
    json!({ "outputs": { "default": { "type": "elasticsearch", "hosts": ["http://localhost:9200"], "api_key": "x:y" } },
        "inputs": [], "otel": otel })
}

/// A collector that takes a configuration asks until there is one.
fn offered(server: &Server, message: &AgentToServer) -> ServerToAgent {
    crate::support::eventually("a configuration is offered", || {
        Some(server.tell(message)).filter(|answer| answer.remote_config.is_some())
    })
}

#[test]
fn a_policy_with_otel_is_offered_as_the_configuration() {
    let server = plain();
    server
        .apply("default", &offering(&json!({ "receivers": { "otlp": null }, "exporters": { "debug": {} } })));
    let answer = offered(&server, &described(uid(1)));
    let config = answer.remote_config.unwrap();
    let file = &config.config.as_ref().unwrap().config_map[""];
    assert_eq!(file.content_type, "text/yaml");
    assert_eq!(file.body, b"exporters:\n  debug: {}\nreceivers:\n  otlp: null\n");
    assert_eq!(config.config_hash.len(), 32);
    // it has it now: nothing more comes, whether it says so each time or only once
    let status = |status| RemoteConfigStatus {
        last_remote_config_hash: config.config_hash.clone(),
        status,
        error_message: if status == 3 { "no".into() } else { String::new() },
    };
    let said = AgentToServer { remote_config_status: Some(status(3)), ..described(uid(1)) };
    assert!(server.tell(&said).remote_config.is_none());
    assert!(
        server.tell(&AgentToServer { agent_description: None, ..described(uid(1)) }).remote_config.is_none()
    );
    let shown = server.agent(&collector(&uid(1)));
    assert_eq!(shown["remote_config_status"]["status"], "FAILED");
    assert_eq!(shown["remote_config_status"]["error_message"], "no");
}

#[test]
fn a_server_that_offers_says_so() {
    let server = plain();
    server.apply("default", &offering(&json!({ "a": 1 })));
    offered(&server, &described(uid(1)));
    assert_eq!(server.tell(&described(uid(2))).capabilities, 7);
}

#[test]
fn who_takes_no_configuration_is_offered_none() {
    let server = plain();
    server.apply("default", &offering(&json!({ "a": 1 })));
    offered(&server, &described(uid(1)));
    let status = Some(RemoteConfigStatus::default());
    let answer =
        server.tell(&AgentToServer { capabilities: 1, remote_config_status: status, ..described(uid(2)) });
    assert_eq!((answer.capabilities, answer.remote_config), (5, None));
    assert!(server.agent(&collector(&uid(2))).get("remote_config_status").is_none());
}

#[test]
fn a_policy_without_otel_offers_nothing() {
    let server = plain();
    let status = Some(RemoteConfigStatus::default());
    let answer = server.tell(&AgentToServer { remote_config_status: status, ..described(uid(1)) });
    assert_eq!((answer.capabilities, answer.remote_config), (5, None));
    assert!(server.agent(&collector(&uid(1))).get("remote_config_status").is_none());
}

#[test]
fn agents_are_not_given_what_is_for_collectors() {
    let server = plain();
    let agent = server.enrol();
    server.apply("default", &offering(&json!({ "a": 1 })));
    offered(&server, &described(uid(1)));
    let answer = server.told(&agent, &online());
    let policy = &answer["actions"][0]["data"]["policy"];
    assert!(policy.is_object() && policy.get("otel").is_none(), "{policy}");
}
