//! A small Elastic Agent: enrols, checks in by long poll, prints what it is told, acknowledges it.
//!
//! Read it from `main` down to learn the protocol: [`enroll`] gives the agent its id and key,
//! [`Agent::check_in`] is the long poll that brings policies and actions, [`Agent::acknowledge`] tells the
//! server what was done. It carries out nothing but diagnostics ([`Agent::diagnose`] sends what it knows of itself): no
//! input runs, no upgrade is installed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

#[path = "common/answer.rs"]
mod answer;
#[path = "common/client.rs"]
mod client;
#[path = "common/keep.rs"]
mod keep;
#[path = "common/request.rs"]
mod request;
#[path = "common/response.rs"]
mod response;
#[path = "common/target.rs"]
mod target;
#[path = "common/tls.rs"]
mod tls;
#[path = "common/uploads.rs"]
mod uploads;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{process::ExitCode, time::Duration};

use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use answer::read;
use client::Client;
use request::{ENROLL_PATH, agent_path, post};
use target::Target;
use uploads::Upload;

/// The agent's own limit for a check-in; the server answers a long poll well before.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// After an answer the real agent returns within 1 to 1.5 s.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_SPREAD_MILLISECONDS: u64 = 500;
/// After an error the real agent stays away for 60 s at first, up to 10 min; this one is less patient.
const RETRY_WAIT_MIN: Duration = Duration::from_secs(1);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);

/// A small Elastic Agent that shows the protocol.
#[derive(Parser)]
struct Arguments {
    /// Address of the server, such as https://localhost:8220
    #[arg(long)]
    url: String,
    /// Enrollment token; not needed when --state holds an enrolled agent
    #[arg(long)]
    token: Option<String>,
    /// PEM file with the authority that signed the server's certificate
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Trust any certificate
    #[arg(long)]
    insecure: bool,
    /// Key exchange to offer
    #[arg(long, value_enum, default_value = "x25519")]
    key_exchange: tls::KeyExchange,
    /// Keep id, key, policy and token in this file: a restart continues as the same agent
    #[arg(long)]
    state: Option<PathBuf>,
    /// End after this many check-ins
    #[arg(long, conflicts_with = "once")]
    polls: Option<u64>,
    /// End after one check-in
    #[arg(long)]
    once: bool,
    /// One JSON document per line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let target = Target::parse(&arguments.url)?;
    let ca = arguments.ca.as_deref();
    let tls = tls::for_target(&target, ca, arguments.insecure, arguments.key_exchange)?;
    let mut client = Client::new(target, tls, ANSWER_WAIT_MAX);
    let printer = Printer { json: arguments.json };
    let memory = match Memory::load(arguments.state.as_deref())? {
        Some(memory) => memory,
        None => {
            let token = arguments.token.as_deref().ok_or("--token is needed to enrol")?;
            enroll(&mut client, token, &printer)?
        }
    };
    let mut agent = Agent { client, memory, state: arguments.state.clone(), printer };
    agent.save()?;
    let lived = agent.live(if arguments.once { Some(1) } else { arguments.polls });
    agent.client.disconnect();
    lived
}

/// What an agent must know to go on after a restart.
#[derive(Serialize, Deserialize)]
struct Memory {
    id: String,
    /// Base64 of `id:key`, as it goes into `Authorization`.
    access_api_key: String,
    /// Policy and revision in use, reported at each check-in; none before the first policy.
    policy_id: String,
    policy_revision_idx: i64,
    /// Tells the server which actions came already.
    ack_token: String,
}

impl Memory {
    fn load(path: Option<&Path>) -> Result<Option<Self>, String> {
        let Some(path) = path.filter(|path| path.exists()) else { return Ok(None) };
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read(path).map_err(|error| said(&error))?;
        serde_json::from_slice(&text).map(Some).map_err(|error| said(&error))
    }
}

/// `POST /api/fleet/agents/enroll` with the enrollment token: the answer holds the agent's id and key.
fn enroll(client: &mut Client, token: &str, printer: &Printer) -> Result<Memory, String> {
    let body = json!({
        "type": "PERMANENT",
        // Set only to take over the place of an agent that was enrolled before.
        "id": "",
        "replace_token": "",
        "enrollment_id": "",
        "metadata": { "local": local_metadata(), "tags": ["example"] },
    });
    let request = post(&client.authority(), ENROLL_PATH, token, false, body.to_string().as_bytes());
    let answer = read(&client.exchange(&request)?)?;
    let item = &answer["item"];
    let text = |name: &str| item[name].as_str().map(str::to_owned);
    let (Some(id), Some(access_api_key)) = (text("id"), text("access_api_key")) else {
        return Err(format!("enrolment: no id or key in {answer}"));
    };
    let policy = item["policy_id"].as_str().unwrap_or_default();
    printer.line(&format!("enrolled as {id} on policy {policy}"), &json!({"event": "enrolled", "id": id}));
    // policy_id stays empty: the agent has no policy yet, so the first check-in is answered with one at once.
    Ok(Memory {
        id,
        access_api_key,
        policy_id: String::new(),
        policy_revision_idx: 0,
        ack_token: String::new(),
    })
}

struct Agent {
    client: Client,
    memory: Memory,
    state: Option<PathBuf>,
    printer: Printer,
}

/// Whether there is a next check-in.
#[derive(PartialEq)]
enum Life {
    GoesOn,
    Unenrolled,
}

impl Agent {
    /// Check in, do, acknowledge, over and over.
    fn live(&mut self, polls_max: Option<u64>) -> Result<(), String> {
        let mut polls = 0;
        let mut retry_wait = RETRY_WAIT_MIN;
        while polls_max.is_none_or(|max| polls < max) {
            polls += 1;
            match self.check_in().and_then(|actions| self.obey(&actions)) {
                Ok(Life::Unenrolled) => return Ok(()),
                Ok(Life::GoesOn) => {
                    retry_wait = RETRY_WAIT_MIN;
                    self.save()?;
                    if polls_max != Some(polls) {
                        pause(PAUSE_MIN + Duration::from_millis(random() % PAUSE_SPREAD_MILLISECONDS));
                    }
                }
                Err(message) if polls_max == Some(polls) => return Err(message),
                Err(message) => {
                    eprintln!("{message}; trying again in {} s", retry_wait.as_secs());
                    pause(retry_wait);
                    retry_wait = RETRY_WAIT_MAX.min(retry_wait * 2);
                }
            }
        }
        Ok(())
    }

    /// `POST .../checkin`: the server answers when it has something to say, or after some minutes with nothing.
    fn check_in(&mut self) -> Result<Vec<Value>, String> {
        let body = json!({
            "status": "online",
            "message": "Running",
            "ack_token": self.memory.ack_token,
            "agent_policy_id": self.memory.policy_id,
            "policy_revision_idx": self.memory.policy_revision_idx,
            "local_metadata": local_metadata(),
            "components": components(),
            "upgrade": {},
        });
        let mut answer = self.ask("checkin", &body)?;
        // Kept before the actions are looked at; an empty token means: keep the old one.
        if let Some(token) = answer["ack_token"].as_str().filter(|token| !token.is_empty()) {
            token.clone_into(&mut self.memory.ack_token);
        }
        Ok(match answer["actions"].take() {
            Value::Array(actions) => actions,
            _ => Vec::new(),
        })
    }

    fn obey(&mut self, actions: &[Value]) -> Result<Life, String> {
        if actions.is_empty() {
            self.printer.line("nothing new", &json!({"event": "nothing"}));
            return Ok(Life::GoesOn);
        }
        for action in actions {
            self.printer.line(&describe(action), &json!({"event": "action", "action": action}));
            if action["type"] == "POLICY_CHANGE" {
                self.adopt(action);
            }
        }
        self.acknowledge(actions)?;
        if actions.iter().any(|action| action["type"] == "UNENROLL") {
            if let Some(path) = &self.state {
                std::fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
            }
            self.printer.line("unenrolled", &json!({"event": "unenrolled"}));
            return Ok(Life::Unenrolled);
        }
        Ok(Life::GoesOn)
    }

    /// A policy comes as an action with the id `policy:ID:REVISION`. From now on the agent reports both.
    fn adopt(&mut self, action: &Value) {
        let policy = &action["data"]["policy"];
        let named = action["id"].as_str().and_then(|id| id.strip_prefix("policy:")?.rsplit_once(':'));
        if let (Some((id, _)), Some(revision)) = (named, policy["revision"].as_i64()) {
            id.clone_into(&mut self.memory.policy_id);
            self.memory.policy_revision_idx = revision;
        }
    }

    /// `POST .../acks`: one event per action; the answer holds one item per event, in the same order.
    fn acknowledge(&mut self, actions: &[Value]) -> Result<(), String> {
        let events: Vec<_> = actions.iter().map(|action| self.carry_out(action)).collect();
        let answer = self.ask("acks", &json!({ "events": events }))?;
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if answer["action"] != "acks" || items.len() != actions.len() {
            return Err(format!("acks: unexpected answer {answer}"));
        }
        for (action, item) in actions.iter().zip(items) {
            let (id, status) = (&action["id"], &item["status"]);
            let text = format!("acknowledged {}: {status}", id.as_str().unwrap_or_default());
            self.printer.line(&text, &json!({"event": "acknowledged", "id": id, "status": status}));
        }
        Ok(())
    }

    /// What is said of an action once it is done.
    fn carry_out(&mut self, action: &Value) -> Value {
        let mut event = self.event(action);
        if action["type"] == "REQUEST_DIAGNOSTICS" {
            match self.diagnose(action) {
                Ok(upload_id) => event["data"] = json!({ "upload_id": upload_id }),
                Err(message) => event["error"] = json!(format!("diagnostics: {message}")),
            }
        }
        event
    }

    /// Sends what it knows of itself as a file; the upload's id. A real agent sends an archive of many.
    fn diagnose(&mut self, action: &Value) -> Result<String, String> {
        let bundle = json!({
            "agent": local_metadata(),
            "components": components(),
            "policy": { "id": self.memory.policy_id, "revision": self.memory.policy_revision_idx },
        });
        let bundle = bundle.to_string();
        let announced = json!({
            "file": { "name": "diagnostics.json", "mime_type": "application/json", "size": bundle.len() },
            "action_id": action["id"],
            "agent_id": self.memory.id,
            "src": "agent",
        });
        let mut upload = Upload::begin(&mut self.client, &self.memory.access_api_key, &announced)?;
        for chunk in bundle.as_bytes().chunks(upload.chunk_bytes) {
            upload.send(chunk)?;
        }
        upload.complete()
    }

    fn event(&self, action: &Value) -> Value {
        let now = timestamp();
        let mut event = json!({
            "type": "ACTION_RESULT",
            "subtype": "ACKNOWLEDGED",
            "action_id": action["id"],
            "agent_id": self.memory.id,
            "message": format!("{} received", action["type"].as_str().unwrap_or_default()),
            "timestamp": now,
        });
        if action["type"] == "INPUT_ACTION" {
            event["action_input_type"] = action["input_type"].clone();
            event["action_data"] = action["data"].clone();
            event["action_response"] = json!({});
            event["started_at"] = json!(now);
            event["completed_at"] = json!(now);
        }
        event
    }

    /// One of the agent's own routes, with its own key.
    fn ask(&mut self, route: &str, body: &Value) -> Result<Value, String> {
        let path = agent_path(&self.memory.id, route);
        let body = body.to_string();
        let request =
            post(&self.client.authority(), &path, &self.memory.access_api_key, false, body.as_bytes());
        read(&self.client.exchange(&request)?).map_err(|message| format!("{route}: {message}"))
    }

    fn save(&self) -> Result<(), String> {
        let Some(path) = &self.state else { return Ok(()) };
        let text = json!(self.memory).to_string();
        keep::write_private(path, text.as_bytes())
    }
}

/// Prints each event as a sentence or as JSON.
struct Printer {
    json: bool,
}

impl Printer {
    fn line(&self, text: &str, document: &Value) {
        if self.json {
            println!("{document}");
        } else {
            println!("{text}");
        }
    }
}

/// An action in one line.
fn describe(action: &Value) -> String {
    let kind = action["type"].as_str().unwrap_or("action without type");
    if kind != "POLICY_CHANGE" {
        let expiration =
            action["expiration"].as_str().map(|at| format!(", expires {at}")).unwrap_or_default();
        return format!(
            "{kind} {} {}{expiration}",
            action["id"].as_str().unwrap_or_default(),
            action["data"]
        );
    }
    let policy = &action["data"]["policy"];
    let inputs = policy["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let types: BTreeSet<_> = inputs.iter().filter_map(|input| input["type"].as_str()).collect();
    let types: Vec<_> = types.into_iter().collect();
    let outputs: Vec<_> =
        policy["outputs"].as_object().into_iter().flat_map(|map| map.keys()).cloned().collect();
    format!(
        "POLICY_CHANGE {} revision {}, {} inputs [{}], outputs [{}]",
        action["id"].as_str().unwrap_or_default(),
        policy["revision"],
        inputs.len(),
        types.join(", "),
        outputs.join(", ")
    )
}

/// What the agent knows of its host; a real one sends some 2 kB.
fn local_metadata() -> Value {
    json!({
        "elastic": { "agent": { "id": "", "version": "9.6.0", "snapshot": false, "upgradeable": false } },
        "host": { "architecture": std::env::consts::ARCH, "hostname": "example" },
        "os": { "platform": std::env::consts::OS, "family": std::env::consts::FAMILY },
    })
}

/// What the agent runs: here one component that is always well.
fn components() -> Value {
    json!([{
        "id": "example-default", "type": "example", "status": "HEALTHY", "message": "Healthy",
        "units": [{ "id": "example-default", "type": "output", "status": "HEALTHY", "message": "Healthy" }],
    }])
}

fn timestamp() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// Not for secrets: a poor number is no harm here.
fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a blocking program, with nothing else to do meanwhile")]
fn pause(wait: Duration) {
    std::thread::sleep(wait);
}
