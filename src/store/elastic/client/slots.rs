//! How many requests a host gets at once: `max_conn_per_host`.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The places of one host.
pub(super) struct Slots {
    places: Mutex<Places>,
    bell: Condvar,
}

struct Places {
    free: u32,
    /// Requests that wait for one: where none does, the bell is a system call for nobody.
    awaited: u32,
}

/// One place, until dropped.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    /// So many places.
    pub(super) fn new(count: u32) -> Self {
        Slots { places: Mutex::new(Places { free: count, awaited: 0 }), bell: Condvar::new() }
    }

    /// Waits for a free place, but not longer than `wait_max`.
    pub(super) fn take(&self, wait_max: Duration) -> Option<Slot<'_>> {
        let mut places = self.places();
        if places.free == 0 {
            places.awaited += 1;
            let waited = self.bell.wait_timeout_while(places, wait_max, |places| places.free == 0);
            (places, _) = waited.unwrap_or_else(PoisonError::into_inner);
            places.awaited -= 1;
        }
        places.free = places.free.checked_sub(1)?;
        Some(Slot(self))
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut places = self.0.places();
        places.free += 1;
        let is_awaited = places.awaited > 0;
        drop(places);
        if is_awaited {
            self.0.bell.notify_one();
        }
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

    #[test]
    fn who_waits_for_a_place_is_told_of_it() {
        let slots = Slots::new(1);
        let first = slots.take(Duration::ZERO);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| slots.take(Duration::from_secs(60)).is_some());
            while slots.places().awaited == 0 {
                std::thread::yield_now();
            }
            drop(first);
            assert!(waiting.join().unwrap());
        });
        let places = slots.places();
        assert_eq!((places.free, places.awaited), (1, 0));
    }
}
