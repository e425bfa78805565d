//! Versions, cipher suites and curves as chosen in an `ssl` section.

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, SupportedProtocolVersion, version};

use super::error::TlsError;
use super::provider::provider;
use crate::config::Protocol;

/// What an `ssl` section chooses, by the names of [`crate::config::Tls`]. Empty suites or curves: the provider's own.
#[derive(Clone, Copy)]
pub(crate) struct Choices<'a> {
    /// `supported_protocols`; never empty.
    pub(crate) protocols: &'a [Protocol],
    /// `cipher_suites`
    pub(crate) cipher_suites: &'a [String],
    /// `curve_types`
    pub(crate) curve_types: &'a [String],
}

impl Choices<'_> {
    /// The versions for rustls.
    pub(crate) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let of = |protocol: &Protocol| match protocol {
            Protocol::Tls12 => &version::TLS12,
            Protocol::Tls13 => &version::TLS13,
        };
        self.protocols.iter().map(of).collect()
    }

    /// The provider with the chosen cipher suites and curves only, in our order of preference.
    pub(crate) fn provider(&self) -> Result<CryptoProvider, TlsError> {
        let mut provider = provider();
        // as Go orders them: processors have instructions for SHA-256 and none for SHA-384, which the key schedule runs on
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        if !self.cipher_suites.is_empty() {
            self.keep_suites(&mut provider)?;
        }
        if !self.curve_types.is_empty() {
            self.keep_curves(&mut provider)?;
        }
        Ok(provider)
    }

    fn keep_suites(&self, provider: &mut CryptoProvider) -> Result<(), TlsError> {
        let has = |name: &str| self.cipher_suites.iter().any(|chosen| chosen == name);
        // they bind TLS 1.2 only, as in Go
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || has(&format!("{:?}", suite.suite())));
        if self.protocols == [Protocol::Tls12]
            && provider.cipher_suites.iter().all(|suite| suite.tls13().is_some())
        {
            let names = self.cipher_suites.join(", ");
            return Err(TlsError::NothingLeft { key: "ssl.cipher_suites", names });
        }
        Ok(())
    }

    fn keep_curves(&self, provider: &mut CryptoProvider) -> Result<(), TlsError> {
        let has = |name: &str| self.curve_types.iter().any(|chosen| chosen == name);
        let all = provider.kx_groups.clone();
        provider.kx_groups.retain(|group| has(&format!("{:?}", group.name())));
        for name in self.curve_types {
            if !all.iter().any(|group| format!("{:?}", group.name()) == *name) {
                log::warn!("ssl.curve_types: {name} is not supported by this build");
            }
        }
        if provider.kx_groups.is_empty() {
            return Err(TlsError::NothingLeft { key: "ssl.curve_types", names: self.curve_types.join(", ") });
        }
        Ok(())
    }
}
