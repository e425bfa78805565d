//! `agent upgrade` and the other orders: one agent by its own path, several or all of a policy by the bulk path. Prints the
//! action's id.

use std::io::Write;

use serde_json::{Value, json};

use super::agent::PATH;
use super::arguments::{AgentCommand, Selection};
use super::client::Client;
use super::failure::Failure;
use super::output::Output;
use super::target::{condition, encoded};
use super::value::text;

pub(super) fn run<W: Write>(
    command: AgentCommand,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    let Some((target, body)) = request(command) else { return Ok(()) };
    let answer = client.post(&target, &body)?;
    output.say(&answer, &text(&answer, "/actionId"))
}

/// Where an order goes and what it says; `None` for what is no order.
fn request(command: AgentCommand) -> Option<(String, Value)> {
    let (agents, name, body) = match command {
        AgentCommand::Upgrade { agents, version, source_uri } => {
            let mut body = json!({ "version": version });
            if let Some(source_uri) = source_uri {
                body["source_uri"] = source_uri.into();
            }
            (agents, "upgrade", body)
        }
        AgentCommand::Reassign { ids, from_policy, policy } => {
            (Selection { ids, policy: from_policy }, "reassign", json!({ "policy_id": policy }))
        }
        AgentCommand::Settings { agents, log_level } => {
            (agents, "settings", json!({ "log_level": log_level }))
        }
        AgentCommand::Diagnostics { agents, .. } => (agents, "request_diagnostics", json!({})),
        AgentCommand::Unenroll { agents } => (agents, "unenroll", json!({})),
        AgentCommand::List { .. } | AgentCommand::Show { .. } => return None,
    };
    Some(addressed(agents, name, body))
}

fn addressed(agents: Selection, name: &str, mut body: Value) -> (String, Value) {
    match (agents.ids.as_slice(), agents.policy) {
        ([id], None) if name == "settings" => {
            let action = json!({ "action": { "type": "SETTINGS", "data": body } });
            (format!("{PATH}/{}/actions", encoded(id)), action)
        }
        ([id], None) => (format!("{PATH}/{}/{name}", encoded(id)), body),
        (ids, policy) => {
            body["agents"] =
                policy.map_or_else(|| json!(ids), |policy| condition("policy_id", &policy).into());
            (format!("{PATH}/bulk_{name}"), body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(ids: &[&str], policy: Option<&str>) -> Selection {
        Selection { ids: ids.iter().map(|id| (*id).to_owned()).collect(), policy: policy.map(str::to_owned) }
    }

    #[test]
    fn one_agent_has_its_own_path() {
        let upgrade = |agents| AgentCommand::Upgrade { agents, version: "9.1.0".into(), source_uri: None };
        let expected = ("/api/fleet/agents/a%2Fb/upgrade".to_owned(), json!({ "version": "9.1.0" }));
        assert_eq!(request(upgrade(selected(&["a/b"], None))), Some(expected));
    }

    #[test]
    fn several_agents_or_a_policy_go_together() {
        let (target, body) = request(AgentCommand::Unenroll { agents: selected(&["a", "b"], None) }).unwrap();
        assert_eq!(
            (target.as_str(), body),
            ("/api/fleet/agents/bulk_unenroll", json!({ "agents": ["a", "b"] }))
        );
        let (_, body) =
            request(AgentCommand::Diagnostics { agents: selected(&[], Some("p")), output: None, wait: 600 })
                .unwrap();
        assert_eq!(body, json!({ "agents": "fleet-agents.policy_id:\"p\"" }));
        let reassign =
            AgentCommand::Reassign { ids: vec![], from_policy: Some("o".into()), policy: "p".into() };
        let (_, body) = request(reassign).unwrap();
        assert_eq!(body, json!({ "agents": "fleet-agents.policy_id:\"o\"", "policy_id": "p" }));
    }

    #[test]
    fn the_log_level_of_one_agent_is_set_as_kibana_does_it() {
        let settings = AgentCommand::Settings { agents: selected(&["a"], None), log_level: "debug".into() };
        let body = json!({ "action": { "type": "SETTINGS", "data": { "log_level": "debug" } } });
        assert_eq!(request(settings), Some(("/api/fleet/agents/a/actions".to_owned(), body)));
    }
}
