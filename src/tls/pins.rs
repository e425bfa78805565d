//! `ca_sha256`: which public keys must be in the peer's chain.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Base64 SHA-256 of the public key (SubjectPublicKeyInfo) of one certificate of the chain. Empty: any chain will do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pins(Vec<String>);

impl Pins {
    /// The pins of a section.
    pub(crate) fn new(pins: &[String]) -> Self {
        Pins(pins.to_vec())
    }

    /// Whether any chain will do.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key of this certificate is pinned.
    pub(crate) fn hold(&self, certificate: &CertificateDer<'_>) -> bool {
        X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| {
            let pin = STANDARD.encode(Sha256::digest(certificate.public_key().raw));
            self.0.iter().any(|pinned| pinned.trim() == pin)
        })
    }
}
