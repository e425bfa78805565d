//! The content of a file as an answer: its head says all, then chunk by chunk as the client takes them. A chunk that several
//! clients want at the same time is read once.

use std::ops::Range;
use std::sync::Arc;

use crate::api::range::{self, RangeError};
use crate::api::{ApiError, FileError};
use crate::http::{Body, RequestHead, Response, Segment};
use crate::model::{Chunk, File, FileKey};
use crate::store::{Answer, Operation};
use crate::task::{Cx, Fate, Outcome, Place};

/// What is on its way to a client at once: all that a slow one holds once it has given its place away.
const PIECE_BYTES: u64 = 64 * 1024;
/// Bytes of a MIME type (RFC 6838, 4.2: twice 127 and a slash).
const MIME_TYPE_BYTES_MAX: usize = 255;
/// A client whose download has begun waits so many times for a place before it is cut off: as long as a client may take.
const PLACE_TRIES_MAX: usize = 7;

/// What is to be sent.
pub(super) struct Delivery {
    response: Response,
    file: FileKey,
    chunks: Vec<Chunk>,
    chunk_bytes: u64,
    range: Range<u64>,
}

impl Delivery {
    /// The answer to a request for a file; an answer of its own where none of it is to be sent. What the file's document
    /// tells is not asked of its chunks.
    pub(super) async fn prepare(cx: &Cx, head: &RequestHead, file: File) -> Result<Self, Response> {
        if let Some(etag) = etag(&file).filter(|etag| names(head, etag)) {
            return Err(Response::new(304, "").header("ETag", etag));
        }
        let told = told_size(&file);
        if let Some(bytes) = told {
            wanted(head, bytes)?;
        }
        let listed = Operation::FileChunks { file: file.key.clone(), with_sizes: told.is_none() };
        match cx.lookup(listed).await {
            Ok(Answer::Chunks(chunks)) => Delivery::new(head, file, chunks),
            Ok(_) => Err(ApiError::Internal.response()),
            Err(error) => Err(ApiError::from(error).response()),
        }
    }

    fn new(head: &RequestHead, file: File, chunks: Vec<Chunk>) -> Result<Self, Response> {
        let bytes = size(&file, &chunks).map_err(|error| error.response())?;
        let range = wanted(head, bytes)?;
        let (status, part) = match &range {
            Some(range) => (206, range.clone()),
            None => (200, 0..bytes),
        };
        let mut response = Response::new(status, Body::streamed(part.end - part.start))
            .header("Content-Type", mime_type(&file).to_owned())
            .header("Accept-Ranges", "bytes");
        if let (Some(sha256), Some(etag)) = (&file.sha256, etag(&file)) {
            response = response.header("X-File-SHA2", sha256.clone()).header("ETag", etag);
        }
        if range.is_some() {
            response =
                response.header("Content-Range", format!("bytes {}-{}/{bytes}", part.start, part.end - 1));
        }
        let chunk_bytes = file.chunk_bytes;
        Ok(Delivery { response, file: file.key, chunks, chunk_bytes, range: part })
    }

    /// Sends all of it to `client`. What goes wrong once the head is out can only cut the connection.
    pub(super) async fn send(self, cx: &Cx, client: &str) -> Outcome {
        if !cx.enter(Place::Delivery, client).await {
            return Outcome::Respond(ApiError::MaxLimit.response());
        }
        let first = self.range.start / self.chunk_bytes;
        let last = (self.range.end - 1) / self.chunk_bytes;
        let (file, chunk_bytes, range) = (self.file, self.chunk_bytes, self.range);
        let mut has_place = true;
        let mut response = Some(self.response);
        for chunk in self.chunks.into_iter().skip(index(first)).take(index(last - first + 1)) {
            let start = chunk.number * chunk_bytes;
            let mut part =
                range.start.max(start) - start..range.end.min(start.saturating_add(chunk_bytes)) - start;
            while !part.is_empty() {
                if !has_place && !wait_for_place(cx, client).await {
                    return cut(response, ApiError::MaxLimit);
                }
                let data = match read(cx, &file, &chunk, &part).await {
                    Ok(data) => data,
                    Err(error) => return cut(response, error),
                };
                if !send_pieces(cx, &mut response, data, &mut part).await {
                    return Outcome::Done;
                }
                has_place = false;
            }
        }
        Outcome::Done
    }
}

/// Sends a part of a chunk, and gives the place back: when all of it is out, or when others have waited for the place and this
/// client is slow; the rest is to be read again then. False: there is no client any more.
async fn send_pieces(
    cx: &Cx,
    response: &mut Option<Response>,
    data: Arc<[u8]>,
    part: &mut Range<u64>,
) -> bool {
    while !part.is_empty() {
        let fate = match response.take() {
            // the first chunk is there before the head promises anything
            Some(response) => cx.begin(response).await,
            None => {
                let piece = part.start..part.end.min(part.start + PIECE_BYTES);
                part.start = piece.end;
                // a copy: it may have to wait longer than the chunk may be held
                cx.send(Segment::Owned(data[index(piece.start)..index(piece.end)].to_vec())).await
            }
        };
        match fate {
            Fate::Written => {}
            Fate::Lost => return false,
            Fate::Pending => {
                drop(data);
                cx.leave().await;
                return cx.written().await;
            }
        }
    }
    cx.leave().await;
    true
}

async fn wait_for_place(cx: &Cx, client: &str) -> bool {
    for _ in 0..PLACE_TRIES_MAX {
        if cx.enter(Place::Delivery, client).await {
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

/// A chunk, of which there has to be this part.
async fn read(cx: &Cx, file: &FileKey, chunk: &Chunk, part: &Range<u64>) -> Result<Arc<[u8]>, ApiError> {
    match cx.lookup(Operation::ReadChunk { file: file.clone(), chunk: Box::new(chunk.clone()) }).await? {
        Answer::Bytes(data) if part.end <= data.len() as u64 => Ok(data),
        // also a chunk of another length than its file says
        _ => Err(ApiError::Internal),
    }
}

/// What the file says that it is, unless it says nothing or what no client could read.
fn mime_type(file: &File) -> &str {
    let is_printable = |byte: u8| (b' '..=b'~').contains(&byte);
    let is_good = (1..=MIME_TYPE_BYTES_MAX).contains(&file.mime_type.len());
    if is_good && file.mime_type.bytes().all(is_printable) {
        &file.mime_type
    } else {
        "application/octet-stream"
    }
}

fn etag(file: &File) -> Option<String> {
    file.sha256.as_ref().map(|sha256| format!("\"{sha256}\""))
}

/// How many bytes the file has, as far as its document says.
fn told_size(file: &File) -> Option<u64> {
    file.bytes.filter(|bytes| *bytes > 0)
}

/// How many bytes the file has; an error if not all of them are there.
fn size(file: &File, chunks: &[Chunk]) -> Result<u64, ApiError> {
    if chunks.is_empty() {
        return Err(FileError::NoFile.into());
    }
    let listed = || chunks.iter().map(|chunk| chunk.bytes).sum::<Option<u64>>();
    let bytes = told_size(file).or_else(listed).filter(|bytes| *bytes > 0);
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
