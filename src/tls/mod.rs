//! What TLS of the server side and of our clients share: PEM, pins, the `ssl` section's choices, cryptography.
//!
//! Knows no socket and no session.

mod choices;
mod dates;
mod error;
pub(crate) mod pem;
mod pins;
mod provider;
mod stamps;

pub(crate) use choices::Choices;
pub(crate) use dates::in_its_time;
pub use error::TlsError;
pub(crate) use pins::Pins;
pub use provider::provider;
pub(crate) use provider::ticketer;
pub(crate) use stamps::Stamps;
