//! The operator's API on `admin.sock`; its paths and JSON are those of Kibana's Fleet API where it has them, so that
//! scripts know them already. Works through the store alone, so it works on every store. Who may connect is the socket's
//! business (mode 0600).

mod action_status;
mod actions;
mod agent_item;
mod agent_status;
mod agents;
mod apply;
mod artifacts;
mod backup;
mod cancel;
mod error;
mod facts;
mod files;
mod filter;
mod orders;
mod policies;
pub mod policy_text;
mod query;
mod route;
mod secrets;
pub mod server_status;
mod targets;
#[cfg(test)]
mod tests;
mod tokens;

use std::future::Future;

use serde::de::DeserializeOwned;

pub use agent_status::AgentStatus;
pub use artifacts::CONTENT_BYTES_MAX as ARTIFACT_BYTES_MAX;
pub use secrets::VALUE_BYTES_MAX as SECRET_BYTES_MAX;

use self::error::Refusal;
use super::{Request, json};
use crate::connection::BodyBounds;
use crate::http::Response;
use crate::task::{Cx, Handler, Outcome};

/// Bytes of a request body other than a policy's.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// What a procedure of this API ends with.
type Answered = Result<Response, Refusal>;

/// The handler of an operator's request.
pub fn start(cx: Cx, request: Request) -> Handler {
    route::start(cx, request)
}

/// A procedure as a handler.
fn handler(procedure: impl Future<Output = Answered> + 'static) -> Handler {
    Box::pin(async { Outcome::Respond(procedure.await.unwrap_or_else(|refusal| refusal.response())) })
}

/// The request's body, at most so many bytes.
async fn body(cx: &Cx, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    Ok(cx.body(BodyBounds { bytes_max, inflated_bytes_max: None }).await?)
}

/// Reads a small body as JSON; none at all is an empty object.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::BadRequest(format!("the body: {error}")))
}

/// A 200 with this JSON.
fn answer(value: &serde_json::Value) -> Answered {
    Ok(json(value.to_string()))
}
