//! What is told of the cluster itself: its version, whether it has the fleet module, whether Kibana lives in it. The follower
//! of policies asks when it begins, and now and then after that: clusters are upgraded while we run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::queue::Queue;
use crate::store::elastic::ask::{Greeting, plain};
use crate::store::elastic::client::Client;
use crate::store::{Changes, ClusterFacts};

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_secs(600);
/// After one that was not answered.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Kibana's own indices, saved objects among them; the state of the cluster is what the service account may read of them.
const KIBANA: &str = "/_cluster/state/metadata/.kibana*?expand_wildcards=all&allow_no_indices=true\
    &ignore_unavailable=true&filter_path=metadata.indices.*.state";

/// Keeps what was told.
pub(super) struct Herald {
    client: Arc<Client>,
    /// Whether the names are those that Kibana writes to.
    is_kibanas: bool,
    /// When it is time to ask, by the client's clock.
    pub(super) due: Duration,
    told: Option<ClusterFacts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    indices: BTreeMap<String, IgnoredAny>,
}

impl Herald {
    /// Nothing was told yet.
    pub(super) fn new(client: Arc<Client>, is_kibanas: bool) -> Self {
        Herald { client, is_kibanas, due: Duration::ZERO, told: None }
    }

    /// Tells what is new, if it is time to ask; false when the watch is over. What cannot be had is asked again later.
    pub(super) fn tell(&mut self, fleet_module: bool, queue: &Queue) -> bool {
        let now = self.client.now();
        if now < self.due {
            return true;
        }
        let Some(facts) = self.ask(fleet_module) else {
            self.due = now + ASK_AGAIN;
            return true;
        };
        self.due = now + if facts.holds_kibana.is_some() { ASK_EVERY } else { ASK_AGAIN };
        if self.told.as_ref() == Some(&facts) {
            return true;
        }
        self.told = Some(facts.clone());
        queue.put(Changes::Cluster(facts))
    }

    fn ask(&self, fleet_module: bool) -> Option<ClusterFacts> {
        let greeting: Greeting = self.answer("/")?;
        let holds_kibana = match self.is_kibanas {
            true => self.answer::<State>(KIBANA).map(|state| !state.metadata.indices.is_empty()),
            false => Some(false),
        };
        Some(ClusterFacts { version: greeting.version.number, fleet_module, holds_kibana })
    }

    fn answer<T: serde::de::DeserializeOwned>(&self, path: &str) -> Option<T> {
        let response = self.client.send(&plain("GET", path)).ok()?;
        if response.status != 200 {
            ::log::debug!("the cluster answers {} to GET {path}", response.status);
            return None;
        }
        serde_json::from_slice(&response.body).ok()
    }
}
