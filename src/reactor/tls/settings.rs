//! The `ssl` section to rustls' server configuration.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::verify::{Rules, verifier};
use crate::config::{ClientAuthentication, Tls, VerificationMode};
use crate::tls::{Choices, Pins, TlsError, pem};

/// Tickets that a TLS 1.3 client gets; Go sends as many.
const TICKETS: usize = 1;
/// RSA keys above this size make handshakes slow: 4,096 bits cost 4 ms each.
const RSA_BITS_CHEAP: usize = 2_048;

/// All that is read from files, so that a bad pair leaves the old one in use.
pub(super) struct Material {
    pub(super) chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pub(super) authorities: Vec<CertificateDer<'static>>,
}

impl Material {
    /// Reads certificate, key and authorities.
    pub(super) fn read(tls: &Tls) -> Result<Self, TlsError> {
        let chain = pem::certificates(&tls.certificate, "ssl.certificate")?;
        let key = pem::private_key(&tls.key, tls.key_passphrase.as_ref(), "ssl.key")?;
        let mut authorities = Vec::new();
        for source in &tls.certificate_authorities {
            authorities.extend(pem::certificates(source, "ssl.certificate_authorities")?);
        }
        Ok(Material { chain, key, authorities })
    }
}

/// Builds the configuration of new sessions.
pub(super) fn server_config(
    tls: &Tls,
    material: Material,
    ticketer: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, TlsError> {
    let choices = Choices {
        protocols: &tls.protocols,
        cipher_suites: &tls.cipher_suites,
        curve_types: &tls.curve_types,
    };
    let provider = Arc::new(choices.provider()?);
    let certificate = pem::place(&tls.certificate, "ssl.certificate");
    let key = pem::place(&tls.key, "ssl.key");
    warn_of_slow_key(&material.chain, &certificate);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&choices.versions())
        .map_err(|error| TlsError::Rustls(error.to_string()))?;
    let builder = match client_verifier(tls, material.authorities, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(material.chain, material.key)
        .map_err(|source| TlsError::Pair { certificate, key, source })?;
    // an agent's Go client offers h2 as well; a client with h2 alone is told that there is no such protocol here
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = true;
    config.ticketer = ticketer;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

fn client_verifier(
    tls: &Tls,
    authorities: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let required = match tls.client_authentication {
        ClientAuthentication::None => return Ok(None),
        ClientAuthentication::Optional => false,
        ClientAuthentication::Required => true,
    };
    let anything = tls.verification_mode == VerificationMode::None;
    let rules = Rules { required, anything, authorities, pins: Pins::new(&tls.ca_sha256) };
    verifier(rules, provider).map(Some)
}

fn warn_of_slow_key(chain: &[CertificateDer<'_>], place: &str) {
    if let Some(bits) = chain.first().and_then(rsa_bits).filter(|bits| *bits > RSA_BITS_CHEAP) {
        log::warn!(
            "{place} has an RSA key of {bits} bits: each handshake costs milliseconds; P-256 costs 0.1 ms"
        );
    }
}

/// Size of the certificate's key if it is RSA.
fn rsa_bits(certificate: &CertificateDer<'_>) -> Option<usize> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(key.key_size()),
        _ => None,
    }
}
