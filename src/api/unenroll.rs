//! The audit of an uninstallation (checkin.md, "POST audit/unenroll").

use super::ApiError;
use super::body::Fields;
use crate::time::Timestamp;

const REASONS: [&str; 4] = ["uninstall", "orphaned", "key_revoked", "migrated"];

/// Why and when an agent went away.
#[derive(Debug, PartialEq, Eq)]
pub struct AuditUnenrollRequest {
    /// One of four.
    pub reason: String,
    /// RFC 3339, as sent.
    pub timestamp: String,
}

impl AuditUnenrollRequest {
    /// Reads a request body.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let fields = Fields::open(body)?;
        let reason: String = fields.take("reason")?;
        if !REASONS.contains(&reason.as_str()) {
            return Err(ApiError::bad(format!("reason: {reason:?} is none of {}", REASONS.join(", "))));
        }
        let timestamp: String = fields.take("timestamp")?;
        if Timestamp::parse(&timestamp).is_none() {
            return Err(ApiError::bad("timestamp: not an RFC 3339 time"));
        }
        Ok(AuditUnenrollRequest { reason, timestamp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_and_time_are_checked() {
        let read = |text: &str| AuditUnenrollRequest::read(text.as_bytes());
        assert!(read(r#"{"reason":"uninstall","timestamp":"2026-01-01T00:00:00Z"}"#).is_ok());
        assert!(read(r#"{"reason":"x","timestamp":"2026-01-01T00:00:00Z"}"#).is_err());
        assert!(read(r#"{"reason":"orphaned"}"#).is_err());
    }
}
