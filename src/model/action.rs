//! Actions of `.fleet-actions` and their results (elasticsearch.md, checkin.md "Actions").

use serde::{Deserialize, Serialize};

use super::raw::{Fields, Raw};

/// An action for a list of agents, as stored.
#[derive(Clone, Debug, Default)]
pub struct Action {
    /// The document's `_id`: what ack_token names.
    pub document_id: String,
    /// The document's `_seq_no`.
    pub seq_no: i64,
    /// Several documents may share one.
    pub action_id: String,
    /// UPGRADE, UNENROLL, ...
    pub kind: String,
    /// For INPUT_ACTION: which input it is for.
    pub input_type: String,
    /// The agents concerned, in the document's order (empty where a search left them out).
    pub agents: Vec<String>,
    /// Its place in the whole list of `agents` and that list's length, where a search left `agents` out.
    pub place: Option<(usize, usize)>,
    /// As stored; absent and null differ (checkin.md).
    pub data: Option<Raw>,
    /// RFC 3339: not delivered afterwards.
    pub expiration: String,
    /// RFC 3339.
    pub start_time: String,
    /// Over how many seconds the start is spread.
    pub rollout_duration_seconds: i64,
    /// Seconds; 0 for none.
    pub timeout: i64,
    /// `@timestamp`, RFC 3339.
    pub timestamp: String,
    /// W3C trace context.
    pub traceparent: String,
    /// Signature over `data`.
    pub signed: Option<Signed>,
    /// Kibana spaces.
    pub namespaces: Vec<String>,
    /// Ids of secrets referenced in `data`.
    pub secret_references: Vec<String>,
}

/// Signed data, passed through untouched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Signed {
    /// Base64.
    pub data: String,
    /// Base64.
    pub signature: String,
}

#[derive(Deserialize)]
struct SecretReference {
    id: String,
}

impl Action {
    /// Reads a stored document, whatever single fields look like.
    pub fn read(document_id: &str, seq_no: i64, json: &[u8]) -> Result<Self, serde_json::Error> {
        let fields = Fields::open("action document", json)?;
        let references = fields.list::<SecretReference>("secret_references");
        Ok(Action {
            document_id: document_id.to_owned(),
            seq_no,
            action_id: fields.take("action_id"),
            kind: fields.take("type"),
            input_type: fields.take("input_type"),
            agents: fields.list("agents"),
            place: None,
            data: fields.raw_or_null("data"),
            expiration: fields.take("expiration"),
            start_time: fields.take("start_time"),
            rollout_duration_seconds: fields.take("rollout_duration_seconds"),
            timeout: fields.take("timeout"),
            timestamp: fields.take("@timestamp"),
            traceparent: fields.take("traceparent"),
            signed: fields.optional("signed"),
            namespaces: fields.list("namespaces"),
            secret_references: references.into_iter().map(|reference| reference.id).collect(),
        })
    }

    /// The place of `agent` among the action's agents and how many those are.
    pub fn place_of(&self, agent: &str) -> Option<(usize, usize)> {
        let position = || self.agents.iter().position(|id| id == agent).map(|at| (at, self.agents.len()));
        self.place.or_else(position)
    }
}

/// What one agent answered to one action; `_id` is `ACTIONID:AGENTID`, created once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionResult {
    /// The action.
    pub action_id: String,
    /// The agent.
    pub agent_id: String,
    /// Kibana spaces of the action.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Empty when it went well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The event's time as the agent gave it.
    #[serde(rename = "@timestamp")]
    pub timestamp: String,
    /// REQUEST_DIAGNOSTICS: what was uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Raw>,
    /// INPUT_ACTION only, as are the following.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_input_type: Option<String>,
    /// As the agent gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_data: Option<Raw>,
    /// As the agent gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_response: Option<Raw>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_data_and_null_data_differ() {
        let absent = Action::read("d", 1, br#"{"action_id":"a"}"#).unwrap();
        let null = Action::read("d", 1, br#"{"action_id":"a","data":null}"#).unwrap();
        assert!(absent.data.is_none());
        assert_eq!(null.data.unwrap().get(), "null");
    }

    #[test]
    fn one_agent_is_a_list_of_one_and_an_odd_reference_hides_no_other() {
        let json = br#"{"agents":"x","timeout":"30","secret_references":[{"id":"s"},{"id":null},7]}"#;
        let action = Action::read("d", 1, json).unwrap();
        assert_eq!((action.agents, action.timeout), (vec!["x".to_owned()], 30));
        assert_eq!(action.secret_references, ["s"]);
    }

    #[test]
    fn the_place_of_an_agent_is_its_index_in_the_list() {
        let action = Action::read("d", 1, br#"{"agents":["x","y","z"]}"#).unwrap();
        assert_eq!(action.place_of("y"), Some((1, 3)));
        assert_eq!(action.place_of("w"), None);
    }
}
