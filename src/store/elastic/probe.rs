//! Whether a cluster can be had by some settings, asked once and by nobody else's client: before an output is used, and for
//! diagnostics. Blocks, within a bound.

use std::fmt::Write;
use std::time::Duration;

use super::ask::{Greeting, plain};
use super::client::{Client, Request, Response, SendError};
use super::failure::Cause;
use crate::config::Elasticsearch;

/// Hosts that are asked, one after another.
const HOSTS_ASKED_MAX: usize = 6;

/// The version of the cluster, as the first of its hosts says that answers. Each host gets `wait_max` for the head of its
/// answer, and what connecting takes.
///
/// # Errors
/// Why it cannot be had, for people and without secrets.
pub fn probe(settings: &Elasticsearch, wait_max: Duration) -> Result<String, String> {
    let mut trouble = "there are no hosts".to_owned();
    for host in settings.hosts.iter().take(HOSTS_ASKED_MAX) {
        match ask(settings, host, wait_max).0 {
            Ok(version) => return Ok(version),
            Err(reason) => trouble = reason,
        }
    }
    Err(trouble)
}

/// What a request to each host comes to and how long that takes, as text; hosts for which no time of `wait_max` is left are
/// left out.
pub fn trace(settings: &Elasticsearch, wait_max: Duration) -> String {
    let mut text = String::new();
    let mut left = wait_max;
    for host in &settings.hosts {
        let line = if left.is_zero() {
            "not asked: the time is over".to_owned()
        } else {
            let (answer, took) = ask(settings, host, left);
            left = left.saturating_sub(took);
            match answer {
                Ok(version) => format!("Elasticsearch {version}, after {} ms", took.as_millis()),
                Err(reason) => format!("failed after {} ms: {reason}", took.as_millis()),
            }
        };
        // writing to a text cannot fail
        let _ = writeln!(text, "GET {host}/\n  {line}");
    }
    text
}

/// Asks one of the hosts, and how long that took.
fn ask(settings: &Elasticsearch, host: &str, wait_max: Duration) -> (Result<String, String>, Duration) {
    let one = Elasticsearch { hosts: vec![host.to_owned()], ..settings.clone() };
    let client = match Client::new(&one) {
        Ok(client) => client,
        Err(error) => return (Err(error.to_string()), Duration::ZERO),
    };
    let answer = client.send(&Request { timeout: Some(wait_max), ..plain("GET", "/") });
    let took = client.now();
    client.close();
    (version(answer), took)
}

fn version(answer: Result<Response, SendError>) -> Result<String, String> {
    let response = answer.map_err(|error| error.to_string())?;
    if response.status != 200 {
        let cause = Cause::of(&response).map(|cause| format!(": {}", cause.text())).unwrap_or_default();
        return Err(format!("the answer is {}{cause}", response.status));
    }
    let greeting: Greeting =
        serde_json::from_slice(&response.body).map_err(|_| "it does not tell its version".to_owned())?;
    Ok(greeting.version.number)
}
