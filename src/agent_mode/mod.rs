//! Under an Elastic Agent: what it sends, and what it is told.
//!
//! The two sides (the wire to the agent, on a thread of its own, and the server on the main thread) know each other by the
//! [`seam`] only.

pub mod configuration;
pub mod seam;
