//! The client's side of TLS: whom it trusts and which key exchange it offers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as provider;
#[cfg(not(feature = "aws-lc-rs"))]
use rustls::crypto::ring as provider;

use crate::target::Target;

/// Whom to trust.
#[derive(Clone, Debug)]
enum Trust {
    /// The certificate authorities of a PEM file.
    Authority(PathBuf),
    /// Anybody: the certificate is not looked at.
    Anybody,
}

/// What the client offers to agree on a key with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeyExchange {
    /// X25519 alone.
    X25519,
    /// X25519MLKEM768, safe against quantum computers (not with the `ring` feature).
    Mlkem,
}

/// What `target` needs: nothing when it is plain.
pub(crate) fn for_target(
    target: &Target,
    ca: Option<&Path>,
    insecure: bool,
    key_exchange: KeyExchange,
) -> Result<Option<Arc<ClientConfig>>, String> {
    let trust = match ca {
        _ if !target.secure => return Ok(None),
        _ if insecure => Trust::Anybody,
        Some(path) => Trust::Authority(path.to_owned()),
        None => return Err("https needs --ca FILE (or --insecure, which trusts anybody)".to_owned()),
    };
    client_config(&trust, key_exchange).map(Some)
}

/// A configuration without resumption: the real agent does not resume either.
fn client_config(trust: &Trust, key_exchange: KeyExchange) -> Result<Arc<ClientConfig>, String> {
    let provider = CryptoProvider { kx_groups: vec![group(key_exchange)?], ..provider::default_provider() };
    let provider = Arc::new(provider);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let verifier = verifier(trust, provider)?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[cfg(feature = "aws-lc-rs")]
fn group(key_exchange: KeyExchange) -> Result<&'static dyn SupportedKxGroup, String> {
    match key_exchange {
        KeyExchange::X25519 => Ok(provider::kx_group::X25519),
        KeyExchange::Mlkem => Ok(provider::kx_group::X25519MLKEM768),
    }
}

#[cfg(not(feature = "aws-lc-rs"))]
fn group(key_exchange: KeyExchange) -> Result<&'static dyn SupportedKxGroup, String> {
    match key_exchange {
        KeyExchange::X25519 => Ok(provider::kx_group::X25519),
        KeyExchange::Mlkem => Err("mlkem needs the aws-lc-rs feature".to_owned()),
    }
}

fn verifier(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let inner = match trust {
        Trust::Anybody => None,
        Trust::Authority(path) => {
            let mut roots = RootCertStore::empty();
            let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| said(&error))? {
                roots.add(certificate.map_err(|error| said(&error))?).map_err(|error| said(&error))?;
            }
            let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            Some(built.build().map_err(|error| said(&error))?)
        }
    };
    Ok(Arc::new(Remembering { inner, provider, seen: Mutex::default() }))
}

/// Checks the chain of a certificate once and remembers it: thousands of agents in one process need not
/// repeat it. Each handshake's own signature is always checked (not with `Trust::Anybody`).
#[derive(Debug)]
struct Remembering {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Vec<u8>>>,
}

impl ServerCertVerifier for Remembering {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        // A poisoned lock only means that a remembering thread died: then nothing is remembered.
        let known = |seen: &Option<Vec<u8>>| seen.as_deref() == Some(end_entity.as_ref());
        if self.seen.lock().is_ok_and(|seen| known(&seen)) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(end_entity.to_vec());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.inner {
            Some(inner) => inner.verify_tls12_signature(message, certificate, signed),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.inner {
            Some(inner) => inner.verify_tls13_signature(message, certificate, signed),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
