//! Hashes of replace tokens (checkin.md, "Replace-token hash"): PBKDF2-HMAC-SHA512 as `$pbkdf2-sha512$ITER$SALT$HASH`.
//! Slow on purpose: worker's work.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::Sha512;
use subtle::ConstantTimeEq;

/// Iterations of a stored hash that are still computed: a bound for what a document can cost us.
const ITERATIONS_MAX: u32 = 10_000_000;
/// Bytes of a stored salt or hash that are still read.
const PART_BYTES_MAX: usize = 1_024;

/// The hash to store for `token`.
pub(super) fn hash(token: &str, iterations: u32, salt: &[u8], key_bytes: usize) -> String {
    let key = derive(token, iterations, salt, key_bytes);
    format!("$pbkdf2-sha512${iterations}${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key))
}

/// Whether `stored` is the hash of `token`; false for a hash that cannot be read.
pub(super) fn verify(token: &str, stored: &str) -> bool {
    let Some((iterations, salt, expected)) = parse(stored) else { return false };
    derive(token, iterations, &salt, expected.len()).ct_eq(&expected).into()
}

fn parse(stored: &str) -> Option<(u32, Vec<u8>, Vec<u8>)> {
    let mut parts = stored.strip_prefix("$pbkdf2-sha512$")?.split('$');
    let iterations = parts.next()?.parse().ok().filter(|count| (1..=ITERATIONS_MAX).contains(count))?;
    let mut bytes = || STANDARD_NO_PAD.decode(parts.next()?).ok().filter(|part| part.len() <= PART_BYTES_MAX);
    let (salt, hash) = (bytes()?, bytes()?);
    (parts.next().is_none() && !hash.is_empty()).then_some((iterations, salt, hash))
}

fn derive(token: &str, iterations: u32, salt: &[u8], key_bytes: usize) -> Vec<u8> {
    let mut key = vec![0; key_bytes];
    pbkdf2::pbkdf2_hmac::<Sha512>(token.as_bytes(), salt, iterations, &mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_verifies() {
        let stored = hash("token", 1_000, b"0123456789abcdef", 32);
        assert!(stored.starts_with("$pbkdf2-sha512$1000$"));
        assert!(verify("token", &stored));
        assert!(!verify("other", &stored));
    }

    #[test]
    fn a_known_vector_verifies() {
        // PBKDF2-HMAC-SHA512, P "password", S "salt", 1 iteration, 64 bytes
        let key = "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce";
        let key: Vec<u8> =
            (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap()).collect();
        let stored =
            format!("$pbkdf2-sha512$1${}${}", STANDARD_NO_PAD.encode("salt"), STANDARD_NO_PAD.encode(key));
        assert!(verify("password", &stored));
    }

    #[test]
    fn a_hash_that_cannot_be_read_verifies_nothing() {
        for stored in [
            "",
            "$pbkdf2-sha512$x$YQ$YQ",
            "$pbkdf2-sha512$1$YQ$",
            "$pbkdf2-sha512$0$YQ$YQ",
            "$pbkdf2-sha512$1$YQ$YQ$x",
        ] {
            assert!(!verify("", stored), "{stored}");
        }
        assert!(!verify("", "$pbkdf2-sha512$4294967295$YQ$YQ"), "unbounded work");
    }
}
