//! API keys of our own stores: made from random bytes, kept as a salted hash, compared in constant time.
//! A slow hash would protect guessable secrets; these have 192 random bits.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::StoreError;
use crate::model::ApiKey;

const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 24;
const SALT_BYTES: usize = 16;

/// How many random bytes a key takes.
pub(super) const RANDOM_BYTES: usize = ID_BYTES + SECRET_BYTES + SALT_BYTES;

/// Random bytes of the system: for keys, and for ids that nobody gave.
pub(super) fn random_bytes<const COUNT: usize>() -> Result<[u8; COUNT], StoreError> {
    let mut random = [0; COUNT];
    getrandom::fill(&mut random)
        .map_err(|error| StoreError::Unavailable(format!("the system gives no random bytes: {error}")))?;
    Ok(random)
}

/// What is kept of a key's secret part.
pub(super) struct Sealed {
    /// Makes equal secrets unequal hashes.
    pub(super) salt: [u8; SALT_BYTES],
    /// SHA-256 of salt and secret.
    pub(super) hash: [u8; 32],
}

/// A new key, and what to keep of it.
pub(super) fn make(random: &[u8; RANDOM_BYTES]) -> (ApiKey, Sealed) {
    let (id, rest) = random.split_at(ID_BYTES);
    let (secret, salt) = rest.split_at(SECRET_BYTES);
    let key = ApiKey { id: URL_SAFE_NO_PAD.encode(id), secret: URL_SAFE_NO_PAD.encode(secret) };
    let salt: [u8; SALT_BYTES] = salt.try_into().expect("the rest of the array is the salt");
    let hash = hash(&salt, &key.secret);
    (key, Sealed { salt, hash })
}

/// Whether `secret` is the one that was sealed.
pub(super) fn matches(salt: &[u8], sealed: &[u8], secret: &str) -> bool {
    bool::from(hash(salt, secret).ct_eq(sealed))
}

fn hash(salt: &[u8], secret: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(secret).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_matches() {
        let (key, sealed) = make(&std::array::from_fn(|i| i as u8));
        assert!(matches(&sealed.salt, &sealed.hash, &key.secret));
        assert!(!matches(&sealed.salt, &sealed.hash, "other"));
        assert!(!matches(&[0; 16], &sealed.hash, &key.secret));
        assert!(!matches(&sealed.salt, &[], &key.secret));
    }

    #[test]
    fn id_and_secret_hold_128_bits_or_more_and_no_colon() {
        let (key, _) = make(&[0xff; RANDOM_BYTES]);
        assert_eq!((key.id.len(), key.secret.len()), (22, 32));
        assert!(!key.id.contains(':') && !key.secret.contains(':'));
    }
}
