//! `kill -9` in a loop under load. After each round everything that was acknowledged has to be there.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use fleet_server::model::FileStatus;
use rustix::process::Signal;
use serde_json::json;

use crate::support::files::{announcement, content, transit_sha256};
use crate::support::{Agent, Installation, Opened, Options, PATIENCE, Request, Server, event};

/// Rounds where the environment does not say otherwise.
const ROUNDS: usize = 10;
/// Agents that enrol and acknowledge at the same time.
const CLIENTS: usize = 6;
/// So many answers there are at least before the end of a round; a number below this comes on top.
const ANSWERS_MIN: usize = 20;
const ANSWERS_SPREAD: usize = 60;

/// Something that was answered with 200.
#[derive(Clone, Debug)]
enum Acknowledged {
    Enrolment(Agent),
    /// The agent's policy_revision_idx is at least that.
    PolicyAck(String, i64),
    /// By this agent, of this action.
    Ack(String, String),
    /// The newest revision of the policy is at least that.
    Revision(String, i64),
    Action(String),
    Token(String),
    /// The file's only chunk, that this agent sent for this action in this round.
    Chunk(Agent, String, usize),
    /// The whole file.
    Upload(Agent, String),
}

#[test]
fn everything_acknowledged_survives_kill_9() {
    let rounds = std::env::var("FLEET_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut installation = Installation::new(Options::plain());
    let mut all = Vec::new();
    for round in 0..rounds {
        // an odd multiplier visits every number below a power of two, and others nearly so
        let answers = ANSWERS_MIN + round * 37 % ANSWERS_SPREAD;
        let (ended, acknowledged) = killed_after(installation.start(), round, answers);
        installation = ended;
        let opened = installation.open();
        acknowledged.iter().for_each(|what| is_there(&opened, what, round));
        all.extend(acknowledged);
    }
    let opened = installation.open();
    all.iter().for_each(|what| is_there(&opened, what, rounds));
    assert!(all.len() >= rounds * ANSWERS_MIN);
}

/// Loads a server and kills it after so many answers; what was answered.
fn killed_after(server: Server, round: usize, answers: usize) -> (Installation, Vec<Acknowledged>) {
    let mut acknowledged = Vec::new();
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        for client in 0..CLIENTS {
            let (server, sender) = (&server, sender.clone());
            scope.spawn(move || while enrol_and_acknowledge(server, &sender, client).is_some() {});
        }
        let operator = &server;
        let uploads = sender.clone();
        scope.spawn(move || (0..).try_for_each(|turn| upload(operator, &uploads, round, turn)));
        scope.spawn(move || (0..).try_for_each(|turn| operate(operator, &sender, round, turn)));
        acknowledged.extend(take(&receiver, answers));
        server.process.signal(Signal::KILL);
        // what was answered before the end counts too
        acknowledged.extend(receiver.iter());
    });
    (server.kill(), acknowledged)
}

fn take(receiver: &Receiver<Acknowledged>, count: usize) -> Vec<Acknowledged> {
    let next = || receiver.recv_timeout(PATIENCE).expect("the server answers");
    (0..count).map(|_| next()).collect()
}

/// One agent's life; none once the server is gone.
fn enrol_and_acknowledge(server: &Server, told: &Sender<Acknowledged>, client: usize) -> Option<()> {
    let enrolment =
        server.enrolment(&json!({ "type": "PERMANENT", "metadata": { "local": { "client": client } } }));
    let agent = Agent::of(&server.ask_while_it_lives(&enrolment)?);
    told.send(Acknowledged::Enrolment(agent.clone())).ok()?;
    server.ask_while_it_lives(&agent.acks(&[event("policy:default:1", &agent)]))?.ok();
    told.send(Acknowledged::PolicyAck(agent.id.clone(), 1)).ok()?;
    let action = order(server, &agent)?;
    told.send(Acknowledged::Action(action.clone())).ok()?;
    server.ask_while_it_lives(&agent.acks(&[event(&action, &agent)]))?.ok();
    told.send(Acknowledged::Ack(agent.id.clone(), action)).ok()
}

fn order(server: &Server, agent: &Agent) -> Option<String> {
    let action = json!({ "action": { "type": "SETTINGS", "data": { "log_level": "debug" } } });
    let request = Request::post(&format!("/api/fleet/agents/{}/actions", agent.id)).json(&action);
    let answer = server.operate_while_it_lives(&request)?.ok();
    Some(answer["actionId"].as_str().expect("an order has an id").to_owned())
}

/// A new revision and a new token; none once the server is gone.
fn operate(server: &Server, told: &Sender<Acknowledged>, round: usize, turn: usize) -> Option<()> {
    let policy = json!({
        "outputs": { "default": { "type": "elasticsearch", "hosts": ["http://h:9200"] } },
        "inputs": [{ "id": format!("{round}-{turn}"), "type": "logfile" }],
    });
    let request = Request::new("PUT", "/api/fleet/agent_policies/p/full").json(&policy);
    let revision = server.operate_while_it_lives(&request)?.ok()["item"]["revision"].as_i64()?;
    told.send(Acknowledged::Revision("p".into(), revision)).ok()?;
    let request = Request::post("/api/fleet/enrollment_api_keys").json(&json!({ "policy_id": "p" }));
    let token = server.operate_while_it_lives(&request)?.ok()["item"]["api_key"].as_str()?.to_owned();
    told.send(Acknowledged::Token(token)).ok()
}

/// Bytes of the files of a round. Every eighth has files that take more than one row of the database.
fn file(round: usize) -> Vec<u8> {
    content(if round.is_multiple_of(8) { 300_000 } else { 1_000 + round })
}

/// An agent that sends a file; none once the server is gone.
fn upload(server: &Server, told: &Sender<Acknowledged>, round: usize, turn: usize) -> Option<()> {
    let agent = Agent::of(&server.ask_while_it_lives(&server.enrolment(&json!({ "type": "PERMANENT" })))?);
    let (data, action) = (file(round), format!("{round}-{turn}"));
    let begin = agent.begin_upload(&announcement(&agent, &action, data.len()));
    let upload_id = server.ask_while_it_lives(&begin)?.ok()["upload_id"].as_str()?.to_owned();
    assert_eq!(server.ask_while_it_lives(&agent.chunk(&upload_id, 0, &data))?.status, 200);
    told.send(Acknowledged::Chunk(agent.clone(), action.clone(), round)).ok()?;
    server.ask_while_it_lives(&agent.complete_upload(&upload_id, &transit_sha256(&data)))?.ok();
    told.send(Acknowledged::Upload(agent, action)).ok()
}

fn is_there(opened: &Opened, what: &Acknowledged, round: usize) {
    let there = match what {
        Acknowledged::Enrolment(agent) => {
            opened.agent(&agent.id).is_some_and(|agent| agent.active) && opened.is_good(&agent.key)
        }
        Acknowledged::PolicyAck(agent, revision) => {
            opened.agent(agent).is_some_and(|agent| agent.policy_revision_idx >= *revision)
        }
        Acknowledged::Ack(agent, action) => {
            opened.results(action).iter().any(|result| result.agent_id == *agent)
        }
        Acknowledged::Revision(policy, revision) => {
            opened.policy(policy).is_some_and(|policy| policy.revision_idx >= *revision)
        }
        Acknowledged::Action(action) => opened.has_action(action),
        Acknowledged::Token(token) => opened.is_good(token),
        Acknowledged::Chunk(agent, action, round) => {
            opened.upload(action, agent).is_some_and(|upload| opened.content(&upload) == file(*round))
        }
        Acknowledged::Upload(agent, action) => {
            opened.upload(action, agent).is_some_and(|upload| upload.status == FileStatus::Ready)
        }
    };
    assert!(there, "lost in round {round}: {what:?}");
}
