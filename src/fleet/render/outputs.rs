//! Outputs, and exporters that send to one: what a revision needs so that an agent can use them, and how they are told
//! (checkin.md, "Per output type"). What depends on the agent is a template with holes for its keys.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::references::Resolver;
use super::{RenderError, json_text, permissions};
use crate::config::Secret;
use crate::model::raw::{Raw, raw};
use crate::model::{ApiKey, KeyMaking, KeyNeed, OutputCluster};

/// Output types that agents know.
const OUTPUT_TYPES: [&str; 4] = [ELASTICSEARCH, REMOTE, "logstash", "kafka"];
const ELASTICSEARCH: &str = "elasticsearch";
const REMOTE: &str = "remote_elasticsearch";

/// All that follows the constant part of an answer.
pub(super) struct Tail {
    pieces: Vec<Piece>,
}

enum Piece {
    Text(Box<str>),
    /// The agent's id, without quotes.
    Agent,
    /// The member `api_key` of an object.
    Key {
        /// Which need it is for.
        need: usize,
        form: Form,
        /// Whether other members follow.
        more: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `id:key`; left out where there is none.
    Plain,
    /// Base64 of it; there has to be one.
    Encoded,
}

/// The outputs of a revision by name, checked.
pub(super) fn read(outputs: &RawValue) -> Result<Map<String, Value>, RenderError> {
    let outputs: Map<String, Value> =
        serde_json::from_str(outputs.get()).map_err(|_| RenderError::NoOutputs)?;
    for (output, block) in &outputs {
        if !OUTPUT_TYPES.contains(&kind(block)) {
            return Err(RenderError::OutputType { output: output.clone(), kind: kind(block).to_owned() });
        }
    }
    Ok(outputs)
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The outputs that agents get keys of their own for, each with whether it is in another cluster. An elasticsearch output that
/// brings credentials along, as in a standalone elastic-agent.yml, is not among them: it is told as it is written. To be asked
/// before secrets are put in: a missing one leaves an empty text.
pub(super) fn keyed(outputs: &Map<String, Value>, key_making: KeyMaking) -> BTreeMap<String, bool> {
    let is_keyed = |block: &Value| {
        let has_token = has(block, "service_token");
        match (key_making, kind(block)) {
            (KeyMaking::All, REMOTE) => Some(true),
            (KeyMaking::All, ELASTICSEARCH) if !brings_credentials(block) => Some(false),
            (KeyMaking::Remote, REMOTE | ELASTICSEARCH) if has_token && !brings_credentials(block) => {
                Some(true)
            }
            _ => None,
        }
    };
    let keyed = outputs.iter().filter_map(|(output, block)| Some((output.clone(), is_keyed(block)?)));
    keyed.collect()
}

fn brings_credentials(block: &Value) -> bool {
    kind(block) == ELASTICSEARCH
        && (has(block, "api_key") || (has(block, "username") && has(block, "password")))
}

/// Whether a block has a text, or a secret for it.
fn has(block: &Value, name: &str) -> bool {
    let is_written = block.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    is_written || block.pointer(&format!("/secrets/{name}")).is_some()
}

/// What the `keyed` outputs need, in the order of their names.
pub(super) fn needs(
    outputs: &Map<String, Value>,
    keyed: &BTreeMap<String, bool>,
    permissions: Option<&RawValue>,
) -> Result<Vec<KeyNeed>, RenderError> {
    let mut all: Map<String, Value> = match permissions {
        Some(raw) if !keyed.is_empty() => serde_json::from_str(raw.get()).unwrap_or_default(),
        _ => Map::new(),
    };
    let mut needs = Vec::new();
    for (output, is_remote) in keyed {
        let cluster = match outputs.get(output) {
            Some(block) if *is_remote => OutputCluster::Remote(Secret::new(block.to_string())),
            _ => OutputCluster::Own,
        };
        // a key without roles could do whatever the server may do
        let roles = match all.remove(output) {
            Some(Value::Object(roles)) if !roles.is_empty() => roles,
            _ => return Err(RenderError::Permissions { output: output.clone() }),
        };
        let permissions_hash = permissions::hash(&roles);
        needs.push(KeyNeed { output: output.clone(), cluster, roles: written(&roles), permissions_hash });
    }
    Ok(needs)
}

fn written(roles: &Map<String, Value>) -> Raw {
    raw(roles)
}

/// Takes what only the server may know out of the blocks, and its traces.
pub(super) fn hide(
    outputs: &mut Map<String, Value>,
    keyed: &BTreeMap<String, bool>,
    resolver: &mut Resolver<'_>,
) {
    for (output, _) in keyed.iter().filter(|(_, is_remote)| **is_remote) {
        if let Some(block) = outputs.get_mut(output).and_then(Value::as_object_mut) {
            block.remove("service_token");
            block.insert("type".to_owned(), ELASTICSEARCH.into());
            resolver.forget(&format!("outputs.{output}.service_token"));
        }
    }
}

impl Tail {
    /// Where nothing but its id is the agent's own: `before` ends the constant part.
    pub(super) fn plain() -> Self {
        Tail { pieces: vec![Piece::Agent, Piece::Text("\"}]}".into())] }
    }

    /// Outputs and exporters, with holes, as members of the policy. `needs` belong to these outputs.
    pub(super) fn with_keys(
        outputs: Map<String, Value>,
        exporters: Option<&str>,
        needs: &[KeyNeed],
    ) -> Result<Self, RenderError> {
        let place = |output: &str| needs.iter().position(|need| need.output == output);
        // those of them that have no keys bring credentials along, and so do their exporters
        let as_written: Vec<String> = outputs
            .iter()
            .filter(|(output, block)| kind(block) == ELASTICSEARCH && place(output).is_none())
            .map(|(output, _)| format!("{ELASTICSEARCH}/{output}"))
            .collect();
        let mut tail = Tail { pieces: Vec::new() };
        tail.text("\"outputs\":{");
        for (index, (output, block)) in outputs.into_iter().enumerate() {
            tail.member(index, &output);
            tail.block(block, place(&output).map(|need| (need, Form::Plain)));
        }
        tail.text("}");
        if let Some(exporters) = exporters {
            tail.text(",\"exporters\":{");
            let none = |_| RenderError::Exporter { exporter: "exporters".to_owned() };
            let exporters: Map<String, Value> = serde_json::from_str(exporters).map_err(none)?;
            for (index, (exporter, block)) in exporters.into_iter().enumerate() {
                if as_written.contains(&exporter) {
                    tail.member(index, &exporter);
                    tail.block(block, None);
                    continue;
                }
                let need = exporter.strip_prefix("elasticsearch/").and_then(place);
                let Some(need) = need.filter(|_| block.is_object()) else {
                    return Err(RenderError::Exporter { exporter });
                };
                tail.member(index, &exporter);
                tail.block(block, Some((need, Form::Encoded)));
            }
            tail.text("}");
        }
        tail.text("}},\"agent_id\":\"");
        tail.pieces.extend(Tail::plain().pieces);
        Ok(tail)
    }

    /// For one agent, with its keys in the order of the needs. `None` if one is missing that has to be there.
    pub(super) fn fill(&self, agent: &str, keys: &[Option<ApiKey>]) -> Option<Vec<u8>> {
        let mut own = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => own.push_str(text),
                Piece::Agent => {
                    let quoted = json_text(agent);
                    own.push_str(&quoted[1..quoted.len() - 1]);
                }
                Piece::Key { need, form, more } => match (keys.get(*need)?, form) {
                    (None, Form::Plain) => {}
                    (None, Form::Encoded) => return None,
                    (Some(key), form) => {
                        let text = match form {
                            Form::Plain => format!("{}:{}", key.id, key.secret),
                            Form::Encoded => STANDARD.encode(format!("{}:{}", key.id, key.secret)),
                        };
                        own.push_str("\"api_key\":");
                        own.push_str(&json_text(&text));
                        own.push_str(if *more { "," } else { "" });
                    }
                },
            }
        }
        Some(own.into_bytes())
    }

    fn text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => *last = format!("{last}{text}").into(),
            _ => self.pieces.push(Piece::Text(text.into())),
        }
    }

    fn member(&mut self, index: usize, name: &str) {
        let comma = if index > 0 { "," } else { "" };
        self.text(&format!("{comma}{}:", json_text(name)));
    }

    fn block(&mut self, mut block: Value, key: Option<(usize, Form)>) {
        let (Some((need, form)), Some(members)) = (key, block.as_object_mut()) else {
            return self.text(&block.to_string());
        };
        members.remove("api_key");
        let more = !members.is_empty();
        let text = block.to_string();
        self.text("{");
        self.pieces.push(Piece::Key { need, form, more });
        self.text(&text[1..]);
    }
}
