//! `GET /api/fleet/file/{id}`: files for agents, or of libraries for their endpoints (files.md, "Delivery to a host").

use super::file_stream::Delivery;
use super::{Request, authenticate};
use crate::api::{ApiError, FileError, authorization};
use crate::http::{RequestHead, percent_decode};
use crate::model::{File, FileArea, FileKey, is_source};
use crate::store::{Answer, FileQuery, Operation};
use crate::task::{Cx, Outcome};

/// The only client that may have files of libraries.
const LIBRARY_CLIENT: &str = "endpoint-security";
/// What a name from outside is stripped of before it is part of an index's.
const STRIPPED: &str = "*?\"<>\\/,|#";

/// Sends the file, if the agent may have it.
pub async fn deliver(cx: Cx, request: Request) -> Outcome {
    let (file, agent) = match find(&cx, &request).await {
        Ok(found) => found,
        Err(error) => return Outcome::Respond(error.response()),
    };
    match Delivery::prepare(&cx, &request.head, *file).await {
        Ok(delivery) => {
            drop(request);
            delivery.send(&cx, &agent).await
        }
        Err(response) => Outcome::Respond(response),
    }
}

/// The file, and who asks for it.
async fn find(cx: &Cx, request: &Request) -> Result<(Box<File>, String), ApiError> {
    let key = authorization::api_key(&request.head)?;
    let agent = authenticate::agent_of_key(cx, &key).await?;
    let id = request.id.clone();
    let (query, missing) = match library(&request.head) {
        None => (FileQuery::ForAgent { id, agent: agent.id.clone() }, FileError::NoFile),
        Some(_) if client(&request.head) != LIBRARY_CLIENT => return Err(FileError::ClientForbidden.into()),
        Some(library) if !is_source(&library) => return Err(FileError::NotInLibrary.into()),
        Some(library) => {
            let key = FileKey { area: FileArea::Library(library), id };
            (FileQuery::Key(key), FileError::NotInLibrary)
        }
    };
    match cx.store(Operation::FindFile(query)).await? {
        Answer::File(file) => Ok((file.ok_or(missing)?, agent.id.clone())),
        _ => Err(ApiError::Internal),
    }
}

/// The library that the query names; none if nothing is left of its name.
fn library(head: &RequestHead) -> Option<String> {
    let fields = head.query()?.split('&').filter_map(|field| field.split_once('='));
    let (_, value) = fields.into_iter().find(|(name, _)| *name == "source")?;
    let value = value.replace('+', " ");
    Some(stripped(&percent_decode(&value)?)).filter(|library| !library.is_empty())
}

fn client(head: &RequestHead) -> String {
    stripped(head.single("x-elastic-product-origin").ok().flatten().unwrap_or_default())
}

fn stripped(text: &str) -> String {
    text.trim().to_lowercase().chars().filter(|character| !STRIPPED.contains(*character)).collect()
}
