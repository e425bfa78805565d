//! One cluster over HTTP: which host next, the service's credentials, TLS and proxies, and how long an answer may be.
//!
//! Knows no query. Blocks until there is an answer, but never sleeps: what may be tried again after a wait is an error that
//! says so, and the wait is the caller's.

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

mod answer;
mod clock;
mod cluster;
mod counts;
mod dial;
mod encrypted;
mod error;
mod fetch;
mod forwarded;
mod gathered;
mod headers;
mod hosts;
mod proxy;
mod request;
mod security;
mod slots;
mod socket;
#[cfg(test)]
mod tests;
mod tunnel;
mod verify;

pub(super) use error::{ClientError, SendError};
pub use fetch::{FetchError, fetch};
pub(super) use request::{Content, Request, Response};

use self::clock::Clock;
use self::cluster::Cluster;
use self::counts::Counts;
use self::dial::Waits;
use crate::config::Elasticsearch;

/// Bytes of an answer, inflated: what a search of 1,000 large documents may take.
const ANSWER_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// The cluster, whatever the settings by which it is asked. Shared by all that ask it something.
pub(super) struct Client {
    current: RwLock<Arc<Cluster>>,
    /// By earlier settings, as long as requests are under way.
    former: Mutex<Vec<Weak<Cluster>>>,
    answer_bytes_max: u64,
    clock: Clock,
    waits: Waits,
    /// How we call ourselves.
    product: &'static str,
    counts: Counts,
    identity: Identity,
}

/// Tells one client from all others, those that are gone included.
#[derive(Clone)]
pub(super) struct Identity(Arc<()>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Client {
    /// A client of the cluster in the settings; connects to nothing yet.
    pub(super) fn new(settings: &Elasticsearch) -> Result<Client, ClientError> {
        Self::with(settings, clock::from_now(), Waits::default())
    }

    /// A client of another cluster, which says so.
    pub(super) fn of_remote(settings: &Elasticsearch) -> Result<Client, ClientError> {
        Self::called(headers::REMOTE, settings, clock::from_now(), Waits::default())
    }

    fn with(settings: &Elasticsearch, clock: Clock, waits: Waits) -> Result<Client, ClientError> {
        Self::called(headers::OWN, settings, clock, waits)
    }

    fn called(
        product: &'static str,
        settings: &Elasticsearch,
        clock: Clock,
        waits: Waits,
    ) -> Result<Client, ClientError> {
        Ok(Client {
            current: RwLock::new(Arc::new(Cluster::new(settings, &clock, waits, product)?)),
            former: Mutex::default(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            clock,
            waits,
            product,
            counts: Counts::default(),
            identity: Identity(Arc::default()),
        })
    }

    /// Asks by other settings from the next request on; those that cannot be used leave the old in use. What is under way
    /// ends as it was begun, but for long polls, which end at once.
    pub(super) fn configure(&self, settings: &Elasticsearch) -> Result<(), ClientError> {
        let next = Arc::new(Cluster::new(settings, &self.clock, self.waits, self.product)?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, next);
        drop(current);
        old.end_long_polls();
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        former.retain(|cluster| cluster.strong_count() > 0);
        former.push(Arc::downgrade(&old));
        Ok(())
    }

    /// Which client this is.
    pub(super) fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Whether one of the hosts works as far as is known: where none does, a request would only wait.
    pub(super) fn is_reachable(&self) -> bool {
        self.current().is_reachable()
    }

    /// The time since this client was made.
    pub(super) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Requests sent since the start by API: how many, and how many of those got no answer.
    pub(super) fn requests(&self) -> Vec<(&'static str, u64, u64)> {
        self.counts.all()
    }

    /// Ends all requests, also those that other threads wait for; none is sent any more.
    pub(super) fn close(&self) {
        self.current().close();
        for cluster in self.former.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(cluster) = cluster.upgrade() {
                cluster.close();
            }
        }
    }

    /// Sends a request and waits for the whole answer. An answer of any status is `Ok`. Hosts that fail are set aside, and
    /// where that does no harm another is asked at once.
    pub(super) fn send(&self, request: &Request) -> Result<Response, SendError> {
        self.current().send(request, self.answer_bytes_max, &self.counts)
    }

    fn current(&self) -> Arc<Cluster> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}
