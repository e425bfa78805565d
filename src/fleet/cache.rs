//! A cache with a bound and an age limit. Two generations instead of a list of uses: when the young one is full it
//! becomes the old one, and what the old one held and nobody asked for meanwhile is gone.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::Hashing;

/// At most `entries_max` values, each until its own time.
#[derive(Debug)]
pub struct Cache<K, V> {
    young: HashMap<K, (Duration, V), Hashing>,
    old: HashMap<K, (Duration, V), Hashing>,
    entries_max: usize,
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    /// An empty cache for `entries_max` values (at least two).
    pub fn new(entries_max: usize, hashing: &Hashing) -> Self {
        let map = || HashMap::with_hasher(hashing.clone());
        Cache { young: map(), old: map(), entries_max: entries_max.max(2) }
    }

    /// From now on at most `entries_max` values (at least two) are kept.
    pub fn bind(&mut self, entries_max: usize) {
        self.entries_max = entries_max.max(2);
        if self.len() > self.entries_max {
            self.clear();
        }
    }

    /// Keeps `value` until `expires` ([`crate::time::Now::mono`]).
    pub fn insert(&mut self, key: K, value: V, expires: Duration) {
        self.old.remove(&key);
        if self.young.len() >= self.entries_max / 2 {
            let empty = HashMap::with_hasher(self.young.hasher().clone());
            self.old = std::mem::replace(&mut self.young, empty);
        }
        self.young.insert(key, (expires, value));
    }

    /// The value of `key`, if it is there and not over.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, now: Duration) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if let Some((key, (expires, value))) = self.old.remove_entry(key)
            && expires > now
        {
            self.insert(key, value, expires);
        }
        self.young.get(key).filter(|(expires, _)| *expires > now).map(|(_, value)| value)
    }

    /// Forgets `key`.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// How many values are kept, those that are over included.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);
    const LATER: Duration = Duration::from_secs(2);

    #[test]
    fn a_value_is_over_at_its_time() {
        let mut cache = Cache::new(10, &Hashing::default());
        cache.insert("a", 1, LATER);
        assert_eq!(cache.get("a", SOON), Some(&1));
        assert_eq!(cache.get("a", LATER), None);
    }

    #[test]
    fn the_bound_holds_and_what_is_used_stays() {
        let mut cache = Cache::new(10, &Hashing::default());
        cache.insert(0, 0, LATER);
        for key in 1..100 {
            cache.insert(key, key, LATER);
            assert_eq!(cache.get(&0, SOON), Some(&0));
            assert!(cache.len() <= 10);
        }
        assert_eq!(cache.get(&50, SOON), None);
    }

    #[test]
    fn a_lower_bound_holds_at_once() {
        let mut cache = Cache::new(10, &Hashing::default());
        (0..8).for_each(|key| cache.insert(key, key, LATER));
        cache.bind(8);
        assert_eq!(cache.get(&7, SOON), Some(&7));
        cache.bind(4);
        assert!(cache.len() <= 4);
    }

    #[test]
    fn a_removed_value_is_gone_from_both_generations() {
        let mut cache = Cache::new(2, &Hashing::default());
        cache.insert("a", 1, LATER);
        cache.insert("b", 2, LATER);
        cache.remove("a");
        assert_eq!(cache.get("a", SOON), None);
        assert_eq!(cache.get("b", SOON), Some(&2));
    }
}
