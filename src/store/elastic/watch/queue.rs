//! What followers have found and nobody has taken yet; and the end of the watch. A follower that comes late, because nothing
//! interrupts a request, finds the queue closed: what it brings is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::Changes;
use crate::store::elastic::indices::Index;

/// News that wait; a follower with more waits too.
const CHANGES_QUEUED_MAX: usize = 16;

/// Between the followers and whoever asks for news.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    changes: VecDeque<Changes>,
    /// Why an index cannot be followed at the moment.
    troubles: BTreeMap<Index, String>,
    /// The policies have been told once, or cannot be.
    policies_come_first: bool,
    closed: bool,
}

impl Queue {
    /// Adds news, once there is room; false when the watch is over.
    pub(super) fn put(&self, changes: Changes) -> bool {
        let has_no_room = |state: &mut State| state.changes.len() >= CHANGES_QUEUED_MAX && !state.closed;
        let mut state =
            self.bell.wait_while(self.lock(), has_no_room).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return false;
        }
        state.policies_come_first |= matches!(changes, Changes::Policies(_));
        let is_news = matches!(changes, Changes::Policies(_) | Changes::Actions { .. });
        state.changes.push_back(changes);
        // news of one index are taken for health of the store; the other's trouble is not over by them
        if let Some(reason) = state.reason().filter(|_| is_news) {
            state.changes.push_back(Changes::Health(Err(reason)));
        }
        self.bell.notify_all();
        true
    }

    /// Tells trouble when it begins on the first index and its end when it ends on the last.
    pub(super) fn health(&self, index: Index, trouble: Option<&str>) {
        let mut state = self.lock();
        if trouble.is_some() == state.troubles.contains_key(&index) {
            return;
        }
        let before = state.troubles.is_empty();
        match trouble {
            Some(reason) => {
                state.troubles.insert(index, reason.to_owned());
                state.policies_come_first |= index == Index::Policies;
            }
            None => {
                state.troubles.remove(&index);
            }
        }
        if before != state.troubles.is_empty() {
            let health = state.reason().map_or(Ok(()), Err);
            state.changes.push_back(Changes::Health(health));
        }
        self.bell.notify_all();
    }

    /// Waits until the policies have been told or cannot be; false when the watch is over.
    pub(super) fn let_policies_come_first(&self) -> bool {
        let waits = |state: &mut State| !state.policies_come_first && !state.closed;
        let state = self.bell.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// Waits; false, at once, when the watch is over.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let waited = self.bell.wait_timeout_while(self.lock(), pause, |state| !state.closed);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// The next news; None, at once, when the watch is over.
    pub(super) fn take(&self) -> Option<Changes> {
        let has_none = |state: &mut State| state.changes.is_empty() && !state.closed;
        let mut state = self.bell.wait_while(self.lock(), has_none).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        self.bell.notify_all();
        state.changes.pop_front()
    }

    /// Ends the watch.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.changes.clear();
        self.bell.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn reason(&self) -> Option<String> {
        self.troubles.values().next().cloned()
    }
}
