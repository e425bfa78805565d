//! What OpenTelemetry collectors send and get by OpAMP (opamp.md): the messages, their bounds, and what of them is stored.

pub mod answer;
mod attributes;
mod bounds;
mod description;
pub mod message;
mod redact;
mod report;

#[cfg(test)]
mod tests;

pub use answer::{Failure, with_offer};
pub use bounds::{DEPTH_MAX, FIELDS_MAX, Unreadable};
pub use description::{Description, NewCollector};
pub use report::{Health, RemoteConfigReport, Report};

/// Every message over a WebSocket begins with a header, a variable-length integer that is 0 for what follows here.
pub const MESSAGE_HEADER: u8 = 0;
