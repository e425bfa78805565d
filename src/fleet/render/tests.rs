//! Answers, whole: what an agent reads out of them.

use std::io::Read;

use serde_json::{Value, json};

use super::*;
use crate::config::Secret;
use crate::model::OutputCluster;

fn policy(data: &str) -> Policy {
    let json = format!(
        r#"{{"policy_id":"p\"1","revision_idx":3,"@timestamp":"2026-01-01T00:00:00Z","data":{data}}}"#
    );
    Policy::read(json.as_bytes()).unwrap().unwrap()
}

fn bytes(body: &Body) -> Vec<u8> {
    body.segments().flat_map(|segment| segment.as_bytes().to_vec()).collect()
}

fn inflated(gzipped: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(gzipped).read_to_end(&mut inflated).unwrap();
    inflated
}

fn plainly(data: &str) -> Result<Revision, RenderError> {
    Revision::render(&policy(data), &Secrets::default(), KeyMaking::None)
}

fn with_keys(data: &Value) -> Result<Revision, RenderError> {
    Revision::render(&policy(&data.to_string()), &secrets(), KeyMaking::All)
}

fn secrets() -> Secrets {
    [("tls", "PEM\n\"x\""), ("token", "AAEremote")]
        .into_iter()
        .map(|(id, value)| (id.to_owned(), Secret::new(value)))
        .collect()
}

fn key(text: &str) -> Option<ApiKey> {
    let (id, secret) = text.split_once(':').unwrap();
    Some(ApiKey { id: id.to_owned(), secret: secret.to_owned() })
}

/// The policy in an answer, which is the same compressed.
fn delivered(revision: &Revision, agent: &str, keys: &[Option<ApiKey>]) -> Value {
    let plain = bytes(&revision.answer(agent, keys, None).unwrap().body);
    assert_eq!(inflated(&bytes(&revision.answer(agent, keys, Some(0)).unwrap().body)), plain);
    let mut answer: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(answer["actions"][0]["agent_id"], agent);
    answer["actions"][0]["data"]["policy"].take()
}

/// Two outputs with keys, one without, and what else a policy has.
fn data() -> Value {
    json!({
        "id": "p", "revision": 3, "inputs": [],
        "outputs": {
            "default": {"type": "elasticsearch", "hosts": ["http://h"], "api_key": ""},
            "far": {"type": "remote_elasticsearch", "hosts": ["https://r"], "service_token": "",
                "secrets": {"service_token": {"id": "token"}, "ssl": {"key": {"id": "tls"}}}},
            "queue": {"type": "kafka", "hosts": ["k"]},
        },
        "output_permissions": {
            "default": {"r": {"cluster": ["monitor"]}}, "far": {"r": {"cluster": []}},
        },
        "secret_references": [{"id": "token"}, {"id": "tls"}, {"id": "tls"}, {"id": ""}],
    })
}

#[test]
fn the_compressed_answer_inflates_to_the_plain_one() {
    let inputs =
        (0..500).map(|n| format!(r#"{{"id":"input-{n}","type":"log"}}"#)).collect::<Vec<_>>().join(",");
    let data = format!(r#"{{"outputs":{{"default":{{"type":"elasticsearch"}}}},"inputs":[{inputs}]}}"#);
    let revision = plainly(&data).unwrap();
    for agent in ["agent-1", "ein \"Agent\""] {
        let plain = bytes(&revision.answer(agent, &[], None).unwrap().body);
        let gzipped = bytes(&revision.answer(agent, &[], Some(0)).unwrap().body);
        assert_eq!(inflated(&gzipped), plain);
        assert!(gzipped.len() < plain.len() / 4);
        let answer: Value = serde_json::from_slice(&plain).unwrap();
        assert_eq!(answer["actions"][0]["agent_id"], agent);
        assert_eq!(answer["actions"][0]["id"], "policy:p\"1:3");
        assert_eq!(answer["actions"][0]["data"]["policy"]["inputs"][499]["id"], "input-499");
    }
}

#[test]
fn only_the_known_keys_are_delivered_and_empty_ones_are_left_out() {
    let data = r#"{"outputs":{"a":{"type":"kafka"}},"inputs":[],"agent":{"x":1},"secret_references":[{"id":"s"}],
        "secret_paths":["x"],"other":1}"#;
    let delivered = delivered(&plainly(data).unwrap(), "a", &[]);
    assert_eq!(delivered, json!({"agent": {"x": 1}, "outputs": {"a": {"type": "kafka"}}}));
}

#[test]
fn a_revision_without_a_usable_output_is_refused() {
    assert_eq!(plainly("{}").unwrap_err(), RenderError::NoOutputs);
    let unknown = plainly(r#"{"outputs":{"o":{"type":"ftp"}}}"#).unwrap_err();
    assert_eq!(unknown, RenderError::OutputType { output: "o".into(), kind: "ftp".into() });
    assert!(plainly("[]").is_err());
}

#[test]
fn each_agent_gets_its_own_keys_and_never_those_of_another() {
    let revision = with_keys(&data()).unwrap();
    let of = |agent: &str| [key(&format!("{agent}-1:s\"1")), key(&format!("{agent}-2:s2"))];
    let one = delivered(&revision, "one", &of("one"));
    assert_eq!(
        one["outputs"],
        json!({
            "default": {"type": "elasticsearch", "hosts": ["http://h"], "api_key": "one-1:s\"1"},
            "far": {"type": "elasticsearch", "hosts": ["https://r"], "api_key": "one-2:s2",
                "ssl": {"key": "PEM\n\"x\""}},
            "queue": {"type": "kafka", "hosts": ["k"]},
        })
    );
    assert_eq!(one["secret_paths"], json!(["outputs.far.ssl.key"]));
    assert!(one.get("secret_references").is_none() && one["output_permissions"].is_object());
    let other = delivered(&revision, "two", &of("two")).to_string();
    assert!(other.contains("two-1") && !other.contains("one-"));
    let shared = [revision.plain.to_vec(), inflated_prefix(&revision)].concat();
    assert!(!String::from_utf8(shared).unwrap().contains("two-1"));
}

fn inflated_prefix(revision: &Revision) -> Vec<u8> {
    let mut inflated = Vec::new();
    // it is not ended: what came before the missing end is kept
    let _ = flate2::read::GzDecoder::new(&revision.deflated[..]).read_to_end(&mut inflated);
    inflated
}

#[test]
fn an_output_whose_key_could_not_be_made_is_told_without_one() {
    let revision = with_keys(&data()).unwrap();
    let outputs = delivered(&revision, "a", &[key("i:s"), None])["outputs"].take();
    assert_eq!(outputs["default"]["api_key"], "i:s");
    assert!(outputs["far"].get("api_key").is_none() && outputs["far"]["hosts"].is_array());
    assert!(revision.answer("a", &[key("i:s")], None).is_none(), "a key is missing altogether");
}

#[test]
fn needs_name_the_cluster_the_roles_and_their_hash() {
    let revision = with_keys(&data()).unwrap();
    let needs: Vec<&str> = revision.needs.iter().map(|need| need.output.as_str()).collect();
    assert_eq!(needs, ["default", "far"]);
    assert!(matches!(revision.needs[0].cluster, OutputCluster::Own));
    let OutputCluster::Remote(block) = &revision.needs[1].cluster else { panic!("it is another cluster") };
    assert_eq!(serde_json::from_str::<Value>(block.expose()).unwrap()["service_token"], "AAEremote");
    assert_eq!(revision.needs[0].roles.get(), r#"{"r":{"cluster":["monitor"]}}"#);
    assert_ne!(revision.needs[0].permissions_hash, revision.needs[1].permissions_hash);
    assert!(!format!("{revision:?} {:?}", revision.needs).contains("AAE"));
}

#[test]
fn an_output_that_needs_keys_needs_permissions() {
    for permissions in [json!({}), json!({"default": {}}), json!({"default": 7}), json!(null)] {
        let data =
            json!({"outputs": {"default": {"type": "elasticsearch"}}, "output_permissions": permissions});
        let error = with_keys(&data).unwrap_err();
        assert_eq!(error, RenderError::Permissions { output: "default".into() }, "{permissions}");
        assert!(plainly(&data.to_string()).is_ok(), "where no keys are made");
    }
    let data = json!({"outputs": {"q": {"type": "logstash", "api_key": "as written"}}});
    let revision = with_keys(&data).unwrap();
    assert!(revision.needs.is_empty());
    assert_eq!(delivered(&revision, "a", &[])["outputs"]["q"]["api_key"], "as written");
}

#[test]
fn an_output_that_brings_credentials_is_told_as_it_is_written() {
    let mut data = data();
    let own = [
        json!({"type": "elasticsearch", "hosts": ["http://h"], "api_key": "own:key"}),
        json!({"type": "elasticsearch", "hosts": ["http://h"], "username": "u", "password": "p"}),
        json!({"type": "elasticsearch", "secrets": {"api_key": {"id": "tls"}}}),
        json!({"type": "elasticsearch", "secrets": {"api_key": {"id": "gone"}}}),
    ];
    data["exporters"] = json!({"elasticsearch/own": {"api_key": "b3duOmtleQ=="}, "elasticsearch/far": {}});
    for block in own {
        data["outputs"]["own"] = block.clone();
        let revision = with_keys(&data).unwrap();
        let needs: Vec<&str> = revision.needs.iter().map(|need| need.output.as_str()).collect();
        assert_eq!(needs, ["default", "far"]);
        let policy = delivered(&revision, "a", &[key("i:s"), key("j:t")]);
        match block.get("secrets").map(|secrets| &secrets["api_key"]["id"]) {
            None => assert_eq!(policy["outputs"]["own"], block),
            Some(id) if id == "tls" => assert_eq!(policy["outputs"]["own"]["api_key"], "PEM\n\"x\""),
            Some(_) => assert_eq!(policy["outputs"]["own"]["api_key"], ""),
        }
        assert_eq!(policy["exporters"]["elasticsearch/own"]["api_key"], "b3duOmtleQ==");
        assert_eq!(policy["exporters"]["elasticsearch/far"]["api_key"], "ajp0");
    }
    // nothing to make at all: the answer is the same for every agent
    let alone = json!({"outputs": {"default": {"type": "elasticsearch", "api_key": "own:key"}}});
    let revision = with_keys(&alone).unwrap();
    assert!(revision.needs.is_empty());
    assert_eq!(delivered(&revision, "a", &[])["outputs"]["default"]["api_key"], "own:key");
}

#[test]
fn on_a_store_of_ours_a_service_token_leads_to_keys_in_the_other_cluster() {
    let mut data = data();
    data["outputs"]["near"] =
        json!({"type": "elasticsearch", "hosts": ["https://n"], "service_token": "AAEnear", "api_key": ""});
    data["outputs"]["own"] = json!({"type": "elasticsearch", "service_token": "AAE", "api_key": "own:key"});
    data["output_permissions"]["near"] = json!({"r": {"cluster": []}});
    let revision = Revision::render(&policy(&data.to_string()), &secrets(), KeyMaking::Remote).unwrap();
    let needs: Vec<&str> = revision.needs.iter().map(|need| need.output.as_str()).collect();
    assert_eq!(needs, ["far", "near"]);
    assert!(revision.needs.iter().all(|need| matches!(need.cluster, OutputCluster::Remote(_))));
    let outputs = delivered(&revision, "a", &[key("i:s"), key("j:t")])["outputs"].take();
    assert_eq!(outputs["near"], json!({"type": "elasticsearch", "hosts": ["https://n"], "api_key": "j:t"}));
    assert_eq!(outputs["far"]["type"], "elasticsearch");
    assert_eq!(outputs["default"], data["outputs"]["default"], "it needs nothing here");
    assert_eq!(outputs["own"], data["outputs"]["own"], "it brings credentials along");
}

#[test]
fn half_of_a_users_credentials_is_none() {
    for block in [
        json!({"type": "elasticsearch", "username": "u"}),
        json!({"type": "elasticsearch", "password": "p", "username": ""}),
        json!({"type": "elasticsearch", "api_key": ""}),
        json!({"type": "elasticsearch", "api_key": 7}),
    ] {
        let data = json!({"outputs": {"default": block}});
        let error = with_keys(&data).unwrap_err();
        assert_eq!(error, RenderError::Permissions { output: "default".into() });
        assert!(error.to_string().contains("default brings no credentials"), "{error}");
    }
}

#[test]
fn exporters_carry_the_key_of_their_output_encoded() {
    let mut data = data();
    data["exporters"] = json!({"elasticsearch/default": {}, "elasticsearch/far": {"endpoints": ["e"]}});
    let revision = with_keys(&data).unwrap();
    let policy = delivered(&revision, "a", &[key("i:s"), key("j:t")]);
    assert_eq!(
        policy["exporters"],
        json!({"elasticsearch/default": {"api_key": "aTpz"}, "elasticsearch/far": {"endpoints": ["e"], "api_key": "ajp0"}})
    );
    assert!(revision.answer("a", &[key("i:s"), None], None).is_none());
    for exporter in ["elasticsearch", "elasticsearch/queue", "elasticsearch/none", "otlp/default"] {
        data["exporters"] = json!({exporter: {}});
        assert_eq!(with_keys(&data).unwrap_err(), RenderError::Exporter { exporter: exporter.into() });
    }
}

#[test]
fn secrets_are_read_once_each_and_put_in_their_places_on_every_store() {
    let policy = policy(&data().to_string());
    assert_eq!(secret_ids(&policy), ["tls", "token"]);
    let revision = Revision::render(&policy, &secrets(), KeyMaking::None).unwrap();
    let delivered = delivered(&revision, "a", &[]);
    assert_eq!(delivered["outputs"]["far"]["service_token"], "AAEremote");
    assert_eq!(delivered["secret_paths"], json!(["outputs.far.service_token", "outputs.far.ssl.key"]));
}

#[test]
fn many_outputs_are_deflated_for_each_agent() {
    let mut data = json!({"outputs": {}, "output_permissions": {}});
    for n in 0..300 {
        let name = format!("output-{n}");
        data["outputs"][&name] =
            json!({"type": "elasticsearch", "hosts": [format!("https://host-{n}.example")]});
        data["output_permissions"][&name] = json!({"r": {"cluster": []}});
    }
    let revision = with_keys(&data).unwrap();
    let keys: Vec<_> = (0..300).map(|n| key(&format!("id{n}:secret"))).collect();
    let plain = bytes(&revision.answer("a", &keys, None).unwrap().body).len();
    let gzipped = bytes(&revision.answer("a", &keys, Some(0)).unwrap().body).len();
    assert!(gzipped < plain / 3, "{gzipped} of {plain}");
    let last = revision.needs.iter().position(|need| need.output == "output-299").unwrap();
    let delivered = delivered(&revision, "a", &keys);
    assert_eq!(delivered["outputs"]["output-299"]["api_key"], format!("id{last}:secret"));
}
