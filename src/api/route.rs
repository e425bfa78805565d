//! Paths and methods (http-api.md, "Routes").

use crate::http::percent_decode;

/// The only version of the API there is (header `Elastic-Api-Version`).
pub const API_VERSION: &str = "2023-06-01";

/// An operation of the agents' API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `GET /api/status`
    Status,
    /// `POST /api/fleet/agents/enroll`
    Enroll,
    /// `POST /api/fleet/agents/{id}/checkin`
    CheckIn,
    /// `POST /api/fleet/agents/{id}/acks`
    Acks,
    /// `POST /api/fleet/agents/{id}/audit/unenroll`
    AuditUnenroll,
    /// `GET /api/fleet/artifacts/{id}/{sha2}`
    Artifact,
    /// `GET /api/agents/upgrades/{version}/pgp-public-key`
    PgpKey,
    /// `POST /v1/opamp`, or `GET` to make a WebSocket of the connection
    OpAmp,
    /// `POST /api/fleet/uploads`
    UploadBegin,
    /// `PUT /api/fleet/uploads/{id}/{number}`
    UploadChunk,
    /// `POST /api/fleet/uploads/{id}`
    UploadComplete,
    /// `GET /api/fleet/file/{id}`
    FileDelivery,
}

impl Operation {
    /// Those that have limits of their own.
    pub const LIMITED: [Operation; 12] = [
        Operation::Status,
        Operation::Enroll,
        Operation::CheckIn,
        Operation::Acks,
        Operation::AuditUnenroll,
        Operation::Artifact,
        Operation::PgpKey,
        Operation::OpAmp,
        Operation::UploadBegin,
        Operation::UploadChunk,
        Operation::UploadComplete,
        Operation::FileDelivery,
    ];

    /// Name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Status => "status",
            Operation::Enroll => "enroll",
            Operation::CheckIn => "checkin",
            Operation::Acks => "acks",
            Operation::AuditUnenroll => "auditUnenroll",
            Operation::Artifact => "artifacts",
            Operation::PgpKey => "getPGPKey",
            Operation::OpAmp => "opAMP",
            Operation::UploadBegin => "uploadStart",
            Operation::UploadChunk => "uploadChunk",
            Operation::UploadComplete => "uploadEnd",
            Operation::FileDelivery => "deliverFile",
        }
    }

    /// The methods allowed, as the header `Allow` lists them.
    fn methods(self) -> &'static str {
        match self {
            Operation::Status | Operation::Artifact | Operation::PgpKey | Operation::FileDelivery => "GET",
            Operation::OpAmp => "GET, POST",
            Operation::UploadChunk => "PUT",
            _ => "POST",
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed {
    /// To this operation.
    Found {
        /// Which one.
        operation: Operation,
        /// What the path names: an agent, an artifact, a version, an upload. Percent-decoded; empty where it names nothing.
        id: String,
        /// What else it names, percent-decoded; empty where there is no more.
        part: String,
    },
    /// The path is known, the method is not the one allowed.
    WrongMethod {
        /// For the header `Allow`.
        allow: &'static str,
    },
    /// Nowhere.
    NotFound,
}

/// Finds the operation of a request; paths are exact.
pub fn route(method: &str, path: &str) -> Routed {
    let Some(Named { operation, id, part }) = named(path) else { return Routed::NotFound };
    if !operation.methods().split(", ").any(|allowed| allowed == method) {
        return Routed::WrongMethod { allow: operation.methods() };
    }
    match (percent_decode(id), percent_decode(part)) {
        (Some(id), Some(part)) => Routed::Found { operation, id: id.into_owned(), part: part.into_owned() },
        _ => Routed::NotFound,
    }
}

/// The operation whose limits count for a path. The method is not looked at, one trailing slash is stripped, any
/// `/api/fleet/agents/X` counts as an enrolment (http-api.md, "Rate limits").
pub fn limited_operation(path: &str) -> Option<Operation> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let enrolment = || {
        let rest = path.strip_prefix("/api/fleet/agents/")?;
        (!rest.is_empty() && !rest.contains('/')).then_some(Operation::Enroll)
    };
    named(path).map(|named| named.operation).or_else(enrolment)
}

/// What a path names, as it is written.
struct Named<'a> {
    operation: Operation,
    id: &'a str,
    part: &'a str,
}

fn named(path: &str) -> Option<Named<'_>> {
    let one = |operation, id| Named { operation, id, part: "" };
    match path {
        "/api/status" => return Some(one(Operation::Status, "")),
        "/api/fleet/agents/enroll" => return Some(one(Operation::Enroll, "")),
        "/v1/opamp" => return Some(one(Operation::OpAmp, "")),
        "/api/fleet/uploads" => return Some(one(Operation::UploadBegin, "")),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("/api/fleet/artifacts/") {
        let (id, part) = rest.split_once('/')?;
        return is_segment(id, part).then_some(Named { operation: Operation::Artifact, id, part });
    }
    if let Some(rest) = path.strip_prefix("/api/agents/upgrades/") {
        let version = rest.strip_suffix("/pgp-public-key")?;
        return is_version(version).then_some(one(Operation::PgpKey, version));
    }
    if let Some(rest) = path.strip_prefix("/api/fleet/uploads/") {
        let Some((id, part)) = rest.split_once('/') else {
            return (!rest.is_empty()).then_some(one(Operation::UploadComplete, rest));
        };
        return is_segment(id, part).then_some(Named { operation: Operation::UploadChunk, id, part });
    }
    if let Some(id) = path.strip_prefix("/api/fleet/file/") {
        return (!id.is_empty() && !id.contains('/')).then_some(one(Operation::FileDelivery, id));
    }
    let (id, rest) = path.strip_prefix("/api/fleet/agents/")?.split_once('/')?;
    let operation = match rest {
        "checkin" => Operation::CheckIn,
        "acks" => Operation::Acks,
        "audit/unenroll" => Operation::AuditUnenroll,
        _ => return None,
    };
    (!id.is_empty()).then_some(one(operation, id))
}

fn is_segment(id: &str, part: &str) -> bool {
    !id.is_empty() && !part.is_empty() && !part.contains('/')
}

/// Three parts, whatever they are: that they are numbers is for the handler to say.
fn is_version(version: &str) -> bool {
    let mut parts = version.splitn(3, '.');
    !version.contains('/') && (0..3).all(|_| parts.next().is_some_and(|part| !part.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(operation: Operation, id: &str) -> Routed {
        Routed::Found { operation, id: id.to_owned(), part: String::new() }
    }

    #[test]
    fn paths_are_exact() {
        assert_eq!(route("GET", "/api/status"), found(Operation::Status, ""));
        for path in
            ["/api/status/", "/api//status", "/api/fleet/agents/temporary", "/api/fleet/agents//checkin", "/"]
        {
            assert_eq!(route("GET", path), Routed::NotFound, "{path}");
        }
    }

    #[test]
    fn a_known_path_with_another_method_names_the_one_allowed() {
        assert_eq!(route("PUT", "/api/fleet/agents/enroll"), Routed::WrongMethod { allow: "POST" });
        assert_eq!(route("HEAD", "/api/status"), Routed::WrongMethod { allow: "GET" });
        assert_eq!(route("PUT", "/v1/opamp"), Routed::WrongMethod { allow: "GET, POST" });
        assert_eq!(route("GET", "/v1/opamp"), found(Operation::OpAmp, ""));
    }

    #[test]
    fn the_id_is_percent_decoded() {
        assert_eq!(route("POST", "/api/fleet/agents/a%2Fb/acks"), found(Operation::Acks, "a/b"));
        assert_eq!(route("POST", "/api/fleet/agents/a%zz/acks"), Routed::NotFound);
    }

    #[test]
    fn an_artifact_is_named_by_two_segments() {
        let artifact = |id: &str, part: &str| Routed::Found {
            operation: Operation::Artifact,
            id: id.to_owned(),
            part: part.to_owned(),
        };
        assert_eq!(route("GET", "/api/fleet/artifacts/a%20b/c%2Fd"), artifact("a b", "c/d"));
        for path in ["a", "a/", "/b", "a/b/", "a/b/c", "a/%zz", "%ff/b"] {
            assert_eq!(route("GET", &format!("/api/fleet/artifacts/{path}")), Routed::NotFound, "{path}");
        }
        assert_eq!(route("POST", "/api/fleet/artifacts/a/b"), Routed::WrongMethod { allow: "GET" });
    }

    #[test]
    fn the_upgrade_key_is_named_by_a_version_of_three_parts() {
        let path = |version: &str| format!("/api/agents/upgrades/{version}/pgp-public-key");
        for version in ["9.6.0", "a.b.c", "1.2.3.4"] {
            assert_eq!(route("GET", &path(version)), found(Operation::PgpKey, version));
        }
        for version in ["9.6", "9", "", "9..0", "9.6.", ".6.0", "9/6.0.1"] {
            assert_eq!(route("GET", &path(version)), Routed::NotFound, "{version}");
        }
        assert_eq!(route("GET", "/api/agents/upgrades/9.6.0/pgp-public-key/"), Routed::NotFound);
    }

    #[test]
    fn a_chunk_is_named_by_its_upload_and_its_number() {
        let chunk = |id: &str, part: &str| Routed::Found {
            operation: Operation::UploadChunk,
            id: id.to_owned(),
            part: part.to_owned(),
        };
        assert_eq!(route("PUT", "/api/fleet/uploads/a%2Fb/0"), chunk("a/b", "0"));
        assert_eq!(route("POST", "/api/fleet/uploads"), found(Operation::UploadBegin, ""));
        assert_eq!(route("POST", "/api/fleet/uploads/u"), found(Operation::UploadComplete, "u"));
        for path in [
            "/api/fleet/uploads/",
            "/api/fleet/uploads/u/",
            "/api/fleet/uploads//0",
            "/api/fleet/uploads/u/0/1",
        ] {
            assert_eq!(route("PUT", path), Routed::NotFound, "{path}");
        }
        assert_eq!(route("POST", "/api/fleet/uploads/u/0"), Routed::WrongMethod { allow: "PUT" });
        assert_eq!(route("PUT", "/api/fleet/uploads/u"), Routed::WrongMethod { allow: "POST" });
    }

    #[test]
    fn a_file_is_fetched() {
        assert_eq!(route("GET", "/api/fleet/file/f"), found(Operation::FileDelivery, "f"));
        for method in ["HEAD", "POST"] {
            assert_eq!(route(method, "/api/fleet/file/f"), Routed::WrongMethod { allow: "GET" }, "{method}");
        }
        assert_eq!(route("GET", "/api/fleet/file/"), Routed::NotFound);
        assert_eq!(route("GET", "/api/fleet/file/f/g"), Routed::NotFound);
    }

    #[test]
    fn limits_follow_the_path_alone() {
        assert_eq!(limited_operation("/api/fleet/agents/x"), Some(Operation::Enroll));
        assert_eq!(limited_operation("/api/status/"), Some(Operation::Status));
        assert_eq!(limited_operation("/api/fleet/agents/x/checkin"), Some(Operation::CheckIn));
        assert_eq!(limited_operation("/api/fleet/artifacts/a/b"), Some(Operation::Artifact));
        assert_eq!(limited_operation("/api/agents/upgrades/9.6.0/pgp-public-key/"), Some(Operation::PgpKey));
        assert_eq!(limited_operation("/api/fleet/uploads/u/0"), Some(Operation::UploadChunk));
        assert_eq!(limited_operation("/other"), None);
    }
}
