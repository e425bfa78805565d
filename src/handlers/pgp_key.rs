//! `GET /api/agents/upgrades/X.Y.Z/pgp-public-key`: the key that agents check upgrades with (files.md, "PGP key").

use std::sync::Arc;
use std::time::Duration;

use super::{Request, answered};
use crate::api::ApiError;
use crate::http::Response;
use crate::pgp;
use crate::task::{Cx, Outcome};

/// So long the key is believed to be the same.
const KEY_LIVES: Duration = Duration::from_secs(30 * 60);
/// All who want the key while somebody looks for it share what is found.
const ERRAND: &str = "pgp key";

/// The same key for every version, over TLS only, to anybody.
pub async fn pgp_key(cx: Cx, request: Request) -> Outcome {
    answered(serve(&cx, &request)).await
}

async fn serve(cx: &Cx, request: &Request) -> Result<Outcome, ApiError> {
    if !request.id.splitn(3, '.').all(|part| part.parse::<u64>().is_ok()) {
        return Err(ApiError::bad("the version is not three numbers"));
    }
    if !request.is_encrypted {
        return Err(ApiError::TlsRequired);
    }
    let key = key(cx).await?;
    Ok(Outcome::Respond(Response::new(200, key).header("Content-Type", "text/plain; charset=utf-8")))
}

async fn key(cx: &Cx) -> Result<Arc<[u8]>, ApiError> {
    let now = cx.now().mono;
    let kept = cx.fleet(|fleet| fleet.pgp_key.clone().filter(|(expires, _)| *expires > now));
    if let Some((_, key)) = kept {
        return Ok(key);
    }
    let settings = cx.fleet(|fleet| fleet.config.server.pgp.clone());
    let obtain = move || {
        pgp::obtain(&settings)
            .inspect_err(|error| ::log::error!("there is no key for upgrades: {error}"))
            .ok()
    };
    let found = cx.errand(ERRAND, obtain).await.ok_or(ApiError::Internal)?;
    let key = Option::clone(&found).ok_or(ApiError::Internal)?;
    let expires = cx.now().mono + KEY_LIVES;
    cx.fleet(|fleet| fleet.pgp_key = Some((expires, key.clone())));
    Ok(key)
}
