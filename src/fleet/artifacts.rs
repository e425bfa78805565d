//! Artifacts that agents fetched lately, those on their way to agents, and which are being read from the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::byte_cache::ByteCache;
use crate::model::ArtifactId;

/// Different artifacts that may be waited for at once; how many of them are read at a time, the store's lanes say.
pub const ARTIFACTS_WANTED_MAX: usize = 1_024;

/// Bytes of different bodies on their way to agents, without those that are kept: beyond, a further one is refused with 429.
pub const LENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The bodies, shared by all who get them.
#[derive(Debug)]
pub struct Artifacts {
    kept: ByteCache<ArtifactId, Arc<[u8]>>,
    /// All that are kept or on their way: what is too large to be kept, or had to make room, is held once all the same, however
    /// many slow clients there are.
    lent: BTreeMap<ArtifactId, Lent>,
    /// How many wait for each.
    wanted: BTreeMap<ArtifactId, usize>,
}

/// A body that somebody has.
#[derive(Debug)]
struct Lent {
    body: Weak<[u8]>,
    bytes: u64,
    expires: Duration,
}

impl Artifacts {
    /// Nothing is kept yet; later at most `bytes_max` (`cache.max_cost`).
    pub fn new(bytes_max: u64) -> Self {
        Artifacts { kept: ByteCache::new(bytes_max), lent: BTreeMap::new(), wanted: BTreeMap::new() }
    }

    /// From now on at most `bytes_max` are kept.
    pub fn bind(&mut self, bytes_max: u64) {
        self.kept.bind(bytes_max);
    }

    /// Bytes that are kept, and how many may be.
    pub fn bytes(&self) -> (u64, u64) {
        (self.kept.bytes(), self.kept.bytes_max())
    }

    /// Different artifacts that are waited for.
    pub fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// Bytes of bodies that are on their way and not kept.
    pub fn lent_bytes(&self) -> u64 {
        self.lent.values().map(|lent| lent.bytes).sum::<u64>().saturating_sub(self.kept.bytes())
    }

    /// The body, if it is kept, or on its way to somebody.
    pub fn get(&mut self, id: &ArtifactId, now: Duration) -> Option<Arc<[u8]>> {
        let lent = || self.lent.get(id).filter(|lent| lent.expires > now)?.body.upgrade();
        self.kept.get(id, now).cloned().or_else(lent)
    }

    /// Keeps a body until `expires`, as far as there is room. All who waited for it bring the same one. False if too much is on
    /// its way for this one to follow.
    pub fn keep(&mut self, id: ArtifactId, body: &Arc<[u8]>, expires: Duration) -> bool {
        self.forget_returned();
        self.kept.insert(id.clone(), body.clone(), body.len(), expires);
        let lent = Lent { body: Arc::downgrade(body), bytes: body.len() as u64, expires };
        self.lent.insert(id.clone(), lent);
        let has_room = self.lent_bytes() <= LENT_BYTES_MAX;
        if !has_room {
            self.lent.remove(&id);
        }
        has_room
    }

    /// Gives back the memory of bodies that nobody has any more.
    pub fn forget_returned(&mut self) {
        self.lent.retain(|_, lent| lent.body.strong_count() > 0);
    }

    /// Forgets a body: it was replaced or removed.
    pub fn forget(&mut self, id: &ArtifactId) {
        self.kept.remove(id);
        self.lent.remove(id);
    }

    /// Counts in who waits for a body; false if too many others are waited for already.
    pub fn want(&mut self, id: &ArtifactId) -> bool {
        if let Some(count) = self.wanted.get_mut(id) {
            *count += 1;
            return true;
        }
        if self.wanted.len() >= ARTIFACTS_WANTED_MAX {
            return false;
        }
        self.wanted.insert(id.clone(), 1);
        true
    }

    /// Counts out who has waited.
    pub fn has_waited(&mut self, id: &ArtifactId) {
        if let Some(count) = self.wanted.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                self.wanted.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ArtifactId {
        ArtifactId { identifier: "i".into(), decoded_sha256: number.to_string() }
    }

    const LATER: Duration = Duration::from_secs(9);

    #[test]
    fn what_is_not_kept_is_the_same_for_all_as_long_as_anybody_has_it() {
        let mut artifacts = Artifacts::new(0);
        let body: Arc<[u8]> = Arc::from([7; 100]);
        assert!(artifacts.keep(id(1), &body, LATER));
        assert!(artifacts.get(&id(1), Duration::ZERO).is_some_and(|other| Arc::ptr_eq(&other, &body)));
        assert_eq!((artifacts.get(&id(1), LATER), artifacts.lent_bytes()), (None, 100));
        drop(body);
        assert_eq!(artifacts.get(&id(1), Duration::ZERO), None);
        artifacts.forget_returned();
        assert_eq!((artifacts.lent.len(), artifacts.lent_bytes()), (0, 0));
    }

    #[test]
    fn what_is_forgotten_goes_to_nobody_else() {
        let mut artifacts = Artifacts::new(1_000);
        let body: Arc<[u8]> = Arc::from([7; 100]);
        assert!(artifacts.keep(id(1), &body, LATER));
        artifacts.forget(&id(1));
        assert_eq!(artifacts.get(&id(1), Duration::ZERO), None);
    }

    #[test]
    fn different_bodies_on_their_way_are_bounded_in_bytes() {
        let mut artifacts = Artifacts::new(0);
        let body: Arc<[u8]> = std::iter::repeat_n(0, 1024 * 1024).collect();
        let room = (LENT_BYTES_MAX / body.len() as u64) as usize;
        assert!((0..room).all(|number| artifacts.keep(id(number), &body, LATER)));
        assert!(
            !artifacts.keep(id(room), &body, LATER) && artifacts.get(&id(room), Duration::ZERO).is_none()
        );
        assert!(artifacts.keep(id(0), &body, LATER), "one of those that are there");
        // what is kept has a bound of its own
        artifacts.bind(2 * body.len() as u64);
        assert!(artifacts.keep(id(room), &body, LATER));
    }

    #[test]
    fn many_wait_for_one_but_few_for_different_ones() {
        let mut artifacts = Artifacts::new(1_000);
        for number in 0..ARTIFACTS_WANTED_MAX {
            assert!(artifacts.want(&id(number)) && artifacts.want(&id(number)));
        }
        assert!(!artifacts.want(&id(ARTIFACTS_WANTED_MAX)) && artifacts.want(&id(0)));
        artifacts.has_waited(&id(1));
        assert!(!artifacts.want(&id(ARTIFACTS_WANTED_MAX)), "one of two still waits");
        artifacts.has_waited(&id(1));
        assert!(artifacts.want(&id(ARTIFACTS_WANTED_MAX)));
    }
}
