//! `action ..`

use std::io::Write;

use serde_json::{Value, json};

use super::arguments::ActionCommand;
use super::client::Client;
use super::failure::Failure;
use super::output::Output;
use super::table::Table;
use super::target::encoded;
use super::value::{items, text};

const PATH: &str = "/api/fleet/agents";
/// Actions in a list: the newest.
const LISTED_MAX: usize = 100;

pub(super) fn run<W: Write>(
    command: ActionCommand,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    match command {
        ActionCommand::List => {
            let list = client.get(&format!("{PATH}/action_status?perPage={LISTED_MAX}"))?;
            output.show(&list, |list| vec![actions(list)])
        }
        ActionCommand::Show { id } => {
            let mut answer = client.get(&format!("{PATH}/action_status?actionId={}", encoded(&id)))?;
            output.show(&answer["item"].take(), whole)
        }
        ActionCommand::Cancel { id } => {
            let mut answer = client.post(&format!("{PATH}/actions/{}/cancel", encoded(&id)), &json!({}))?;
            let item = answer["item"].take();
            output.say(&item, &text(&item, "/id"))
        }
    }
}

fn actions(list: &Value) -> Table {
    let mut table = Table::new(&["ID", "TYPE", "STATUS", "AGENTS", "ACKNOWLEDGED", "FAILED", "CREATED"]);
    let pointers = [
        "/actionId",
        "/type",
        "/status",
        "/nbAgentsActioned",
        "/nbAgentsAck",
        "/nbAgentsFailed",
        "/creationTime",
    ];
    for item in items(list, "/items") {
        table.row(pointers.map(|pointer| text(item, pointer)));
    }
    table
}

/// Names and where their values are, as far as they are worth a line each.
const FIELDS: [(&str, &str); 12] = [
    ("ID", "/actionId"),
    ("Type", "/type"),
    ("Status", "/status"),
    ("Version", "/version"),
    ("New policy", "/newPolicyId"),
    ("Agents", "/nbAgentsActioned"),
    ("Acknowledged", "/nbAgentsAck"),
    ("Failed", "/nbAgentsFailed"),
    ("Created", "/creationTime"),
    ("Expires", "/expiration"),
    ("Completed", "/completionTime"),
    ("Cancelled", "/cancellationTime"),
];

fn whole(action: &Value) -> Vec<Table> {
    let mut fields = Table::default();
    for (name, pointer) in FIELDS {
        if action.pointer(pointer).is_some_and(|value| !value.is_null()) {
            fields.field(name, text(action, pointer));
        }
    }
    let mut results = Table::new(&["AGENT", "RESULT", "TIME", "ERROR"]);
    for result in items(action, "/results") {
        results.row(["/agentId", "/status", "/timestamp", "/error"].map(|pointer| text(result, pointer)));
    }
    vec![fields, results]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_shown_with_each_agents_result() {
        let action = json!({ "actionId": "x", "type": "UPGRADE", "status": "IN_PROGRESS", "version": "9.1.0",
            "completionTime": null,
            "results": [{ "agentId": "a", "status": "failed", "error": "disk full" }, { "agentId": "b", "status": "pending" }] });
        let mut bytes = Vec::new();
        whole(&action).iter().for_each(|table| table.write(&mut bytes).unwrap());
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains("disk full") && text.contains("pending") && !text.contains("Completed"),
            "{text}"
        );
    }
}
