//! Why an operator's request is refused, as the answer that says so in the shape of Kibana's errors.

use crate::connection::BodyError;
use crate::http::{Response, reason};
use crate::store::StoreError;

/// Why a request is refused. The text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// {0}
    #[error("{0}")]
    BadRequest(String),
    /// {0}
    #[error("{0}")]
    NotFound(String),
    /// {0}
    #[error("{0}")]
    Conflict(String),
    /// the method is not one of {0}
    #[error("the method is not one of {0}")]
    Method(String),
    /// {0}
    #[error("{0}")]
    Body(#[from] BodyError),
    /// what the store says, for which its reason is enough
    #[error("{}", reason_of(.0))]
    Store(#[from] StoreError),
    /// a bug
    #[error("internal error")]
    Internal,
}

fn reason_of(error: &StoreError) -> String {
    match error {
        StoreError::Failed { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

impl Refusal {
    fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::NotFound(_) | Self::Store(StoreError::NotFound) => 404,
            Self::Method(_) => 405,
            Self::Conflict(_) | Self::Store(StoreError::Conflict) => 409,
            Self::Body(BodyError::TooLarge) => 413,
            Self::Body(BodyError::TimedOut) => 408,
            Self::Body(_) => 400,
            Self::Store(StoreError::Busy | StoreError::AuthenticationLimited) => 429,
            Self::Store(StoreError::Unreachable(_) | StoreError::Unavailable(_)) => 503,
            Self::Store(StoreError::Failed { status: 501, .. }) => 501,
            Self::Store(_) | Self::Internal => 500,
        }
    }

    /// The answer that tells the operator.
    pub(super) fn response(&self) -> Response {
        let status = self.status();
        let error = reason(status);
        let body = serde_json::json!({ "statusCode": status, "error": error, "message": self.to_string() });
        let response =
            Response::new(status, body.to_string()).header("Content-Type", "application/json; charset=utf-8");
        match self {
            Self::Method(allowed) => response.header("Allow", allowed.clone()),
            _ => response,
        }
    }
}
