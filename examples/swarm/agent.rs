//! What one agent of the swarm knows of itself, and the calls it can make. No sockets here.

use serde::{Deserialize, Serialize};

/// One agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Agent {
    /// Place in the swarm, from 0: picks host name and source address.
    #[serde(skip)]
    pub(crate) index: usize,
    /// None before enrolment.
    pub(crate) identity: Option<Identity>,
    /// Policy in use; empty before the first.
    pub(crate) policy_id: String,
    /// Revision in use; 0 before the first.
    pub(crate) revision: i64,
    /// Last one that was not empty.
    pub(crate) ack_token: String,
    /// Whether the server was told the local metadata.
    pub(crate) introduced: bool,
}

/// What enrolment gives an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) id: String,
    /// Base64 of `id:key`.
    pub(crate) access_api_key: String,
}

impl Agent {
    /// An agent that is not enrolled.
    pub(crate) fn new(index: usize) -> Self {
        Self {
            index,
            identity: None,
            policy_id: String::new(),
            revision: 0,
            ack_token: String::new(),
            introduced: false,
        }
    }

    /// Takes over what an answer says.
    pub(crate) fn absorb(&mut self, call: &Call, answer: &Answer) {
        if *call == Call::CheckIn {
            self.introduced = true;
        }
        match answer {
            Answer::Enrolled(identity) => self.identity = Some(identity.clone()),
            Answer::Policy { policy_id, revision, .. } => {
                self.policy_id.clone_from(policy_id);
                self.revision = *revision;
            }
            Answer::Actions { ack_token, .. } if !ack_token.is_empty() => {
                self.ack_token.clone_from(ack_token)
            }
            Answer::Actions { .. } | Answer::Nothing | Answer::Acknowledged => {}
        }
    }
}

/// A request an agent can make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Enroll,
    CheckIn,
    /// Of the actions with these ids.
    Acknowledge(Vec<String>),
}

/// What came back, with status 200 and a body that says what it should.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Enrolled(Identity),
    Policy {
        action_id: String,
        policy_id: String,
        revision: i64,
    },
    Actions {
        action_ids: Vec<String>,
        ack_token: String,
    },
    /// The poll ended.
    Nothing,
    Acknowledged,
}
