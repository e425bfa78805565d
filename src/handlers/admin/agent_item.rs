//! An agent as Kibana's Fleet API shows it.

use serde::Serialize;

use super::agent_status::AgentStatus;
use crate::model::raw::{Raw, raw, read_whole};
use crate::model::{Agent, AgentInfo, Collector};

/// The JSON of an agent; no secret is in it.
pub(super) fn item(agent: &Agent, status: AgentStatus) -> Raw {
    let nothing_said = Collector::default();
    let collector = agent.collector.as_deref().unwrap_or(&nothing_said);
    raw(&AgentItem {
        id: &agent.id,
        status: status.name(),
        active: agent.active,
        kind: &agent.kind,
        policy_id: &agent.policy_id,
        policy_revision: agent.policy_revision_idx,
        agent: agent.agent.clone().map(readable_info),
        enrolled_at: agent.enrolled_at.as_deref(),
        last_checkin: agent.last_checkin.as_deref(),
        last_checkin_status: agent.last_checkin_status.as_deref(),
        last_checkin_message: agent.last_checkin_message.as_deref(),
        unhealthy_reason: agent.unhealthy_reason.as_deref(),
        upgrade_started_at: agent.upgrade_started_at.as_deref(),
        upgraded_at: agent.upgraded_at.as_deref(),
        upgrade_details: readable(agent.upgrade_details.as_ref()),
        unenrollment_started_at: agent.unenrollment_started_at.as_deref(),
        unenrolled_at: agent.unenrolled_at.as_deref(),
        audit_unenrolled_reason: agent.audit_unenrolled_reason.as_deref(),
        access_api_key_id: &agent.access_api_key_id,
        tags: &agent.tags,
        namespaces: &agent.namespaces,
        local_metadata: readable(agent.local_metadata.whole()),
        user_provided_metadata: readable(agent.user_provided_metadata.as_ref()),
        components: readable(agent.components.whole()),
        sequence_num: collector.sequence_num,
        capabilities: &collector.capabilities,
        health: readable(collector.health.as_ref()),
        effective_config: readable(collector.effective_config.as_ref()),
        remote_config_status: readable(collector.remote_config_status.as_ref()),
        identifying_attributes: readable(collector.identifying_attributes.as_ref()),
        non_identifying_attributes: readable(collector.non_identifying_attributes.as_ref()),
    })
}

/// Nothing for what no reader of JSON takes, which others than we may have stored: it would make the whole list unreadable.
fn readable(stored: Option<&Raw>) -> Option<&Raw> {
    stored.filter(|stored| read_whole(stored).is_ok())
}

fn readable_info(mut stored: AgentInfo) -> AgentInfo {
    stored.others.retain(|_, value| read_whole(value).is_ok());
    stored
}

#[derive(Serialize)]
struct AgentItem<'a> {
    id: &'a str,
    status: &'static str,
    active: bool,
    #[serde(rename = "type")]
    kind: &'a str,
    policy_id: &'a str,
    policy_revision: i64,
    agent: Option<AgentInfo>,
    enrolled_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_checkin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_checkin_status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_checkin_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unhealthy_reason: Option<&'a [String]>,
    upgrade_started_at: Option<&'a str>,
    upgraded_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade_details: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unenrollment_started_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unenrolled_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_unenrolled_reason: Option<&'a str>,
    access_api_key_id: &'a str,
    tags: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    namespaces: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    local_metadata: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_provided_metadata: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_num: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    capabilities: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_config: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_config_status: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifying_attributes: Option<&'a Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    non_identifying_attributes: Option<&'a Raw>,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_nobody_can_read_is_left_out() {
        let stored = br#"{"active":true,"tags":["t"],"local_metadata":{"a":1e400},"components":["\ud800"],
            "user_provided_metadata":{"b":1},"agent":{"id":"a","type":"t","odd":-1e400}}"#;
        let agent = Agent::read("a", stored).unwrap();
        let item: Value = serde_json::from_str(item(&agent, AgentStatus::Online).get()).unwrap();
        assert_eq!((&item["tags"][0], &item["user_provided_metadata"]["b"]), (&"t".into(), &1.into()));
        assert_eq!(item["agent"], serde_json::json!({"id": "a", "version": "", "type": "t"}));
        assert!(item.get("local_metadata").is_none() && item.get("components").is_none());
    }
}
