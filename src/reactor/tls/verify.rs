//! Which client certificates are good: the chain counts, never a name.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use crate::tls::{Pins, TlsError, in_its_time};

/// What is asked of clients.
pub(super) struct Rules {
    /// Refused without a certificate.
    pub(super) required: bool,
    /// `verification_mode: none`: any certificate will do, if its key is the client's.
    pub(super) anything: bool,
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) pins: Pins,
}

/// The verifier of one set of rules.
struct Verifier {
    rules: Rules,
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// The chain to pinned authorities alone.
    pinned_chain: Option<Arc<dyn ClientCertVerifier>>,
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

/// Builds the verifier.
pub(super) fn verifier(
    rules: Rules,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    if rules.authorities.is_empty() && !rules.anything {
        return Err(TlsError::NoAuthorities);
    }
    let pinned: Vec<_> = rules.authorities.iter().filter(|found| rules.pins.hold(found)).cloned().collect();
    let chain = to_authorities(&rules.authorities, provider)?;
    Ok(Arc::new(Verifier {
        hints: chain.as_ref().map(|chain| chain.root_hint_subjects().to_vec()).unwrap_or_default(),
        pinned_chain: to_authorities(&pinned, provider)?,
        chain,
        rules,
        provider: Arc::clone(provider),
    }))
}

/// A verifier of chains that end at one of `authorities`; `None` for none.
fn to_authorities(
    authorities: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if authorities.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(|error| TlsError::Rustls(format!("certificate_authorities: {error}")))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map(Some)
        .map_err(|error| TlsError::Rustls(format!("certificate_authorities: {error}")))
}

impl Verifier {
    /// One certificate of the chain must be pinned: the leaf, a presented intermediate that the leaf chains to, or an authority.
    fn pins_hold(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let pins = &self.rules.pins;
        if pins.is_empty() || pins.hold(leaf) {
            return Ok(());
        }
        let chains =
            |chain: &Arc<dyn ClientCertVerifier>| chain.verify_client_cert(leaf, intermediates, now).is_ok();
        if self.pinned_chain.as_ref().is_some_and(chains) {
            return Ok(());
        }
        let pinned: Vec<_> = intermediates
            .iter()
            .filter(|found| pins.hold(found))
            .map(|found| found.clone().into_owned())
            .collect();
        match to_authorities(&pinned, &self.provider) {
            Ok(Some(chain)) if chains(&chain) => Ok(()),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.rules.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.rules.anything {
            return Ok(ClientCertVerified::assertion());
        }
        // a leaf that is itself a configured authority needs no issuer, as in Go
        if self.rules.authorities.iter().any(|authority| authority == leaf) {
            in_its_time(leaf, now)?;
        } else if let Some(chain) = &self.chain {
            chain.verify_client_cert(leaf, intermediates, now)?;
        } else {
            return Err(CertificateError::UnknownIssuer.into());
        }
        self.pins_hold(leaf, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
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

impl Verifier {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("required", &self.rules.required).finish_non_exhaustive()
    }
}
