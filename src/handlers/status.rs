//! `GET /api/status`: cheap, and independent of the store's round trips unless a key is shown.

use super::{Request, authenticate, json};
use crate::api::authorization;
use crate::fleet::health::State;
use crate::task::{Cx, Outcome};
use crate::version::{BUILD_HASH, BUILD_TIME, STACK_VERSION};

/// The state; with a good key also the version. Every failure of authentication gives the short body.
pub async fn status(cx: Cx, request: Request) -> Outcome {
    let known = match authorization::api_key(&request.head) {
        Ok(key) => authenticate::key(&cx, &key).await.is_ok(),
        Err(_) => false,
    };
    let now = cx.now().mono;
    let state = cx.fleet(|fleet| fleet.health.shown(now));
    let mut body = serde_json::json!({ "name": "fleet-server", "status": state.name() });
    if known {
        body["version"] = serde_json::json!({ "number": STACK_VERSION, "build_hash": BUILD_HASH, "build_time": BUILD_TIME });
    }
    let mut response = json(body.to_string());
    response.status = if state == State::Healthy { 200 } else { 503 };
    Outcome::Respond(response)
}
