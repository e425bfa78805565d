//! `/api/fleet/enrollment_api_keys`: enrollment tokens. Their id is the id of their API key.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::query::Query;
use super::{Answered, BODY_BYTES_MAX, answer, body, facts, read};
use crate::handlers::Request;
use crate::model::EnrollmentToken;
use crate::store::{Answer, Operation, StoreError};
use crate::task::Cx;

/// Characters of a token's name.
const NAME_CHARACTERS_MAX: usize = 256;

/// All tokens, oldest first.
pub(super) async fn list(cx: Cx, request: Request) -> Answered {
    let query = Query::read(&request.head, &["page", "perPage"])?;
    let page = query.page()?;
    let tokens = facts::tokens(&cx).await?;
    let items: Vec<Value> = tokens.iter().skip(page.skipped()).take(page.size).map(item).collect();
    answer(&json!({ "items": items, "total": tokens.len(), "page": page.number, "perPage": page.size }))
}

/// One token.
pub(super) async fn show(cx: Cx, request: Request) -> Answered {
    let token = token(&cx, request.id).await?;
    answer(&json!({ "item": item(&token) }))
}

/// A new token for a policy.
pub(super) async fn create(cx: Cx, _request: Request) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        policy_id: String,
        name: Option<String>,
    }
    let wanted: Body = read(&body(&cx, BODY_BYTES_MAX).await?)?;
    facts::policy(&cx, &wanted.policy_id).await?;
    let name = wanted.name.filter(|name| !name.is_empty()).unwrap_or_else(|| wanted.policy_id.clone());
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(Refusal::BadRequest(format!("the name is longer than {NAME_CHARACTERS_MAX} characters")));
    }
    let create = Operation::CreateToken { policy_id: wanted.policy_id, name, at: cx.now().wall };
    match cx.store(create).await? {
        Answer::Token(Some(token)) => answer(&json!({ "action": "created", "item": item(&token) })),
        _ => Err(Refusal::Internal),
    }
}

/// Makes a token unusable, at once.
pub(super) async fn revoke(cx: Cx, request: Request) -> Answered {
    match cx.store(Operation::RevokeToken(request.id.clone())).await {
        Err(StoreError::NotFound) => return Err(none(&request.id)),
        result => result?,
    };
    cx.fleet(|fleet| fleet.forget_key(&request.id));
    answer(&json!({ "action": "deleted" }))
}

async fn token(cx: &Cx, id: String) -> Result<Box<EnrollmentToken>, Refusal> {
    match cx.store(Operation::TokenByKey(id.clone())).await? {
        Answer::Token(Some(token)) => Ok(token),
        Answer::Token(None) => Err(none(&id)),
        _ => Err(Refusal::Internal),
    }
}

fn none(id: &str) -> Refusal {
    Refusal::NotFound(format!("there is no enrollment token {id}"))
}

/// With the token itself: whoever may connect here may enrol agents.
fn item(token: &EnrollmentToken) -> Value {
    json!({
        "id": token.api_key_id,
        "api_key_id": token.api_key_id,
        "api_key": token.api_key,
        "name": token.name,
        "policy_id": token.policy_id,
        "active": token.active,
        "created_at": token.created_at,
    })
}
