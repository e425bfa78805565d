//! What an agent makes for each program that it runs: a CA, a certificate of its own for a name, and one for the program.

use std::sync::Arc;

use fleet_server::tls::provider;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// PEM of a certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// All of it.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    pub(crate) of_agent: Pair,
    pub(crate) of_program: Pair,
}

impl Certificates {
    /// The agent's is for this name.
    pub(crate) fn make(server_name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pair = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            Pair { certificate: certificate.pem(), key: key.serialize_pem() }
        };
        Certificates { authority: issuer.pem(), of_agent: pair(server_name), of_program: pair("program") }
    }

    /// How the agent's side is encrypted: who shows no certificate of its CA is refused.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(der(&self.authority)).unwrap();
        let provider = Arc::new(provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::from_pem_slice(self.of_agent.key.as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![der(&self.of_agent.certificate)], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}
