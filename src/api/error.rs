//! Every error that an agent can get, with its status, name and message in one table (http-api.md, "Errors").

use std::borrow::Cow;

use super::FileError;
use crate::connection::BodyError;
use crate::http::Response;
use crate::store::StoreError;

/// An error answer: `{"statusCode":N,"error":"Name","message":"text"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// No Authorization header.
    NoAuthHeader,
    /// Not `ApiKey ..`, or several.
    MalformedHeader,
    /// Not base64 of UTF-8.
    InvalidToken,
    /// Not exactly one `:`.
    MalformedToken,
    /// The store positively says that the key is bad.
    Unauthorized,
    /// The key is disabled.
    KeyNotEnabled,
    /// The store limits authentication.
    AuthenticationLimit,
    /// No agent has the key.
    AgentNotFound,
    /// The agent of the path is not the one of the key.
    AgentIdentity,
    /// The document has no section `agent`.
    AgentCorrupted,
    /// The agent was unenrolled.
    AgentInactive,
    /// Not a User-Agent of an agent.
    InvalidUserAgent,
    /// An agent too old or too new.
    UnsupportedVersion,
    /// Elastic-Api-Version is not a date.
    ApiVersionFormat(String),
    /// Elastic-Api-Version is not ours.
    ApiVersionUnsupported(String),
    /// The agent is there and cannot be replaced by this request.
    AgentNotReplaceable,
    /// Two enrolments of one enrollment_id or id at the same moment.
    EnrollDuplicate,
    /// A static token names a policy that does not exist.
    PolicyNotFound,
    /// Something about a file is wrong.
    File(FileError),
    /// Something in the request is wrong; the text says what.
    BadRequest(Cow<'static, str>),
    /// The body is larger than its limit.
    PayloadTooLarge,
    /// The route's rate.
    RateLimit,
    /// The route's or the listener's number of requests.
    MaxLimit,
    /// Too many store operations wait.
    TooManyDispatches,
    /// The agent's policy does not list the artifact, or is not known.
    ArtifactNotAllowed,
    /// The agent is on no policy.
    NoPolicy,
    /// Too many different artifacts are waited for.
    TooManyRequests,
    /// The request must come over TLS.
    TlsRequired,
    /// The stored audit reason is `orphaned`.
    AuditReasonConflict,
    /// The body did not come in time.
    RequestTimeout,
    /// The client is gone or the server stops.
    ClientClosed,
    /// The store answered an error.
    StoreFailed {
        /// The store's own status.
        status: u16,
        /// The store's own reason.
        reason: String,
    },
    /// The Elasticsearch cannot be reached.
    ElasticsearchUnreachable,
    /// The store of our own fails, or no store answers in time.
    StoreUnavailable,
    /// No such path.
    NotFound,
    /// No revision of the agent's policy can be delivered.
    PolicyUndeliverable,
    /// A bug of ours; says no more.
    Internal,
}

impl ApiError {
    /// Status, name and message.
    pub fn row(&self) -> (u16, Cow<'static, str>, Cow<'static, str>) {
        let (status, name, message): (u16, &'static str, &'static str) = match self {
            Self::NoAuthHeader => (401, "ErrNoAuthHeader", "no authorization header"),
            Self::MalformedHeader => (400, "ErrMalformedHeader", "malformed authorization header"),
            Self::InvalidToken => (401, "ErrInvalidToken", "token not valid utf8"),
            Self::MalformedToken => (400, "ErrMalformedToken", "malformed token"),
            Self::Unauthorized => (401, "ErrUnauthorized", "unauthorized"),
            Self::KeyNotEnabled => (401, "Unauthorized", "ApiKey not enabled"),
            Self::AuthenticationLimit => {
                (429, "ElasticsearchAPIKeyAuthLimit", "exceeded the elasticsearch api key auth limit")
            }
            Self::AgentNotFound => (404, "AgentNotFound", "agent could not be found"),
            Self::ArtifactNotAllowed => (403, "Forbidden", "agent not authorized for artifact"),
            Self::NoPolicy => (403, "Forbidden", "agent has no policy ID"),
            Self::TooManyRequests => (429, "TooManyRequests", "too many requests"),
            Self::TlsRequired => (501, "ErrTLSRequired", "server must run with tls to use this endpoint"),
            Self::AgentIdentity => (403, "ErrAgentIdentity", "Agent header contains wrong identifier"),
            Self::AgentCorrupted => (400, "ErrAgentCorrupted", "Agent record corrupted"),
            Self::AgentInactive => (401, "ErrAgentInactive", "Agent inactive"),
            Self::InvalidUserAgent => (400, "InvalidUserAgent", "user-agent is invalid"),
            Self::UnsupportedVersion => (400, "UnsupportedVersion", "version is not supported"),
            Self::AgentNotReplaceable => (403, "AgentNotReplaceable", "existing agent cannot be replaced"),
            Self::EnrollDuplicate => (429, "EnrollDuplicate", "concurrent enrollment for same id: retry"),
            Self::PolicyNotFound => (400, "ErrPolicyNotFound", "ErrPolicyNotFound"),
            Self::PayloadTooLarge => {
                (413, "ErrPayloadSizeTooLarge", "the request body exceeds the maximum allowed size")
            }
            Self::RateLimit => (429, "RateLimit", "exceeded the rate limit"),
            Self::MaxLimit => (429, "MaxLimit", "exceeded the max limit"),
            Self::TooManyDispatches => (429, "TooManyBulkDispatches", "too many pending bulk dispatches"),
            Self::AuditReasonConflict => {
                (409, "ErrAuditReasonConflict", "agent document contains audit_unenroll_reason")
            }
            Self::RequestTimeout => (408, "RequestTimeout", "timeout on request"),
            Self::ClientClosed => (499, "StatusClientClosedRequest", "server is stopping"),
            Self::ElasticsearchUnreachable => {
                (503, "ServiceUnavailable", "Fleet server unable to communicate with Elasticsearch")
            }
            Self::StoreUnavailable => {
                (503, "ServiceUnavailable", "Fleet server unable to communicate with its store")
            }
            Self::NotFound => (404, "NotFound", "not found"),
            Self::PolicyUndeliverable => (
                500,
                "InternalServerError",
                "the agent's policy cannot be delivered: the server's log says why",
            ),
            Self::Internal => (500, "InternalServerError", "the server has met an error of its own"),
            Self::File(error) => {
                let (status, name, message) = error.row();
                return (status, name.into(), message);
            }
            Self::ApiVersionFormat(_)
            | Self::ApiVersionUnsupported(_)
            | Self::BadRequest(_)
            | Self::StoreFailed { .. } => {
                return self.telling_row();
            }
        };
        (status, name.into(), message.into())
    }

    /// Rows whose texts depend on the request.
    fn telling_row(&self) -> (u16, Cow<'static, str>, Cow<'static, str>) {
        match self {
            Self::ApiVersionFormat(got) => (
                400,
                "ErrInvalidAPIVersionFormat".into(),
                format!("received {got:?}, expected a date as in \"{}\"", crate::api::route::API_VERSION)
                    .into(),
            ),
            Self::ApiVersionUnsupported(got) => (
                400,
                "ErrUnsupportedAPIVersion".into(),
                format!(
                    "received {got:?}, is not supported, expected \"{}\"",
                    crate::api::route::API_VERSION
                )
                .into(),
            ),
            Self::StoreFailed { status, reason } => {
                (503, format!("elastic fail {status}: {reason}").into(), "elasticsearch error".into())
            }
            Self::BadRequest(what) => (400, "BadRequest".into(), format!("Bad request: {what}").into()),
            _ => (500, "InternalServerError".into(), "".into()),
        }
    }

    /// The answer that tells a client.
    pub fn response(&self) -> Response {
        let (status, name, message) = self.row();
        let body = serde_json::json!({ "statusCode": status, "error": name, "message": message });
        Response::new(status, body.to_string())
            .header("Content-Type", "application/json; charset=utf-8")
            .header("X-Content-Type-Options", "nosniff")
            .telling(self.label())
    }

    /// The error's name for metrics: one of few, where the name on the wire may hold what a store says.
    fn label(&self) -> &'static str {
        match (self, self.row().1) {
            (Self::StoreFailed { .. }, _) => "ElasticFail",
            (_, Cow::Borrowed(name)) => name,
            (_, Cow::Owned(_)) => "Other",
        }
    }

    /// A 400 that says what is wrong.
    pub fn bad(what: impl Into<Cow<'static, str>>) -> Self {
        Self::BadRequest(what.into())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyRejected => Self::Unauthorized,
            StoreError::AuthenticationLimited => Self::AuthenticationLimit,
            StoreError::Busy => Self::TooManyDispatches,
            StoreError::Failed { status, reason } => Self::StoreFailed { status, reason },
            StoreError::Unreachable(reason) => {
                ::log::warn!("Elasticsearch is unavailable: {reason}");
                Self::ElasticsearchUnreachable
            }
            StoreError::Unavailable(reason) => {
                ::log::warn!("the store is unavailable: {reason}");
                Self::StoreUnavailable
            }
            StoreError::NotFound => Self::StoreFailed { status: 404, reason: "not found".into() },
            StoreError::Conflict => Self::StoreFailed { status: 409, reason: "conflict".into() },
        }
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::PayloadTooLarge,
            BodyError::Corrupt => Self::bad("the body is not valid gzip"),
            BodyError::TimedOut => Self::RequestTimeout,
            BodyError::NoRoom => Self::MaxLimit,
            BodyError::Gone => Self::ClientClosed,
        }
    }
}
