//! PEM to certificates and keys.

use std::fs;

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::error::TlsError;
use crate::config::{PemSource, Secret};

const ENCRYPTED_KEY: &str = "ENCRYPTED PRIVATE KEY";

/// How messages name where a PEM text comes from: its path, or `key` of the configuration.
pub(crate) fn place(source: &PemSource, key: &str) -> String {
    match source {
        PemSource::File(path) => path.display().to_string(),
        PemSource::Inline(_) => key.to_owned(),
    }
}

/// The certificates of a source, at least one.
pub(crate) fn certificates(source: &PemSource, key: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let place = place(source, key);
    let text = text(source, &place)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.expose().as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::Missing { place, expected: "certificate" }),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::Damaged { place, reason: error.to_string() }),
    }
}

/// The private key of a source: PKCS#8 (also encrypted), PKCS#1 or SEC1.
pub(crate) fn private_key(
    source: &PemSource,
    passphrase: Option<&Secret>,
    key: &str,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let place = place(source, key);
    let text = text(source, &place)?;
    let text = text.expose();
    if text.contains("Proc-Type:") && text.contains("ENCRYPTED") {
        return Err(TlsError::LegacyEncryption { place });
    }
    if text.contains(ENCRYPTED_KEY) {
        return match passphrase {
            Some(passphrase) => decrypted(text, passphrase, place),
            None => Err(TlsError::NoPassphrase { place }),
        };
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::Missing { place, expected: "private key" },
        error => TlsError::Damaged { place, reason: error.to_string() },
    })
}

/// PKCS#8 with PBES2 (RFC 8018): what OpenSSL writes by default.
fn decrypted(text: &str, passphrase: &Secret, place: String) -> Result<PrivateKeyDer<'static>, TlsError> {
    let damaged = |reason: String| TlsError::Damaged { place: place.clone(), reason };
    let start = text.find("-----BEGIN ENCRYPTED").ok_or_else(|| damaged("no BEGIN line".to_owned()))?;
    let (label, der) = pkcs8::der::pem::decode_vec(text[start..].trim().as_bytes())
        .map_err(|error| damaged(error.to_string()))?;
    if label != ENCRYPTED_KEY {
        return Err(TlsError::Missing { place, expected: "private key" });
    }
    let encrypted =
        EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|error| damaged(error.to_string()))?;
    let key = encrypted
        .decrypt(passphrase.expose())
        .map_err(|error| TlsError::Undecipherable { place: place.clone(), reason: error.to_string() })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn text(source: &PemSource, place: &str) -> Result<Secret, TlsError> {
    match source {
        PemSource::Inline(text) => Ok(text.clone()),
        PemSource::File(path) => match fs::read(path) {
            Ok(bytes) => Ok(Secret::new(String::from_utf8_lossy(&bytes).into_owned())),
            Err(source) => Err(TlsError::Unreadable { place: place.to_owned(), source }),
        },
    }
}
