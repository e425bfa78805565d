//! What agents send and get: routes, messages, errors (http-api.md, checkin.md). No state, no I/O.

pub mod acks;
pub mod action;
pub mod authorization;
pub mod body;
pub mod checkin;
pub mod enroll;
pub mod error;
pub mod opamp;
pub mod file_error;
pub mod range;
pub mod route;
pub mod unenroll;
pub mod upgrade;
pub mod uploads;
pub mod user_agent;
pub mod yaml;

#[doc(hidden)]
pub mod fuzz;

pub use error::ApiError;
pub use file_error::FileError;
