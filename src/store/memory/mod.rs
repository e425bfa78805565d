//! The store in plain collections: the reference for the other stores and the simulator's store. Deterministic: random
//! bytes come from a seed, order from `BTreeMap`. Nothing is kept beyond the process.

mod agents;
mod artifacts;
mod cleanup;
mod files;
mod read;
mod state;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::state::State;
use super::news::{Follower, News, Source};
use super::{Changes, Operation, Retention, Store, StoreResult, Watch};
use crate::model::{Action, Policy};

/// A store that forgets everything when it is dropped. Empty at first: there is no first start.
pub struct Memory {
    inner: Arc<Inner>,
}

/// Tells what changed in a [`Memory`]; over when that is dropped. Use either this or [`Memory::changes`]: each change is
/// told once, and while this waits the other waits along.
pub struct MemoryWatch {
    inner: Arc<Inner>,
}

struct Inner {
    state: Arc<Mutex<State>>,
    news: News,
    follower: Mutex<Follower>,
    retention: Retention,
}

impl Memory {
    /// An empty store whose keys and ids follow from `seed`, and its watch.
    pub fn new(seed: u64) -> (Memory, MemoryWatch) {
        Memory::with_retention(seed, Retention::default())
    }

    /// The same with times of its own.
    pub fn with_retention(seed: u64, retention: Retention) -> (Memory, MemoryWatch) {
        Memory::on(Arc::new(Mutex::new(State::new(seed))), -1, retention)
    }

    /// The same content under another server, as a store on disk is opened again. This one is to be dropped: its writes are
    /// not told to the other's watch.
    pub fn reopen(&self) -> (Memory, MemoryWatch) {
        let checkpoint = lock(&self.inner.state).sequences.actions;
        Memory::on(Arc::clone(&self.inner.state), checkpoint, self.inner.retention.clone())
    }

    fn on(state: Arc<Mutex<State>>, checkpoint: i64, retention: Retention) -> (Memory, MemoryWatch) {
        let (news, follower) = (News::new(checkpoint), Mutex::default());
        let inner = Arc::new(Inner { state, news, follower, retention });
        (Memory { inner: Arc::clone(&inner) }, MemoryWatch { inner })
    }

    /// All that changed since the last call, without waiting; the first time what a watch tells at its start.
    pub fn changes(&self) -> Vec<Changes> {
        lock(&self.inner.follower).drain(&self.inner.news, &*self.inner)
    }
}

impl Store for Memory {
    fn run(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        let mut state = lock(&self.inner.state);
        let answers =
            batch.into_iter().map(|operation| state.run(operation, &self.inner.retention)).collect();
        let policies = std::mem::take(&mut state.changed_policies);
        self.inner.news.committed(policies, state.sequences.actions);
        answers
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.inner.news.close();
    }
}

impl Watch for MemoryWatch {
    fn next(&mut self) -> Option<Changes> {
        lock(&self.inner.follower).next(&self.inner.news, || Some(Arc::clone(&self.inner)))
    }
}

impl Source for Inner {
    fn newest_policies(&self) -> Result<Vec<Arc<Policy>>, String> {
        Ok(lock(&self.state).newest_policies())
    }

    fn newest_policy(&self, policy_id: &str) -> Result<Option<Arc<Policy>>, String> {
        Ok(lock(&self.state).policy(policy_id, None))
    }

    fn actions(&self, after: i64, up_to: i64) -> Result<(Vec<Arc<Action>>, i64), String> {
        Ok((lock(&self.state).actions_between(after, up_to), up_to))
    }

    fn probe(&self) {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
