//! The versions that we report.

/// What the agent gate, `/api/status`, the metrics endpoint and the User-Agent report (interface.md, "Version").
pub const STACK_VERSION: &str = "9.6.0";
/// Our own.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit, where the build was told it.
pub const BUILD_HASH: &str = match option_env!("FLEET_SERVER_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// RFC 3339, where the build was told it.
pub const BUILD_TIME: &str = match option_env!("FLEET_SERVER_BUILD_TIME") {
    Some(time) => time,
    None => "1970-01-01T00:00:00Z",
};
