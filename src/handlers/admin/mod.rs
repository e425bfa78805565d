//! The operator's API on `admin.sock`; its paths and JSON are those of Kibana's Fleet API where it has them.

use super::Request;
use crate::api::ApiError;
use crate::task::{Cx, Handler, Outcome};

/// The handler of an operator's request.
pub fn start(_cx: Cx, _request: Request) -> Handler {
    Box::pin(async { Outcome::Respond(ApiError::NotFound.response()) })
}
