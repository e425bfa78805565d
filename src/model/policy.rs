//! One revision of a policy, a document of `.fleet-policies`. Immutable once read.

use super::raw::{Fields, Raw};

/// A revision as stored; `data` is parsed when it is rendered, once.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which policy.
    pub policy_id: String,
    /// Its revision; the highest is the newest, whatever the order of arrival.
    pub revision_idx: i64,
    /// `@timestamp`, RFC 3339.
    pub timestamp: String,
    /// The policy itself.
    pub data: Raw,
    /// Seconds without a check-in after which the agent is unenrolled; 0 for never.
    pub unenroll_timeout_seconds: i64,
    /// Kibana spaces.
    pub namespaces: Vec<String>,
    /// Whether agents that run a Fleet Server use it by default.
    pub default_fleet_server: bool,
}

impl Policy {
    /// Reads a stored document; `None` where it has no id or no data to deliver.
    pub fn read(json: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let fields = Fields::open("policy document", json)?;
        let policy_id: String = fields.take("policy_id");
        let Some(data) = fields.raw("data").filter(|_| !policy_id.is_empty()) else { return Ok(None) };
        Ok(Some(Policy {
            policy_id,
            data,
            revision_idx: fields.take("revision_idx"),
            timestamp: fields.take("@timestamp"),
            unenroll_timeout_seconds: fields.take("unenroll_timeout"),
            namespaces: fields.list("namespaces"),
            default_fleet_server: fields.take("default_fleet_server"),
        }))
    }
}
