//! `POST /api/fleet/backup` (ours): a copy of the whole store while it runs.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use super::error::Refusal;
use super::{Answered, BODY_BYTES_MAX, answer, body, read};
use crate::handlers::Request;
use crate::store::Operation;
use crate::task::Cx;

/// Copies the store into `file`, which must not exist. The path is the server's, so it has to be absolute.
pub(super) async fn backup(cx: Cx, _request: Request) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        file: PathBuf,
    }
    let Body { file } = read(&body(&cx, BODY_BYTES_MAX).await?)?;
    if !file.is_absolute() {
        return Err(Refusal::BadRequest("file: an absolute path is needed".into()));
    }
    cx.store(Operation::Backup(file.clone())).await?;
    answer(&json!({ "file": file }))
}
