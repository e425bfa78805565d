//! The request procedures, a file per endpoint: straight-line `async fn` that read like the protocol.
//!
//! They await only what [`crate::task::Cx`] offers, read facts anew after each await, and always run to their end.

pub mod acks;
pub mod admin;
pub mod artifact;
pub mod audit_unenroll;
pub mod authenticate;
pub mod checkin;
pub mod deliver;
pub mod enroll;
pub mod metrics;
pub mod pgp_key;
pub mod opamp;
pub mod file_delivery;
mod file_stream;
pub mod policy;
mod replace_token;
mod secrets;
pub mod standing;
pub mod status;
mod unenroll;
pub mod uploads;

use std::future::Future;

use crate::api::ApiError;
use crate::api::route::Operation;
use crate::connection::{BodyBounds, ConnectionId, Listener};
use crate::fleet::limits::limit_of;
use crate::http::{RequestHead, Response};
use crate::task::{Cx, Handler, Outcome};
use crate::time::Now;

/// A request as a handler gets it; the body is asked for.
pub struct Request {
    /// Where it came from.
    pub connection: ConnectionId,
    /// Through which door.
    pub listener: Listener,
    /// Line and headers.
    pub head: Box<RequestHead>,
    /// Whether it came over TLS.
    pub is_encrypted: bool,
    /// What the path names, percent-decoded; empty where it names nothing.
    pub id: String,
    /// What else it names.
    pub part: String,
    /// When its head was complete.
    pub started: Now,
}

/// The handler of an operation.
pub fn start(operation: Operation, cx: Cx, request: Request) -> Handler {
    match operation {
        Operation::Status => Box::pin(status::status(cx, request)),
        Operation::Enroll => Box::pin(enroll::enroll(cx, request)),
        Operation::CheckIn => Box::pin(checkin::check_in(cx, request)),
        Operation::Acks => Box::pin(acks::acks(cx, request)),
        Operation::AuditUnenroll => Box::pin(audit_unenroll::audit_unenroll(cx, request)),
        Operation::Artifact => Box::pin(artifact::artifact(cx, request)),
        Operation::PgpKey => Box::pin(pgp_key::pgp_key(cx, request)),
        Operation::OpAmp => Box::pin(opamp::opamp(cx, request)),
        Operation::UploadBegin => Box::pin(uploads::begin(cx, request)),
        Operation::UploadChunk => Box::pin(uploads::chunk(cx, request)),
        Operation::UploadComplete => Box::pin(uploads::complete(cx, request)),
        Operation::FileDelivery => Box::pin(file_delivery::deliver(cx, request)),
    }
}

/// JSON above this is read on a worker thread.
const JSON_INLINE_BYTES_MAX: usize = 256 * 1024;

/// The request's body, read by `read`; a large one on a worker.
async fn read_body<T: Send + 'static>(
    cx: &Cx,
    operation: Operation,
    read: fn(&[u8]) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let body = cx.body(cx.fleet(|fleet| body_bounds(operation, fleet))).await?;
    if body.len() <= JSON_INLINE_BYTES_MAX {
        return read(&body);
    }
    cx.work(move || read(&body)).await.unwrap_or(Err(ApiError::Internal))
}

fn body_bounds(operation: Operation, fleet: &crate::fleet::Fleet) -> BodyBounds {
    let limits = &fleet.config.server.limits;
    let bytes_max = limit_of(operation, limits).body_bytes_max;
    let inflated_bytes_max = match operation {
        Operation::CheckIn => Some(limits.checkin_body_decompressed_bytes_max),
        Operation::OpAmp => Some(bytes_max),
        _ => None,
    };
    BodyBounds { bytes_max, inflated_bytes_max }
}

/// A 200 with a JSON body.
fn json(body: impl Into<crate::http::Body>) -> Response {
    Response::new(200, body).header("Content-Type", "application/json")
}

/// Ends a handler with its answer or the answer of its error.
async fn answered(handler: impl Future<Output = Result<Outcome, ApiError>>) -> Outcome {
    handler.await.unwrap_or_else(|error| Outcome::Respond(error.response()))
}
