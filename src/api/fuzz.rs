//! Bodies of the fuzz targets; in the library so that they compile with it.

use super::body::check_stored;
use super::checkin::{CheckInRequest, unhealthy_reasons};
use super::opamp::{NewCollector, Report};
use super::range;
use super::upgrade::UpgradeDetails;
use super::user_agent::{Version, agent_version};

/// Any check-in body is read or refused; what of it can be stored, others can read.
pub fn checkin(data: &[u8]) {
    let Ok(request) = CheckInRequest::read(data) else { return };
    let said = [&request.local_metadata, &request.components, &request.rollbacks, &request.upgrade_details];
    for said in said.into_iter().flatten().filter(|said| check_stored("said", said).is_ok()) {
        let _: serde_json::Value = serde_json::from_str(said.get()).expect("what is stored is JSON");
    }
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

/// Any message of a collector is read or refused; what is read can be stored.
pub fn opamp(data: &[u8]) {
    let Ok(report) = Report::read(data) else { return };
    let _ = (report.agent_id(), report.capabilities());
    let collector = NewCollector { id: "a", policy_id: "p#1", namespaces: &[], enrolled_at: "" };
    let document = collector.document(report.description.as_ref());
    let config = report.effective_config.and_then(Result::ok);
    let health = report.health.map(|health| health.document);
    for stored in [Some(document), config, health].into_iter().flatten() {
        assert!(check_stored("stored", &stored).is_ok(), "cannot be stored");
    }
}

/// A file of any size and any header Range: a part that lies within the file, or a refusal.
pub fn file_range(data: &[u8]) {
    let Some((size, header)) = data.split_first_chunk() else { return };
    let bytes = u64::from_le_bytes(*size);
    let header = std::str::from_utf8(header).ok();
    if let Ok(Some(part)) = range::read(header, bytes) {
        assert!(part.start < part.end && part.end <= bytes, "{part:?} of {bytes}");
    }
}
