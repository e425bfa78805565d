//! The swarm's requests: bodies of the size that real agents send, made ready once.

use std::{fmt::Write as _, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::agent::{Agent, Call};
use crate::failure::Failure;
use crate::request::{ENROLL_PATH, agent_path, post};

/// Size that the local metadata is filled up to.
const METADATA_BYTES: usize = 2_000;
/// Size that the components are filled up to.
const COMPONENTS_BYTES: usize = 6_000;
/// Stands for what differs between agents.
const PLACEHOLDER: &str = "@NUMBER@";

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Messages {
    authority: String,
    token: Option<String>,
    gzip: bool,
    /// Metadata around the agent's number.
    metadata: Vec<String>,
    components: String,
}

impl Messages {
    /// `gzip`: compress check-ins, as agents do from 9.4 on.
    pub(crate) fn new(authority: String, token: Option<String>, gzip: bool) -> Self {
        let metadata = metadata().to_string().split(PLACEHOLDER).map(str::to_owned).collect();
        Self { authority, token, gzip, metadata, components: components().to_string() }
    }

    /// The bytes of a call.
    pub(crate) fn request(&self, agent: &Agent, call: &Call) -> Result<Vec<u8>, Failure> {
        if *call == Call::Enroll {
            let token = self.token.as_deref().ok_or_else(|| Failure::call("--token is needed to enrol"))?;
            return Ok(post(&self.authority, ENROLL_PATH, token, false, self.enrolment(agent).as_bytes()));
        }
        let identity = agent.identity.as_ref().ok_or_else(|| Failure::call("not enrolled"))?;
        let key = &identity.access_api_key;
        let request = match call {
            Call::Acknowledge(actions) => {
                let body = acknowledgement(&identity.id, actions);
                post(&self.authority, &agent_path(&identity.id, "acks"), key, false, body.as_bytes())
            }
            _ => {
                let path = agent_path(&identity.id, "checkin");
                let body = self.check_in(agent).into_bytes();
                let body = if self.gzip { compress(&body)? } else { body };
                post(&self.authority, &path, key, self.gzip, &body)
            }
        };
        Ok(request)
    }

    fn enrolment(&self, agent: &Agent) -> String {
        let metadata = format!(r#"{{"local":{},"tags":["swarm"]}}"#, self.metadata_of(agent));
        let fields = r#""type":"PERMANENT","id":"","replace_token":"","enrollment_id":"""#;
        format!(r#"{{{fields},"metadata":{metadata}}}"#)
    }

    /// Written by hand: most of it is ready text, and thousands of them are made per second.
    fn check_in(&self, agent: &Agent) -> String {
        let mut body = r#"{"status":"online","message":"Running","upgrade":{}"#.to_owned();
        let mut field = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a String cannot fail.
            let _ = write!(body, r#","{name}":{value}"#);
        };
        field("ack_token", &json!(agent.ack_token));
        field("agent_policy_id", &json!(agent.policy_id));
        field("policy_revision_idx", &agent.revision);
        if !agent.introduced {
            field("local_metadata", &self.metadata_of(agent));
        }
        field("components", &self.components);
        body.push('}');
        body
    }

    fn metadata_of(&self, agent: &Agent) -> String {
        self.metadata.join(&format!("{:06}", agent.index))
    }
}

fn acknowledgement(agent_id: &str, actions: &[String]) -> String {
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let event = |action: &String| {
        json!({
            "type": "ACTION_RESULT", "subtype": "ACKNOWLEDGED", "action_id": action, "agent_id": agent_id,
            "message": "done", "timestamp": now,
        })
    };
    json!({ "events": actions.iter().map(event).collect::<Vec<_>>() }).to_string()
}

fn compress(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.map_err(|error| Failure::connection(&error))
}

fn metadata() -> Value {
    let mut addresses = Vec::new();
    let document = |addresses: &Vec<String>| {
        json!({
            "elastic": { "agent": {
                "id": "", "version": "9.6.0", "snapshot": false, "upgradeable": true, "log_level": "info",
                "complete": false, "build.original": "9.6.0 (build: 0000000000000000000000000000000000000000)",
                "unprivileged": false, "fips": false,
            } },
            "host": {
                "architecture": "x86_64", "hostname": format!("swarm-{PLACEHOLDER}"),
                "name": format!("swarm-{PLACEHOLDER}"),
                "id": format!("00000000000000000000000000{PLACEHOLDER}"),
                "ip": addresses, "mac": ["02-00-00-00-00-01", "02-00-00-00-00-02"],
            },
            "os": {
                "family": "debian", "kernel": "6.12.0-amd64", "platform": "debian",
                "name": "Debian GNU/Linux",
                "full": "Debian GNU/Linux(13 (trixie))", "version": "13 (trixie)",
            },
        })
    };
    while document(&addresses).to_string().len() < METADATA_BYTES {
        addresses.push(format!("10.{}.0.1/16", addresses.len()));
    }
    document(&addresses)
}

fn components() -> Value {
    let mut components = Vec::new();
    while Value::Array(components.clone()).to_string().len() < COMPONENTS_BYTES {
        components.push(component(components.len()));
    }
    Value::Array(components)
}

fn component(number: usize) -> Value {
    let id = format!("swarm-{number:02}-default");
    let unit = |id: String, kind: &str| {
        json!({
            "id": id, "type": kind, "status": "HEALTHY", "message": "Healthy",
            "payload": { "streams": { format!("stream-{number:02}"): { "error": "", "status": "HEALTHY" } } },
        })
    };
    json!({
        "id": id, "type": "swarm/metrics", "status": "HEALTHY",
        "message": format!("Healthy: pid {}", 1000 + number),
        "units": [unit(id.clone(), "output"), unit(format!("{id}-swarm/metrics-{number:02}"), "input")],
        "version_info": { "name": "swarm", "meta": { "commit": "000000000000", "build_time": "2026-01-01" } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &[u8]) -> Value {
        let split = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        serde_json::from_slice(&request[split + 4..]).unwrap()
    }

    #[test]
    fn enrolment_carries_metadata_of_the_agents_own() {
        let messages = Messages::new("h:1".to_owned(), Some("token".to_owned()), false);
        let enrolment = body(&messages.request(&Agent::new(7), &Call::Enroll).unwrap());
        assert_eq!(enrolment["metadata"]["local"]["host"]["hostname"], "swarm-000007");
        assert_eq!(enrolment["id"], "");
        assert!((1_900..2_200).contains(&enrolment["metadata"]["local"].to_string().len()));
    }

    #[test]
    fn check_in_carries_metadata_once_and_components_always() {
        let messages = Messages::new("h:1".to_owned(), None, false);
        let mut agent = Agent::new(0);
        agent.identity = Some(crate::agent::Identity { id: "a".to_owned(), access_api_key: "k".to_owned() });
        let first = body(&messages.request(&agent, &Call::CheckIn).unwrap());
        agent.introduced = true;
        let second = body(&messages.request(&agent, &Call::CheckIn).unwrap());
        assert!(first["local_metadata"].is_object() && second["local_metadata"].is_null());
        assert!((5_900..6_800).contains(&second["components"].to_string().len()));
        assert_eq!(second["upgrade"], json!({}));
    }
}
