//! Keys that were shown lately: whether they were good, so that the store is not asked again and again.

use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Fleet;
use crate::config::Config;
use crate::model::ApiKey;

/// What a cached key costs, roughly, held against the cache's `max_cost`.
const KEY_BYTES: u64 = 400;
/// A key that was refused is not asked for again for so long.
const REFUSED_KEY_LIVES: Duration = Duration::from_secs(10);
/// A refused key longer than that is not remembered.
const REFUSED_KEY_BYTES_MAX: usize = 256;

/// What is remembered of a key.
pub(super) struct KeyFacts {
    /// SHA-256 of the secret part: it tells one from another, and the secret itself is not kept.
    secret: [u8; 32],
    good: bool,
}

/// What the cache says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It was good not long ago.
    Good,
    /// It was refused a moment ago.
    Refused,
    /// Ask the store.
    Unknown,
}

impl Fleet {
    /// What is known of a key without asking the store.
    pub fn key_state(&mut self, key: &ApiKey, now: Duration) -> KeyState {
        match self.keys.get(&key.id, now) {
            Some(facts) if bool::from(facts.secret.ct_eq(&digest(&key.secret))) => {
                if facts.good {
                    KeyState::Good
                } else {
                    KeyState::Refused
                }
            }
            _ => KeyState::Unknown,
        }
    }

    /// Remembers that a key is good, for the configured time less a random part.
    pub fn key_is_good(&mut self, key: &ApiKey, now: Duration) {
        let cache = &self.config.server.cache;
        let (life, jitter) = (cache.ttl_api_key, cache.jitter_api_key);
        let shorter = self.random_below(jitter);
        let life = if shorter < life { life - shorter } else { life };
        self.keys.insert(key.id.clone(), KeyFacts { secret: digest(&key.secret), good: true }, now + life);
    }

    /// Remembers for a moment that a key was refused.
    pub fn key_is_refused(&mut self, key: &ApiKey, now: Duration) {
        // nobody has made such a key: not worth the memory
        if key.id.len() + key.secret.len() > REFUSED_KEY_BYTES_MAX {
            return;
        }
        let facts = KeyFacts { secret: digest(&key.secret), good: false };
        self.keys.insert(key.id.clone(), facts, now + REFUSED_KEY_LIVES);
    }

    /// Forgets a key: the next use asks the store.
    pub fn forget_key(&mut self, key_id: &str) {
        self.keys.remove(key_id);
        self.tokens.remove(key_id);
    }
}

/// How many keys the cache may hold.
pub(super) fn keys_max(config: &Config) -> usize {
    usize::try_from(config.server.cache.bytes_max / KEY_BYTES).unwrap_or(usize::MAX)
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::user_agent::Version;

    fn fleet() -> Fleet {
        Fleet::new(Arc::new(Config::default()), Version { major_minor: (9, 6) }, [7; 32])
    }

    fn key(secret: &str) -> ApiKey {
        ApiKey { id: "i".to_owned(), secret: secret.to_owned() }
    }

    #[test]
    fn a_good_key_is_believed_for_its_time_less_the_jitter() {
        let mut fleet = fleet();
        let cache = fleet.config.server.cache.clone();
        fleet.key_is_good(&key("s"), Duration::ZERO);
        let least = cache.ttl_api_key - cache.jitter_api_key;
        assert_eq!(fleet.key_state(&key("s"), least - Duration::from_secs(1)), KeyState::Good);
        assert_eq!(fleet.key_state(&key("other"), Duration::ZERO), KeyState::Unknown);
        assert_eq!(fleet.key_state(&key("s"), cache.ttl_api_key), KeyState::Unknown);
    }

    #[test]
    fn a_refused_key_is_remembered_for_a_moment_and_a_long_one_is_not() {
        let mut fleet = fleet();
        fleet.key_is_refused(&key("s"), Duration::ZERO);
        assert_eq!(fleet.key_state(&key("s"), REFUSED_KEY_LIVES - Duration::from_secs(1)), KeyState::Refused);
        assert_eq!(fleet.key_state(&key("s"), REFUSED_KEY_LIVES), KeyState::Unknown);
        let long = key(&"s".repeat(REFUSED_KEY_BYTES_MAX));
        fleet.key_is_refused(&long, Duration::ZERO);
        assert_eq!(fleet.key_state(&long, Duration::ZERO), KeyState::Unknown);
    }

    #[test]
    fn a_forgotten_key_is_asked_for_again() {
        let mut fleet = fleet();
        fleet.key_is_good(&key("s"), Duration::ZERO);
        fleet.forget_key("i");
        assert_eq!(fleet.key_state(&key("s"), Duration::ZERO), KeyState::Unknown);
    }
}
