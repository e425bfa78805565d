//! What agents sent (`/api/fleet/agents/{id}/uploads` and `/agents/files/{id}/{name}`, as Kibana has them) and what they are to
//! get (`/api/fleet/files`, ours): an operator's file comes in chunks as an agent's does.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Refusal;
use super::query::Query;
use super::targets::{Selection, Targets};
use super::{Answered, BODY_BYTES_MAX, answer, body, read};
use crate::api::{ApiError, FileError};
use crate::handlers::file_stream::Delivery;
use crate::handlers::{Request, uploads};
use crate::model::raw::raw;
use crate::model::{
    Bytes, CHUNK_BYTES, FILE_BYTES_MAX, File, FileArea, FileKey, FileStatus, NewChunk, NewFile, file,
    is_source,
};
use crate::store::{Answer, FileList, FileQuery, Operation, StoreError};
use crate::task::{Cx, Outcome, Place};

/// The integration of files for single agents.
const INTEGRATION: &str = "agent";

/// What an agent sent, the newest first.
pub(super) async fn uploads_of(cx: Cx, request: Request) -> Answered {
    list(&cx, FileList::OfAgent(request.id)).await
}

/// What agents are to get, and what libraries hold.
pub(super) async fn list_all(cx: Cx, _request: Request) -> Answered {
    list(&cx, FileList::ToAgents).await
}

async fn list(cx: &Cx, which: FileList) -> Answered {
    match cx.store(Operation::Files(which)).await? {
        Answer::Files(files) => answer(&json!({ "items": files.iter().map(item).collect::<Vec<_>>() })),
        _ => Err(Refusal::Internal),
    }
}

/// Whose places chunks take: all operators are one.
const OPERATOR: &str = "";

/// A file as Kibana lists it, with what it takes to check it.
fn item(file: &File) -> Value {
    let started = file.started.rfc3339_millis();
    json!({
        "id": file.key.id, "name": file.name, "actionId": file.action_id, "createTime": started,
        "status": file.status.name(), "filePath": format!("/api/fleet/agents/files/{}/{}", file.key.id, file.name),
        "size": file.bytes, "chunkSize": file.chunk_bytes, "mimeType": file.mime_type,
        "sha256": file.sha256, "transitSha256": file.transit_sha256, "area": file.key.area.name(),
        "agents": file.target_agents,
    })
}

/// The content of what an agent sent.
pub(super) async fn content(cx: Cx, request: Request) -> Outcome {
    let found = match cx.store(Operation::FindFile(FileQuery::Sent(request.id.clone()))).await {
        Ok(Answer::File(found)) => found.filter(|file| file.status == FileStatus::Ready),
        Ok(_) => return Outcome::Respond(Refusal::Internal.response()),
        Err(error) => return Outcome::Respond(Refusal::Store(error).response()),
    };
    let Some(file) = found else {
        let refusal = Refusal::NotFound(format!("there is no file {} that is whole", request.id));
        return Outcome::Respond(refusal.response());
    };
    match Delivery::prepare(&cx, &request.head, *file).await {
        Ok(delivery) => delivery.send(&cx, OPERATOR).await,
        Err(response) => Outcome::Respond(response),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Announcement {
    id: Option<String>,
    name: String,
    #[serde(default)]
    mime_type: String,
    size: u64,
    sha256: String,
    #[serde(default)]
    agents: Vec<String>,
    library: Option<String>,
}

/// A file for agents begins; its id, and how it is named while it comes.
pub(super) async fn begin(cx: Cx, _request: Request) -> Answered {
    let announced: Announcement = read(&body(&cx, BODY_BYTES_MAX).await?)?;
    let bad = |what: &str| Err(Refusal::BadRequest(what.to_owned()));
    if announced.agents.is_empty() == announced.library.is_none() {
        return bad("either agents or a library is needed");
    }
    if !(1..=FILE_BYTES_MAX).contains(&announced.size) {
        return bad("size: a file has at least one byte and at most 40,000 MiB");
    }
    if file::unhex(&announced.sha256).is_none() {
        return bad("sha256: 64 hexadecimal digits are needed");
    }
    let area = area(announced.library.as_deref())?;
    if !announced.agents.is_empty() {
        // they have to be there: a name with a mistake in it would be nobody's file
        let named = Selection::Ids(announced.agents.clone());
        Box::pin(Targets::find(&cx, String::new(), Some(named))).await?.refuse_collectors()?;
    }
    let (id, upload_id) = cx.fleet(|fleet| (fleet.uuid(), fleet.uuid()));
    let id = announced.id.unwrap_or(id);
    let at = cx.now().wall.0;
    let document = raw(&json!({
        "@timestamp": at, "upload_start": at, "upload_id": upload_id, "source": area.name(),
        "file": {
            "name": announced.name, "mime_type": announced.mime_type, "size": announced.size,
            "ChunkSize": CHUNK_BYTES, "Status": FileStatus::Awaiting.name(),
            "hash": { "sha256": announced.sha256 }, "Meta": { "target_agents": announced.agents },
        },
    }));
    let new = NewFile { key: FileKey { area, id: id.clone() }, upload_id: upload_id.clone(), document };
    match cx.store(Operation::BeginFile(Box::new(new))).await {
        Err(StoreError::Conflict) => Err(Refusal::Conflict(format!("there is a file {id}"))),
        Err(error) => Err(error.into()),
        Ok(_) => answer(&json!({ "id": id, "uploadId": upload_id, "chunkSize": CHUNK_BYTES })),
    }
}

/// A chunk of a file for agents.
pub(super) async fn chunk(cx: Cx, request: Request) -> Answered {
    let (file, upload_id) = named(&cx, &request).await?;
    let number: Option<u64> = request.part.parse().ok();
    let count = file.chunk_count().unwrap_or(0);
    let Some(number) = number.filter(|number| *number < count) else {
        return Err(Refusal::BadRequest("the file has no chunk of this number".to_owned()));
    };
    drop(request);
    if !cx.enter(Place::Upload, OPERATOR).await {
        return Err(Refusal::Store(StoreError::Busy));
    }
    let data = body(&cx, CHUNK_BYTES).await?;
    let hashed = cx.work(move || (file::hex(&file::sha256(&data)), Bytes(data))).await;
    let (sha2, data) = hashed.ok_or(Refusal::Internal)?;
    let (at, last) = (cx.now().wall, number + 1 == count);
    let chunk = NewChunk { file: file.key, upload_id, number, last, sha2, at, data };
    cx.store(Operation::PutChunk(Box::new(chunk))).await?;
    answer(&json!({}))
}

/// A file for agents is whole, if its chunks say so.
pub(super) async fn complete(cx: Cx, request: Request) -> Answered {
    let (file, upload_id) = named(&cx, &request).await?;
    drop(request);
    let chunks = match uploads::chunks(&cx, &file.key).await {
        Ok(chunks) => chunks,
        Err(ApiError::Internal) => return Err(Refusal::Internal),
        Err(error) => return Err(Refusal::BadRequest(error.row().2.into_owned())),
    };
    let hash =
        file::transit_hash(chunks.iter().map(|chunk| chunk.sha2.as_str())).map(|hash| file::hex(&hash));
    let transit_sha256 = hash.ok_or(Refusal::Internal)?;
    uploads::check_chunks(&file, &chunks, &transit_sha256).map_err(refused)?;
    let (status, transit_sha256) = (FileStatus::Ready, Some(transit_sha256));
    cx.store(Operation::EndFile { file: file.key.clone(), upload_id, status, transit_sha256 }).await?;
    answer(&json!({ "item": item(&File { status, ..*file }) }))
}

/// Removes a file for agents.
pub(super) async fn delete(cx: Cx, request: Request) -> Answered {
    let query = Query::read(&request.head, &["library"])?;
    let key = FileKey { area: area(query.text("library"))?, id: request.id.clone() };
    let Answer::File(Some(_)) = cx.store(Operation::FindFile(FileQuery::Key(key.clone()))).await? else {
        return Err(Refusal::NotFound(format!("there is no file {}", key.id)));
    };
    cx.store(Operation::DeleteFile(key)).await?;
    answer(&json!({ "id": request.id }))
}

fn refused(error: FileError) -> Refusal {
    Refusal::BadRequest(error.row().2.into_owned())
}

fn area(library: Option<&str>) -> Result<FileArea, Refusal> {
    match library {
        None => Ok(FileArea::ToHost(INTEGRATION.to_owned())),
        Some(library) if is_source(library) => Ok(FileArea::Library(library.to_owned())),
        Some(_) => Err(Refusal::BadRequest("library: only a-z, 0-9, - and _".to_owned())),
    }
}

/// The open file that a request names, and how it is named while it comes.
async fn named(cx: &Cx, request: &Request) -> Result<(Box<File>, String), Refusal> {
    let query = Query::read(&request.head, &["library", "uploadId"])?;
    let key = FileKey { area: area(query.text("library"))?, id: request.id.clone() };
    let upload_id = query.text("uploadId").unwrap_or_default().to_owned();
    match cx.store(Operation::FindFile(FileQuery::Key(key))).await? {
        Answer::File(Some(file)) if file.upload_id == upload_id && file.status.is_open() => {
            Ok((file, upload_id))
        }
        Answer::File(_) => Err(Refusal::NotFound(format!("there is no file {} that is open", request.id))),
        _ => Err(Refusal::Internal),
    }
}
