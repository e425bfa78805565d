//! The `ssl` sections as finished types, server side and client side (config.md, ssl).
//!
//! Names are checked here; PEM is neither read nor parsed here, and nothing is known of rustls.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::secret::Secret;

mod names;
pub(super) mod read;

/// Where a PEM text comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// A file, re-read when certificates are reloaded.
    File(PathBuf),
    /// The PEM text itself stands in the configuration. It may be a private key.
    Inline(Secret),
}

impl PemSource {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            PemSource::File(path) => Some(path),
            PemSource::Inline(_) => None,
        }
    }
}

/// `server.ssl` when TLS is on.
#[derive(Clone, PartialEq)]
pub struct Tls {
    /// `certificate`: the server's chain.
    pub certificate: PemSource,
    /// `key`: its private key.
    pub key: PemSource,
    /// `key_passphrase` or the trimmed content of `key_passphrase_path`.
    pub key_passphrase: Option<Secret>,
    /// `certificate_authorities`: who may sign client certificates.
    pub certificate_authorities: Vec<PemSource>,
    /// `client_authentication`; required when authorities are given and nothing else is said.
    pub client_authentication: ClientAuthentication,
    /// `verification_mode`
    pub verification_mode: VerificationMode,
    /// `supported_protocols`, without those that rustls lacks; never empty.
    pub protocols: Vec<Protocol>,
    /// `cipher_suites` as rustls names them (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`); empty: the
    /// provider's own. They bind TLS 1.2 only, as in Go.
    pub cipher_suites: Vec<String>,
    /// `curve_types` as rustls names them (`secp256r1`, `X25519`, `X25519MLKEM768`); empty: the
    /// provider's own.
    pub curve_types: Vec<String>,
    /// `ca_sha256`: base64 SHA-256 pins of the public key of one certificate of the peer's chain.
    pub ca_sha256: Vec<String>,
    /// `certificate_reload`: how often files are looked at again; `None`: never.
    pub reload: Option<Duration>,
    /// `disable_legacy_pem_support`; legacy-encrypted PEM is refused either way.
    pub disable_legacy_pem_support: bool,
}

/// `output.elasticsearch.ssl`: TLS towards Elasticsearch.
#[derive(Clone, PartialEq)]
pub struct ClientTls {
    /// `certificate` and `key`: who we are, if Elasticsearch asks.
    pub identity: Option<ClientIdentity>,
    /// `certificate_authorities`; empty: the system's roots.
    pub certificate_authorities: Vec<PemSource>,
    /// `ca_trusted_fingerprint`: hexadecimal SHA-256 of a CA of the presented chain that is trusted.
    pub ca_trusted_fingerprint: Option<String>,
    /// `verification_mode`
    pub verification_mode: VerificationMode,
    /// `supported_protocols`, see [`Tls::protocols`].
    pub protocols: Vec<Protocol>,
    /// `cipher_suites`, see [`Tls::cipher_suites`].
    pub cipher_suites: Vec<String>,
    /// `curve_types`, see [`Tls::curve_types`].
    pub curve_types: Vec<String>,
    /// `ca_sha256`, see [`Tls::ca_sha256`].
    pub ca_sha256: Vec<String>,
    /// `certificate_reload`, see [`Tls::reload`].
    pub reload: Option<Duration>,
}

/// A client certificate with its key.
#[derive(Clone, PartialEq)]
pub struct ClientIdentity {
    /// `certificate`
    pub certificate: PemSource,
    /// `key`
    pub key: PemSource,
    /// `key_passphrase` or the trimmed content of `key_passphrase_path`.
    pub key_passphrase: Option<Secret>,
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuthentication {
    /// `none`: not asked for.
    #[default]
    None,
    /// `optional`: verified if shown.
    Optional,
    /// `required`: refused without one.
    Required,
}

/// How the peer's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerificationMode {
    /// `full`: chain and name.
    #[default]
    Full,
    /// `strict`: like full, and the certificate must carry a subject alternative name.
    Strict,
    /// `certificate`: the chain, not the name.
    Certificate,
    /// `none`: nothing.
    None,
}

impl VerificationMode {
    /// As the key has it.
    pub fn name(self) -> &'static str {
        match self {
            VerificationMode::Full => "full",
            VerificationMode::Strict => "strict",
            VerificationMode::Certificate => "certificate",
            VerificationMode::None => "none",
        }
    }
}

/// A protocol version that rustls speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

impl Tls {
    /// The files that the section names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.certificate, &self.key]
            .into_iter()
            .chain(&self.certificate_authorities)
            .filter_map(PemSource::file)
    }

    /// TLS with a certificate and key, everything else as the defaults of the `ssl` section.
    pub fn new(certificate: PemSource, key: PemSource) -> Self {
        Self {
            certificate,
            key,
            key_passphrase: None,
            certificate_authorities: Vec::new(),
            client_authentication: ClientAuthentication::None,
            verification_mode: VerificationMode::Full,
            protocols: vec![Protocol::Tls12, Protocol::Tls13],
            cipher_suites: Vec::new(),
            curve_types: Vec::new(),
            ca_sha256: Vec::new(),
            reload: Some(RELOAD_INTERVAL),
            disable_legacy_pem_support: false,
        }
    }
}

impl ClientTls {
    /// The files that the section names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        identity.chain(&self.certificate_authorities).filter_map(PemSource::file)
    }
}

impl Default for ClientTls {
    fn default() -> Self {
        Self {
            identity: None,
            certificate_authorities: Vec::new(),
            ca_trusted_fingerprint: None,
            verification_mode: VerificationMode::Full,
            protocols: vec![Protocol::Tls12, Protocol::Tls13],
            cipher_suites: Vec::new(),
            curve_types: Vec::new(),
            ca_sha256: Vec::new(),
            reload: Some(RELOAD_INTERVAL),
        }
    }
}

/// Default of `certificate_reload.reload_interval`.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
