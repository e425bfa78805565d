//! Which certificates of Elasticsearch are good.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::VerificationMode;
use crate::model::sha256_hex;
use crate::tls::{Pins, TlsError, in_its_time};

/// What is asked of the cluster.
pub(super) struct Rules {
    /// `verification_mode`
    pub(super) mode: VerificationMode,
    /// `certificate_authorities`
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// Those of the system, where none are configured.
    pub(super) system: Vec<CertificateDer<'static>>,
    /// `ca_trusted_fingerprint`: hexadecimal, lower case.
    pub(super) fingerprint: Option<String>,
    /// `ca_sha256`
    pub(super) pins: Pins,
}

/// The verifier of one set of rules.
pub(super) struct Verifier {
    rules: Rules,
    roots: RootCertStore,
    /// Those of the roots whose key is pinned.
    pinned_roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

/// Builds the verifier.
pub(super) fn verifier(rules: Rules, provider: &Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
    let (mut roots, mut pinned_roots) = (RootCertStore::empty(), RootCertStore::empty());
    for authority in &rules.authorities {
        let added = roots.add(authority.clone());
        added.map_err(|error| TlsError::Rustls(format!("certificate_authorities: {error}")))?;
    }
    // a system may have one that cannot be used; the others are good
    roots.add_parsable_certificates(rules.system.iter().cloned());
    let known = rules.authorities.iter().chain(&rules.system);
    pinned_roots.add_parsable_certificates(known.filter(|known| rules.pins.hold(known)).cloned());
    Ok(Verifier { rules, roots, pinned_roots, provider: Arc::clone(provider) })
}

/// A presented chain.
struct Chain<'a> {
    leaf: &'a CertificateDer<'a>,
    parsed: ParsedCertificate<'a>,
    others: &'a [CertificateDer<'a>],
    now: UnixTime,
}

impl Verifier {
    fn is_good(&self, chain: &Chain<'_>, name: &ServerName<'_>) -> Result<(), Error> {
        self.is_trusted(chain)?;
        self.is_pinned(chain)?;
        match self.rules.mode {
            VerificationMode::None | VerificationMode::Certificate => Ok(()),
            VerificationMode::Strict => verify_server_name(&chain.parsed, name),
            VerificationMode::Full => verify_server_name(&chain.parsed, name)
                .or_else(|error| if has_common_name(chain.leaf, name) { Ok(()) } else { Err(error) }),
        }
    }

    /// It is itself trusted, or ends at one that is.
    fn is_trusted(&self, chain: &Chain<'_>) -> Result<(), Error> {
        let is_trusted_itself = self.rules.authorities.iter().any(|known| known == chain.leaf)
            || self.has_fingerprint(chain.leaf);
        if is_trusted_itself {
            return in_its_time(chain.leaf, chain.now);
        }
        let by_fingerprint = store_of(chain.others.iter().filter(|other| self.has_fingerprint(other)));
        if !by_fingerprint.is_empty() && self.ends_at(chain, &by_fingerprint).is_ok() {
            return Ok(());
        }
        self.ends_at(chain, &self.roots)
    }

    /// One certificate of the chain must be pinned: the leaf, a presented one that the leaf chains to, or a root.
    fn is_pinned(&self, chain: &Chain<'_>) -> Result<(), Error> {
        let pins = &self.rules.pins;
        let pinned_presented = || store_of(chain.others.iter().filter(|other| pins.hold(other)));
        let is_pinned = pins.is_empty()
            || pins.hold(chain.leaf)
            || self.ends_at(chain, &self.pinned_roots).is_ok()
            || self.ends_at(chain, &pinned_presented()).is_ok();
        if is_pinned { Ok(()) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn ends_at(&self, chain: &Chain<'_>, roots: &RootCertStore) -> Result<(), Error> {
        let algorithms = self.algorithms().all;
        verify_server_cert_signed_by_trust_anchor(&chain.parsed, roots, chain.others, chain.now, algorithms)
    }

    fn has_fingerprint(&self, certificate: &CertificateDer<'_>) -> bool {
        self.rules.fingerprint.as_ref().is_some_and(|fingerprint| *fingerprint == sha256_hex(certificate))
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

/// What cannot be parsed is no root.
fn store_of<'a>(certificates: impl Iterator<Item = &'a CertificateDer<'a>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.map(|certificate| certificate.clone().into_owned()));
    store
}

/// Certificates without alternative names are named by their subject, which mode `full` still accepts.
fn has_common_name(leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return false };
    if !matches!(leaf.subject_alternative_name(), Ok(None)) {
        return false;
    }
    let name = name.to_str();
    let mut common_names = leaf.subject().iter_common_name();
    common_names.any(|common| common.as_str().is_ok_and(|common| common.eq_ignore_ascii_case(&name)))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.rules.mode != VerificationMode::None {
            let chain = Chain { leaf, parsed: ParsedCertificate::try_from(leaf)?, others, now };
            self.is_good(&chain, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("mode", &self.rules.mode).finish_non_exhaustive()
    }
}
