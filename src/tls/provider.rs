//! The cryptography that rustls is built on: aws-lc-rs, or ring where only that is compiled in.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("one of the features aws-lc-rs and ring is needed");

/// All that the provider has; for our TLS clients too.
pub fn provider() -> CryptoProvider {
    chosen::default_provider()
}

/// Keys for resumption that change by themselves.
pub(crate) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}
