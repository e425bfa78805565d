//! The effective configuration and its secrets.

use serde_json::Value;

use super::{Sources, nothing, yaml};
use crate::config::{fuzz, redacted};

fn shown(sources: &Sources) -> Value {
    serde_json::from_str(&redacted(&sources.loaded())).unwrap()
}

#[test]
fn the_effective_configuration_has_the_keys_of_the_file() {
    let shown = shown(&yaml("logging.level: debug\ninputs: [{server: {timeouts.idle: 35}}]"));
    assert_eq!(shown["logging"]["level"], "debug");
    assert_eq!(shown["inputs"][0]["server"]["timeouts"]["idle"], "35s");
    assert_eq!(shown["inputs"][0]["server"]["port"], 8220);
    assert_eq!(shown["path"]["data"], "/srv/fleet-data");
}

#[test]
fn the_limits_that_apply_are_shown() {
    let shown = shown(&nothing().set("inputs.0.server.limits.max_agents=500"));
    let checkin = &shown["inputs"][0]["server"]["limits"]["checkin_limit"];
    assert_eq!((&checkin["interval"], &checkin["max"]), (&Value::from("5ms"), &Value::from(500)));
}

/// Every place where a secret may stand, each with the text `hidden`.
const SECRETS: &str = "
output.elasticsearch:
  hosts: ['https://user:hidden@es:9200']
  service_token: hidden
  headers: {X-Auth: hidden, X-API-Key: hidden, My-Token: hidden, Bearer: hidden, X-Plain: seen}
  proxy_url: http://user:hidden@proxy
  proxy_headers: {Proxy-Authorization: hidden}
  ssl: {certificate: a, key: hidden, key_passphrase: hidden}
inputs:
  - server:
      ssl: {certificate: a, key: '-----BEGIN PRIVATE KEY----- hidden', key_passphrase: hidden}
      static_policy_tokens: {enabled: true, policy_tokens: [{token_key: hidden, policy_id: p}]}
      instrumentation: {hosts: ['https://user:hidden@apm:8200'], api_key: hidden, secret_token: hidden}
";

#[test]
fn no_secret_is_shown() {
    let loaded = yaml(SECRETS).loaded();
    let shown = redacted(&loaded);
    assert!(!shown.contains("hidden"), "{shown}");
    assert_eq!(shown.matches("[redacted]").count(), 14, "{shown}");
    assert!(shown.contains("seen") && shown.contains("\"https://apm:8200\""));
    assert!(loaded.warnings.iter().all(|warning| !warning.to_string().contains("hidden")));
}

#[test]
fn no_secret_is_in_an_error() {
    let text =
        "output.elasticsearch: {service_token: [hidden], hosts: 'ftp://u:hidden@h', headers: {a: [hidden]}}";
    for error in yaml(text).errors() {
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let inputs: [&[u8]; 9] = [
        b"",
        b"\xff\xfe\x00",
        b"a: [\0=\0a.b.c\0x={a: [1, {",
        b"inputs: {}\0inputs.0=x\0inputs.1.server=[]",
        b"&a [*a, *a]",
        b"a: &a {b: *a}",
        b"? [a]\n: b\n",
        b"fleet: ${fleet.${x:}}\0fleet.host=${x",
        b"output: [elasticsearch]\0output.elasticsearch.hosts={a: b}",
    ];
    for input in inputs {
        fuzz(input);
    }
    let cut = SECRETS.as_bytes();
    for end in 0..cut.len() {
        fuzz(&cut[..end]);
    }
}
