//! What is asked of the cluster, and what it answers. Neither is ever shown: both may hold secrets.

use std::fmt;
use std::time::Duration;

use crate::config::Secret;

/// What is asked of the cluster.
#[derive(Clone)]
pub(in crate::store::elastic) struct Request {
    /// GET, PUT, POST, DELETE, HEAD.
    pub(in crate::store::elastic) method: &'static str,
    /// Path with query, beginning with `/`; ids in it are percent-encoded.
    pub(in crate::store::elastic) path: String,
    /// Empty: no body.
    pub(in crate::store::elastic) body: Vec<u8>,
    /// What the body is.
    pub(in crate::store::elastic) content: Content,
    /// In place of the service's own: the whole value of `Authorization`.
    pub(in crate::store::elastic) authorization: Option<Secret>,
    /// What may be repeated when it is not known whether the cluster has done it.
    pub(in crate::store::elastic) repeatable: bool,
    /// Its answer has a few hundred bytes, so that it is asked for as it is: inflating them costs more than reading them.
    pub(in crate::store::elastic) small_answer: bool,
    /// For the answer's head, where it is not the configured one.
    pub(in crate::store::elastic) timeout: Option<Duration>,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::elastic) enum Content {
    /// JSON.
    Json,
    /// NDJSON (`_bulk`, `_msearch`).
    Lines,
    /// CBOR; what is answered is JSON all the same.
    Cbor,
}

impl Content {
    /// For the header Content-Type.
    pub(super) fn mime_type(self) -> &'static str {
        match self {
            Content::Json => "application/json",
            Content::Lines => "application/x-ndjson",
            Content::Cbor => "application/cbor",
        }
    }
}

/// What the cluster answered, whatever its status.
pub(in crate::store::elastic) struct Response {
    /// HTTP status.
    pub(in crate::store::elastic) status: u16,
    /// Inflated.
    pub(in crate::store::elastic) body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body.len();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("body_bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body.len();
        f.debug_struct("Response").field("status", &self.status).field("body_bytes", &bytes).finish()
    }
}
