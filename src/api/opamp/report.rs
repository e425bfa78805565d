//! What a collector says, read once from the wire: as much of it as is stored or answered.

use prost::Message;
use serde_json::{Value, json};

use super::bounds::{self, Unreadable};
use super::description::Description;
use super::message::{
    ACCEPTS_REMOTE_CONFIG, AgentToServer, CAPABILITIES, ComponentHealth, EffectiveConfig,
    REQUEST_INSTANCE_UID, RemoteConfigStatus,
};
use super::redact::redact;
use crate::api::yaml;
use crate::model::file::hex;
use crate::model::raw::{Raw, raw};

/// What a collector runs has hundreds of values. So many take some 20 MB at worst while they are read, each a map of one key.
const EFFECTIVE_CONFIG_BOUNDS: yaml::Bounds = yaml::Bounds { nodes: 60_000, alias_weight: 30_000 };

/// One message of a collector.
#[derive(Clone, Debug)]
pub struct Report {
    /// As it came.
    pub instance_uid: Vec<u8>,
    /// One more with each message.
    pub sequence_num: u64,
    /// Who it is, if it says.
    pub description: Option<Description>,
    /// How it does, if it says.
    pub health: Option<Health>,
    /// What it runs, redacted, as JSON; `Err` if that is no YAML map.
    pub effective_config: Option<Result<Raw, NotYaml>>,
    /// What became of the configuration it was given, if it says.
    pub remote_config: Option<RemoteConfigReport>,
    /// It goes.
    pub disconnects: bool,
    /// It wants another instance UID.
    pub requests_uid: bool,
    capabilities: u64,
}

/// How a collector does.
#[derive(Clone, Debug)]
pub struct Health {
    /// As it is stored.
    pub document: Raw,
    /// online, error or degraded.
    pub status: &'static str,
    /// For people.
    pub message: String,
}

/// An effective configuration that is no YAML map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the effective configuration cannot be read: {0}")]
pub struct NotYaml(String);

/// What became of a configuration.
#[derive(Clone, Debug)]
pub struct RemoteConfigReport {
    /// Of the last configuration that it got.
    pub hash: Vec<u8>,
    /// As it is stored.
    pub document: Raw,
}

impl Report {
    /// Reads a message. Takes about 50 ns a byte of YAML: worker's work for a large one.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        bounds::check(bytes)?;
        let message = AgentToServer::decode(bytes).map_err(|_| Unreadable::Garbled)?;
        Ok(Report {
            sequence_num: message.sequence_num,
            description: message.agent_description.as_ref().map(Description::of),
            health: message.health.as_ref().map(Health::of),
            effective_config: message.effective_config.and_then(effective_config),
            remote_config: message.remote_config_status.map(RemoteConfigReport::of),
            disconnects: message.agent_disconnect.is_some(),
            requests_uid: message.flags & REQUEST_INSTANCE_UID != 0,
            capabilities: message.capabilities,
            instance_uid: message.instance_uid,
        })
    }

    /// The id of its document; `None` if its instance UID is none.
    pub fn agent_id(&self) -> Option<String> {
        uuid::Uuid::from_slice(&self.instance_uid).ok().map(|uid| uid.to_string())
    }

    /// Names of its capabilities; bits without a meaning are left out.
    pub fn capabilities(&self) -> Vec<&'static str> {
        let has = |(bit, _): &(usize, &&str)| self.capabilities >> bit & 1 == 1;
        CAPABILITIES.iter().enumerate().filter(has).map(|(_, name)| *name).collect()
    }

    /// Whether it takes a configuration.
    pub fn accepts_remote_config(&self) -> bool {
        self.capabilities & ACCEPTS_REMOTE_CONFIG != 0
    }
}

impl Health {
    /// The status of a collector that says nothing of its health.
    pub const UNTOLD: &str = "online";
    /// The collector's own word for trouble that it gets over by itself.
    const RECOVERABLE: &str = "StatusRecoverableError";

    fn of(health: &ComponentHealth) -> Self {
        let status = match health {
            ComponentHealth { healthy: false, .. } => "error",
            ComponentHealth { status, .. } if status == Self::RECOVERABLE => "degraded",
            _ => Self::UNTOLD,
        };
        let message = if health.last_error.is_empty() { &health.status } else { &health.last_error };
        Health { document: raw(health), status, message: message.clone() }
    }
}

impl RemoteConfigReport {
    fn of(status: RemoteConfigStatus) -> Self {
        let name = match status.status {
            1 => "APPLIED",
            2 => "APPLYING",
            3 => "FAILED",
            _ => "UNSET",
        };
        let mut document =
            json!({ "last_remote_config_hash": hex(&status.last_remote_config_hash), "status": name });
        if !status.error_message.is_empty() {
            document["error_message"] = status.error_message.into();
        }
        RemoteConfigReport { hash: status.last_remote_config_hash, document: raw(&document) }
    }
}

/// The only file of a configuration, if there is one with something in it.
fn effective_config(config: EffectiveConfig) -> Option<Result<Raw, NotYaml>> {
    let file = config.config_map?.config_map.remove("")?;
    let value = as_json(&file.body).map_err(NotYaml).transpose()?;
    Some(value.map(|value| raw(&value)))
}

/// `None` for a text of blanks and comments.
fn as_json(body: &[u8]) -> Result<Option<Value>, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let mut value =
        yaml::parse_within(EFFECTIVE_CONFIG_BOUNDS, text).map_err(|error| error.to_string())?.value;
    match value {
        Value::Null => return Ok(None),
        Value::Object(_) => redact(&mut value),
        _ => return Err("it is not a map".to_owned()),
    }
    Ok(Some(value))
}
