//! Agents: what they send, and the usual answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Connection, Request, Response, Server, eventually};

/// What agents of the server's own version say of themselves.
pub(crate) const USER_AGENT: &str = "Elastic Agent v9.6.0";

/// An enrolled agent.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) id: String,
    /// `id:key`, base64.
    pub(crate) key: String,
}

/// The body of a check-in that says little.
pub(crate) fn online() -> Value {
    json!({ "status": "online", "message": "" })
}

/// An event that acknowledges an action.
pub(crate) fn event(action_id: &str, agent: &Agent) -> Value {
    json!({
        "action_id": action_id,
        "agent_id": agent.id,
        "message": "done",
        "timestamp": "2026-01-02T03:04:05Z",
        "type": "ACTION_RESULT",
        "subtype": "ACKNOWLEDGED",
    })
}

impl Agent {
    /// The agent of an enrolment's answer.
    pub(crate) fn of(response: &Response) -> Self {
        let item = &response.ok()["item"];
        let text = |field: &str| item[field].as_str().expect(field).to_owned();
        Agent { id: text("id"), key: text("access_api_key") }
    }

    /// The id of its access key.
    pub(crate) fn key_id(&self) -> String {
        let decoded = String::from_utf8(STANDARD.decode(&self.key).unwrap()).unwrap();
        decoded.split(':').next().unwrap().to_owned()
    }

    fn post(&self, operation: &str) -> Request {
        Request::post(&format!("/api/fleet/agents/{}/{operation}", self.id)).key(&self.key)
    }

    pub(crate) fn check_in(&self, body: &Value) -> Request {
        self.post("checkin").header("User-Agent", USER_AGENT).json(body)
    }

    pub(crate) fn acks(&self, events: &[Value]) -> Request {
        self.post("acks").json(&json!({ "events": events }))
    }

    pub(crate) fn audit_unenroll(&self, reason: &str) -> Request {
        self.post("audit/unenroll").json(&json!({ "reason": reason, "timestamp": "2026-01-02T03:04:05Z" }))
    }
}

impl Server {
    /// An enrolment with the first start's token.
    pub(crate) fn enrolment(&self, body: &Value) -> Request {
        let request = Request::post("/api/fleet/agents/enroll").key(self.token());
        request.header("User-Agent", USER_AGENT).json(body)
    }

    /// Enrols an agent.
    pub(crate) fn enrol(&self) -> Agent {
        self.enrol_saying(&json!({ "type": "PERMANENT", "metadata": { "local": {}, "user_provided": {} } }))
    }

    pub(crate) fn enrol_saying(&self, body: &Value) -> Agent {
        Agent::of(&self.ask(&self.enrolment(body)))
    }

    /// Lets the agent check in once and returns the answer.
    pub(crate) fn check_in(&self, agent: &Agent, body: &Value) -> Response {
        self.ask(&agent.check_in(body))
    }

    /// An agent that has the policy it is on: nothing is pending for it.
    pub(crate) fn settled(&self) -> Agent {
        let agent = self.enrol();
        self.settle(&agent);
        agent
    }

    /// Lets the agent check in until it is told something: a poll may end while the agent's keys are being made.
    pub(crate) fn told(&self, agent: &Agent, body: &Value) -> Value {
        let told = || Some(self.check_in(agent, body).ok()).filter(|answer| answer.get("actions").is_some());
        eventually("the agent is told something", told)
    }

    /// Fetches and acknowledges the newest revision.
    pub(crate) fn settle(&self, agent: &Agent) {
        let answer = self.told(agent, &online());
        let action = &answer["actions"][0];
        assert_eq!(action["type"], "POLICY_CHANGE", "{answer}");
        self.ask(&agent.acks(&[event(action["id"].as_str().unwrap(), agent)])).ok();
    }

    /// Checks a settled agent in and returns once the server has noted it: it is parked, or about to.
    pub(crate) fn park(&self, agent: &Agent) -> Connection {
        self.park_saying(agent, &json!({ "status": "online", "message": "parked" }))
    }

    /// As [`Server::park`]; the message of `body` must be new.
    pub(crate) fn park_saying(&self, agent: &Agent, body: &Value) -> Connection {
        let mut connection = self.connect();
        connection.send(agent.check_in(body).bytes());
        eventually("the check-in is noted", || {
            (self.agent(&agent.id)["last_checkin_message"] == body["message"]).then_some(())
        });
        connection
    }
}
