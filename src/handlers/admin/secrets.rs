//! `/api/fleet/secrets` (ours): secrets that policies refer to. They go in and never come out.

use serde::Deserialize;
use serde_json::json;

use super::error::Refusal;
use super::{Answered, answer, body, read};
use crate::config::Secret;
use crate::handlers::Request;
use crate::model::NewSecret;
use crate::store::{Answer, Operation};
use crate::task::Cx;

/// Bytes of a secret: room for a chain of certificates with its key.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a request: each byte of the value may be escaped.
const BODY_BYTES_MAX: u64 = 512 * 1024;
/// Characters of an id.
const ID_CHARACTERS_MAX: usize = 256;

/// Keeps a secret; the answer has its id.
pub(super) async fn set(cx: Cx, _request: Request) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        id: Option<String>,
        value: String,
    }
    let wanted: Body = read(&body(&cx, BODY_BYTES_MAX).await?)?;
    check(wanted.id.as_deref(), &wanted.value)?;
    let secret = NewSecret { id: wanted.id, value: Secret::new(wanted.value) };
    match cx.store(Operation::SetSecret(secret)).await? {
        Answer::SecretId(id) => answer(&json!({ "item": { "id": id } })),
        _ => Err(Refusal::Internal),
    }
}

fn check(id: Option<&str>, value: &str) -> Result<(), Refusal> {
    if value.is_empty() {
        return Err(Refusal::BadRequest("the secret is empty".to_owned()));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(Refusal::BadRequest(format!("the secret is longer than {VALUE_BYTES_MAX} bytes")));
    }
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if id.is_some_and(|id| id.is_empty() || id.len() > ID_CHARACTERS_MAX || !id.chars().all(allowed)) {
        let reason = format!("an id has letters, digits, `-`, `_` and `.`, at most {ID_CHARACTERS_MAX}");
        return Err(Refusal::BadRequest(reason));
    }
    Ok(())
}
