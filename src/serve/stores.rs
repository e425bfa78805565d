//! The store that the configuration names, opened, with its watch.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::ServeError;
use crate::config::{Config, Elasticsearch, Monitor, Store as StoreChoice};
use crate::model::EnrollmentToken;
use crate::store::{DirectoryLock, Elastic, Embedded, Indices, Store, Watch, WithRemotes};
use crate::time::Timestamp;

/// An open store and what belongs to it.
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) watch: Box<dyn Watch>,
    /// The token of a first start on the embedded store that nobody was told of.
    pub(super) first_token: Option<(EnrollmentToken, Arc<Embedded>)>,
    /// Where the store waits for others, what ends its waits.
    cluster: Option<Cluster>,
    /// The same of the clusters beside the embedded store.
    remotes: Option<Arc<WithRemotes>>,
}

/// A store elsewhere: only the lock is in the data directory.
struct Cluster {
    store: Arc<Elastic>,
    _lock: DirectoryLock,
}

impl OpenStore {
    /// Opens what `config` names; `now` is for documents of a first start. A cluster that cannot be reached is no error: it
    /// is used as soon as it can.
    pub(super) fn open(config: &Config, now: Timestamp) -> Result<Self, ServeError> {
        match &config.store {
            StoreChoice::Embedded(embedded) => {
                let (store, watch, first_token) =
                    Embedded::open(&config.data_directory, embedded.retention.clone(), now)?;
                let store = Arc::new(store);
                let first_token = first_token.map(|token| (token, store.clone()));
                let remotes = Arc::new(WithRemotes::new(store));
                Ok(OpenStore {
                    store: remotes.clone(),
                    watch: Box::new(watch),
                    first_token,
                    cluster: None,
                    remotes: Some(remotes),
                })
            }
            StoreChoice::Elasticsearch(settings) => {
                let kept = config.server.gc.cleanup_after_expired;
                Self::cluster(settings, &config.data_directory, kept, &config.monitor)
            }
        }
    }

    fn cluster(
        settings: &Elasticsearch,
        directory: &Path,
        expired_actions_kept: Duration,
        monitor: &Monitor,
    ) -> Result<Self, ServeError> {
        let lock = DirectoryLock::take(directory)?;
        let indices = match settings.index_suffix.as_str() {
            "" => Indices::default(),
            // the configuration has checked it
            suffix => Indices::with_suffix(suffix).unwrap_or_default(),
        };
        let store = Arc::new(Elastic::open(settings, indices, expired_actions_kept)?);
        let watch = store
            .watch(monitor.policy_debounce_time, monitor.poll_timeout)
            .map_err(|source| ServeError::System { what: "the watch cannot be started", source })?;
        Ok(OpenStore {
            store: store.clone(),
            watch: Box::new(watch),
            first_token: None,
            cluster: Some(Cluster { store, _lock: lock }),
            remotes: None,
        })
    }

    /// The store in a cluster, if that is where it is.
    pub(super) fn elastic(&self) -> Option<Arc<Elastic>> {
        self.cluster.as_ref().map(|cluster| cluster.store.clone())
    }

    /// What ends the store's waits, so that nothing holds up the end of the process.
    pub(super) fn closer(&mut self) -> impl FnOnce() + use<> {
        let (cluster, remotes) = (self.cluster.take(), self.remotes.take());
        move || {
            if let Some(remotes) = remotes {
                remotes.close();
            }
            if let Some(cluster) = cluster {
                cluster.store.close();
            }
        }
    }
}
