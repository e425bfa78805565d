//! Other clusters that agents send to: a client for each, made of the output's block in the policy and kept until that
//! changes (elasticsearch.md, "Output keys", Remote).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Elastic;
use super::client::Client;
use super::indices::Index;
use super::search::Search;
use crate::config::{self, Arguments, Elasticsearch, Secret, Store};
use crate::store::StoreError;

/// Clients kept; beyond, the oldest goes, and is made anew when it is wanted.
const REMOTES_MAX: usize = 64;
/// Newest revisions that are looked through for an output that no policy of now has.
const REVISIONS_SEARCHED: usize = 100;
/// After a cluster did not make a key, keys of others are not asked of it for so long: each would wait until it is refused too.
const KEYS_PAUSE: Duration = Duration::from_secs(30);
/// What of a block says how to reach the cluster.
const SETTINGS: [&str; 8] =
    ["hosts", "service_token", "ssl", "proxy_url", "proxy_headers", "proxy_disable", "headers", "protocol"];
/// The name that the block has as a configuration.
const FILE: &str = "output";

/// Clients of other clusters, oldest first.
#[derive(Default)]
pub(super) struct Remotes(VecDeque<Remote>);

struct Remote {
    output: String,
    block: Secret,
    client: Arc<Client>,
    /// When it did last not do what was wanted of a key, by the clock of our own cluster's client.
    failed_at: Option<Duration>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    outputs: BTreeMap<String, &'a RawValue>,
}

impl Elastic {
    /// The client of an output's cluster.
    pub(super) fn remote(&self, output: &str, block: &Secret) -> Result<Arc<Client>, StoreError> {
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = remotes.0.iter().find(|remote| remote.output == output && remote.block == *block);
        if let Some(remote) = known {
            return Ok(Arc::clone(&remote.client));
        }
        let failed =
            |reason: String| StoreError::Unavailable(format!("the remote output {output}: {reason}"));
        let settings = settings(block.expose()).map_err(failed)?;
        let client = Arc::new(Client::of_remote(&settings).map_err(|error| failed(error.to_string()))?);
        remotes.0.retain(|remote| remote.output != output);
        if remotes.0.len() >= REMOTES_MAX {
            remotes.0.pop_front();
        }
        remotes.0.push_back(Remote {
            output: output.to_owned(),
            block: block.clone(),
            client: Arc::clone(&client),
            failed_at: None,
        });
        Ok(client)
    }

    /// Whether a cluster may be asked to make or change a key: a worker does not wait for it again and again, once for each
    /// agent.
    pub(super) fn check_makes_keys(&self, client: &Arc<Client>) -> Result<(), StoreError> {
        let unavailable = |reason: &str| Err(StoreError::Unavailable(reason.to_owned()));
        if !client.is_reachable() {
            return unavailable("its hosts are set aside");
        }
        let remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        let remote = remotes.0.iter().find(|remote| Arc::ptr_eq(&remote.client, client));
        if remote.is_some_and(|remote| pauses(remote.failed_at, self.client.now())) {
            return unavailable("it did not make another key a moment ago");
        }
        Ok(())
    }

    /// A cluster did not do what was wanted of a key.
    pub(super) fn makes_no_keys(&self, client: &Arc<Client>) {
        let now = self.client.now();
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        for remote in remotes.0.iter_mut().filter(|remote| Arc::ptr_eq(&remote.client, client)) {
            remote.failed_at = Some(now);
        }
    }

    /// The clients that there are, each with its output.
    pub(super) fn remote_clients(&self) -> Vec<(String, Arc<Client>)> {
        let remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        remotes.0.iter().map(|remote| (remote.output.clone(), Arc::clone(&remote.client))).collect()
    }

    /// Keeps the clients of these outputs; another one is made anew when it is wanted.
    pub(super) fn forget_remotes_but(&self, outputs: &[String]) {
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        remotes.0.retain(|remote| outputs.contains(&remote.output));
    }

    /// Ends all that waits for other clusters.
    pub(super) fn close_remotes(&self) {
        for remote in &self.remotes.lock().unwrap_or_else(PoisonError::into_inner).0 {
            remote.client.close();
        }
    }

    /// The client of an output that some policy has or had; `None` if none says that it is another cluster.
    pub(super) fn remote_of_any_policy(&self, output: &str) -> Result<Option<Arc<Client>>, StoreError> {
        let known = |remote: &&Remote| remote.output == output;
        if let Some(remote) = self.remotes.lock().unwrap_or_else(PoisonError::into_inner).0.iter().find(known)
        {
            return Ok(Some(Arc::clone(&remote.client)));
        }
        let body = json!({
            "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
            "size": REVISIONS_SEARCHED,
            "_source": ["data.outputs"],
        });
        let found =
            self.searches(&[Search::new(Index::Policies, body)]).pop().unwrap_or(Ok(Default::default()))?;
        for hit in &found.hits {
            let Ok(hit) = serde_json::from_str::<Hit<'_>>(hit.source.get()) else { continue };
            let Some(block) = hit.data.outputs.get(output) else { continue };
            let Ok(mut block) = serde_json::from_str::<Value>(block.get()) else { continue };
            if block["type"] != "remote_elasticsearch" {
                return Ok(None);
            }
            self.put_secrets(&mut block)?;
            return self.remote(output, &Secret::new(block.to_string())).map(Some);
        }
        Ok(None)
    }

    /// Puts the token of a stored block in its place: what a block needs that was never rendered.
    fn put_secrets(&self, block: &mut Value) -> Result<(), StoreError> {
        let Some(id) = block["secrets"]["service_token"]["id"].as_str().map(str::to_owned) else {
            return Ok(());
        };
        if let Some(token) = self.secrets(std::slice::from_ref(&id))?.get(&id) {
            block["service_token"] = token.into();
        }
        Ok(())
    }
}

/// Whether it is too early to ask for a key again.
fn pauses(failed_at: Option<Duration>, now: Duration) -> bool {
    failed_at.is_some_and(|failed_at| now < failed_at + KEYS_PAUSE)
}

/// An output's block as the settings of a client, read as if it were a configuration.
fn settings(block: &str) -> Result<Elasticsearch, String> {
    let block: Map<String, Value> = serde_json::from_str(block).map_err(|error| error.to_string())?;
    let wanted: Map<String, Value> =
        block.into_iter().filter(|(key, _)| SETTINGS.contains(&key.as_str())).collect();
    for needed in ["hosts", "service_token"] {
        if wanted.get(needed).is_none_or(|value| *value == json!("") || *value == json!([])) {
            return Err(format!("it has no {needed}"));
        }
    }
    let text = json!({"output": {"elasticsearch": wanted}}).to_string();
    let arguments = Arguments { file: Some(FILE.into()), ..Arguments::default() };
    let read_file = |path: &Path| {
        if path == Path::new(FILE) { Ok(text.clone()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    // an error may name what it found: keys, never values that are secret
    let loaded = config::load(&arguments, &|_| None, &read_file).map_err(|errors| errors.to_string())?;
    match loaded.config.store {
        Store::Elasticsearch(settings) => Ok(*settings),
        Store::Embedded(_) => Err("it is no Elasticsearch".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_like_a_configuration() {
        let block = json!({"type": "remote_elasticsearch", "hosts": ["https://r:9243/x"], "service_token": "AAE",
            "preset": "balanced", "ssl": {"verification_mode": "none"}});
        let settings = settings(&block.to_string()).unwrap();
        assert_eq!(settings.hosts, ["https://r:9243/x"]);
        assert!(settings.service_token == Some(Secret::new("AAE")) && settings.tls.is_some());
    }

    #[test]
    fn hosts_and_token_are_both_needed() {
        for block in [
            json!({"hosts": ["https://r"]}),
            json!({"hosts": ["https://r"], "service_token": ""}),
            json!({"service_token": "x", "hosts": []}),
            json!([]),
        ] {
            assert!(settings(&block.to_string()).is_err(), "{block}");
        }
    }

    #[test]
    fn a_cluster_that_made_no_key_is_asked_again_after_half_a_minute() {
        let seconds = Duration::from_secs;
        assert!(!pauses(None, seconds(7)));
        assert!(pauses(Some(seconds(7)), seconds(36)) && !pauses(Some(seconds(7)), seconds(37)));
    }
}
