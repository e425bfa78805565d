//! The store in an Elasticsearch cluster (elasticsearch.md). Nothing outside knows ureq, or a query.
//!
//! The operations of a batch that are alike are one request, and each has its own answer. What the cluster refuses for a
//! while is asked again; what is not known is an error, never "none". Nothing of the fleet is kept here: any number of
//! servers may work on one cluster.
//!
//! What is one transaction elsewhere is several requests here. They are made in an order that leaves something harmless
//! behind where one fails: a token without a use, a policy that nobody can enrol into.

mod actions;
mod agents;
mod artifacts;
mod ask;
mod beside;
mod bulk;
mod client;
mod doubtful;
mod enrolling;
mod failure;
mod file_chunks;
mod file_names;
mod file_search;
mod files;
mod indices;
mod key_roles;
mod known_keys;
mod keys;
mod lanes;
mod lookup;
mod migrate;
mod output_health;
mod output_keys;
mod own_keys;
mod patience;
mod policies;
mod prepare;
mod probe;
mod remote;
mod run;
mod script;
mod retiring;
mod search;
mod secrets;
mod seen;
#[cfg(test)]
mod tests;
mod tokens;
mod watch;
mod writes;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

pub use beside::WithRemotes;
pub use client::{FetchError, fetch};
pub(super) use file_chunks::content as chunk_content;
pub use indices::Indices;
pub use probe::{probe, trace};
pub use watch::ElasticWatch;

use self::client::Client;
use self::doubtful::Doubts;
use self::indices::Index;
use self::keys::YoungKeys;
use self::lanes::LANES;
use self::output_health::OutputHealth;
use self::patience::Patience;
use self::prepare::Facts;
use self::remote::Remotes;
use self::seen::Seen;
use self::watch::{Pace, WatchEnd};
use super::{Lane, Lanes, Operation, Store, StoreResult};
use crate::config::Elasticsearch;

/// The store in a cluster. Opening it asks nothing: a cluster that is not there yet is unavailable, and will be used when
/// it comes.
pub struct Elastic {
    client: Arc<Client>,
    indices: Indices,
    /// `max_content_length`.
    request_bytes_max: AtomicU64,
    /// How long actions stay after their expiration, in milliseconds; zero: for ever.
    expired_actions_kept_ms: AtomicU64,
    patience: Patience,
    facts: OnceLock<Facts>,
    seen: Arc<Seen>,
    young_keys: Mutex<YoungKeys>,
    /// Other clusters that agents send to.
    remotes: Mutex<Remotes>,
    /// How those do.
    output_health: Mutex<OutputHealth>,
    /// Keys that an agent may have got.
    doubts: Mutex<Doubts>,
    pace: Arc<Pace>,
    watch_end: WatchEnd,
}

/// Why the settings of a cluster cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ElasticError(String);

impl Elastic {
    /// The store in the cluster of these settings, under these names.
    pub fn open(
        settings: &Elasticsearch,
        indices: Indices,
        expired_actions_kept: Duration,
    ) -> Result<Elastic, ElasticError> {
        let client = Client::new(settings).map_err(|error| ElasticError(error.to_string()))?;
        Ok(Elastic {
            client: Arc::new(client),
            indices,
            request_bytes_max: settings.request_bytes_max.into(),
            expired_actions_kept_ms: milliseconds(expired_actions_kept).into(),
            patience: Patience::default(),
            facts: OnceLock::new(),
            seen: Arc::default(),
            young_keys: Mutex::default(),
            remotes: Mutex::default(),
            output_health: Mutex::default(),
            doubts: Mutex::default(),
            pace: Arc::default(),
            watch_end: WatchEnd::default(),
        })
    }

    /// Whether a cluster could be asked by these settings: what they name is read, and nothing is asked.
    pub fn check(settings: &Elasticsearch) -> Result<(), ElasticError> {
        Client::new(settings).map(drop).map_err(|error| ElasticError(error.to_string()))
    }

    /// Asks the cluster by other settings from the next request on; those that cannot be used leave the old in use. What is
    /// under way ends as it was begun, but for long polls, which begin anew. The names of the indices stay.
    pub fn configure(&self, settings: &Elasticsearch) -> Result<(), ElasticError> {
        self.client.configure(settings).map_err(|error| ElasticError(error.to_string()))?;
        self.request_bytes_max.store(settings.request_bytes_max, Ordering::Relaxed);
        Ok(())
    }

    /// Actions stay so long after their expiration from now on; zero: for ever.
    pub fn keep_expired_actions(&self, kept: Duration) {
        self.expired_actions_kept_ms.store(milliseconds(kept), Ordering::Relaxed);
    }

    /// Requests to the cluster since the start by API: how many, and how many of those got no answer.
    pub fn requests(&self) -> Vec<(&'static str, u64, u64)> {
        self.client.requests()
    }

    /// Ends all that waits for the cluster, with an error; nothing is asked any more. For the end of the process.
    pub fn close(&self) {
        self.watch_end.close();
        self.client.close();
        self.close_remotes();
        self.patience.end();
    }
}

/// The index that the watch follows into which this writes.
fn watched(operation: &Operation) -> Option<Index> {
    match operation {
        Operation::CreateRevision(_) | Operation::DeletePolicy(_) => Some(Index::Policies),
        Operation::CreateAction(_) => Some(Index::Actions),
        _ => None,
    }
}

fn milliseconds(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

impl Store for Elastic {
    fn run(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        if batch.first().map(lanes::lane) == Some(Lane::Files) {
            // moved, for they hold megabytes
            return batch.into_iter().map(|operation| self.handle_file(operation)).collect();
        }
        let alike = |one: &Operation, other: &Operation| lanes::lane(one) == lanes::lane(other);
        let parts = batch.chunk_by(alike);
        let results = parts.flat_map(|part| self.run_part(part)).collect();
        batch.iter().filter_map(watched).for_each(|index| self.watch_end.wrote(index));
        results
    }

    fn lanes(&self) -> Lanes {
        LANES
    }
}
