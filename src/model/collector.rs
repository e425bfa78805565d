//! What an OpenTelemetry collector said of itself, part of its agent document (elasticsearch.md, "Agent document").

use serde::Deserialize;

use super::raw::{Fields, Raw};

/// As stored; absent where it said nothing.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// Of its last message.
    pub sequence_num: Option<u64>,
    /// Names, such as `ReportsHealth`.
    pub capabilities: Vec<String>,
    /// How it and its parts do.
    pub health: Option<Raw>,
    /// What it runs, redacted.
    pub effective_config: Option<Raw>,
    /// What became of the configuration that it was given.
    pub remote_config_status: Option<Raw>,
    /// service.name, service.version, ...
    pub identifying_attributes: Option<Raw>,
    /// host.name, os.type, ...
    pub non_identifying_attributes: Option<Raw>,
}

impl Collector {
    /// The parts of an agent document that are a collector's; none of them in the documents of other agents.
    pub(super) fn read(fields: &Fields<'_>) -> Self {
        Collector {
            sequence_num: fields.optional("sequence_num"),
            capabilities: fields.list("capabilities"),
            health: fields.raw("health"),
            effective_config: fields.raw("effective_config"),
            remote_config_status: fields.raw("remote_config_status"),
            identifying_attributes: fields.raw("identifying_attributes"),
            non_identifying_attributes: fields.raw("non_identifying_attributes"),
        }
    }

    /// The hash of the configuration that it last said it has, in hexadecimal; empty for none.
    pub fn config_hash(&self) -> String {
        #[derive(Deserialize)]
        struct Status {
            #[serde(default)]
            last_remote_config_hash: String,
        }
        let status = self.remote_config_status.as_ref().map(|raw| serde_json::from_str::<Status>(raw.get()));
        status.and_then(Result::ok).map_or_else(String::new, |status| status.last_remote_config_hash)
    }
}
