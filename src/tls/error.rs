//! Why TLS cannot be set up.

use std::io;

/// What is wrong with certificates, keys or choices of the `ssl` section. The texts name the file or the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {place}: {source}")]
    Unreadable {
        /// Path of the file.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// There is no PEM, or it holds something else.
    #[error("{place} holds no {expected} in PEM format")]
    Missing {
        /// Path, or the configuration key of an inline text.
        place: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// PEM or what is inside is broken.
    #[error("{place} is damaged: {reason}")]
    Damaged {
        /// Path, or the configuration key of an inline text.
        place: String,
        /// Why.
        reason: String,
    },
    /// OpenSSL's own encryption of PEM, with MD5 as key derivation.
    #[error(
        "{place} is encrypted in the legacy PEM format, which is not safe and not supported; convert it with \
         `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.key -out NEW.key`"
    )]
    LegacyEncryption {
        /// Path, or the configuration key of an inline text.
        place: String,
    },
    /// An encrypted key without `key_passphrase`.
    #[error("{place} is encrypted and no key_passphrase is set")]
    NoPassphrase {
        /// Path, or the configuration key of an inline text.
        place: String,
    },
    /// The passphrase is wrong, or the encryption is one that is not supported.
    #[error("{place} cannot be decrypted with the key_passphrase: {reason}")]
    Undecipherable {
        /// Path, or the configuration key of an inline text.
        place: String,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not belong together, or the key is of a kind that is not supported.
    #[error("{certificate} and {key} cannot be used: {source}")]
    Pair {
        /// Place of the certificate.
        certificate: String,
        /// Place of the key.
        key: String,
        /// Why.
        source: rustls::Error,
    },
    /// None of the chosen names is supported.
    #[error("{key}: none of {names} is supported")]
    NothingLeft {
        /// The key of the `ssl` section.
        key: &'static str,
        /// What it holds.
        names: String,
    },
    /// Client certificates are asked for and nobody may sign them.
    #[error("client_authentication needs certificate_authorities")]
    NoAuthorities,
    /// What rustls says.
    #[error("TLS: {0}")]
    Rustls(String),
}
