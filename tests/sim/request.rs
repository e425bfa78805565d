//! What clients send, as bytes, and what is remembered of it until its answer.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::dice::Dice;

/// A request under way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    /// When it was begun.
    pub(crate) since: Duration,
    /// When the core had all of it.
    pub(crate) given_at: Option<Duration>,
    /// Empty once given to the connection.
    pub(crate) bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn new(kind: Kind, since: Duration, bytes: Vec<u8>) -> Self {
        Request { kind, since, given_at: None, bytes }
    }
}

/// What was asked.
#[derive(Debug)]
pub(crate) enum Kind {
    Enroll {
        /// Policies' tokens may be revoked meanwhile.
        policy: usize,
        token_round: u64,
    },
    CheckIn(CheckIn),
    Acks {
        /// What is acknowledged, in the order of the request.
        events: Vec<Event>,
    },
    /// Nothing is promised but one answer with one of these statuses; none: any.
    Other {
        statuses: &'static [u16],
    },
}

/// A check-in as it was sent.
#[derive(Debug)]
pub(crate) struct CheckIn {
    /// `_seq_no` of the token that was sent; -1 without one.
    pub(crate) token_seq_no: i64,
    /// The policy and marker that was reported.
    pub(crate) reported: Option<(String, u64)>,
    /// The shortest it is held if nothing comes.
    pub(crate) shortest: Duration,
    /// How many actions and deletions of policies there had been.
    pub(crate) deletions: u64,
}

/// One acknowledgement.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) action_id: String,
    /// For `policy:..`: which, and the revision.
    pub(crate) policy: Option<(String, i64)>,
    /// It ends the agent.
    pub(crate) is_end: bool,
}

/// How a client writes its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) gzip: bool,
    pub(crate) chunked: bool,
    pub(crate) expects_continue: bool,
    pub(crate) accepts_gzip: bool,
}

impl Manner {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Manner {
            gzip: dice.percent(50),
            chunked: dice.percent(20),
            expects_continue: dice.percent(10),
            accepts_gzip: dice.percent(70),
        }
    }
}

/// A POST of JSON.
pub(crate) fn post(path: &str, token: &str, body: &Value, manner: Manner, gzip: bool) -> Vec<u8> {
    let mut body = body.to_string().into_bytes();
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: fleet\r\nUser-Agent: elastic agent 9.6.0\r\n\
         Authorization: ApiKey {token}\r\nElastic-Api-Version: 2023-06-01\r\n"
    );
    if gzip && manner.gzip {
        head.push_str("Content-Encoding: gzip\r\n");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body).unwrap();
        body = encoder.finish().unwrap();
    }
    if manner.accepts_gzip {
        head.push_str("Accept-Encoding: gzip\r\n");
    }
    if manner.expects_continue {
        head.push_str("Expect: 100-continue\r\n");
    }
    if manner.chunked {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        let mut bytes = head.into_bytes();
        for piece in body.chunks(200) {
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        return bytes;
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

/// Path of one of an agent's own routes.
pub(crate) fn path(agent: &str, route: &str) -> String {
    format!("/api/fleet/agents/{agent}/{route}")
}

/// The body of an acks request.
pub(crate) fn acks_body(agent: &str, events: &[Event]) -> Value {
    let event = |event: &Event| {
        json!({"type": "ACTION_RESULT", "subtype": "ACKNOWLEDGED", "action_id": event.action_id,
               "agent_id": agent, "message": "done", "timestamp": "2026-01-01T00:00:00Z"})
    };
    json!({ "events": events.iter().map(event).collect::<Vec<_>>() })
}
