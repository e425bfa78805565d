//! The content of a file as an answer: its head says all, then chunk by chunk as the client takes them. A chunk that several
//! clients want at the same time is read once.

use std::ops::Range;

use crate::api::range::{self, RangeError};
use crate::api::{ApiError, FileError};
use crate::http::{Body, RequestHead, Response, Segment};
use crate::model::{Chunk, File, FileKey};
use crate::store::{Answer, Operation};
use crate::task::{Cx, Outcome, Place};

/// A client whose download has begun waits so many times for a place before it is cut off: as long as a client may take.
const PLACE_TRIES_MAX: usize = 7;

/// What is to be sent.
pub(super) struct Delivery {
    response: Response,
    file: FileKey,
    chunks: Vec<Chunk>,
    chunk_bytes: u64,
    range: Range<u64>,
    head_only: bool,
}

impl Delivery {
    /// The answer to a request for a file with these chunks; an answer of its own where none of it is to be sent.
    pub(super) fn new(head: &RequestHead, file: File, chunks: Vec<Chunk>) -> Result<Self, Response> {
        let bytes = size(&file, &chunks).map_err(|error| error.response())?;
        let etag = file.sha256.as_ref().map(|sha256| format!("\"{sha256}\""));
        if let Some(etag) = &etag
            && names(head, etag)
        {
            return Err(Response::new(304, "").header("ETag", etag.clone()));
        }
        let range = wanted(head, bytes)?;
        let (status, part) = match &range {
            Some(range) => (206, range.clone()),
            None => (200, 0..bytes),
        };
        let mime_type = if file.mime_type.is_empty() { "application/octet-stream" } else { &file.mime_type };
        let mut response = Response::new(status, Body::streamed(part.end - part.start))
            .header("Content-Type", mime_type.to_owned())
            .header("Accept-Ranges", "bytes");
        if let (Some(sha256), Some(etag)) = (&file.sha256, etag) {
            response = response.header("X-File-SHA2", sha256.clone()).header("ETag", etag);
        }
        if range.is_some() {
            response =
                response.header("Content-Range", format!("bytes {}-{}/{bytes}", part.start, part.end - 1));
        }
        let chunk_bytes = file.chunk_bytes;
        Ok(Delivery {
            response,
            file: file.key,
            chunks,
            chunk_bytes,
            range: part,
            head_only: head.method() == "HEAD",
        })
    }

    /// Sends all of it. What goes wrong once the head is out can only cut the connection.
    pub(super) async fn send(self, cx: &Cx) -> Outcome {
        if self.head_only {
            return Outcome::Respond(self.response);
        }
        if !cx.enter(Place::Delivery).await {
            return Outcome::Respond(ApiError::MaxLimit.response());
        }
        let first = self.range.start / self.chunk_bytes;
        let last = (self.range.end - 1) / self.chunk_bytes;
        let (file, chunk_bytes, range) = (self.file, self.chunk_bytes, self.range);
        let mut has_place = true;
        let mut response = Some(self.response);
        for chunk in self.chunks.into_iter().skip(index(first)).take(index(last - first + 1)) {
            if !has_place && !wait_for_place(cx).await {
                return cut(response, ApiError::MaxLimit);
            }
            let start = chunk.number * chunk_bytes;
            let part = range.start.max(start) - start..range.end.min(start + chunk_bytes) - start;
            let segment = match read(cx, &file, chunk, part).await {
                Ok(segment) => segment,
                Err(error) => return cut(response, error),
            };
            // the first chunk is there before the head promises anything
            if let Some(response) = response.take()
                && !cx.begin(response).await
            {
                return Outcome::Done;
            }
            if !cx.send(segment).await {
                return Outcome::Done;
            }
            cx.leave().await;
            has_place = false;
        }
        Outcome::Done
    }
}

async fn wait_for_place(cx: &Cx) -> bool {
    for _ in 0..PLACE_TRIES_MAX {
        if cx.enter(Place::Delivery).await {
            return true;
        }
    }
    false
}

/// The end of a delivery that fails: an answer, as long as none was begun.
fn cut(response: Option<Response>, error: ApiError) -> Outcome {
    match response {
        Some(_) => Outcome::Respond(error.response()),
        None => {
            ::log::warn!("the delivery of a file is cut off: {}", error.row().2);
            Outcome::Done
        }
    }
}

/// A part of a chunk.
async fn read(cx: &Cx, file: &FileKey, chunk: Chunk, part: Range<u64>) -> Result<Segment, ApiError> {
    let (file, number, index) = (file.clone(), chunk.number, chunk.index);
    match cx.lookup(Operation::ReadChunk { file, number, index }).await? {
        Answer::Bytes(data) => {
            let part = usize::try_from(part.start).ok().zip(usize::try_from(part.end).ok());
            // a chunk of another length than its file says
            part.and_then(|(start, end)| Segment::part(data, start..end)).ok_or(ApiError::Internal)
        }
        _ => Err(ApiError::Internal),
    }
}

/// How many bytes the file has; an error if not all of them are there.
fn size(file: &File, chunks: &[Chunk]) -> Result<u64, ApiError> {
    if chunks.is_empty() {
        return Err(FileError::NoFile.into());
    }
    let listed = || chunks.iter().map(|chunk| chunk.bytes).sum::<Option<u64>>();
    let bytes = file.bytes.filter(|bytes| *bytes > 0).or_else(listed).filter(|bytes| *bytes > 0);
    let in_place = (0..).zip(chunks).all(|(number, chunk)| chunk.number == number);
    match bytes {
        Some(bytes) if in_place && bytes.div_ceil(file.chunk_bytes) == chunks.len() as u64 => Ok(bytes),
        _ => {
            ::log::error!("not all chunks of the file {} are there", file.key.id);
            Err(ApiError::Internal)
        }
    }
}

/// The range that a request asks for, or the answer that refuses it.
fn wanted(head: &RequestHead, bytes: u64) -> Result<Option<Range<u64>>, Response> {
    // what is no text, or comes twice, names no range
    let header = head.single("range").unwrap_or(Some(""));
    range::read(header, bytes).map_err(|error| {
        let error = match error {
            RangeError::Unsatisfiable => FileError::RangeNotSatisfiable,
            RangeError::Several => FileError::SeveralRanges,
        };
        ApiError::from(error).response().header("Content-Range", format!("bytes */{bytes}"))
    })
}

/// Whether If-None-Match names this ETag.
fn names(head: &RequestHead, etag: &str) -> bool {
    let tags = head.header("if-none-match").filter_map(|value| std::str::from_utf8(value).ok());
    let mut tags = tags.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
