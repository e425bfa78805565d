//! `output.elasticsearch.ssl` as rustls' settings, read again when its files change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use super::verify::{Rules, verifier};
use crate::config::{ClientTls, VerificationMode};
use crate::tls::{Choices, Pins, Stamps, TlsError, pem};

const CERTIFICATE: &str = "ssl.certificate";
const KEY: &str = "ssl.key";
const AUTHORITIES: &str = "ssl.certificate_authorities";

/// What new connections are encrypted by.
pub(super) struct Security {
    tls: ClientTls,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ClientConfig>,
    stamps: Stamps,
    looked_at: Duration,
}

impl Security {
    /// Reads everything.
    pub(super) fn read(tls: ClientTls) -> Result<Self, TlsError> {
        let stamps = Stamps::take(tls.files());
        let config = client_config(&tls)?;
        Ok(Security { tls, current: Mutex::new(Current { config, stamps, looked_at: Duration::ZERO }) })
    }

    /// The settings for a connection made at `now`, after a look at the files if it is time for one. Files that cannot be
    /// used are reported and leave the old settings in use.
    pub(super) fn current(&self, now: Duration) -> Arc<ClientConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tls.reload.is_some_and(|interval| now >= current.looked_at + interval) {
            current.looked_at = now;
            let stamps = Stamps::take(self.tls.files());
            if stamps != current.stamps {
                current.stamps = stamps;
                match client_config(&self.tls) {
                    Ok(config) => current.config = config,
                    Err(error) => {
                        log::warn!("output.elasticsearch: the old certificates stay in use: {error}")
                    }
                }
            }
        }
        Arc::clone(&current.config)
    }
}

fn client_config(tls: &ClientTls) -> Result<Arc<ClientConfig>, TlsError> {
    let choices = Choices {
        protocols: &tls.protocols,
        cipher_suites: &tls.cipher_suites,
        curve_types: &tls.curve_types,
    };
    let provider = Arc::new(choices.provider()?);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&choices.versions())
        .map_err(|error| TlsError::Rustls(error.to_string()))?;
    let builder =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier(rules(tls)?, &provider)?));
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = pem::certificates(&identity.certificate, CERTIFICATE)?;
            let key = pem::private_key(&identity.key, identity.key_passphrase.as_ref(), KEY)?;
            builder.with_client_auth_cert(chain, key).map_err(|source| TlsError::Pair {
                certificate: pem::place(&identity.certificate, CERTIFICATE),
                key: pem::place(&identity.key, KEY),
                source,
            })?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn rules(tls: &ClientTls) -> Result<Rules, TlsError> {
    let mut authorities = Vec::new();
    for source in &tls.certificate_authorities {
        authorities.extend(pem::certificates(source, AUTHORITIES)?);
    }
    let system = if authorities.is_empty() && tls.verification_mode != VerificationMode::None {
        of_the_system()
    } else {
        Vec::new()
    };
    let pins = Pins::new(&tls.ca_sha256);
    let fingerprint = tls.ca_trusted_fingerprint.clone();
    Ok(Rules { mode: tls.verification_mode, authorities, system, fingerprint, pins })
}

/// Whom the system trusts. What cannot be read is left out: the others may do.
fn of_the_system() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        log::debug!("a certificate authority of the system cannot be read: {error}");
    }
    if found.certs.is_empty() {
        log::warn!(
            "the system trusts no certificate authority; set output.elasticsearch.ssl.certificate_authorities"
        );
    }
    found.certs
}
