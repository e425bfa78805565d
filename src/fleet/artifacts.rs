//! Artifacts that agents fetched lately, and which are being read from the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::byte_cache::ByteCache;
use crate::model::ArtifactId;

/// Different artifacts that may be waited for at once; how many of them are read at a time, the store's lanes say.
pub const ARTIFACTS_WANTED_MAX: usize = 1_024;

/// The bodies, shared by all who get them.
#[derive(Debug)]
pub struct Artifacts {
    kept: ByteCache<ArtifactId, Arc<[u8]>>,
    /// How many wait for each.
    wanted: BTreeMap<ArtifactId, usize>,
}

impl Artifacts {
    /// Nothing is kept yet; later at most `bytes_max` (`cache.max_cost`).
    pub fn new(bytes_max: u64) -> Self {
        Artifacts { kept: ByteCache::new(bytes_max), wanted: BTreeMap::new() }
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

    /// The body, if it is kept.
    pub fn get(&mut self, id: &ArtifactId, now: Duration) -> Option<Arc<[u8]>> {
        self.kept.get(id, now).cloned()
    }

    /// Keeps a body until `expires`. All who waited for it bring the same one.
    pub fn keep(&mut self, id: ArtifactId, body: &Arc<[u8]>, expires: Duration) {
        self.kept.insert(id, body.clone(), body.len(), expires);
    }

    /// Forgets a body: it was replaced or removed.
    pub fn forget(&mut self, id: &ArtifactId) {
        self.kept.remove(id);
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
