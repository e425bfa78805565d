//! Under an Elastic Agent: what it sends, and what it is told (agent-mode.md).
//!
//! Two sides: the wire to the agent, on a thread of its own (`client`, the Cargo feature `agent-mode`), and the server on the
//! main thread. They know each other by the [`seam`] only. All but the client is pure.

// what only the client uses is built, fuzzed and tested without it too
#![cfg_attr(not(feature = "agent-mode"), allow(dead_code))]

mod actions;
mod back_off;
pub mod chunks;
#[cfg(feature = "agent-mode")]
mod client;
pub mod configuration;
#[doc(hidden)]
pub mod fuzz;
pub mod messages;
pub mod saying;
pub mod seam;
mod startup;
pub mod units;
pub mod values;

#[cfg(feature = "agent-mode")]
pub use client::start;
pub use startup::{StartUp, StartUpError};
