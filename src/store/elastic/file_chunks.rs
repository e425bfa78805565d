//! What is in files: a chunk a document, written as CBOR, so that its bytes stay bytes, and put in front of them, so that they
//! are held once (files.md).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Elastic;
use super::ask::plain;
use super::client::{Content, Request};
use super::failure::Trouble;
use super::file_names::FilePart;
use super::file_search::FileHit;
use super::keys::percent_encoded;
use super::script;
use super::search::{all_of, term};
use crate::model::{CHUNK_BYTES, CHUNKS_MAX, Chunk, FileArea, FileKey, NewChunk};
use crate::store::{Answer, StoreError, StoreResult};

/// Characters of a chunk's content as base64: more is nothing that an upload or Kibana has written.
const CHUNK_CHARS_MAX: usize = CHUNK_BYTES as usize / 3 * 4 + 8;

impl Elastic {
    fn data(&self, area: &FileArea) -> String {
        self.indices.file_index(area, FilePart::Data)
    }

    /// Keeps a chunk. One that is there already with the same hash stays; another is replaced.
    pub(super) fn put_chunk(&self, chunk: NewChunk) -> StoreResult {
        let index = self.data(&chunk.file.area);
        let id = format!("{}.{}", chunk.file.id, chunk.number);
        let (bid, sha2) = (chunk.file.id.clone(), chunk.sha2.clone());
        let request = Request {
            body: document(chunk, &bid),
            content: Content::Cbor,
            ..plain("PUT", format!("/{index}/_create/{}", percent_encoded(&id)))
        };
        let create = || self.call(&request).map(|_| Answer::Done);
        match create() {
            Err(StoreError::Failed { status: 409, .. }) => {}
            done => return done,
        }
        self.refresh_files(&index)?;
        let there = self.search_files(
            &index,
            &json!({"query": all_of(&[term("_id", &id)]), "_source": false, "fields": ["sha2"]}),
        )?;
        let is_same = |hit: &FileHit| {
            hit.field("sha2").and_then(Value::as_str).is_some_and(|there| there.eq_ignore_ascii_case(&sha2))
        };
        if there.first().is_some_and(is_same) {
            return Ok(Answer::Done);
        }
        self.delete_files(&index, &term("_id", &id))?;
        create()
    }

    /// What chunks of a file there are, as of this moment, by their numbers. Only a script tells their sizes, and it reads
    /// all that is in them.
    pub(super) fn file_chunks(&self, key: &FileKey, with_sizes: bool) -> Result<Vec<Chunk>, StoreError> {
        let index = self.data(&key.area);
        self.refresh_files(&index)?;
        let mut body = json!({
            "size": CHUNKS_MAX, "query": all_of(&[term("bid", &key.id)]), "_source": false,
            "fields": ["sha2", "last"], "seq_no_primary_term": true,
        });
        if with_sizes {
            body["script_fields"] = json!({"size": {"script": script::DATA_BYTES.value(&json!({}))}});
        }
        let mut chunks: Vec<Chunk> =
            self.search_files(&index, &body)?.into_iter().filter_map(|hit| read_hit(hit, &key.id)).collect();
        chunks.sort_by_key(|chunk| chunk.number);
        Ok(chunks)
    }

    /// The content of a chunk: a field that is stored beside the document, or else in it.
    pub(super) fn read_chunk(&self, key: &FileKey, chunk: &Chunk) -> StoreResult {
        let index = if chunk.index.is_empty() { self.data(&key.area) } else { chunk.index.clone() };
        let path = format!("/{index}/_doc/{}", percent_encoded(&format!("{}.{}", key.id, chunk.number)));
        let ways = match key.area {
            FileArea::FromHost(_) => &["_source=data"][..],
            _ => &["_source=false&stored_fields=data", "_source=data"],
        };
        for way in ways {
            let answer = match self.call(&plain("GET", format!("{path}?{way}"))) {
                Err(StoreError::Failed { status: 404, .. }) => return Err(StoreError::NotFound),
                answer => answer?,
            };
            if let Some(data) =
                content(&answer, chunk.written).map_err(|()| Trouble::garbled("a chunk of a file").error)?
            {
                return Ok(Answer::Bytes(data));
            }
        }
        Err(StoreError::NotFound)
    }

    pub(super) fn delete_chunks(&self, key: &FileKey) -> Result<(), StoreError> {
        let index = self.data(&key.area);
        // what the next search does not show would stay
        self.refresh_files(&index)?;
        self.delete_files(&index, &term("bid", &key.id))
    }
}

/// A chunk from a hit; `None` if its id names no number.
fn read_hit(hit: FileHit, bid: &str) -> Option<Chunk> {
    let number = hit.id.strip_prefix(bid)?.strip_prefix('.')?.parse().ok()?;
    let sha2 = hit.field("sha2").and_then(Value::as_str).unwrap_or_default().to_owned();
    let last = hit.field("last").and_then(Value::as_bool).unwrap_or_default();
    let bytes = hit.field("size").and_then(Value::as_u64);
    Some(Chunk { number, last, sha2, bytes, index: hit.index, written: hit.seq_no })
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(borrow)]
    fields: Option<Fields<'a>>,
    #[serde(rename = "_source", borrow)]
    source: Option<Source<'a>>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    data: Vec<&'a str>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    data: Option<&'a str>,
}

/// The content in a chunk's document, if it holds any and was written by this write. An error for what is no such document.
pub(in crate::store) fn content(document: &[u8], written: Option<u64>) -> Result<Option<Arc<[u8]>>, ()> {
    let document: Document<'_> = serde_json::from_slice(document).map_err(drop)?;
    if written.is_some() && document.seq_no.is_some() && written != document.seq_no {
        return Ok(None);
    }
    let stored = document.fields.and_then(|fields| fields.data.first().copied());
    let Some(text) = stored.or_else(|| document.source.and_then(|source| source.data)) else {
        return Ok(None);
    };
    if text.len() > CHUNK_CHARS_MAX {
        return Err(());
    }
    let padding = text.len() - text.trim_end_matches('=').len();
    let bytes = (text.len() / 4 * 3).saturating_sub(padding);
    // taken once, and decoded in place
    let mut data: Arc<[u8]> = std::iter::repeat_n(0, bytes).collect();
    let place = Arc::get_mut(&mut data).unwrap_or_default();
    match STANDARD.decode_slice(text, place) {
        Ok(decoded) if decoded == bytes => Ok(Some(data)),
        _ => Err(()),
    }
}

/// A chunk's document: a map of five (files.md), its bytes moved, not copied.
fn document(chunk: NewChunk, bid: &str) -> Vec<u8> {
    let mut head = vec![0xa5];
    text(&mut head, "@timestamp");
    number(&mut head, UNSIGNED, u64::try_from(chunk.at.0).unwrap_or(0));
    text(&mut head, "last");
    head.push(if chunk.last { 0xf5 } else { 0xf4 });
    text(&mut head, "bid");
    text(&mut head, bid);
    text(&mut head, "sha2");
    text(&mut head, &chunk.sha2);
    text(&mut head, "data");
    number(&mut head, BYTES, chunk.data.0.len() as u64);
    let mut document = chunk.data.0;
    document.splice(0..0, head);
    document
}

/// Major types of CBOR (RFC 8949, 3.1).
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;

fn text(document: &mut Vec<u8>, text: &str) {
    number(document, TEXT, text.len() as u64);
    document.extend_from_slice(text.as_bytes());
}

/// A head with its argument in as few bytes as it takes.
fn number(document: &mut Vec<u8>, major: u8, value: u64) {
    let kind = major << 5;
    match value {
        0..24 => document.push(kind | value as u8),
        24..0x100 => document.extend_from_slice(&[kind | 24, value as u8]),
        0x100..0x1_0000 => {
            document.push(kind | 25);
            document.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            document.push(kind | 26);
            document.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            document.push(kind | 27);
            document.extend_from_slice(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bytes;
    use crate::time::Timestamp;

    #[test]
    fn a_chunk_is_a_map_of_five_in_the_order_of_the_protocol() {
        let chunk = NewChunk {
            file: FileKey { area: FileArea::FromHost("agent".into()), id: "x.a".into() },
            upload_id: "u".into(),
            number: 3,
            last: true,
            sha2: "ab".into(),
            at: Timestamp(1_700_000_000_000),
            data: Bytes(vec![7; 300]),
        };
        let mut expected = b"\xa5\x6a@timestamp\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x00\x64last\xf5\x63bid\x63x.a\x64sha2\x62ab\x64data\x59\x01\x2c".to_vec();
        expected.extend([7; 300]);
        assert_eq!(document(chunk, "x.a"), expected);
    }

    #[test]
    fn content_is_read_from_a_stored_field_or_the_document() {
        let read = |json: &str| content(json.as_bytes(), Some(1)).map(|data| data.map(|data| data.to_vec()));
        assert_eq!(
            read(r#"{"fields":{"data":["YWI="]},"_source":{"data":"eA=="}}"#),
            Ok(Some(b"ab".to_vec()))
        );
        assert_eq!(read(r#"{"_id":"i","_source":{"data":"eHl6"}}"#), Ok(Some(b"xyz".to_vec())));
        assert_eq!(read(r#"{"_source":{"data":""}}"#), Ok(Some(Vec::new())));
        assert_eq!(read(r#"{"_seq_no":1,"_source":{"data":""}}"#), Ok(Some(Vec::new())));
        for nothing in [
            r#"{}"#,
            r#"{"fields":{}}"#,
            r#"{"fields":{"data":[]},"_source":{}}"#,
            r#"{"_seq_no":2,"_source":{"data":""}}"#,
        ] {
            assert_eq!(read(nothing), Ok(None), "{nothing}");
        }
        let long = format!(r#"{{"_source":{{"data":"{}"}}}}"#, "A".repeat(CHUNK_CHARS_MAX + 4));
        for odd in [
            "",
            "[]",
            r#"{"_source":{"data":7}}"#,
            r#"{"_source":{"data":"a"}}"#,
            r#"{"_source":{"data":"===="}}"#,
            &long,
        ] {
            assert_eq!(read(odd), Err(()), "{odd:.40}");
        }
    }
}
