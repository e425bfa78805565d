//! How other clusters do that agents send to: found out when keys are made there and by asking them now and then, and told
//! where Kibana looks for it (elasticsearch.md, "Indices and mappings": output health).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::Elastic;
use super::ask::plain;
use super::bulk::{Item, Refresh};
use super::client::{Client, Request};
use crate::model::raw::raw;
use crate::store::keys::random_bytes;
use crate::store::{StoreError, documents};
use crate::time::Timestamp;

/// How long another cluster may take to say that it is there.
const PING_WAIT_MAX: Duration = Duration::from_secs(10);
/// What has not changed is told again after so many milliseconds: old news are none.
const TOLD_AGAIN_MILLIS: i64 = 600_000;
const DATASET: &str = "fleet_server.output_health";
const KIND: &str = "logs";

/// What was told last of each output, by its name.
#[derive(Default)]
pub(super) struct OutputHealth(BTreeMap<String, Told>);

#[derive(Clone, Copy)]
struct Told {
    well: bool,
    at: Timestamp,
    by: Sign,
}

/// What says how a cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A key was made in it, or could not be.
    Key,
    /// It was asked whether it is there.
    Ping,
}

#[derive(Serialize)]
struct Document<'a> {
    output: &'a str,
    state: &'a str,
    message: &'a str,
    #[serde(rename = "@timestamp")]
    timestamp: String,
    data_stream: DataStream<'a>,
}

#[derive(Serialize)]
struct DataStream<'a> {
    dataset: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    namespace: &'a str,
}

impl OutputHealth {
    fn is_news(&self, output: &str, well: bool, sign: Sign, at: Timestamp) -> bool {
        let Some(told) = self.0.get(output) else { return true };
        let is_old = at.0 - told.at.0 >= TOLD_AGAIN_MILLIS;
        // a cluster that is there may still refuse to make keys
        let is_stronger = sign == Sign::Key || told.by == Sign::Ping || told.well;
        is_old || (told.well != well && is_stronger)
    }

    /// Whether the output was last told to be in trouble.
    fn is_troubled(&self, output: &str) -> bool {
        self.0.get(output).is_some_and(|told| !told.well)
    }
}

impl Elastic {
    /// Asks all other clusters whether they are there.
    pub(super) fn ask_remotes(&self, at: Timestamp) {
        for (output, trouble) in self.ping_remotes() {
            self.output_does(&output, trouble.as_deref(), Sign::Ping, at);
        }
    }

    /// The same, and what trouble each has: whoever answers is not set aside any more.
    pub(super) fn ping_remotes(&self) -> Vec<(String, Option<String>)> {
        let ping = |(output, client): (String, Arc<Client>)| (output, trouble_of(&client));
        self.remote_clients().into_iter().map(ping).collect()
    }

    /// Another cluster does well, or not: told if that is news. That it cannot be told is logged; the next time tries again.
    pub(super) fn output_does(&self, output: &str, trouble: Option<&str>, sign: Sign, at: Timestamp) {
        let well = trouble.is_none();
        let (news, troubled) = {
            let health = self.output_health();
            (health.is_news(output, well, sign, at), health.is_troubled(output))
        };
        if !news {
            return;
        }
        match trouble {
            Some(reason) if !troubled => ::log::warn!("the remote output {output} is DEGRADED: {reason}"),
            None if troubled => ::log::info!("the remote output {output} is HEALTHY again"),
            _ => {}
        }
        match self.tell_output_health(output, trouble, at) {
            Ok(()) => drop(self.output_health().0.insert(output.to_owned(), Told { well, at, by: sign })),
            Err(error) => ::log::warn!("how the remote output {output} does could not be told: {error}"),
        }
    }

    fn tell_output_health(
        &self,
        output: &str,
        trouble: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let namespace = self.indices.namespace();
        let document = Document {
            output,
            state: if trouble.is_none() { "HEALTHY" } else { "DEGRADED" },
            message: trouble.unwrap_or_default(),
            timestamp: at.rfc3339(),
            data_stream: DataStream { dataset: DATASET, kind: KIND, namespace },
        };
        let stream = format!("{KIND}-{DATASET}-{namespace}");
        let item = Item::create(&stream, &documents::random_id(random_bytes()?), raw(&document).get());
        self.write_one(item, Refresh::Now).map(drop)
    }

    fn output_health(&self) -> std::sync::MutexGuard<'_, OutputHealth> {
        self.output_health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn trouble_of(client: &Arc<Client>) -> Option<String> {
    let request = Request { timeout: Some(PING_WAIT_MAX), ..plain("HEAD", "/") };
    match client.send(&request) {
        Ok(response) if (200..300).contains(&response.status) => None,
        Ok(response) => Some(format!("it answers {}", response.status)),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp(minutes * 60_000)
    }

    fn told(well: bool, by: Sign) -> OutputHealth {
        OutputHealth([("o".to_owned(), Told { well, at: at(0), by })].into())
    }

    #[test]
    fn a_change_is_news_and_the_same_again_after_ten_minutes() {
        let health = told(true, Sign::Ping);
        let is_news = |well, minutes| health.is_news("o", well, Sign::Ping, at(minutes));
        assert!(!is_news(true, 9) && is_news(true, 10) && is_news(false, 1));
        assert!(health.is_news("another", true, Sign::Ping, at(1)));
        assert!(!health.is_troubled("o") && told(false, Sign::Ping).is_troubled("o"));
        assert!(told(false, Sign::Ping).is_news("o", true, Sign::Ping, at(1)));
    }

    #[test]
    fn a_cluster_that_makes_no_keys_is_not_well_because_it_answers() {
        let health = told(false, Sign::Key);
        assert!(
            !health.is_news("o", true, Sign::Ping, at(9)) && health.is_news("o", true, Sign::Ping, at(10))
        );
        assert!(health.is_news("o", true, Sign::Key, at(1)));
    }
}
