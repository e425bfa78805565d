//! What followers have found and nobody has taken yet; and the end of the watch. A follower that comes late, because nothing
//! interrupts a request, finds the queue closed: what it brings is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    /// The policies there are have been told, or cannot be.
    policies_were_first: bool,
    /// Indices whose followers are to look before their time.
    to_look_at: BTreeSet<Index>,
    closed: bool,
}

/// Why a follower waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Its time has come.
    InTime,
    /// There may be something new in its index.
    ToLook,
    /// The watch is over.
    ByTheEnd,
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
                state.policies_were_first |= index == Index::Policies;
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

    /// The policies there are have been told.
    pub(super) fn policies_are_told(&self) {
        self.lock().policies_were_first = true;
        self.bell.notify_all();
    }

    /// Waits until the policies have been told or cannot be; false when the watch is over.
    pub(super) fn let_policies_come_first(&self) -> bool {
        let waits = |state: &mut State| !state.policies_were_first && !state.closed;
        let state = self.bell.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// Waits; false, at once, when the watch is over.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let waited = self.bell.wait_timeout_while(self.lock(), pause, |state| !state.closed);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// Waits until it is time to look at an index, or until something says that there may be news: whoever looks every now and
    /// then need not find that out by looking.
    pub(super) fn pause_before_look(&self, index: Index, pause: Duration) -> Woken {
        let waits = |state: &mut State| !state.closed && !state.to_look_at.contains(&index);
        let waited = self.bell.wait_timeout_while(self.lock(), pause, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (state.closed, state.to_look_at.remove(&index)) {
            (true, _) => Woken::ByTheEnd,
            (false, true) => Woken::ToLook,
            (false, false) => Woken::InTime,
        }
    }

    /// There may be news in an index: we have written to it, or there are in another.
    pub(super) fn look_at(&self, index: Index) {
        self.lock().to_look_at.insert(index);
        self.bell.notify_all();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn actions(checkpoint: i64) -> Changes {
        Changes::Actions { actions: Vec::new(), checkpoint }
    }

    fn deleted(policy_id: &str) -> Changes {
        Changes::PolicyDeleted(policy_id.to_owned())
    }

    fn told(queue: &Queue) -> String {
        match queue.take() {
            Some(Changes::Actions { checkpoint, .. }) => checkpoint.to_string(),
            Some(Changes::Health(health)) => health.err().unwrap_or_else(|| "well".to_owned()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn trouble_is_told_when_it_begins_on_the_first_and_ends_on_the_last_index() {
        let queue = Queue::default();
        queue.health(Index::Policies, None);
        queue.health(Index::Policies, Some("first"));
        queue.health(Index::Policies, Some("still"));
        queue.health(Index::Actions, Some("second"));
        queue.health(Index::Policies, None);
        queue.health(Index::Actions, None);
        queue.health(Index::Actions, None);
        assert!(queue.put(deleted("end")));
        assert_eq!((told(&queue), told(&queue)), ("first".to_owned(), "well".to_owned()));
        assert!(matches!(queue.take(), Some(Changes::PolicyDeleted(_))));
    }

    #[test]
    fn news_of_one_index_do_not_end_the_trouble_of_the_other() {
        let queue = Queue::default();
        queue.health(Index::Policies, Some("lost"));
        assert!(queue.put(actions(7)));
        assert_eq!([told(&queue), told(&queue), told(&queue)], ["lost", "7", "lost"]);
    }

    #[test]
    fn who_brings_more_than_there_is_room_for_waits() {
        let queue = Arc::new(Queue::default());
        let bring = Arc::clone(&queue);
        let bringer = thread::Builder::new()
            .spawn(move || (0..100).all(|checkpoint| bring.put(actions(checkpoint))))
            .unwrap();
        for checkpoint in 0..100 {
            assert!(queue.lock().changes.len() <= CHANGES_QUEUED_MAX);
            assert_eq!(told(&queue), checkpoint.to_string());
        }
        assert!(bringer.join().unwrap());
    }

    #[test]
    fn the_end_wakes_whoever_waits_and_drops_what_comes_late() {
        let queue = Arc::new(Queue::default());
        let waits: [fn(&Queue) -> bool; 4] = [
            |queue| !queue.pause(Duration::from_secs(3600)),
            |queue| queue.pause_before_look(Index::Actions, Duration::from_secs(3600)) == Woken::ByTheEnd,
            |queue| !queue.let_policies_come_first(),
            |queue| !(0..1000).all(|checkpoint| queue.put(deleted(&checkpoint.to_string()))),
        ];
        let waiters = waits.map(|wait| {
            let queue = Arc::clone(&queue);
            thread::Builder::new().spawn(move || wait(&queue)).unwrap()
        });
        queue.close();
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        assert!(queue.take().is_none() && !queue.put(actions(1)) && !queue.pause(Duration::ZERO));
    }

    #[test]
    fn what_may_be_new_wakes_the_follower_of_that_index_once_and_no_other() {
        let queue = Queue::default();
        queue.look_at(Index::Policies);
        let wait = |index, pause| queue.pause_before_look(index, pause);
        assert_eq!(wait(Index::Actions, Duration::from_millis(1)), Woken::InTime);
        assert_eq!(wait(Index::Policies, Duration::from_secs(3600)), Woken::ToLook);
        assert_eq!(wait(Index::Policies, Duration::from_millis(1)), Woken::InTime);
    }

    #[test]
    fn actions_come_after_the_policies_or_after_their_trouble() {
        let queue = Queue::default();
        queue.policies_are_told();
        assert!(queue.let_policies_come_first());
        let queue = Queue::default();
        queue.health(Index::Policies, Some("lost"));
        assert!(queue.let_policies_come_first());
    }
}
