//! Reads the server's answers: by scan for most agents, so that the client's work does not hide the server's,
//! and in full for one agent in [`SAMPLE_EVERY`].

use std::{borrow::Cow, io::Read};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::agent::{Agent, Answer, Call, Identity};
use crate::failure::Failure;
use crate::response::Response;

/// One agent in so many has its policies inflated, parsed and compared.
const SAMPLE_EVERY: usize = 100;
/// The id of a policy's action is looked for in so many bytes before the whole body is inflated.
const PEEK_BYTES: u64 = 4_096;

/// What `response` says to `call`.
pub(crate) fn read(agent: &Agent, call: &Call, response: &Response) -> Result<Answer, Failure> {
    if response.status != 200 {
        let text = response.text().unwrap_or_default();
        return Err(Failure::status(response.status, &text));
    }
    match call {
        Call::Enroll => enrolled(&parse(response)?),
        Call::Acknowledge(actions) => acknowledged(&parse(response)?, actions.len()),
        Call::CheckIn => checked_in(agent, response),
    }
}

fn parse(response: &Response) -> Result<Value, Failure> {
    let text = response.text().map_err(|message| Failure::answer(&message))?;
    serde_json::from_slice(&text).map_err(|error| Failure::answer(&error.to_string()))
}

fn enrolled(answer: &Value) -> Result<Answer, Failure> {
    let text = |name: &str| answer["item"][name].as_str().map(str::to_owned);
    match (text("id"), text("access_api_key")) {
        (Some(id), Some(access_api_key)) => Ok(Answer::Enrolled(Identity { id, access_api_key })),
        _ => Err(Failure::answer(&format!("enrolment without id or key: {answer}"))),
    }
}

fn acknowledged(answer: &Value, count: usize) -> Result<Answer, Failure> {
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let fine = items.iter().all(|item| item["status"] == 200);
    if answer["action"] == "acks" && items.len() == count && fine {
        Ok(Answer::Acknowledged)
    } else {
        Err(Failure::answer(&format!("acks: {answer}")))
    }
}

fn checked_in(agent: &Agent, response: &Response) -> Result<Answer, Failure> {
    let quick = if agent.index.is_multiple_of(SAMPLE_EVERY) { None } else { scan(response) };
    match quick {
        Some(answer) => Ok(answer),
        None => in_full(agent, &parse(response)?),
    }
}

/// The answer, as far as a look at the beginning tells.
fn scan(response: &Response) -> Option<Answer> {
    let start =
        if response.gzip { Cow::Owned(peek(&response.body)?) } else { Cow::Borrowed(&*response.body) };
    if let Some(found) = find(&start, b"\"policy:") {
        let rest = &start[found + 1..];
        let end = rest.iter().position(|&byte| byte == b'"')?;
        return policy(std::str::from_utf8(&rest[..end]).ok()?);
    }
    // Actions are compressed, or show their name: this only ends the poll.
    let empty =
        !response.gzip && find(&start, b"\"actions\"").is_none() && find(&start, b"\"checkin\"").is_some();
    empty.then_some(Answer::Nothing)
}

fn peek(body: &[u8]) -> Option<Vec<u8>> {
    let mut start = Vec::with_capacity(PEEK_BYTES as usize);
    GzDecoder::new(body).take(PEEK_BYTES).read_to_end(&mut start).ok()?;
    Some(start)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// `policy:ID:REVISION`.
fn policy(action_id: &str) -> Option<Answer> {
    let (policy_id, revision) = action_id.strip_prefix("policy:")?.rsplit_once(':')?;
    let revision = revision.parse().ok()?;
    Some(Answer::Policy { action_id: action_id.to_owned(), policy_id: policy_id.to_owned(), revision })
}

fn in_full(agent: &Agent, answer: &Value) -> Result<Answer, Failure> {
    if answer["action"] != "checkin" {
        return Err(Failure::answer(&format!("check-in: {answer}")));
    }
    let actions = answer["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own_id = agent.identity.as_ref().map(|identity| identity.id.as_str());
    if actions.iter().any(|action| action["agent_id"].as_str() != own_id) {
        return Err(Failure::answer("an action for another agent"));
    }
    let Some(first) = actions.first() else { return Ok(Answer::Nothing) };
    if first["type"] == "POLICY_CHANGE" {
        return policy_in_full(first);
    }
    let ids = actions.iter().filter_map(|action| action["id"].as_str()).map(str::to_owned).collect();
    let ack_token = answer["ack_token"].as_str().unwrap_or_default().to_owned();
    Ok(Answer::Actions { action_ids: ids, ack_token })
}

fn policy_in_full(action: &Value) -> Result<Answer, Failure> {
    let id = action["id"].as_str().unwrap_or_default();
    let policy_given = &action["data"]["policy"];
    match policy(id) {
        Some(Answer::Policy { revision, .. }) if policy_given["revision"] != revision => {
            Err(Failure::answer(&format!("{id} holds revision {}", policy_given["revision"])))
        }
        Some(_) if policy_given["outputs"].as_object().is_none_or(serde_json::Map::is_empty) => {
            Err(Failure::answer(&format!("{id} without outputs")))
        }
        Some(answer) => Ok(answer),
        None => Err(Failure::answer(&format!("POLICY_CHANGE with the id `{id}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(gzip: bool, body: Vec<u8>) -> Response {
        Response { status: 200, gzip, close: false, body }
    }

    fn agent(index: usize) -> Agent {
        let mut agent = Agent::new(index);
        agent.identity = Some(Identity { id: "a".to_owned(), access_api_key: "k".to_owned() });
        agent
    }

    const POLICY: &str = r#"{"ack_token":"","action":"checkin","actions":[{"id":"policy:p:3","agent_id":"a",
        "type":"POLICY_CHANGE","data":{"policy":{"revision":3,"outputs":{"default":{}}}}}]}"#;

    #[test]
    fn scan_and_full_reading_of_a_policy_agree() {
        let expected =
            Answer::Policy { action_id: "policy:p:3".to_owned(), policy_id: "p".to_owned(), revision: 3 };
        for index in [0, 1] {
            let answer = read(&agent(index), &Call::CheckIn, &response(false, POLICY.into())).unwrap();
            assert_eq!(answer, expected);
        }
    }

    #[test]
    fn sample_notices_another_revision_than_announced() {
        let body = POLICY.replace("\"revision\":3", "\"revision\":2");
        assert!(read(&agent(0), &Call::CheckIn, &response(false, body.into_bytes())).is_err());
    }

    #[test]
    fn sample_notices_another_agents_policy() {
        let body = POLICY.replace("\"agent_id\":\"a\"", "\"agent_id\":\"b\"");
        assert!(read(&agent(0), &Call::CheckIn, &response(false, body.into_bytes())).is_err());
    }

    #[test]
    fn end_of_a_poll_is_nothing() {
        let body = br#"{"ack_token":"","action":"checkin"}"#.to_vec();
        assert_eq!(read(&agent(1), &Call::CheckIn, &response(false, body)).unwrap(), Answer::Nothing);
    }
}
