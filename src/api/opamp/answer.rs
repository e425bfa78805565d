//! What a collector is answered (opamp.md, "Message").

use prost::Message;

use super::message::{RetryInfo, ServerErrorResponse, ServerToAgent};

/// What stands before the length of [`ServerToAgent::remote_config`]: its number, and that it has a length.
const REMOTE_CONFIG_KEY: u8 = 3 << 3 | 2;

/// When a collector may try again what could not be done.
const RETRY_AFTER_NANOSECONDS: u64 = 30_000_000_000;

/// Why a message comes to nothing; the answer is 200 all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It cannot be decoded; only over a WebSocket, else it is a 400.
    Unreadable,
    /// `instance_uid` is not 16 bytes.
    InstanceUid,
    /// The agent of that id is no collector.
    AnotherKind,
    /// A collector that nobody knows says good-bye.
    UnknownDisconnects,
    /// The store could not be asked.
    Search,
    /// The store did not take the new document, or too many enrol.
    Enroll,
    /// The store did not take what it said, or that was no configuration.
    Update,
    /// More messages come than `opamp_limit` lets in; only over a WebSocket, else it is a 429.
    Rate,
}

impl Failure {
    /// Types of the protocol.
    const BAD_REQUEST: i32 = 1;
    const UNAVAILABLE: i32 = 2;

    fn row(self) -> (i32, &'static str) {
        match self {
            Failure::Unreadable => (Self::BAD_REQUEST, "failed to decode message"),
            Failure::InstanceUid => (Self::BAD_REQUEST, "failed to parse instance_uid"),
            Failure::AnotherKind => {
                (Self::BAD_REQUEST, "instance_uid is the id of an agent that is no collector")
            }
            Failure::UnknownDisconnects => {
                (Self::BAD_REQUEST, "agent_disconnect set on new enrollment message")
            }
            Failure::Search => (Self::UNAVAILABLE, "agent search failed"),
            Failure::Enroll => (Self::UNAVAILABLE, "failed to enroll agent"),
            Failure::Update => (Self::UNAVAILABLE, "failed to update agent"),
            Failure::Rate => (Self::UNAVAILABLE, "too many messages"),
        }
    }

    /// What metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Unreadable => "CollectorUnreadable",
            Failure::InstanceUid => "CollectorInstanceUid",
            Failure::AnotherKind => "CollectorAnotherKind",
            Failure::UnknownDisconnects => "CollectorUnknownDisconnects",
            Failure::Search => "CollectorSearch",
            Failure::Enroll => "CollectorEnroll",
            Failure::Update => "CollectorUpdate",
            Failure::Rate => "RateLimit",
        }
    }

    /// The whole answer.
    pub fn answer(self, instance_uid: Vec<u8>) -> ServerToAgent {
        let (kind, message) = self.row();
        let retry = RetryInfo { retry_after_nanoseconds: RETRY_AFTER_NANOSECONDS };
        let error = ServerErrorResponse {
            kind,
            error_message: message.to_owned(),
            retry_info: (kind == Self::UNAVAILABLE).then_some(retry),
        };
        ServerToAgent { instance_uid, error_response: Some(error), ..ServerToAgent::default() }
    }
}

/// The bytes of `answer` to which those of an `AgentRemoteConfig` of `offer_bytes` are to be appended: the last field, so that
/// all who get that configuration share its bytes.
pub fn with_offer(answer: &ServerToAgent, offer_bytes: Option<usize>) -> Vec<u8> {
    let mut bytes = answer.encode_to_vec();
    if let Some(offer_bytes) = offer_bytes {
        bytes.push(REMOTE_CONFIG_KEY);
        prost::encode_length_delimiter(offer_bytes, &mut bytes).expect("a vector has room");
    }
    bytes
}
