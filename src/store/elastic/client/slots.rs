//! How many requests a host gets at once: `max_conn_per_host`.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The places of one host.
pub(super) struct Slots {
    free: Mutex<u32>,
    bell: Condvar,
}

/// One place, until dropped.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    /// So many places.
    pub(super) fn new(count: u32) -> Self {
        Slots { free: Mutex::new(count), bell: Condvar::new() }
    }

    /// Waits for a free place, but not longer than `wait_max`.
    pub(super) fn take(&self, wait_max: Duration) -> Option<Slot<'_>> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.wait_timeout_while(free, wait_max, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *free == 0 {
            return None;
        }
        *free -= 1;
        Some(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_than_there_are_and_each_comes_back() {
        let slots = Slots::new(2);
        let first = slots.take(Duration::ZERO);
        let second = slots.take(Duration::ZERO);
        assert!(first.is_some() && second.is_some() && slots.take(Duration::ZERO).is_none());
        drop(first);
        assert!(slots.take(Duration::ZERO).is_some());
    }
}
