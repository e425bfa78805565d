//! The server's certificates as they are now.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::ProducesTickets;

use super::session::RECORD_BYTES_MAX;
use super::settings::{Material, server_config};
use crate::config::{ClientAuthentication, Tls};
use crate::tls::{Stamps, TlsError, ticketer};

/// Most that an unfinished handshake holds when clients may send certificates.
const HANDSHAKE_BYTES_WITH_CERTIFICATES_MAX: usize = 64 * 1024;

/// What new sessions are made of. Files that change are noticed at a handshake, at most once in
/// `certificate_reload.reload_interval`; sessions that exist keep what they began with.
pub struct Certificates {
    tls: Tls,
    current: Arc<ServerConfig>,
    /// Kept across reloads, so that clients can resume; a new one when other clients are trusted.
    ticketer: Arc<dyn ProducesTickets>,
    authorities: Vec<CertificateDer<'static>>,
    stamps: Stamps,
    looked_at: Duration,
}

impl Certificates {
    /// Reads everything.
    pub fn read(tls: Tls) -> Result<Self, TlsError> {
        let stamps = Stamps::take(tls.files());
        let material = Material::read(&tls)?;
        let ticketer = ticketer().map_err(|error| TlsError::Rustls(error.to_string()))?;
        let authorities = material.authorities.clone();
        let current = Arc::new(server_config(&tls, material, Arc::clone(&ticketer))?);
        Ok(Certificates { tls, current, ticketer, authorities, stamps, looked_at: Duration::ZERO })
    }

    /// The configuration for a session that begins at `now`, after a look at the files if it is time for one.
    pub fn current(&mut self, now: Duration) -> Arc<ServerConfig> {
        if self.tls.reload.is_some_and(|interval| now >= self.looked_at + interval) {
            self.looked_at = now;
            if Stamps::take(self.tls.files()) != self.stamps {
                self.reload();
            }
        }
        Arc::clone(&self.current)
    }

    /// Other settings, from the next session on; those that cannot be used are reported and leave the old in use.
    pub fn replace(&mut self, tls: Tls) {
        let old = std::mem::replace(&mut self.tls, tls);
        self.stamps = Stamps::take(self.tls.files());
        match self.read_again() {
            Ok(()) => log::info!("certificates are read again"),
            Err(error) => {
                log::warn!("the old certificate stays in use: {error}");
                self.stamps = Stamps::take(old.files());
                self.tls = old;
            }
        }
    }

    /// Reads everything again; what cannot be used is reported and leaves the old in use.
    pub fn reload(&mut self) {
        // taken before reading: a file that changes meanwhile is read again
        self.stamps = Stamps::take(self.tls.files());
        match self.read_again() {
            Ok(()) => log::info!("certificates are read again"),
            Err(error) => log::warn!("the old certificate stays in use: {error}"),
        }
    }

    /// Most that an unfinished handshake may hold.
    pub(crate) fn handshake_bytes_max(&self) -> usize {
        match self.tls.client_authentication {
            ClientAuthentication::None => RECORD_BYTES_MAX,
            _ => HANDSHAKE_BYTES_WITH_CERTIFICATES_MAX,
        }
    }

    fn read_again(&mut self) -> Result<(), TlsError> {
        let material = Material::read(&self.tls)?;
        let authorities = material.authorities.clone();
        let ticketer = if authorities == self.authorities {
            Arc::clone(&self.ticketer)
        } else {
            ticketer().map_err(|error| TlsError::Rustls(error.to_string()))?
        };
        self.current = Arc::new(server_config(&self.tls, material, Arc::clone(&ticketer))?);
        self.ticketer = ticketer;
        self.authorities = authorities;
        Ok(())
    }
}
