//! Work that depends on a policy revision is done here, once per revision: parsed, its secrets put in, serialised and
//! deflated into bytes that all deliveries share. What is an agent's own comes last and is added per delivery: its id, and
//! the outputs where each agent has keys of its own.
//!
//! A compressed delivery is: the shared gzip header and deflated prefix (ended by a full flush, so it is byte-aligned), the
//! agent's own bytes as one stored block, and the trailer, whose CRC-32 continues from the prefix.

mod artifacts;
mod gzip;
mod offer;
mod outputs;
mod permissions;
mod references;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

pub use self::artifacts::AllowedArtifacts;
use self::gzip::Checksum;
pub use self::offer::{Offer, yaml};
use self::outputs::Tail;
use self::references::Resolver;
pub use self::references::secret_ids;
use crate::http::{Body, Segment};
use crate::model::{ApiKey, KeyMaking, KeyNeed, Policy, Secrets};

/// A revision as it is delivered. Immutable: nothing of one agent ever gets into it.
pub struct Revision {
    /// The policy.
    pub policy_id: Arc<str>,
    /// Its revision.
    pub revision_idx: i64,
    /// The keys without which it cannot be delivered to an agent.
    pub needs: Arc<[KeyNeed]>,
    /// What its agents may fetch.
    pub artifacts: AllowedArtifacts,
    /// What OpenTelemetry collectors on it are offered, if it has an `otel` map.
    pub offer: Option<Arc<Offer>>,
    /// The answer up to the agent's own bytes.
    plain: Arc<[u8]>,
    /// The same, gzip header and deflated, ended by a full flush.
    deflated: Arc<[u8]>,
    /// What the end of the deflated answer depends on.
    checksum: Checksum,
    /// The agent's own bytes.
    tail: Tail,
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
    /// Agents would need keys for an output, and nothing says what these may do.
    #[error(
        "its output {output} brings no credentials (api_key, or username and password), and output_permissions do not say \
         what a key for it may do"
    )]
    Permissions {
        /// Name of the output.
        output: String,
    },
    /// An exporter that sends to none of the outputs that have keys.
    #[error("its exporter {exporter} is not that of an elasticsearch output")]
    Exporter {
        /// Name of the exporter.
        exporter: String,
    },
    /// Deflating failed.
    #[error("it cannot be compressed")]
    Deflate,
}

/// The keys of a policy that agents get beside its outputs (checkin.md, "Policy delivery"); all others are dropped.
const DELIVERED: [&str; 13] = [
    "id",
    "revision",
    "agent",
    "fleet",
    "inputs",
    "signed",
    "output_permissions",
    "extensions",
    "receivers",
    "processors",
    "connectors",
    "exporters",
    "service",
];

/// What a revision is made of.
struct Parts {
    /// All that is the same for each agent.
    constant: Vec<u8>,
    tail: Tail,
    needs: Vec<KeyNeed>,
    offer: Option<Offer>,
}

/// An agent's answer.
#[derive(Debug)]
pub struct RevisionAnswer {
    /// Its bytes.
    pub body: Body,
    /// Whether they are compressed.
    pub gzip: bool,
}

impl Revision {
    /// Renders a stored revision with these secrets; `key_making`: for which outputs agents get keys of their own. Takes
    /// about a millisecond for 30 kB: worker's work.
    pub fn render(policy: &Policy, secrets: &Secrets, key_making: KeyMaking) -> Result<Self, RenderError> {
        let Parts { constant, tail, needs, offer } = parts(policy, secrets, key_making)?;
        let (deflated, checksum) = gzip::prefix(&constant).ok_or(RenderError::Deflate)?;
        Ok(Revision {
            policy_id: Arc::from(policy.policy_id.as_str()),
            revision_idx: policy.revision_idx,
            needs: needs.into(),
            artifacts: AllowedArtifacts::of(policy),
            offer: offer.map(Arc::new),
            plain: constant.into(),
            deflated: deflated.into(),
            checksum,
            tail,
        })
    }

    /// The whole answer to the check-in of `agent`, with its keys in the order of [`Revision::needs`]. `None` if one is
    /// missing without which there is no answer. `gzip_above`: the bytes above which it is compressed, None for never.
    pub fn answer(
        &self,
        agent: &str,
        keys: &[Option<ApiKey>],
        gzip_above: Option<usize>,
    ) -> Option<RevisionAnswer> {
        let own = self.tail.fill(agent, keys)?;
        let gzip = gzip_above.is_some_and(|bytes| self.plain.len() + own.len() > bytes);
        let (shared, own) =
            if gzip { (&self.deflated, gzip::tail(self.checksum, &own)?) } else { (&self.plain, own) };
        let body = [Segment::Shared(shared.clone()), Segment::Owned(own)].into_iter().collect();
        Some(RevisionAnswer { body, gzip })
    }
}

/// Not its bytes: there may be secrets among them.
impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({} {})", self.policy_id, self.revision_idx)
    }
}

/// Key order is free in JSON, so everything constant stands first.
fn parts(policy: &Policy, secrets: &Secrets, key_making: KeyMaking) -> Result<Parts, RenderError> {
    let data: BTreeMap<&str, &RawValue> = serde_json::from_str(policy.data.get())
        .map_err(|error| RenderError::NotAnObject(error.to_string()))?;
    let mut resolver = Resolver::new(secrets, present(&data, "secret_references").is_some());
    let outputs = present(&data, "outputs").ok_or(RenderError::NoOutputs)?;
    let mut blocks = outputs::read(outputs)?;
    let keyed = outputs::keyed(&blocks, key_making);
    resolver.members("outputs", blocks.iter_mut());
    let needs = outputs::needs(&blocks, &keyed, data.get("output_permissions").copied())?;
    let mut exporters = None;
    let mut members: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for key in DELIVERED {
        let Some(raw) = present(&data, key) else { continue };
        let text = resolver.section(key, raw);
        if key == "exporters" && !needs.is_empty() {
            exporters = Some(text);
        } else {
            members.push((key, text));
        }
    }
    outputs::hide(&mut blocks, &keyed, &mut resolver);
    let tail = if needs.is_empty() {
        let text = if resolver.is_idle() { outputs.get().into() } else { json_of(&blocks).into() };
        members.push(("outputs", text));
        Tail::plain()
    } else {
        Tail::with_keys(blocks, exporters.as_deref(), &needs)?
    };
    let paths = resolver.into_paths();
    if !paths.is_empty() {
        members.push(("secret_paths", json_of(&paths).into()));
    }
    let offer = present(&data, "otel").and_then(|otel| offer(otel, secrets));
    Ok(Parts { constant: constant(policy, &members, needs.is_empty()), tail, needs, offer })
}

/// The `otel` map with its secrets, which agents do not hear of.
fn offer(otel: &RawValue, secrets: &Secrets) -> Option<Offer> {
    let mut otel: serde_json::Value = serde_json::from_str(otel.get()).ok()?;
    Resolver::new(secrets, true).whole(&mut otel);
    otel.as_object().map(Offer::of)
}

/// The answer up to what is the agent's own: its id, or before that outputs.
fn constant(policy: &Policy, members: &[(&str, Cow<'_, str>)], is_whole: bool) -> Vec<u8> {
    let mut text = format!(
        r#"{{"ack_token":"","action":"checkin","actions":[{{"type":"POLICY_CHANGE","input_type":"","id":{},"created_at":{},"data":{{"policy":{{"#,
        json_text(&format!("policy:{}:{}", policy.policy_id, policy.revision_idx)),
        json_text(&policy.timestamp),
    );
    for (index, (key, value)) in members.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        text += &format!("{comma}\"{key}\":{value}");
    }
    if is_whole {
        text += r#"}},"agent_id":""#;
    } else if !members.is_empty() {
        text.push(',');
    }
    text.into_bytes()
}

fn present<'a>(data: &BTreeMap<&str, &'a RawValue>, key: &str) -> Option<&'a RawValue> {
    data.get(key).copied().filter(|value| !["null", "{}", "[]", "\"\""].contains(&value.get()))
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn json_of(value: &impl serde::Serialize) -> String {
    crate::model::raw::raw(value).get().to_owned()
}

#[cfg(test)]
mod tests;
