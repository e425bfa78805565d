//! What is read from the wire and what becomes of it.

use prost::Message;
use serde_json::{Value as Json, json};

use super::bounds;
use super::message::*;
use super::*;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::Text(value.to_owned()))
}

fn read(message: &AgentToServer) -> Report {
    Report::read(&message.encode_to_vec()).unwrap()
}

fn parsed(raw: &serde_json::value::RawValue) -> Json {
    serde_json::from_str(raw.get()).unwrap()
}

fn document(description: AgentDescription) -> Json {
    let report = read(&AgentToServer { agent_description: Some(description), ..AgentToServer::default() });
    let collector = NewCollector {
        id: "an-id",
        policy_id: "p#2",
        namespaces: &["space".to_owned()],
        enrolled_at: "2026-01-02T03:04:05Z",
    };
    parsed(&collector.document(report.description.as_ref()))
}

#[test]
fn a_new_collector_is_described() {
    let identifying = vec![text("service.name", "otelcol"), text("service.version", "0.120.0")];
    let others = vec![text("host.name", "h"), text("os.type", "linux"), text("tags", "a, b,,a")];
    let description =
        AgentDescription { identifying_attributes: identifying, non_identifying_attributes: others };
    let expected = json!({
        "active": true, "enrolled_at": "2026-01-02T03:04:05Z", "type": "OPAMP", "policy_revision_idx": 1,
        "policy_id": "p#2", "policy_base_id": "p", "namespaces": ["space"], "tags": ["otelcol", "a", "b"],
        "agent": {"id": "an-id", "version": "0.120.0", "type": "otelcol"},
        "local_metadata": {
            "elastic": {"agent": {"id": "an-id", "version": "0.120.0", "name": "otelcol"}},
            "host": {"hostname": "h", "name": "h"}, "os": {"platform": "linux"},
        },
        "identifying_attributes": {"service.name": "otelcol", "service.version": "0.120.0"},
        "non_identifying_attributes": {"host.name": "h", "os.type": "linux"},
    });
    assert_eq!(document(description), expected);
}

#[test]
fn tags_without_end_are_told_apart_in_no_time() {
    // with a look through all before it for each, this would take an hour
    let own: String = (0..1_000_000).map(|number| format!("{:x},", number % 500_000)).collect();
    let non_identifying_attributes = vec![text("tags", &own)];
    let description = AgentDescription { non_identifying_attributes, ..AgentDescription::default() };
    assert_eq!(document(description)["tags"].as_array().unwrap().len(), 500_000);
}

#[test]
fn what_is_not_said_is_left_out() {
    let document = document(AgentDescription::default());
    assert!(document.get("tags").is_none(), "{document}");
    assert_eq!(document["agent"], json!({"id": "an-id"}));
    assert_eq!(
        document["local_metadata"],
        json!({"elastic": {"agent": {"id": "an-id"}}, "host": {}, "os": {}})
    );
    let nobody = NewCollector { id: "x", policy_id: "p", namespaces: &[], enrolled_at: "" }.document(None);
    let nobody = parsed(&nobody);
    assert!(nobody.get("identifying_attributes").is_none() && nobody.get("namespaces").is_none(), "{nobody}");
}

#[test]
fn values_of_attributes_become_json() {
    let list =
        ArrayValue { values: vec![AnyValue { value: Some(Value::Integer(-1)) }, AnyValue { value: None }] };
    let map = KeyValueList { values: vec![text("x", "y"), KeyValue { key: "none".into(), value: None }] };
    let others = vec![
        attribute("boolean", Value::Boolean(true)),
        attribute("float", Value::Float(1.5)),
        attribute("nan", Value::Float(f64::NAN)),
        attribute("bytes", Value::Bytes(vec![1, 2, 255])),
        attribute("list", Value::Array(list)),
        attribute("map", Value::Map(map)),
        KeyValue { key: "nothing".into(), value: None },
        text("twice", "first"),
        text("twice", "last"),
    ];
    let description = AgentDescription { non_identifying_attributes: others, ..AgentDescription::default() };
    let expected = json!({"boolean": true, "float": 1.5, "bytes": "AQL/", "list": [-1, null], "map": {"x": "y"}, "twice": "last"});
    assert_eq!(document(description)["non_identifying_attributes"], expected);
}

#[test]
fn health_tells_status_and_message() {
    let health = |healthy, last_error: &str, status: &str| {
        let health = ComponentHealth {
            healthy,
            last_error: last_error.to_owned(),
            status: status.to_owned(),
            ..ComponentHealth::default()
        };
        let report = read(&AgentToServer { health: Some(health), ..AgentToServer::default() });
        let health = report.health.unwrap();
        (health.status, health.message)
    };
    assert_eq!(health(false, "x", "StatusRecoverableError"), ("error", "x".to_owned()));
    assert_eq!(health(true, "", "StatusRecoverableError"), ("degraded", "StatusRecoverableError".to_owned()));
    assert_eq!(health(true, "", "StatusOK"), ("online", "StatusOK".to_owned()));
    assert!(read(&AgentToServer::default()).health.is_none());
}

#[test]
fn health_is_stored_without_what_it_does_not_say() {
    let part =
        ComponentHealth { healthy: true, start_time_unix_nano: u64::MAX, ..ComponentHealth::default() };
    let health = ComponentHealth {
        last_error: "x".into(),
        status_time_unix_nano: 7,
        component_health_map: [("a".to_owned(), part), ("b".to_owned(), ComponentHealth::default())].into(),
        ..ComponentHealth::default()
    };
    let report = read(&AgentToServer { health: Some(health), ..AgentToServer::default() });
    let expected = json!({"last_error": "x", "status_time_unix_nano": 7,
        "component_health_map": {"a": {"healthy": true, "start_time_unix_nano": u64::MAX}, "b": {}}});
    assert_eq!(parsed(&report.health.unwrap().document), expected);
}

#[test]
fn capabilities_are_named_and_bits_without_a_meaning_are_not() {
    let capabilities =
        |bits| read(&AgentToServer { capabilities: bits, ..AgentToServer::default() }).capabilities();
    assert_eq!(
        capabilities(0x1807 | 1 << 40),
        [
            "ReportsStatus",
            "AcceptsRemoteConfig",
            "ReportsEffectiveConfig",
            "ReportsHealth",
            "ReportsRemoteConfig"
        ]
    );
    assert!(capabilities(0).is_empty());
}

fn configured(entries: &[(&str, &str)]) -> Report {
    let file = |body: &str| AgentConfigFile { body: body.into(), content_type: String::new() };
    let config_map = entries.iter().map(|(name, body)| ((*name).to_owned(), file(body))).collect();
    let effective_config = Some(EffectiveConfig { config_map: Some(AgentConfigMap { config_map }) });
    read(&AgentToServer { effective_config, ..AgentToServer::default() })
}

#[test]
fn the_effective_configuration_is_stored_redacted() {
    let yaml = "exporters: {a: {api_key: k, endpoint: \"http://u:p@h\"}, b: {routekey: r}}";
    let config = configured(&[("", yaml)]).effective_config.unwrap().unwrap();
    let expected = json!({"exporters": {"a": {"api_key": "REDACTED", "endpoint": "http://REDACTED:REDACTED@h"},
        "b": {"routekey": "r"}}});
    assert_eq!(parsed(&config), expected);
}

#[test]
fn only_the_file_without_a_name_counts_and_only_with_something_in_it() {
    assert!(configured(&[("other", "a: 1")]).effective_config.is_none());
    for nothing in ["", " \n", "# all is as it was", "null", "---\n"] {
        assert!(configured(&[("", nothing)]).effective_config.is_none(), "{nothing}");
    }
    assert!(configured(&[]).effective_config.is_none());
}

#[test]
fn what_is_no_yaml_map_is_told_apart() {
    for body in ["a: [", "text", "- a", "a: 1\na: 2"] {
        assert!(configured(&[("", body)]).effective_config.unwrap().is_err(), "{body}");
    }
}

#[test]
fn the_status_of_a_remote_configuration_is_named() {
    let status =
        RemoteConfigStatus { last_remote_config_hash: vec![0xab, 1], status: 3, error_message: "no".into() };
    let report = read(&AgentToServer { remote_config_status: Some(status), ..AgentToServer::default() });
    let remote_config = report.remote_config.unwrap();
    assert_eq!(
        parsed(&remote_config.document),
        json!({"last_remote_config_hash": "ab01", "status": "FAILED", "error_message": "no"})
    );
    assert_eq!(remote_config.hash, [0xab, 1]);
}

#[test]
fn an_instance_uid_is_16_bytes() {
    let id = |instance_uid| read(&AgentToServer { instance_uid, ..AgentToServer::default() }).agent_id();
    assert_eq!(id(vec![1; 16]).as_deref(), Some("01010101-0101-0101-0101-010101010101"));
    assert_eq!((id(vec![1; 15]), id(vec![1; 17]), id(Vec::new())), (None, None, None));
}

/// A field with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(content);
    bytes
}

#[test]
fn garbage_is_refused() {
    for bytes in [&b"\xff\xff"[..], b"\x0a\x05ab", b"\x0b", b"{\"a\":1}", b"\x52\x02\xff\xff\xff"] {
        assert_eq!(Report::read(bytes).unwrap_err(), Unreadable::Garbled, "{bytes:?}");
    }
    // a text that is none
    let name = field(3, &field(1, &field(1, b"\xff\xfe")));
    assert_eq!(Report::read(&name).unwrap_err(), Unreadable::Garbled);
}

#[test]
fn a_message_nested_without_end_is_refused_before_it_is_decoded() {
    let nested = |levels: usize| {
        let health = (0..levels).fold(Vec::new(), |inner, _| field(6, &field(2, &inner)));
        field(5, &health)
    };
    assert!(Report::read(&nested(DEPTH_MAX / 2 - 1)).is_ok());
    assert_eq!(Report::read(&nested(DEPTH_MAX / 2)).unwrap_err(), Unreadable::TooDeep);
    assert_eq!(Report::read(&nested(2_000)).unwrap_err(), Unreadable::TooDeep);
    let array = (0..200).fold(Vec::new(), |inner, _| field(5, &field(1, &inner)));
    assert_eq!(Report::read(&field(3, &field(2, &field(2, &array)))).unwrap_err(), Unreadable::TooDeep);
}

#[test]
fn a_message_of_a_million_parts_is_refused_before_it_is_decoded() {
    let attributes = |count: usize| field(3, &field(1, &[]).repeat(count));
    assert!(Report::read(&attributes(FIELDS_MAX - 1)).is_ok());
    assert_eq!(Report::read(&attributes(FIELDS_MAX)).unwrap_err(), Unreadable::TooManyFields);
    assert_eq!(bounds::check(&attributes(1_500_000)), Err(Unreadable::TooManyFields));
}

#[test]
fn an_effective_configuration_of_countless_maps_is_not_kept() {
    let maps = |count: usize| format!("a: [{}]", "{b: 1},".repeat(count));
    assert!(configured(&[("", &maps(10_000))]).effective_config.unwrap().is_ok());
    let error = configured(&[("", &maps(140_000))]).effective_config.unwrap().unwrap_err().to_string();
    assert!(error.contains("more than 60000 values and keys"), "{error}");
}

#[test]
fn what_is_not_looked_at_does_not_count() {
    let packages = field(8, &field(1, &[]).repeat(FIELDS_MAX * 2));
    let report = Report::read(&[packages, field(1, &[1; 16])].concat()).unwrap();
    assert_eq!(report.instance_uid, [1; 16]);
}

#[test]
fn failures_that_pass_say_when_to_try_again() {
    let of = |failure: Failure| failure.answer(vec![1; 16]).error_response.unwrap();
    let search = of(Failure::Search);
    assert_eq!((search.kind, search.error_message.as_str()), (2, "agent search failed"));
    assert_eq!(search.retry_info.unwrap().retry_after_nanoseconds, 30_000_000_000);
    let uid = of(Failure::InstanceUid);
    assert_eq!(
        (uid.kind, uid.error_message.as_str(), uid.retry_info),
        (1, "failed to parse instance_uid", None)
    );
}

#[test]
fn an_offer_is_the_last_field_of_its_answer() {
    let config = AgentRemoteConfig { config: None, config_hash: vec![7; 32] }.encode_to_vec();
    let answer = ServerToAgent { instance_uid: vec![1; 16], flags: 1, ..ServerToAgent::default() };
    let mut bytes = with_offer(&answer, Some(config.len()));
    bytes.extend(config);
    let read = ServerToAgent::decode(&*bytes).unwrap();
    assert_eq!((read.flags, read.remote_config.unwrap().config_hash), (1, vec![7; 32]));
    assert_eq!(with_offer(&answer, None), answer.encode_to_vec());
}
