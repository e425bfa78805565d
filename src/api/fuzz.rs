//! Bodies of the fuzz targets; in the library so that they compile with it.

use super::checkin::{CheckInRequest, unhealthy_reasons};
use super::upgrade::UpgradeDetails;
use super::user_agent::{Version, agent_version};

/// Any check-in body is read or refused.
pub fn checkin(data: &[u8]) {
    let Ok(request) = CheckInRequest::read(data) else { return };
    if let Some(components) = &request.components {
        let _ = unhealthy_reasons(components);
    }
    if let Some(details) = &request.upgrade_details {
        let _ = UpgradeDetails::read(details);
    }
}

/// Any User-Agent is read or refused.
pub fn user_agent(data: &[u8]) {
    let _ = agent_version(std::str::from_utf8(data).ok(), Version { major_minor: (9, 6) });
}
