//! The operator's side: subcommands, and the same over `admin.sock` where a test asks often.

use std::process::Command;

use serde_json::{Value, json};

use super::store::permitted;
use super::{Process, Request, Response, Server, executable};

/// What a subcommand came to.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// The document printed by a command that went well.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

impl Server {
    /// Runs a subcommand with `--json`.
    pub(crate) fn operate(&self, arguments: &[&str]) -> Said {
        let mut process = self.begin_to_operate(arguments);
        let status = process.wait();
        Said { code: status.code(), stdout: process.stdout.whole(), stderr: process.stderr.whole() }
    }

    /// Begins to run a subcommand with `--json`.
    pub(crate) fn begin_to_operate(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(executable());
        command.args(arguments).arg("--json").current_dir(self.installation.directory.path());
        command.arg("-E").arg(format!("path.data={}", self.installation.path().display()));
        Process::spawn(command, false)
    }

    /// Asks on the operator's socket.
    pub(crate) fn ask_as_operator(&self, request: &Request) -> Response {
        self.connect_as_operator().ask(request)
    }

    /// Asks a server that may end at any moment; none if no whole answer came.
    pub(crate) fn operate_while_it_lives(&self, request: &Request) -> Option<Response> {
        let mut connection = self.try_connect_as_operator().ok()?;
        connection.try_send(request.bytes()).then(|| connection.whole_answer())?
    }

    fn order(&self, path: &str, body: &Value) -> Value {
        self.ask_as_operator(&Request::post(path).json(body)).ok()
    }

    /// Applies a policy with permissions for its outputs; its revision.
    pub(crate) fn apply(&self, id: &str, policy: &Value) -> i64 {
        let request =
            Request::new("PUT", &format!("/api/fleet/agent_policies/{id}/full")).json(&permitted(policy));
        self.ask_as_operator(&request).ok()["item"]["revision"].as_i64().unwrap()
    }

    /// The agent as the operator sees it.
    pub(crate) fn agent(&self, id: &str) -> Value {
        self.ask_as_operator(&Request::get(&format!("/api/fleet/agents/{id}"))).ok()["item"].clone()
    }

    /// Orders a change of the log level, the least of all actions; the action's id.
    pub(crate) fn order_settings(&self, agent_id: &str, log_level: &str) -> String {
        let action = json!({ "action": { "type": "SETTINGS", "data": { "log_level": log_level } } });
        self.ordered(&format!("{agent_id}/actions"), &action)
    }

    pub(crate) fn order_upgrade(&self, agent_id: &str, version: &str) -> String {
        self.ordered(&format!("{agent_id}/upgrade"), &json!({ "version": version }))
    }

    pub(crate) fn order_unenroll(&self, agent_id: &str) -> String {
        self.ordered(&format!("{agent_id}/unenroll"), &json!({}))
    }

    pub(crate) fn order_reassign(&self, agent_id: &str, policy_id: &str) -> String {
        self.ordered(&format!("{agent_id}/reassign"), &json!({ "policy_id": policy_id }))
    }

    pub(crate) fn order_diagnostics(&self, agent_id: &str) -> String {
        self.ordered(&format!("{agent_id}/request_diagnostics"), &json!({}))
    }

    /// Orders something below `/api/fleet/agents/`; the action's id.
    pub(crate) fn ordered(&self, path: &str, body: &Value) -> String {
        let answer = self.order(&format!("/api/fleet/agents/{path}"), body);
        answer["actionId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}
