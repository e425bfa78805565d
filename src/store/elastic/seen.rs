//! Indices that were seen to be there, and when: whoever writes to one need not ask for it again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::indices::Index;

/// When each index was seen last, by the client's clock. Shared by the writers and the watch.
#[derive(Default)]
pub(super) struct Seen(Mutex<BTreeMap<Index, Duration>>);

impl Seen {
    /// When an index was seen last, if it was and has not been missing since.
    pub(super) fn last(&self, index: Index) -> Option<Duration> {
        self.lock().get(&index).copied()
    }

    /// An index is there.
    pub(super) fn note(&self, index: Index, now: Duration) {
        self.lock().insert(index, now);
    }

    /// An index is there still. One that was never seen stays so: it may have to be made yet.
    pub(super) fn renew(&self, index: Index, now: Duration) {
        if let Some(last) = self.lock().get_mut(&index) {
            *last = now.max(*last);
        }
    }

    /// An index is missing.
    pub(super) fn forget(&self, index: Index) {
        self.lock().remove(&index);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Index, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
