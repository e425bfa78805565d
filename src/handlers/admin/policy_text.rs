//! A policy as people write it: the format of a standalone `elastic-agent.yml`, or the same as JSON. Read and checked here,
//! so that one that no agent could run is refused with a reason before it is stored. Shared with the subcommand, which looks
//! for the policy's id.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::api::yaml;

/// Bytes of a policy's text.
pub const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a policy's id.
const ID_BYTES_MAX: usize = 256;

/// What is wrong with a policy's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// Counted from 1; `None` where it concerns the whole.
    pub line: Option<usize>,
    /// For people.
    pub message: String,
}

impl std::fmt::Display for TextError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "line {line}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

impl std::error::Error for TextError {}

/// A policy that agents can run.
#[derive(Clone, Debug)]
pub struct PolicyText {
    /// All that was written, dotted keys at the top as sections.
    pub fields: Map<String, Value>,
    lines: BTreeMap<String, usize>,
}

impl PolicyText {
    /// Reads and checks YAML or JSON.
    pub fn read(text: &str) -> Result<Self, TextError> {
        let document = document(text)?;
        let Value::Object(written) = document.value else {
            return Err(TextError {
                line: None,
                message: "expected `key: value`, as in an elastic-agent.yml".into(),
            });
        };
        let mut policy = PolicyText { fields: Map::new(), lines: document.lines };
        for (key, value) in written {
            let line = policy.lines.get(&key).copied();
            insert(&mut policy.fields, &key, value).map_err(|message| TextError { line, message })?;
        }
        policy.check_id()?;
        policy.check_seconds("unenroll_timeout")?;
        policy.check_seconds("inactivity_timeout")?;
        policy.check_inputs()?;
        Ok(policy)
    }

    /// The id that the text gives.
    pub fn id(&self) -> Option<&str> {
        self.fields.get("id").and_then(Value::as_str)
    }

    /// A whole number of seconds; 0 where the text does not say.
    pub(super) fn seconds(&self, key: &str) -> i64 {
        self.fields.get(key).and_then(Value::as_i64).unwrap_or_default()
    }

    fn check_id(&self) -> Result<(), TextError> {
        match self.fields.get("id") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(id)) => check_id(id).map_err(|message| self.wrong("id", message)),
            Some(_) => Err(self.wrong("id", "id: expected a text")),
        }
    }

    fn check_seconds(&self, key: &str) -> Result<(), TextError> {
        match self.fields.get(key) {
            None | Some(Value::Null) => Ok(()),
            Some(value) if value.as_i64().is_some_and(|seconds| seconds >= 0) => Ok(()),
            Some(_) => Err(self.wrong(key, format!("{key}: expected a whole number of seconds"))),
        }
    }

    /// An agent refuses a whole policy for one input that is no map, has no type or names an output that is not there.
    fn check_inputs(&self) -> Result<(), TextError> {
        let Some(inputs) = self.fields.get("inputs").and_then(Value::as_array) else {
            return Err(
                self.wrong("inputs", "inputs: a list is needed; [] for a policy that collects nothing")
            );
        };
        let outputs = self.fields.get("outputs").and_then(Value::as_object);
        for (index, input) in inputs.iter().enumerate() {
            let wrong = |message: String| self.wrong("inputs", format!("inputs.{index}: {message}"));
            if input.get("type").and_then(Value::as_str).unwrap_or_default().is_empty() {
                return Err(wrong("type: a text is needed".into()));
            }
            let output = match input.get("use_output") {
                None | Some(Value::Null) => "default",
                Some(output) => output.as_str().ok_or_else(|| wrong("use_output: expected a text".into()))?,
            };
            if outputs.is_some_and(|outputs| !outputs.contains_key(output)) {
                return Err(wrong(format!("there is no output {output}")));
            }
        }
        Ok(())
    }

    /// An error about what stands under a key at the top.
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>) -> TextError {
        TextError { line: self.lines.get(key).copied(), message: message.into() }
    }
}

/// Whether agents can be on a policy of this id. A colon would break the ids of its revisions, `policy:ID:REVISION`.
pub fn check_id(id: &str) -> Result<(), String> {
    let is_wrong =
        |character: char| character.is_whitespace() || character.is_control() || ":/\\".contains(character);
    if id.is_empty() || id.len() > ID_BYTES_MAX || id.contains(is_wrong) {
        return Err(format!("id: expected 1 to {ID_BYTES_MAX} bytes without blanks, colons and slashes"));
    }
    Ok(())
}

/// JSON if it is that, else YAML, whose error is the one to tell: JSON is YAML to nearly all.
fn document(text: &str) -> Result<yaml::Document, TextError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(yaml::Document { value, lines: BTreeMap::new() });
    }
    yaml::parse(text).map_err(|error| TextError { line: Some(error.line), message: error.message })
}

/// Puts `a.b: value` where `a: {b: value}` would be.
fn insert(fields: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), String> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let repeated = || format!("the key {first} is repeated");
    match (fields.get_mut(first), rest, value) {
        (Some(Value::Object(section)), Some(rest), value) => insert(section, rest, value),
        (Some(Value::Object(section)), None, Value::Object(more)) => {
            more.into_iter().try_for_each(|(key, value)| insert(section, &key, value))
        }
        (Some(_), _, _) => Err(repeated()),
        (None, Some(rest), value) => {
            let mut section = Map::new();
            insert(&mut section, rest, value)?;
            fields.insert(first.to_owned(), section.into());
            Ok(())
        }
        (None, None, value) => {
            fields.insert(first.to_owned(), value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(text: &str) -> String {
        PolicyText::read(text).unwrap_err().to_string()
    }

    const OUTPUTS: &str = "outputs:\n  default: {type: elasticsearch, hosts: ['http://localhost:9200']}\n";

    #[test]
    fn a_standalone_configuration_is_a_policy() {
        let text = format!(
            "{OUTPUTS}agent.monitoring:\n  enabled: false\nagent.logging.level: info\ninputs:\n  - id: logs\n    type: filestream\n"
        );
        let policy = PolicyText::read(&text).unwrap();
        assert_eq!(
            policy.fields["agent"],
            json!({"monitoring": {"enabled": false}, "logging": {"level": "info"}})
        );
        assert_eq!(policy.fields["inputs"][0]["type"], "filestream");
        assert_eq!(policy.id(), None);
    }

    #[test]
    fn json_is_read_as_json() {
        let text = "{\n\t\"id\": \"\\ud83d\\ude00\",\n\t\"inputs\": [],\n\t\"outputs\": {}\n}";
        assert_eq!(PolicyText::read(text).unwrap().id(), Some("😀"));
    }

    #[test]
    fn sections_written_apart_are_one() {
        let policy = PolicyText::read("agent: {a: 1}\nagent.b: 2\ninputs: []").unwrap();
        assert_eq!(policy.fields["agent"], json!({"a": 1, "b": 2}));
        assert_eq!(wrong("inputs: []\nagent: {a: 1}\nagent.a: 2"), "line 3: the key a is repeated");
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(
            wrong("id: x\ninputs: 7"),
            "line 2: inputs: a list is needed; [] for a policy that collects nothing"
        );
        assert_eq!(
            wrong("\n\nid: 'a:b'\ninputs: []"),
            "line 3: id: expected 1 to 256 bytes without blanks, colons and slashes"
        );
        assert_eq!(
            wrong("inputs: []\nunenroll_timeout: 1h"),
            "line 2: unenroll_timeout: expected a whole number of seconds"
        );
        assert!(wrong("inputs: []\nid: [").starts_with("line "));
    }

    #[test]
    fn what_agents_refuse_is_refused() {
        assert_eq!(wrong("outputs: {}"), "inputs: a list is needed; [] for a policy that collects nothing");
        assert_eq!(
            wrong(&format!("{OUTPUTS}inputs:\n  - id: x")),
            "line 3: inputs.0: type: a text is needed"
        );
        assert_eq!(
            wrong(&format!("{OUTPUTS}inputs: [{{type: x, use_output: other}}]")),
            "line 3: inputs.0: there is no output other"
        );
        assert_eq!(wrong("- a"), "expected `key: value`, as in an elastic-agent.yml");
        assert_eq!(wrong(""), "expected `key: value`, as in an elastic-agent.yml");
    }
}
