//! Uploads: an agent announces a file, sends it in chunks one after another, and says when it is whole (files.md, "Upload from
//! a host"). The key is checked before anything is told of an upload; a chunk before it is kept.

use super::{Request, answered, authenticate, body_bounds, json, read_body};
use crate::api::route::Operation as Route;
use crate::api::uploads::{Begun, UploadBegin, read_transit_hash};
use crate::api::{ApiError, FileError, authorization};
use crate::http::RequestHead;
use crate::model::{ApiKey, Bytes, CHUNK_BYTES, Chunk, File, FileKey, FileStatus, NewChunk, file};
use crate::store::{Answer, FileQuery, Operation, StoreError, UPLOAD_TIME_MAX};
use crate::task::{Cx, Outcome, Place};
use crate::time::Timestamp;

/// `POST /api/fleet/uploads`: answers how the agent is to name the upload.
pub async fn begin(cx: Cx, request: Request) -> Outcome {
    answered(async {
        let begin = read_body(&cx, Route::UploadBegin, UploadBegin::read).await?;
        let key = authorization::api_key(&request.head)?;
        let agent = authenticate::agent(&cx, &key, &begin.agent_id).await?;
        let bytes_max = cx.fleet(|fleet| fleet.config.server.limits.file_storage_bytes_max);
        if bytes_max == Some(0) {
            return Err(FileError::Disabled.into());
        }
        let upload_id = cx.fleet(|fleet| fleet.uuid());
        let begun =
            Begun { upload_id: upload_id.clone(), at: cx.now().wall, namespaces: agent.namespaces.clone() };
        let new = Box::new(begin.into_file(&begun, bytes_max)?);
        match cx.store(Operation::BeginFile(new)).await {
            // whole already: nothing of it is replaced
            Err(StoreError::Conflict) => Err(FileError::Closed.into()),
            Err(error) => Err(error.into()),
            Ok(_) => {
                let body = serde_json::json!({ "upload_id": upload_id, "chunk_size": CHUNK_BYTES });
                Ok(Outcome::Respond(json(body.to_string())))
            }
        }
    })
    .await
}

/// `PUT /api/fleet/uploads/{id}/{number}`: keeps a chunk; one that is there already is fine, or replaced.
pub async fn chunk(cx: Cx, request: Request) -> Outcome {
    answered(async {
        let number: i64 =
            request.part.parse().map_err(|_| ApiError::bad("the number of the chunk is no whole number"))?;
        let sha2 = chunk_hash(&request.head)?;
        let key = authorization::api_key(&request.head)?;
        let upload = upload(&cx, &key, &request.id).await?;
        if has_expired(&upload, cx.now().wall) {
            return Err(FileError::Expired.into());
        }
        if !upload.status.is_open() {
            return Err(FileError::Stopped.into());
        }
        let count = upload.chunk_count().unwrap_or(0);
        let number = u64::try_from(number).ok().filter(|number| *number < count);
        let number = number.ok_or(FileError::InvalidChunkNumber)?;
        if !cx.enter(Place::Upload, &upload.agent_id).await {
            return Err(ApiError::MaxLimit);
        }
        let body = cx.body(cx.fleet(|fleet| body_bounds(Route::UploadChunk, fleet))).await?;
        let data = matching(&cx, body, sha2.clone()).await?;
        let chunk = NewChunk {
            file: upload.key,
            upload_id: upload.upload_id,
            number,
            last: number + 1 == count,
            sha2,
            at: cx.now().wall,
            data,
        };
        match cx.store(Operation::PutChunk(Box::new(chunk))).await {
            Err(StoreError::NotFound) => Err(FileError::Stopped.into()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(Outcome::Respond(json(""))),
        }
    })
    .await
}

/// `POST /api/fleet/uploads/{id}`: the file is whole, if its chunks say so too.
pub async fn complete(cx: Cx, request: Request) -> Outcome {
    answered(async {
        let key = authorization::api_key(&request.head)?;
        let upload = upload(&cx, &key, &request.id).await?;
        let transit_sha256 = read_body(&cx, Route::UploadComplete, read_transit_hash).await?;
        if !upload.status.is_open() {
            return Err(FileError::Closed.into());
        }
        let chunks = chunks(&cx, &upload.key).await?;
        let verdict = check_chunks(&upload, &chunks, &transit_sha256);
        let status = match verdict {
            Ok(()) => FileStatus::Ready,
            // the rest may yet come
            Err(FileError::MissingChunks) => return Err(FileError::MissingChunks.into()),
            Err(_) => FileStatus::Failed,
        };
        let (file, upload_id) = (upload.key, upload.upload_id);
        let end = Operation::EndFile { file, upload_id, status, transit_sha256: Some(transit_sha256) };
        match cx.store(end).await {
            Err(StoreError::NotFound) => return Err(FileError::Closed.into()),
            Err(error) => return Err(error.into()),
            Ok(_) => verdict?,
        }
        Ok(Outcome::Respond(json(r#"{"status":"ok"}"#)))
    })
    .await
}

/// The upload of this id, if the key is that of the agent which sends it.
async fn upload(cx: &Cx, key: &ApiKey, upload_id: &str) -> Result<Box<File>, ApiError> {
    authenticate::key(cx, key).await?;
    let Answer::File(upload) = cx.store(Operation::FindFile(FileQuery::Upload(upload_id.to_owned()))).await?
    else {
        return Err(ApiError::Internal);
    };
    let upload = upload.ok_or(FileError::UnknownUpload)?;
    authenticate::agent(cx, key, &upload.agent_id).await?;
    Ok(upload)
}

/// What chunks of a file there are, by number, with their sizes.
pub(super) async fn chunks(cx: &Cx, file: &FileKey) -> Result<Vec<Chunk>, ApiError> {
    match cx.store(Operation::FileChunks { file: file.clone(), with_sizes: true }).await? {
        Answer::Chunks(chunks) => Ok(chunks),
        _ => Err(ApiError::Internal),
    }
}

/// The body, if it is what the hash says; looked at on a worker, for it takes milliseconds.
pub(super) async fn matching(cx: &Cx, body: Vec<u8>, sha2: String) -> Result<Bytes, ApiError> {
    let look =
        move || file::unhex(&sha2).is_some_and(|sha2| sha2 == file::sha256(&body)).then_some(Bytes(body));
    match cx.work(look).await {
        None => Err(ApiError::Internal),
        Some(None) => Err(FileError::HashMismatch.into()),
        Some(Some(data)) => Ok(data),
    }
}

fn has_expired(upload: &File, now: Timestamp) -> bool {
    upload.started.plus(UPLOAD_TIME_MAX) < now
}

/// The header X-Chunk-Sha2, as sent (http-api.md, "Headers").
fn chunk_hash(head: &RequestHead) -> Result<String, ApiError> {
    let hash = head
        .single("x-chunk-sha2")
        .map_err(|error| ApiError::bad(format!("header x-chunk-sha2: {error}")))?;
    let hash = hash.map(str::trim).filter(|hash| !hash.is_empty());
    hash.map(str::to_owned).ok_or_else(|| ApiError::bad("header x-chunk-sha2: it is missing"))
}

/// Whether these chunks are the whole file.
pub(super) fn check_chunks(upload: &File, chunks: &[Chunk], transit_sha256: &str) -> Result<(), FileError> {
    let count = upload.chunk_count().unwrap_or(0);
    let in_place = (0..count).zip(chunks).all(|(number, chunk)| chunk.number == number);
    let Some((last, others)) = chunks.split_last().filter(|_| chunks.len() as u64 == count && in_place)
    else {
        return Err(FileError::MissingChunks);
    };
    let others_fit = others.iter().all(|chunk| !chunk.last && chunk.bytes == Some(upload.chunk_bytes));
    let last_fits = last.last && last.bytes.is_some_and(|bytes| (1..=upload.chunk_bytes).contains(&bytes));
    let bytes: Option<u64> = chunks.iter().map(|chunk| chunk.bytes).sum();
    let hash = file::transit_hash(chunks.iter().map(|chunk| chunk.sha2.as_str()));
    let hash_fits = hash.is_some() && hash == file::unhex(transit_sha256);
    if others_fit && last_fits && bytes == upload.bytes && hash_fits {
        Ok(())
    } else {
        Err(FileError::FailedValidation)
    }
}
