//! `GET /api/fleet/artifacts/{identifier}/{sha2}`: what an agent's policy lists (files.md, "Artifacts").

use std::sync::Arc;

use super::{Request, answered, authenticate};
use crate::api::ApiError;
use crate::api::authorization;
use crate::fleet::render::AllowedArtifacts;
use crate::http::Response;
use crate::model::{Agent, ArtifactId, SHA256_DIGITS};
use crate::store::{Answer, Operation};
use crate::task::{Cx, Outcome};

/// The body as it is stored, if the agent's policy lists it.
pub async fn artifact(cx: Cx, request: Request) -> Outcome {
    answered(serve(&cx, request)).await
}

async fn serve(cx: &Cx, request: Request) -> Result<Outcome, ApiError> {
    let key = authorization::api_key(&request.head)?;
    let agent = authenticate::agent_of_key(cx, &key).await?;
    let id = ArtifactId { identifier: request.id, decoded_sha256: request.part };
    let is_hash =
        |text: &str| text.len() == SHA256_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash(&id.decoded_sha256) {
        return Err(ApiError::bad("malformed sha256"));
    }
    authorise(cx, &agent, &id).await?;
    let body = body(cx, &id).await?;
    Ok(Outcome::Respond(Response::new(200, body).header("Content-Type", "application/octet-stream")))
}

/// Whether the newest revision of the agent's policy lists the artifact. A policy that this server does not hold is looked
/// for in the store.
async fn authorise(cx: &Cx, agent: &Agent, id: &ArtifactId) -> Result<(), ApiError> {
    let policy_id = match agent.policy_id.as_str() {
        "" => agent.agent_policy_id.as_deref().unwrap_or_default(),
        assigned => assigned,
    };
    if policy_id.is_empty() {
        return Err(ApiError::NoPolicy);
    }
    let allows = |allowed: &AllowedArtifacts| allowed.allow(&id.identifier, &id.decoded_sha256);
    let held = cx.fleet(|fleet| fleet.policies.newest(policy_id).map(|revision| allows(&revision.artifacts)));
    let is_allowed = match held {
        Some(is_allowed) => is_allowed,
        None => load_allowed(cx, policy_id).await?.is_some_and(|allowed| allows(&allowed)),
    };
    if is_allowed { Ok(()) } else { Err(ApiError::ArtifactNotAllowed) }
}

/// What a policy allows that could not be rendered yet, or that nobody has told us of. One question for all who ask at once.
async fn load_allowed(cx: &Cx, policy_id: &str) -> Result<Option<AllowedArtifacts>, ApiError> {
    let wanted = Operation::PolicyRevision { policy_id: policy_id.to_owned(), revision_idx: None };
    match cx.lookup(wanted).await? {
        Answer::Policy(None) => Ok(None),
        Answer::Policy(Some(policy)) => {
            Ok(Some(cx.work(move || AllowedArtifacts::of(&policy)).await.ok_or(ApiError::Internal)?))
        }
        _ => Err(ApiError::Internal),
    }
}

/// The body: kept from a while ago, or read from the store, once for all who want it meanwhile.
async fn body(cx: &Cx, id: &ArtifactId) -> Result<Arc<[u8]>, ApiError> {
    let now = cx.now().mono;
    if let Some(body) = cx.fleet(|fleet| fleet.artifacts.get(id, now)) {
        return Ok(body);
    }
    if !cx.fleet(|fleet| fleet.artifacts.want(id)) {
        return Err(ApiError::TooManyRequests);
    }
    let found = cx.lookup(Operation::ArtifactBody(id.clone())).await;
    cx.fleet(|fleet| fleet.artifacts.has_waited(id));
    match found? {
        Answer::ArtifactBody(None) => Err(ApiError::NotFound),
        Answer::ArtifactBody(Some(body)) if body.is_intact => {
            let now = cx.now().mono;
            let may_go = cx.fleet(|fleet| {
                let expires = now + fleet.config.server.cache.ttl_artifact;
                fleet.artifacts.keep(id.clone(), &body.bytes, expires)
            });
            if may_go { Ok(body.bytes) } else { Err(ApiError::TooManyRequests) }
        }
        Answer::ArtifactBody(Some(_)) => {
            ::log::error!(
                "the body of the artifact {}/{} is not what its document says",
                id.identifier,
                id.decoded_sha256
            );
            Err(ApiError::Internal)
        }
        _ => Err(ApiError::Internal),
    }
}
