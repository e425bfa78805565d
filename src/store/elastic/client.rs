//! One cluster over HTTP: which host next, the service's credentials, what is tried again, and how long an answer may be.

/// What is asked of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// GET, PUT, POST, DELETE, HEAD.
    pub(super) method: &'static str,
    /// Path with query, beginning with `/`; ids in it are percent-encoded.
    pub(super) path: String,
    /// JSON, or NDJSON where `lines` is set; empty: no body.
    pub(super) body: Vec<u8>,
    /// The body is NDJSON (`_bulk`, `_msearch`).
    pub(super) lines: bool,
    /// In place of the service's own: the whole value of `Authorization`. Secret.
    pub(super) authorization: Option<String>,
    /// What may be repeated when it is not known whether the cluster has done it.
    pub(super) repeatable: bool,
    /// For the answer's head, where it is not the configured one.
    pub(super) timeout: Option<std::time::Duration>,
}

/// What the cluster answered, whatever its status.
#[derive(Debug)]
pub(super) struct Response {
    /// HTTP status.
    pub(super) status: u16,
    /// Inflated.
    pub(super) body: Vec<u8>,
}
