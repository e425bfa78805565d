//! `agent ..`: who they are. What they are to do is in [`super::order`].

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::AgentCommand;
use super::client::Client;
use super::diagnostics;
use super::failure::Failure;
use super::order;
use super::output::Output;
use super::table::Table;
use super::target::{condition, encoded};
use super::value::{items, take_items, text};

pub(super) const PATH: &str = "/api/fleet/agents";
/// Agents that the server gives at once.
const PER_PAGE: usize = 1_000;

pub(super) fn run<W: Write>(
    command: AgentCommand,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    match command {
        AgentCommand::List { policy, status } => {
            let agents = all(client, &kuery(policy.as_deref(), status.as_deref()))?;
            let list = json!({ "total": agents.len(), "items": agents });
            output.show(&list, |list| vec![agents_table(list)])
        }
        AgentCommand::Show { id } => {
            let mut answer = client.get(&format!("{PATH}/{}", encoded(&id)))?;
            output.show(&answer["item"].take(), whole)
        }
        AgentCommand::Diagnostics { agents, output: Some(file), wait } => match agents.ids.as_slice() {
            [id] => diagnostics::run(id, &file, Duration::from_secs(wait), client, output),
            _ => Err(Failure::Diagnostics("--output is for one agent".to_owned())),
        },
        command => order::run(command, client, output),
    }
}

fn kuery(policy: Option<&str>, status: Option<&str>) -> String {
    let policy = policy.map(|policy| condition("policy_id", policy));
    let status = status.map(|status| condition("status", status));
    policy.into_iter().chain(status).collect::<Vec<_>>().join(" and ")
}

/// Follows the list to its end.
fn all(client: &Client, kuery: &str) -> Result<Vec<Value>, Failure> {
    let (mut agents, mut after) = (Vec::new(), String::new());
    loop {
        let target =
            format!("{PATH}?kuery={}&perPage={PER_PAGE}&searchAfter={}", encoded(kuery), encoded(&after));
        let answer = client.get(&target)?;
        let next = answer["nextSearchAfter"].as_str().map(str::to_owned);
        agents.extend(take_items(answer));
        match next {
            // each page ends behind the one before, so the list ends
            Some(next) if next > after => after = next,
            _ => return Ok(agents),
        }
    }
}

fn agents_table(list: &Value) -> Table {
    let mut table = Table::new(&["ID", "HOST", "STATUS", "POLICY", "REVISION", "VERSION", "LAST CHECK-IN"]);
    for agent in items(list, "/items") {
        table.row([
            text(agent, "/id"),
            host(agent),
            text(agent, "/status"),
            text(agent, "/policy_id"),
            text(agent, "/policy_revision"),
            text(agent, "/agent/version"),
            text(agent, "/last_checkin"),
        ]);
    }
    table
}

fn host(agent: &Value) -> String {
    let name = ["/local_metadata/host/hostname", "/local_metadata/host/name"];
    text(agent, name.into_iter().find(|name| agent.pointer(name).is_some()).unwrap_or(name[0]))
}

/// Names and where their values are, as far as they are worth a line each.
const FIELDS: [(&str, &str); 18] = [
    ("Status", "/status"),
    ("Reported", "/last_checkin_status"),
    ("Message", "/last_checkin_message"),
    ("Unhealthy", "/unhealthy_reason"),
    ("Last check-in", "/last_checkin"),
    ("Policy", "/policy_id"),
    ("Revision", "/policy_revision"),
    ("Version", "/agent/version"),
    ("Tags", "/tags"),
    ("Type", "/type"),
    ("Enrolled", "/enrolled_at"),
    ("Upgrading to", "/upgrade_details/target_version"),
    ("Upgrade state", "/upgrade_details/state"),
    ("Upgrade error", "/upgrade_details/metadata/error_msg"),
    ("Unenrolled", "/unenrolled_at"),
    ("Capabilities", "/capabilities"),
    ("Configuration", "/remote_config_status/status"),
    ("Configuration error", "/remote_config_status/error_message"),
];

fn whole(agent: &Value) -> Vec<Table> {
    let mut fields = Table::default();
    fields.field("ID", text(agent, "/id"));
    fields.field("Host", host(agent));
    for (name, pointer) in FIELDS {
        if agent.pointer(pointer).is_some_and(|value| !value.is_null()) {
            fields.field(name, text(agent, pointer));
        }
    }
    let components = items(agent, "/components");
    if components.is_empty() {
        return vec![fields];
    }
    let mut table = Table::new(&["COMPONENT", "STATUS", "MESSAGE"]);
    for component in components {
        table.row(["/id", "/status", "/message"].map(|pointer| text(component, pointer)));
    }
    vec![fields, table]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tables: Vec<Table>) -> String {
        let mut bytes = Vec::new();
        tables.iter().for_each(|table| table.write(&mut bytes).unwrap());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_list_is_a_row_an_agent() {
        let agent = json!({
            "id": "a", "status": "online", "policy_id": "p", "policy_revision": 3, "agent": { "version": "9.0.0" },
            "local_metadata": { "host": { "hostname": "box" } },
        });
        let text = shown(vec![agents_table(&json!({ "items": [agent, { "id": "b" }] }))]);
        let words: Vec<Vec<&str>> =
            text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            words,
            [["a", "box", "online", "p", "3", "9.0.0", "-"], ["b", "-", "-", "-", "-", "-", "-"]]
        );
    }

    #[test]
    fn an_agent_is_shown_with_its_components() {
        let agent = json!({ "id": "a", "status": "degraded", "upgraded_at": null,
            "components": [{ "id": "log-default", "status": "FAILED", "message": "no such file" }] });
        let text = shown(whole(&agent));
        assert!(text.contains("degraded") && text.contains("no such file") && !text.contains("Upgrade"));
    }

    #[test]
    fn conditions_are_joined() {
        assert_eq!(kuery(None, None), "");
        assert_eq!(
            kuery(Some("p"), Some("online")),
            "fleet-agents.policy_id:\"p\" and fleet-agents.status:\"online\""
        );
    }
}
