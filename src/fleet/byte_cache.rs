//! A cache of large values: a bound in bytes, an age limit, and the least recently used goes first.

use std::collections::BTreeMap;
use std::time::Duration;

/// What an entry costs beside its bytes, roughly: small ones are not free.
const ENTRY_BYTES: u64 = 256;

/// Values of at most `bytes_max` together, each until its own time.
#[derive(Debug)]
pub struct ByteCache<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    /// Keys in the order of their last use.
    uses: BTreeMap<u64, K>,
    last_use: u64,
    bytes: u64,
    bytes_max: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: u64,
    expires: Duration,
    used: u64,
}

impl<K: Ord + Clone, V> ByteCache<K, V> {
    /// An empty cache.
    pub fn new(bytes_max: u64) -> Self {
        ByteCache { entries: BTreeMap::new(), uses: BTreeMap::new(), last_use: 0, bytes: 0, bytes_max }
    }

    /// From now on at most so many bytes are kept.
    pub fn bind(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
        self.make_room(0);
    }

    /// Keeps `value` of so many bytes until `expires` ([`crate::time::Now::mono`]); what was used least recently makes room.
    /// One that is larger than the whole cache is not kept.
    pub fn insert(&mut self, key: K, value: V, bytes: usize, expires: Duration) {
        self.remove(&key);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(ENTRY_BYTES);
        if bytes > self.bytes_max {
            return;
        }
        self.make_room(bytes);
        self.last_use += 1;
        self.uses.insert(self.last_use, key.clone());
        self.bytes += bytes;
        self.entries.insert(key, Entry { value, bytes, expires, used: self.last_use });
    }

    /// The value of `key`, if it is there and not over.
    pub fn get(&mut self, key: &K, now: Duration) -> Option<&V> {
        if self.entries.get(key).is_some_and(|entry| entry.expires <= now) {
            self.remove(key);
        }
        let entry = self.entries.get_mut(key)?;
        self.last_use += 1;
        if let Some(kept) = self.uses.remove(&entry.used) {
            self.uses.insert(self.last_use, kept);
        }
        entry.used = self.last_use;
        Some(&entry.value)
    }

    /// Forgets what was used least recently, until so many bytes, which are not more than the bound, fit in.
    fn make_room(&mut self, bytes: u64) {
        while self.bytes > self.bytes_max.saturating_sub(bytes) {
            let Some((_, oldest)) = self.uses.pop_first() else { break };
            self.forget(&oldest);
        }
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: &K) {
        if let Some(used) = self.entries.get(key).map(|entry| entry.used) {
            self.uses.remove(&used);
            self.forget(key);
        }
    }

    /// Bytes of what is kept, with what each entry costs beside its own.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many may be.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    fn forget(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);
    const LATER: Duration = Duration::from_secs(2);

    fn cache(entries: u64) -> ByteCache<u32, u32> {
        ByteCache::new(entries * (1_000 + ENTRY_BYTES))
    }

    #[test]
    fn a_lower_bound_holds_at_once() {
        let mut cache = cache(3);
        (0..3).for_each(|key| cache.insert(key, key, 1_000, LATER));
        cache.bind(2 * (1_000 + ENTRY_BYTES));
        assert_eq!([0, 1, 2].map(|key| cache.get(&key, SOON).is_some()), [false, true, true]);
        cache.bind(0);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let mut cache = cache(3);
        for key in 0..3 {
            cache.insert(key, key, 1_000, LATER);
        }
        assert_eq!(cache.get(&0, SOON), Some(&0));
        cache.insert(3, 3, 1_000, LATER);
        assert_eq!(cache.get(&1, SOON), None);
        assert!([0, 2, 3].iter().all(|key| cache.get(key, SOON) == Some(key)));
        cache.insert(4, 4, 2_200, LATER);
        assert_eq!([0, 2, 3, 4].map(|key| cache.get(&key, SOON).is_some()), [false, false, true, true]);
    }

    #[test]
    fn the_bound_holds_whatever_comes() {
        let mut cache = cache(5);
        for key in 0..1_000 {
            cache.insert(key % 17, key, (key as usize * 7) % 6_000, LATER);
            assert!(cache.bytes() <= 5 * (1_000 + ENTRY_BYTES) && cache.uses.len() == cache.entries.len());
        }
    }

    #[test]
    fn what_is_larger_than_the_cache_is_not_kept_and_replaces_the_older_all_the_same() {
        let mut cache = cache(2);
        cache.insert(1, 1, 1_000, LATER);
        cache.insert(2, 2, 10, LATER);
        cache.insert(1, 7, 1_000_000, LATER);
        assert_eq!([1, 2].map(|key| cache.get(&key, SOON).copied()), [None, Some(2)]);
        cache.insert(3, 3, usize::MAX, LATER);
        assert_eq!(cache.get(&2, SOON), Some(&2));
    }

    #[test]
    fn a_value_is_over_at_its_time_and_takes_no_room_then() {
        let mut cache = cache(2);
        cache.insert(1, 1, 1_000, LATER);
        assert_eq!(cache.get(&1, SOON), Some(&1));
        assert_eq!(cache.get(&1, LATER), None);
        assert_eq!((cache.bytes(), cache.uses.len()), (0, 0));
        cache.remove(&1);
    }
}
