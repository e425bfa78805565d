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
}

impl Operation {
    /// Those that have limits of their own.
    pub const LIMITED: [Operation; 5] =
        [Operation::Status, Operation::Enroll, Operation::CheckIn, Operation::Acks, Operation::AuditUnenroll];

    /// Name for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Status => "status",
            Operation::Enroll => "enroll",
            Operation::CheckIn => "checkin",
            Operation::Acks => "acks",
            Operation::AuditUnenroll => "auditUnenroll",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Operation::Status => "GET",
            _ => "POST",
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed {
    /// To this operation; `id` is the agent of the path, empty where it has none.
    Found {
        /// Which one.
        operation: Operation,
        /// Percent-decoded.
        id: String,
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
    let Some((operation, id)) = operation_of(path) else { return Routed::NotFound };
    if method != operation.method() {
        return Routed::WrongMethod { allow: operation.method() };
    }
    match percent_decode(id) {
        Some(id) => Routed::Found { operation, id: id.into_owned() },
        None => Routed::NotFound,
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
    operation_of(path).map(|(operation, _)| operation).or_else(enrolment)
}

fn operation_of(path: &str) -> Option<(Operation, &str)> {
    match path {
        "/api/status" => return Some((Operation::Status, "")),
        "/api/fleet/agents/enroll" => return Some((Operation::Enroll, "")),
        _ => {}
    }
    let (id, rest) = path.strip_prefix("/api/fleet/agents/")?.split_once('/')?;
    let operation = match rest {
        "checkin" => Operation::CheckIn,
        "acks" => Operation::Acks,
        "audit/unenroll" => Operation::AuditUnenroll,
        _ => return None,
    };
    (!id.is_empty()).then_some((operation, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(operation: Operation, id: &str) -> Routed {
        Routed::Found { operation, id: id.to_owned() }
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
    }

    #[test]
    fn the_id_is_percent_decoded() {
        assert_eq!(route("POST", "/api/fleet/agents/a%2Fb/acks"), found(Operation::Acks, "a/b"));
        assert_eq!(route("POST", "/api/fleet/agents/a%zz/acks"), Routed::NotFound);
    }

    #[test]
    fn limits_follow_the_path_alone() {
        assert_eq!(limited_operation("/api/fleet/agents/x"), Some(Operation::Enroll));
        assert_eq!(limited_operation("/api/status/"), Some(Operation::Status));
        assert_eq!(limited_operation("/api/fleet/agents/x/checkin"), Some(Operation::CheckIn));
        assert_eq!(limited_operation("/other"), None);
    }
}
