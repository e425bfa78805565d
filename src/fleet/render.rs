//! Work that depends on a policy revision is done here, once per revision: parsed, serialised and deflated into bytes that
//! all deliveries share. What is an agent's own comes last and is added per delivery.
//!
//! A compressed delivery is: the shared gzip header and deflated prefix (ended by a full flush, so it is byte-aligned), the
//! agent's own bytes as one stored block, and the trailer, whose CRC-32 continues from the prefix.

use std::collections::BTreeMap;
use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress, Status};
use serde_json::value::RawValue;

use crate::http::{Body, Segment};
use crate::model::Policy;

/// A revision as it is delivered.
#[derive(Debug)]
pub struct Revision {
    /// The policy.
    pub policy_id: Arc<str>,
    /// Its revision.
    pub revision_idx: i64,
    /// The answer up to the agent's own bytes.
    plain: Arc<[u8]>,
    /// The same, gzip header and deflated, ended by a full flush.
    deflated: Arc<[u8]>,
    /// CRC-32 of `plain`.
    crc: u32,
}

/// Why a revision cannot be delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// `data` is not a JSON object.
    #[error("its data is not an object: {0}")]
    NotAnObject(String),
    /// No output: an agent could not run on it.
    #[error("it has no outputs")]
    NoOutputs,
    /// An output without a type, or of one that no agent knows.
    #[error("its output {output} has the type {kind:?}, which is not known")]
    OutputType {
        /// Name of the output.
        output: String,
        /// What it says.
        kind: String,
    },
    /// Deflating failed.
    #[error("it cannot be compressed")]
    Deflate,
}

/// The keys of a policy that agents get (checkin.md, "Policy delivery"); all others are dropped.
const DELIVERED: [&str; 14] = [
    "id",
    "revision",
    "agent",
    "fleet",
    "inputs",
    "signed",
    "output_permissions",
    "secret_paths",
    "extensions",
    "receivers",
    "processors",
    "connectors",
    "exporters",
    "service",
];

/// Output types that are delivered as they are written (checkin.md, "Per output type").
const OUTPUT_TYPES: [&str; 4] = ["elasticsearch", "remote_elasticsearch", "logstash", "kafka"];

/// A gzip header without name or time (RFC 1952, 2.3): deflate, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A stored block's length has 16 bits (RFC 1951, 3.2.4).
const STORED_BYTES_MAX: usize = 65_535;
/// Once per revision: worth the best compression.
const LEVEL: u32 = 9;
/// All that follows the policy but the agent's id.
const TAIL: &str = "\"}]}";

impl Revision {
    /// Renders a stored revision. Takes about a millisecond for 30 kB: worker's work.
    pub fn render(policy: &Policy) -> Result<Self, RenderError> {
        let plain = constant_part(policy)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&plain);
        Ok(Revision {
            policy_id: Arc::from(policy.policy_id.as_str()),
            revision_idx: policy.revision_idx,
            deflated: deflate(&plain).ok_or(RenderError::Deflate)?.into(),
            crc: crc.finalize(),
            plain: plain.into(),
        })
    }

    /// The whole answer to the check-in of `agent`.
    pub fn answer(&self, agent: &str, gzip: bool) -> Body {
        // without its quotes, which the constant parts have
        let quoted = json_text(agent);
        let mut own = quoted.as_bytes()[1..quoted.len() - 1].to_vec();
        own.extend_from_slice(TAIL.as_bytes());
        // ids are bounded by the request head, far below a stored block
        if gzip && own.len() <= STORED_BYTES_MAX { self.gzipped(&own) } else { self.plain(own) }
    }

    /// Bytes of the shared prefix, uncompressed: the length that the compression threshold is held against.
    pub fn bytes(&self) -> usize {
        self.plain.len()
    }

    fn plain(&self, own: Vec<u8>) -> Body {
        [Segment::Shared(self.plain.clone()), Segment::Owned(own)].into_iter().collect()
    }

    fn gzipped(&self, own: &[u8]) -> Body {
        let mut tail = Vec::with_capacity(own.len() + 13);
        stored_block(own, &mut tail);
        let mut crc = crc32fast::Hasher::new_with_initial_len(self.crc, self.plain.len() as u64);
        crc.update(own);
        tail.extend_from_slice(&crc.finalize().to_le_bytes());
        // RFC 1952: the length modulo 2^32
        tail.extend_from_slice(&((self.plain.len() + own.len()) as u32).to_le_bytes());
        [Segment::Shared(self.deflated.clone()), Segment::Owned(tail)].into_iter().collect()
    }
}

/// The answer up to the agent's id: key order is free in JSON, so everything constant stands first.
fn constant_part(policy: &Policy) -> Result<Vec<u8>, RenderError> {
    let data: BTreeMap<&str, &RawValue> = serde_json::from_str(policy.data.get())
        .map_err(|error| RenderError::NotAnObject(error.to_string()))?;
    let outputs = present(&data, "outputs").ok_or(RenderError::NoOutputs)?;
    check_outputs(outputs)?;
    let mut text = format!(
        r#"{{"ack_token":"","action":"checkin","actions":[{{"type":"POLICY_CHANGE","input_type":"","id":{},"created_at":{},"data":{{"policy":{{"outputs":{}"#,
        json_text(&format!("policy:{}:{}", policy.policy_id, policy.revision_idx)),
        json_text(&policy.timestamp),
        outputs.get(),
    );
    for key in DELIVERED {
        if let Some(value) = present(&data, key) {
            text.push_str(&format!(",\"{key}\":{}", value.get()));
        }
    }
    text.push_str(r#"}},"agent_id":""#);
    Ok(text.into_bytes())
}

fn present<'a>(data: &BTreeMap<&str, &'a RawValue>, key: &str) -> Option<&'a RawValue> {
    data.get(key).copied().filter(|value| !["null", "{}", "[]", "\"\""].contains(&value.get()))
}

fn check_outputs(outputs: &RawValue) -> Result<(), RenderError> {
    let outputs: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(outputs.get()).map_err(|_| RenderError::NoOutputs)?;
    for (output, block) in outputs {
        let kind = block.get("type").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
        if !OUTPUT_TYPES.contains(&kind.as_str()) {
            return Err(RenderError::OutputType { output, kind });
        }
    }
    Ok(())
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A gzip stream that is not ended: header, and `plain` deflated up to a byte border.
fn deflate(plain: &[u8]) -> Option<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut out = GZIP_HEADER.to_vec();
    loop {
        out.reserve(plain.len() / 4 + 1_024);
        let taken = usize::try_from(compress.total_in()).ok()?;
        let before = compress.total_out();
        let status = compress.compress_vec(&plain[taken..], &mut out, FlushCompress::Full).ok()?;
        let room_left = out.len() < out.capacity();
        let all_taken = compress.total_in() == plain.len() as u64;
        if all_taken && room_left && status != Status::StreamEnd {
            return Some(out);
        }
        if compress.total_out() == before {
            return None;
        }
    }
}

/// The last block of a deflate stream: `bytes` as they are (RFC 1951, 3.2.4).
fn stored_block(bytes: &[u8], out: &mut Vec<u8>) {
    let length = bytes.len() as u16;
    out.push(1);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn policy(data: &str) -> Policy {
        let json = format!(
            r#"{{"policy_id":"p\"1","revision_idx":3,"@timestamp":"2026-01-01T00:00:00Z","data":{data}}}"#
        );
        Policy::read(json.as_bytes()).unwrap().unwrap()
    }

    fn bytes(body: &Body) -> Vec<u8> {
        body.segments().flat_map(|segment| segment.as_bytes().to_vec()).collect()
    }

    #[test]
    fn the_compressed_answer_inflates_to_the_plain_one() {
        let inputs =
            (0..500).map(|n| format!(r#"{{"id":"input-{n}","type":"log"}}"#)).collect::<Vec<_>>().join(",");
        let data = format!(r#"{{"outputs":{{"default":{{"type":"elasticsearch"}}}},"inputs":[{inputs}]}}"#);
        let revision = Revision::render(&policy(&data)).unwrap();
        for agent in ["agent-1", "ein \"Agent\""] {
            let plain = bytes(&revision.answer(agent, false));
            let gzipped = bytes(&revision.answer(agent, true));
            let mut inflated = Vec::new();
            flate2::read::GzDecoder::new(&gzipped[..]).read_to_end(&mut inflated).unwrap();
            assert_eq!(inflated, plain);
            assert!(gzipped.len() < plain.len() / 4);
            let answer: serde_json::Value = serde_json::from_slice(&plain).unwrap();
            assert_eq!(answer["actions"][0]["agent_id"], agent);
            assert_eq!(answer["actions"][0]["id"], "policy:p\"1:3");
            assert_eq!(answer["actions"][0]["data"]["policy"]["inputs"][499]["id"], "input-499");
        }
    }

    #[test]
    fn only_the_known_keys_are_delivered_and_empty_ones_are_left_out() {
        let data = r#"{"outputs":{"a":{"type":"kafka"}},"inputs":[],"agent":{"x":1},"secret_references":[{"id":"s"}],"other":1}"#;
        let revision = Revision::render(&policy(data)).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&bytes(&revision.answer("a", false))).unwrap();
        let keys: Vec<&String> = answer["actions"][0]["data"]["policy"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["agent", "outputs"]);
    }

    #[test]
    fn a_revision_without_a_usable_output_is_refused() {
        assert_eq!(Revision::render(&policy("{}")).unwrap_err(), RenderError::NoOutputs);
        let unknown = Revision::render(&policy(r#"{"outputs":{"o":{"type":"ftp"}}}"#)).unwrap_err();
        assert_eq!(unknown, RenderError::OutputType { output: "o".into(), kind: "ftp".into() });
        assert!(Revision::render(&policy("[]")).is_err());
    }
}
