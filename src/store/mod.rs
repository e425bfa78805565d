//! What the fleet's facts are kept in. [`Store`] and [`Watch`] are all that the rest knows of it.
//!
//! Blocking lives here and nowhere else: workers of the [`pool`] run whole batches, watcher threads block in
//! [`Watch::next`]. Neither runs a handler. Nothing outside `embedded` knows SQL.

mod answer;
pub mod batch;
mod operation;
mod directory;
mod documents;
mod elastic;
pub mod embedded;
#[doc(hidden)]
pub mod fuzz;
mod keys;
pub mod memory;
mod names;
mod news;
pub mod pool;
mod retention;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use answer::{ActionLookup, Answer, StoreError, StoreResult};
pub use directory::{DirectoryError, DirectoryLock};
pub use documents::{DEFAULT_POLICY_ID, default_policy};
pub use elastic::{
    Elastic, ElasticError, ElasticWatch, FetchError, Indices, WithRemotes, fetch, probe, trace,
};
pub use embedded::{Embedded, EmbeddedWatch};
pub use memory::{Memory, MemoryWatch};
pub use operation::{Enrollment, FileList, FileQuery, Lane, Lanes, Operation, Written};
pub use pool::{Pool, PoolEvent};
pub use retention::{Retention, UPLOAD_TIME_MAX};

use crate::model::{Action, Policy};

/// Holds documents. Every operation is atomic and, once answered, durable.
pub trait Store: Send + Sync {
    /// Runs `batch`, all of one lane, in order, and answers each operation in its place. One operation's failure is
    /// its own; a failure of the whole (a full disk, a lost connection) is everyone's. Never panics.
    fn run(&self, batch: Vec<Operation>) -> Vec<StoreResult>;

    /// How it takes them.
    fn lanes(&self) -> Lanes {
        Lanes::default()
    }
}

/// Tells what others (or our own operators) changed. Lives on a thread of its own.
pub trait Watch: Send {
    /// Blocks until something changed. `None` when the store is closed: the watch is over.
    fn next(&mut self) -> Option<Changes>;
}

/// News from a [`Watch`].
#[derive(Clone, Debug)]
pub enum Changes {
    /// New revisions, or at the start all newest ones; in any order, repeats allowed.
    Policies(Vec<Arc<Policy>>),
    /// A policy is gone: its last revision was deleted.
    PolicyDeleted(String),
    /// New actions in the order of their `_seq_no`, with their agents; everything up to `checkpoint` has been told.
    Actions {
        /// In the order of their `_seq_no`.
        actions: Vec<Arc<Action>>,
        /// `_seq_no` up to which a search finds everything.
        checkpoint: i64,
    },
    /// The actions there are now are those of another index, made anew or restored: no `_seq_no` that was told before says
    /// anything of them. All of them follow.
    ActionsStartOver,
    /// The store works (again), or the reason why it does not.
    Health(Result<(), String>),
    /// What is known of the cluster that is the store, when that is first known and when it changes.
    Cluster(ClusterFacts),
}

/// What is known of a cluster that is the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    /// As it says itself: `9.4.3`.
    pub version: String,
    /// Whether it tells changes by its fleet module; otherwise its statistics are looked at.
    pub fleet_module: bool,
    /// Whether Kibana, with saved objects of its own, writes policies to it.
    pub holds_kibana: Option<bool>,
}

impl ClusterFacts {
    /// What tells of changes, for operators.
    pub fn watch_name(&self) -> &'static str {
        if self.fleet_module { "fleet_module" } else { "statistics" }
    }
}
