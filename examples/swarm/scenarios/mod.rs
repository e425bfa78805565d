//! What can be measured, a file each.

pub(crate) mod download;
pub(crate) mod enroll;
pub(crate) mod latency;
pub(crate) mod park;
pub(crate) mod probe;
pub(crate) mod reconnect;
pub(crate) mod rollout;
pub(crate) mod start;
pub(crate) mod storm;
pub(crate) mod trigger;
