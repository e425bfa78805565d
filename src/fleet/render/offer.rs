//! A policy's `otel` map as the configuration that collectors are offered: YAML, its hash, and both as the bytes of the message
//! that all of them get. Done once a revision, like all that does not depend on who asks.

use std::fmt;
use std::sync::Arc;

use prost::Message;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::api::opamp::message::{AgentConfigFile, AgentConfigMap, AgentRemoteConfig};

/// A configuration for collectors.
pub struct Offer {
    /// SHA-256 of the YAML: tells it from others.
    pub hash: [u8; 32],
    /// The whole `AgentRemoteConfig`, encoded.
    pub message: Arc<[u8]>,
}

impl Offer {
    /// What a policy whose `otel` is this map offers.
    pub(super) fn of(otel: &Map<String, Value>) -> Self {
        let yaml = yaml(otel);
        let hash: [u8; 32] = Sha256::digest(yaml.as_bytes()).into();
        let file = AgentConfigFile { body: yaml.into_bytes(), content_type: "text/yaml".to_owned() };
        // the only file has an empty name
        let config = AgentConfigMap { config_map: [(String::new(), file)].into() };
        let message = AgentRemoteConfig { config: Some(config), config_hash: hash.to_vec() };
        Offer { hash, message: message.encode_to_vec().into() }
    }
}

/// Not its bytes: there may be secrets among them.
impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offer({} bytes)", self.message.len())
    }
}

/// A map as YAML.
pub fn yaml(map: &Map<String, Value>) -> String {
    let mut yaml = String::new();
    write_map(map, 0, &mut yaml);
    yaml
}

/// A value behind `key:` or `-`: a collection that is not empty on lines of its own, all else as JSON, which is YAML.
fn write_value(value: &Value, depth: usize, yaml: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            yaml.push('\n');
            write_map(map, depth, yaml);
        }
        Value::Array(items) if !items.is_empty() => {
            yaml.push('\n');
            for item in items {
                indent(depth, yaml);
                yaml.push('-');
                write_value(item, depth + 1, yaml);
            }
        }
        scalar => {
            yaml.push(' ');
            *yaml += &scalar.to_string();
            yaml.push('\n');
        }
    }
}

fn write_map(map: &Map<String, Value>, depth: usize, yaml: &mut String) {
    for (key, value) in map {
        indent(depth, yaml);
        if is_plain(key) {
            *yaml += key;
        } else {
            *yaml += &Value::from(key.as_str()).to_string();
        }
        yaml.push(':');
        write_value(value, depth + 1, yaml);
    }
}

fn indent(depth: usize, yaml: &mut String) {
    yaml.extend(std::iter::repeat_n("  ", depth));
}

/// Whether a key is the same text to every reader of YAML without quotes.
fn is_plain(key: &str) -> bool {
    let means_something = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.chars().all(|character| character.is_ascii_alphanumeric() || "_-/.".contains(character))
        && !means_something.iter().any(|word| key.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn yaml_of(value: &Value) -> (String, Offer) {
        let offer = Offer::of(value.as_object().unwrap());
        let message = AgentRemoteConfig::decode(&*offer.message).unwrap();
        let file = message.config.unwrap().config_map.remove("").unwrap();
        assert_eq!((file.content_type.as_str(), &message.config_hash[..]), ("text/yaml", &offer.hash[..]));
        (String::from_utf8(file.body).unwrap(), offer)
    }

    #[test]
    fn a_map_becomes_yaml_that_says_the_same() {
        let value = json!({
            "receivers": { "otlp/2": { "protocols": { "grpc": null, "http": {} } } },
            "on": [1, 2.5, true, "a: b #c\n\"d\" ${env:X}", [], [["x"], { "k": [{ "": "y" }] }]],
            "ü key": "no",
        });
        let (yaml, _) = yaml_of(&value);
        assert_eq!(crate::api::yaml::parse(&yaml).unwrap().value, value, "{yaml}");
    }

    #[test]
    fn it_reads_as_people_write_it() {
        let (yaml, _) =
            yaml_of(&json!({ "service": { "pipelines": { "logs": { "receivers": ["otlp"] } } } }));
        assert_eq!(yaml, "service:\n  pipelines:\n    logs:\n      receivers:\n        - \"otlp\"\n");
    }

    #[test]
    fn the_hash_tells_configurations_apart() {
        let hash = |value: &Value| yaml_of(value).1.hash;
        assert_eq!(hash(&json!({ "a": 1 })), hash(&json!({ "a": 1 })));
        assert_ne!(hash(&json!({ "a": 1 })), hash(&json!({ "a": 2 })));
    }
}
