//! Who a collector is, and the document that it is enrolled with (opamp.md, "Enroll").

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::attributes::{object, text};
use super::message::AgentDescription;
use crate::model::Agent;
use crate::model::raw::{Raw, raw};

/// Attribute of people's own tags, a list with commas; it goes into the document's `tags` only.
const TAGS: &str = "tags";

/// Who a collector is; texts are empty where it does not say.
#[derive(Clone, Debug)]
pub struct Description {
    service_name: String,
    service_version: String,
    host_name: String,
    os_type: String,
    /// The service's name and people's own, unique, in the order they came.
    tags: Vec<String>,
    identifying: Raw,
    non_identifying: Raw,
}

/// What a new collector's document is made of, beside its description.
pub struct NewCollector<'a> {
    /// The instance UID as text.
    pub id: &'a str,
    /// The policy of the token.
    pub policy_id: &'a str,
    /// Kibana spaces of the token.
    pub namespaces: &'a [String],
    /// RFC 3339.
    pub enrolled_at: &'a str,
}

impl Description {
    /// What of a description is stored.
    pub(super) fn of(message: &AgentDescription) -> Self {
        let (identifying, others) = (&message.identifying_attributes, &message.non_identifying_attributes);
        let service_name = text(identifying, "service.name");
        let own = text(others, TAGS).split(',').map(str::trim);
        // there may be a million of them
        let mut known = BTreeSet::new();
        let tags =
            std::iter::once(service_name).chain(own).filter(|tag| !tag.is_empty() && known.insert(*tag));
        let tags = tags.map(str::to_owned).collect();
        let mut non_identifying = object(others);
        non_identifying.remove(TAGS);
        Description {
            service_name: service_name.to_owned(),
            service_version: text(identifying, "service.version").to_owned(),
            host_name: text(others, "host.name").to_owned(),
            os_type: text(others, "os.type").to_owned(),
            tags,
            identifying: raw(&object(identifying)),
            non_identifying: raw(&non_identifying),
        }
    }
}

impl NewCollector<'_> {
    /// The whole document. A revision of 0 would show it as being updated for ever: it gets none.
    pub fn document(&self, description: Option<&Description>) -> Raw {
        let base = self.policy_id.rsplit_once('#').map_or(self.policy_id, |(base, _)| base);
        let text =
            |of: fn(&Description) -> &String| description.map_or("", |description| of(description).as_str());
        let (name, version) = (text(|it| &it.service_name), text(|it| &it.service_version));
        let (host, system) = (text(|it| &it.host_name), text(|it| &it.os_type));
        let agent = said([("id", self.id), ("version", version), ("name", name)]);
        let mut document = json!({
            "active": true,
            "enrolled_at": self.enrolled_at,
            "policy_id": self.policy_id,
            "policy_base_id": base,
            "policy_revision_idx": 1,
            "agent": said([("id", self.id), ("version", version), ("type", name)]),
            "type": Agent::COLLECTOR,
            "local_metadata": {
                "elastic": { "agent": agent },
                "host": said([("hostname", host), ("name", host)]),
                "os": said([("platform", system)]),
            },
        });
        if !self.namespaces.is_empty() {
            document["namespaces"] = json!(self.namespaces);
        }
        if let Some(description) = description {
            if !description.tags.is_empty() {
                document["tags"] = json!(description.tags);
            }
            document["identifying_attributes"] = json!(description.identifying);
            document["non_identifying_attributes"] = json!(description.non_identifying);
        }
        raw(&document)
    }
}

/// The texts that are not empty, as an object.
fn said<const N: usize>(texts: [(&str, &str); N]) -> Value {
    let said = texts.into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(name, text)| (name.to_owned(), Value::from(text))).collect()
}
