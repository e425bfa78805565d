//! From units to a configuration (agent-mode.md, "From units to configuration"): what the agent sends becomes a tree of the
//! keys that a configuration file has. Knows no key beyond those that bootstrap brings; reading them is for `config`.

use serde_json::{Map, Value, json};

use super::seam::{Agent, Apm, UnitKind, Units};
use crate::config::{Error, Errors};

/// What the operator gave at the installation, in the source of the output.
const BOOTSTRAP: &str = "bootstrap";

/// Keys that the policy's output takes from bootstrap if it lacks them, each with its whole value.
const TAKEN: [&str; 9] = [
    "protocol",
    "hosts",
    "path",
    "service_token",
    "service_token_path",
    "headers",
    "proxy_url",
    "proxy_disable",
    "proxy_headers",
];

/// Keys of `ssl` that it takes one by one.
const TAKEN_OF_SSL: [&str; 5] =
    ["verification_mode", "certificate_authorities", "ca_trusted_fingerprint", "certificate", "key"];

/// Keys of `ssl` that say whom to trust: with one of them an installation without verification does not stay one.
const TRUST: [&str; 2] = ["certificate_authorities", "ca_trusted_fingerprint"];

/// Keys by which the agent's policy names and sorts its parts, and which say nothing to a server.
const NAMES: [&str; 12] = [
    "id",
    "name",
    "revision",
    "meta",
    "data_stream",
    "use_output",
    "package_policy_id",
    "streams",
    "processors",
    "preset",
    "enabled",
    "type",
];

/// What becomes of `apm_config`.
const INSTRUMENTATION: &str = "inputs.0.server.instrumentation";

/// The outputs that the two units give.
#[derive(Clone, PartialEq)]
pub struct Outputs {
    /// The policy's output, what it lacks taken from bootstrap.
    pub wanted: Value,
    /// Bootstrap alone, if there is one.
    pub fallback: Option<Value>,
}

/// The outputs of these units.
pub fn outputs(units: &Units) -> Outputs {
    let mut wanted = expanded(&units.output);
    let bootstrap = wanted.as_object_mut().and_then(|output| output.remove(BOOTSTRAP));
    let Some(Value::Object(bootstrap)) = bootstrap else { return Outputs { wanted, fallback: None } };
    if bootstrap.is_empty() {
        return Outputs { wanted, fallback: None };
    }
    if let Value::Object(output) = &mut wanted {
        fill(output, &bootstrap);
    }
    Outputs { wanted, fallback: Some(Value::Object(bootstrap)) }
}

/// The tree of a configuration with this output, to be put over `-E`.
pub fn tree(agent: Option<&Agent>, units: &Units, output: &Value) -> Value {
    let mut input = expanded(&units.input);
    forget_names(&mut input, &["type"]);
    if let (Value::Object(input), Some(apm)) = (&mut input, &units.apm) {
        put_instrumentation(input, apm);
    }
    let mut output = output.clone();
    forget_names(&mut output, &[]);
    let mut tree = json!({
        // by its place: what `-E inputs.0..` says stays where the agent says nothing
        "inputs": { "0": input },
        "output": { "elasticsearch": output },
        "logging": { "level": units.level.as_str().to_ascii_lowercase() },
    });
    if let Some(agent) = agent {
        tree["fleet"] = json!({ "agent": { "id": agent.id, "version": agent.version } });
    }
    tree
}

/// Whose fault an error is: of the unit that brought the key.
fn unit_of(error: &Error) -> UnitKind {
    if error.key.starts_with("output") { UnitKind::Output } else { UnitKind::Input }
}

/// All errors in one text, with the unit that is at fault; the output only where nothing is wrong with the input.
pub fn fault(errors: &Errors) -> (UnitKind, String) {
    let of_input = errors.errors.iter().any(|error| unit_of(error) == UnitKind::Input);
    let kind = if of_input || errors.errors.is_empty() { UnitKind::Input } else { UnitKind::Output };
    (kind, errors.to_string().replace('\n', "; "))
}

/// Whether nothing is wrong but with what the agent says of APM.
pub fn is_of_apm(errors: &Errors) -> bool {
    errors.errors.iter().all(|error| error.key.starts_with(INSTRUMENTATION))
}

/// Dotted keys made nested, so that two ways to write a key are one.
fn expanded(source: &Value) -> Value {
    /// Nesting that is looked at; what is deeper is refused when it is read.
    const DEPTH_MAX: usize = 32;
    fn expand(source: &Value, levels_left: usize) -> Value {
        match source {
            Value::Object(fields) if levels_left > 0 => {
                let mut map = Map::new();
                for (key, value) in fields {
                    put(&mut map, key, expand(value, levels_left - 1), levels_left);
                }
                Value::Object(map)
            }
            other => other.clone(),
        }
    }
    expand(source, DEPTH_MAX)
}

/// Puts a value under a key that may be dotted, into what is there already.
fn put(map: &mut Map<String, Value>, key: &str, value: Value, levels_left: usize) {
    match key.split_once('.') {
        Some((first, rest)) if levels_left > 0 => {
            let below = map.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if !below.is_object() {
                *below = Value::Object(Map::new());
            }
            if let Value::Object(below) = below {
                put(below, rest, value, levels_left - 1);
            }
        }
        _ => merge(map.entry(key).or_insert(Value::Null), value, levels_left),
    }
}

fn merge(there: &mut Value, value: Value, levels_left: usize) {
    match (there, value) {
        (Value::Object(there), Value::Object(value)) if levels_left > 0 => {
            for (key, value) in value {
                merge(there.entry(key).or_insert(Value::Null), value, levels_left - 1);
            }
        }
        (there, value) => *there = value,
    }
}

fn is_there(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).is_some_and(|value| !value.is_null())
}

/// Gives the policy's output what it lacks.
fn fill(output: &mut Map<String, Value>, bootstrap: &Map<String, Value>) {
    for key in TAKEN {
        if let (false, Some(value)) = (is_there(output, key), bootstrap.get(key)) {
            output.insert(key.to_owned(), value.clone());
        }
    }
    let Some(taken) = bootstrap.get("ssl").filter(|ssl| !ssl.is_null()) else { return };
    match (output.get_mut("ssl"), taken) {
        (Some(Value::Object(ssl)), Value::Object(taken)) => fill_ssl(ssl, taken),
        (None | Some(Value::Null), taken) => {
            output.insert("ssl".to_owned(), taken.clone());
        }
        _ => {}
    }
}

fn fill_ssl(ssl: &mut Map<String, Value>, bootstrap: &Map<String, Value>) {
    let is_none = |ssl: &Map<String, Value>| ssl.get("verification_mode").is_some_and(|mode| mode == "none");
    let trusts = TRUST.iter().any(|key| ssl.get(*key).is_some_and(|value| !is_empty(value)));
    let keeps_none = !trusts || is_none(ssl);
    for key in TAKEN_OF_SSL {
        if key == "verification_mode" && is_none(bootstrap) && !keeps_none {
            continue;
        }
        if let (false, Some(value)) = (is_there(ssl, key), bootstrap.get(key)) {
            ssl.insert(key.to_owned(), value.clone());
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Leaves out what would only be warned of, but for `kept`.
fn forget_names(source: &mut Value, kept: &[&str]) {
    if let Value::Object(fields) = source {
        fields.retain(|key, _| kept.contains(&key.as_str()) || !NAMES.contains(&key.as_str()));
    }
}

/// `apm_config` as the input's `server.instrumentation`.
fn put_instrumentation(input: &mut Map<String, Value>, apm: &Apm) {
    let mut instrumentation = json!({
        "enabled": true,
        "hosts": apm.hosts,
        "tls": {
            "skip_verify": apm.skip_verify,
            "server_certificate": apm.server_certificate,
            "server_ca": apm.server_ca,
        },
        "environment": apm.environment,
        "api_key": apm.api_key,
        "secret_token": apm.secret_token,
        "global_labels": apm.global_labels,
    });
    if let Some(rate) = apm.sampling_rate {
        instrumentation["transaction_sample_rate"] = rate.to_string().into();
    }
    let server = input.entry("server").or_insert_with(|| Value::Object(Map::new()));
    if !server.is_object() {
        *server = Value::Object(Map::new());
    }
    server["instrumentation"] = instrumentation;
}

#[cfg(test)]
mod tests;
