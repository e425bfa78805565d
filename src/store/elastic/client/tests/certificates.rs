//! Authorities, certificates and servers' settings for tests.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use sha2::{Digest, Sha256};

use super::support::settings;
use crate::config::{ClientTls, Elasticsearch, PemSource, Secret};
use crate::store::elastic::client::Client;

/// An authority of the test.
pub(super) type Ca = CertifiedIssuer<'static, KeyPair>;

/// An authority.
pub(super) fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key.
pub(super) struct Pair {
    /// The chain as it is presented: the leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: KeyPair,
}

/// What a certificate says before it is signed: it is for localhost and 127.0.0.1.
pub(super) fn params() -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    params
}

/// A certificate by `ca`, presented with that of the authority, as Elasticsearch does.
pub(super) fn signed(ca: &Ca, params: &CertificateParams) -> Pair {
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, ca).unwrap();
    Pair { chain: vec![leaf.der().clone(), ca.der().clone()], key }
}

/// A certificate that nobody vouches for.
pub(super) fn self_signed(params: &CertificateParams) -> Pair {
    let key = KeyPair::generate().unwrap();
    let leaf = params.self_signed(&key).unwrap();
    Pair { chain: vec![leaf.der().clone()], key }
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// A server's settings.
pub(super) struct Serving<'a> {
    pub(super) pair: &'a Pair,
    /// Clients must show a certificate by this one.
    pub(super) clients: Option<&'a Ca>,
    pub(super) versions: &'a [&'static SupportedProtocolVersion],
}

impl<'a> Serving<'a> {
    /// A server with a pair, and nothing asked of clients.
    pub(super) fn with(pair: &'a Pair) -> Self {
        Serving { pair, clients: None, versions: BOTH }
    }

    /// For rustls.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(crate::tls::provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(self.versions).unwrap();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::from_pem_slice(self.pair.key.serialize_pem().as_bytes()).unwrap();
        Arc::new(builder.with_single_cert(self.pair.chain.clone(), key).unwrap())
    }
}

/// PEM in the configuration.
pub(super) fn inline(text: &str) -> PemSource {
    PemSource::Inline(Secret::new(text))
}

/// An `ssl` section that trusts only `ca`.
pub(super) fn trusting(ca: &Ca) -> ClientTls {
    ClientTls { certificate_authorities: vec![inline(&ca.pem())], ..ClientTls::default() }
}

/// PEM of certificates.
pub(super) fn pem(chain: &[CertificateDer<'_>]) -> String {
    use base64::Engine;
    let block = |certificate: &CertificateDer<'_>| {
        let text = base64::engine::general_purpose::STANDARD.encode(certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    chain.iter().map(block).collect()
}

/// Hexadecimal SHA-256.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Settings for one host with an `ssl` section.
pub(super) fn settings_with(host: String, tls: ClientTls) -> Elasticsearch {
    Elasticsearch { tls: Some(tls), ..settings(&[host]) }
}

/// A client of one host with an `ssl` section.
pub(super) fn client_with(host: String, tls: ClientTls) -> Client {
    Client::new(&settings_with(host, tls)).unwrap()
}
