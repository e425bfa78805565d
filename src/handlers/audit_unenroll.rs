//! `POST /api/fleet/agents/{id}/audit/unenroll`: why an agent went away. It stays active; its next check-in removes the note.

use super::{Request, answered, authenticate, json, read_body};
use crate::api::ApiError;
use crate::api::authorization;
use crate::api::route::Operation as Route;
use crate::api::unenroll::AuditUnenrollRequest;
use crate::model::Patch;
use crate::store::Operation;
use crate::task::{Cx, Outcome};

/// Notes the reason, unless the stored one is `orphaned`.
pub async fn audit_unenroll(cx: Cx, request: Request) -> Outcome {
    answered(async {
        let key = authorization::api_key(&request.head)?;
        let agent = authenticate::agent(&cx, &key, &request.id).await?;
        if agent.audit_unenrolled_reason.as_deref() == Some("orphaned") {
            return Err(ApiError::AuditReasonConflict);
        }
        let audit = read_body(&cx, Route::AuditUnenroll, AuditUnenrollRequest::read).await?;
        let patch = Patch::new()
            .set("audit_unenrolled_reason", audit.reason)
            .set("audit_unenrolled_time", audit.timestamp)
            .set("updated_at", cx.now().wall.rfc3339());
        cx.store(Operation::UpdateAgent { agent: agent.id, patch }).await?;
        Ok(Outcome::Respond(json("")))
    })
    .await
}
