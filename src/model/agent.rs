//! The agent document of `.fleet-agents` (elasticsearch.md, "Agent document").

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use super::collector::Collector;
use super::detail::Detail;
use super::raw::{Fields, Raw};
use super::secret::referred;

/// An enrolled agent as stored. Fields not listed here survive, because we write partial updates only.
#[derive(Clone, Debug, Default)]
pub struct Agent {
    /// The document's `_id`.
    pub id: String,
    /// False once the agent was unenrolled.
    pub active: bool,
    /// Id of the API key that the agent authenticates with.
    pub access_api_key_id: String,
    /// The section `agent`; absent in corrupted documents.
    pub agent: Option<AgentInfo>,
    /// The policy it is assigned to.
    pub policy_id: String,
    /// The policy it last said it runs.
    pub agent_policy_id: Option<String>,
    /// The revision it last acknowledged or reported.
    pub policy_revision_idx: i64,
    /// Given at enrolment so that a retry can be told from a second agent.
    pub enrollment_id: Option<String>,
    /// PERMANENT, EPHEMERAL or TEMPORARY (OPAMP for collectors).
    pub kind: String,
    /// `_seq_no` of the last action acknowledged by ack_token; -1 for none.
    pub action_seq_no: i64,
    /// As last reported: online, error, degraded, ...
    pub last_checkin_status: Option<String>,
    /// As last reported.
    pub last_checkin_message: Option<String>,
    /// RFC 3339.
    pub last_checkin: Option<String>,
    /// Why it is not healthy: input, output, other.
    pub unhealthy_reason: Option<Vec<String>>,
    /// RFC 3339.
    pub enrolled_at: Option<String>,
    /// RFC 3339.
    pub unenrolled_at: Option<String>,
    /// RFC 3339: when an UNENROLL action was written for it.
    pub unenrollment_started_at: Option<String>,
    /// RFC 3339.
    pub upgraded_at: Option<String>,
    /// RFC 3339.
    pub upgrade_started_at: Option<String>,
    /// Whether `upgrade_attempts` is set.
    pub has_upgrade_attempts: bool,
    /// As stored.
    pub upgrade_details: Option<Raw>,
    /// The section `upgrade` as stored, field by field; `rollbacks` is the one we know.
    pub upgrade: BTreeMap<String, Raw>,
    /// uninstall, orphaned, key_revoked or migrated.
    pub audit_unenrolled_reason: Option<String>,
    /// Sorted and unique.
    pub tags: Vec<String>,
    /// Kibana spaces.
    pub namespaces: Vec<String>,
    /// Hash of the token that lets another agent take over this id (checkin.md, "Replace-token hash").
    pub replace_token: Option<String>,
    /// As the agent sent it.
    pub local_metadata: Detail,
    /// As stored.
    pub user_provided_metadata: Option<Raw>,
    /// As the agent sent it.
    pub components: Detail,
    /// Keys made for the outputs of its policy, by output name.
    pub outputs: BTreeMap<String, AgentOutput>,
    /// What an OpenTelemetry collector said of itself; none for other agents, and in lists.
    pub collector: Option<Box<Collector>>,
}

/// The section `agent` of an agent document.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AgentInfo {
    /// The agent's id once more.
    pub id: String,
    /// As in its User-Agent, without `v` and suffix.
    pub version: String,
    /// What else is stored there.
    #[serde(flatten)]
    pub others: BTreeMap<String, Raw>,
}

impl AgentInfo {
    fn read(fields: &Fields<'_>) -> Self {
        AgentInfo {
            id: fields.take("id"),
            version: fields.take("version"),
            others: fields.others(&["id", "version"]),
        }
    }
}

/// What one output of the policy has given this agent.
#[derive(Clone, Default, Serialize)]
pub struct AgentOutput {
    /// `$co.elastic.secret{ID}`, or `id:key` in older documents.
    pub api_key: String,
    /// Id of that key.
    pub api_key_id: String,
    /// Hash of the role descriptors that the key was made with.
    pub permissions_hash: String,
    /// `elasticsearch`, for remote ones too.
    #[serde(rename = "type")]
    pub kind: String,
    /// Keys to invalidate once the agent acknowledged the revision that replaced them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_retire_api_key_ids: Vec<RetiredKey>,
}

/// Not the key itself, which older documents hold.
impl fmt::Debug for AgentOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentOutput({} {})", self.api_key_id, self.permissions_hash)
    }
}

/// A key that is to be invalidated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetiredKey {
    /// The key's id.
    pub id: String,
    /// RFC 3339.
    pub retired_at: String,
    /// Set when the key lives on that remote output's cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The secret that holds it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_id: String,
}

impl AgentOutput {
    /// What a document says of each output. What is malformed is left out and hides nothing else.
    pub fn read_all(document: &Fields<'_>) -> BTreeMap<String, Self> {
        let read = |(name, block): (String, &RawValue)| Some((name, Self::read(block)?));
        document.members("outputs").into_iter().filter_map(read).collect()
    }

    fn read(json: &RawValue) -> Option<Self> {
        let block = Fields::open("output of an agent document", json.get().as_bytes()).ok()?;
        let retired = block.list::<Raw>("to_retire_api_key_ids");
        Some(AgentOutput {
            api_key: block.take("api_key"),
            api_key_id: block.take("api_key_id"),
            permissions_hash: block.take("permissions_hash"),
            kind: block.take("type"),
            to_retire_api_key_ids: retired.iter().filter_map(|key| RetiredKey::read(key)).collect(),
        })
    }

    /// The secret that holds its key.
    pub fn secret_id(&self) -> Option<&str> {
        referred(&self.api_key)
    }
}

impl RetiredKey {
    fn read(json: &RawValue) -> Option<Self> {
        let key = Fields::open("retired key", json.get().as_bytes()).ok()?;
        let read = RetiredKey {
            id: key.take("id"),
            retired_at: key.take("retired_at"),
            output: key.take("output"),
            secret_id: key.take("secret_id"),
        };
        (!read.id.is_empty()).then_some(read)
    }
}

impl Agent {
    /// [`Agent::kind`] of an OpenTelemetry collector.
    pub const COLLECTOR: &str = "OPAMP";

    /// Every key that was made for this agent, with what holds it.
    pub fn keys(&self) -> Vec<RetiredKey> {
        let access = RetiredKey { id: self.access_api_key_id.clone(), ..RetiredKey::default() };
        let of_outputs = self.outputs.iter().flat_map(|(name, output)| {
            let current = RetiredKey {
                id: output.api_key_id.clone(),
                output: name.clone(),
                secret_id: output.secret_id().unwrap_or_default().to_owned(),
                ..RetiredKey::default()
            };
            output.to_retire_api_key_ids.iter().cloned().chain([current])
        });
        std::iter::once(access).chain(of_outputs).filter(|key| !key.id.is_empty()).collect()
    }

    /// Reads a stored document, whatever single fields look like.
    pub fn read(id: &str, json: &[u8]) -> Result<Self, serde_json::Error> {
        let fields = Fields::open("agent document", json)?;
        let kind: String = fields.take("type");
        let collector = (kind == Self::COLLECTOR).then(|| Box::new(Collector::read(&fields)));
        Ok(Agent {
            id: id.to_owned(),
            active: fields.take("active"),
            access_api_key_id: fields.take("access_api_key_id"),
            agent: fields.has("agent").then(|| AgentInfo::read(&fields.section("agent"))),
            policy_id: fields.take("policy_id"),
            agent_policy_id: fields.optional("agent_policy_id"),
            policy_revision_idx: fields.take("policy_revision_idx"),
            enrollment_id: fields.optional("enrollment_id"),
            kind,
            action_seq_no: fields.list::<i64>("action_seq_no").first().copied().unwrap_or(-1),
            last_checkin_status: fields.optional("last_checkin_status"),
            last_checkin_message: fields.optional("last_checkin_message"),
            last_checkin: fields.optional("last_checkin"),
            unhealthy_reason: fields.has("unhealthy_reason").then(|| fields.list("unhealthy_reason")),
            enrolled_at: fields.optional("enrolled_at"),
            unenrolled_at: fields.optional("unenrolled_at"),
            unenrollment_started_at: fields.optional("unenrollment_started_at"),
            upgraded_at: fields.optional("upgraded_at"),
            upgrade_started_at: fields.optional("upgrade_started_at"),
            has_upgrade_attempts: fields.has("upgrade_attempts"),
            upgrade_details: fields.raw("upgrade_details"),
            upgrade: fields.section("upgrade").others(&[]),
            audit_unenrolled_reason: fields.optional("audit_unenrolled_reason"),
            tags: fields.list("tags"),
            namespaces: fields.list("namespaces"),
            replace_token: fields.optional("replace_token"),
            local_metadata: fields.raw("local_metadata").into(),
            user_provided_metadata: fields.raw("user_provided_metadata"),
            components: fields.raw("components").into(),
            outputs: AgentOutput::read_all(&fields),
            collector,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_field_leaves_the_agent_usable() {
        let json = br#"{"active":true,"policy_id":"p","action_seq_no":"five","tags":7,"agent":{"id":"a"}}"#;
        let agent = Agent::read("a", json).unwrap();
        assert_eq!((agent.active, agent.policy_id.as_str(), agent.action_seq_no), (true, "p", -1));
        assert_eq!(agent.agent.map(|info| (info.id, info.version)), Some(("a".into(), String::new())));
    }

    #[test]
    fn what_is_not_known_of_a_section_is_kept() {
        let json = br#"{"agent":{"id":"a","version":null,"type":"t"},"upgrade":{"rollbacks":[1],"more":{}}}"#;
        let agent = Agent::read("a", json).unwrap();
        let info = AgentInfo { version: "9.6.0".into(), ..agent.agent.unwrap() };
        assert_eq!(serde_json::to_string(&info).unwrap(), r#"{"id":"a","version":"9.6.0","type":"t"}"#);
        assert_eq!(serde_json::to_string(&agent.upgrade).unwrap(), r#"{"more":{},"rollbacks":[1]}"#);
    }

    #[test]
    fn an_odd_field_of_an_output_hides_nothing_else() {
        let json =
            br#"{"outputs":{"a":{"api_key":"$co.elastic.secret{s}","api_key_id":"k","permissions_hash":null,
            "type":7,"to_retire_api_key_ids":[{"id":"old","output":null,"secret_id":"t"},null,7,{}]},
            "b":{"api_key_id":"l","to_retire_api_key_ids":{"id":"older"}},"c":7,"d":null}}"#;
        let outputs = Agent::read("a", json).unwrap().outputs;
        assert_eq!(outputs.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((outputs["a"].api_key_id.as_str(), outputs["a"].secret_id()), ("k", Some("s")));
        let retired = |name: &str| outputs[name].to_retire_api_key_ids.clone();
        let old = RetiredKey { id: "old".into(), secret_id: "t".into(), ..RetiredKey::default() };
        assert_eq!(retired("a"), [old]);
        assert_eq!((retired("b").len(), retired("b")[0].id.as_str()), (1, "older"));
    }

    #[test]
    fn what_elasticsearch_takes_for_the_same_is_the_same() {
        let json = br#"{"active":"true","policy_revision_idx":"3","action_seq_no":5,"tags":"t",
            "unhealthy_reason":"input","last_checkin":1700000000000}"#;
        let agent = Agent::read("a", json).unwrap();
        assert!(agent.active && agent.last_checkin.is_some());
        assert_eq!((agent.policy_revision_idx, agent.action_seq_no), (3, 5));
        assert_eq!(
            (agent.tags, agent.unhealthy_reason),
            (vec!["t".to_owned()], Some(vec!["input".to_owned()]))
        );
    }

    #[test]
    fn local_metadata_keeps_its_bytes() {
        let json = br#"{"local_metadata":{"b": 1,  "a":2.0}}"#;
        let agent = Agent::read("a", json).unwrap();
        assert_eq!(agent.local_metadata.whole().unwrap().get(), r#"{"b": 1,  "a":2.0}"#);
    }
}
