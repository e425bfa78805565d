//! Files in chunks: what agents send (uploads) and what they get (files.md, "Stored documents").

use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::raw::{Fields, Raw};
use crate::time::Timestamp;

/// Bytes of every chunk of an upload but the last (files.md).
pub const CHUNK_BYTES: u64 = 4 * 1024 * 1024;
/// Chunks of one file: what one search shows (files.md).
pub const CHUNKS_MAX: u64 = 10_000;
/// Bytes of one file.
pub const FILE_BYTES_MAX: u64 = CHUNKS_MAX * CHUNK_BYTES;

/// Where a file belongs: what tells its pair of indices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileArea {
    /// From agents, by what in the agent sent it: `agent` (diagnostics), `endpoint`.
    FromHost(String),
    /// To agents that the file names, by the integration that gives it.
    ToHost(String),
    /// To every agent whose endpoint asks for this library.
    Library(String),
}

/// Names a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileKey {
    /// Where it belongs.
    pub area: FileArea,
    /// The document's `_id`.
    pub id: String,
}

/// How far a file is (`file.Status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileStatus {
    /// Chunks may come.
    #[default]
    Awaiting,
    /// Chunks come; never set by us.
    Uploading,
    /// It is whole.
    Ready,
    /// It never will be.
    Failed,
    /// Somebody took it away.
    Deleted,
}

/// A file's document as stored.
#[derive(Clone, Debug)]
pub struct File {
    /// Which.
    pub key: FileKey,
    /// What its sender names it by while it comes.
    pub upload_id: String,
    /// Who sent it.
    pub agent_id: String,
    /// The action that asked for it.
    pub action_id: String,
    /// As its maker calls it.
    pub name: String,
    /// Empty where nobody said.
    pub mime_type: String,
    /// Bytes; `None` where nobody said.
    pub bytes: Option<u64>,
    /// Bytes of each chunk but the last.
    pub chunk_bytes: u64,
    /// How far it is.
    pub status: FileStatus,
    /// SHA-256 of the content in hexadecimal, where it is known.
    pub sha256: Option<String>,
    /// SHA-256 over the hashes of its chunks, as its sender gave it.
    pub transit_sha256: Option<String>,
    /// When its sender began.
    pub started: Timestamp,
    /// Who may have it, of those that go to agents.
    pub target_agents: Vec<String>,
}

/// A file that begins: nothing of its content is there.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Which.
    pub key: FileKey,
    /// What its sender names it by from now on.
    pub upload_id: String,
    /// The whole document.
    pub document: Raw,
}

/// A chunk to be kept.
#[derive(Clone, Debug)]
pub struct NewChunk {
    /// Of this file...
    pub file: FileKey,
    /// ...as long as this is how its sender names it.
    pub upload_id: String,
    /// From 0.
    pub number: u64,
    /// Whether it is the last.
    pub last: bool,
    /// SHA-256 in hexadecimal, as its sender gave it.
    pub sha2: String,
    /// When it came.
    pub at: Timestamp,
    /// What is in it.
    pub data: Bytes,
}

/// What is known of a chunk without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// From 0.
    pub number: u64,
    /// Whether its document says that it is the last.
    pub last: bool,
    /// SHA-256 in hexadecimal; empty where nobody said.
    pub sha2: String,
    /// How many it has, where the store tells.
    pub bytes: Option<u64>,
    /// In which index it stands, where there are several.
    pub index: String,
    /// Which write put it there, where the store counts them.
    pub written: Option<u64>,
}

/// Content, of which a log or an error shows the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl FileArea {
    /// The area as one word: `fromhost-agent`, `tohost-endpoint`, `library-LIB`.
    pub fn name(&self) -> String {
        match self {
            FileArea::FromHost(source) => format!("fromhost-{source}"),
            FileArea::ToHost(integration) => format!("tohost-{integration}"),
            FileArea::Library(library) => format!("library-{library}"),
        }
    }

    /// The area that [`FileArea::name`] gave this word.
    pub fn named(name: &str) -> Option<Self> {
        let (kind, of) = name.split_once('-')?;
        let of = of.to_owned();
        match kind {
            "fromhost" => Some(FileArea::FromHost(of)),
            "tohost" => Some(FileArea::ToHost(of)),
            "library" => Some(FileArea::Library(of)),
            _ => None,
        }
    }
}

/// Whether index names may end in `source`.
pub fn is_source(source: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !source.is_empty() && source.len() <= SOURCE_BYTES_MAX && source.bytes().all(allowed)
}

/// Longest source: the whole name of an index has at most 255 bytes.
const SOURCE_BYTES_MAX: usize = 64;

impl FileStatus {
    /// As documents spell it.
    pub fn name(self) -> &'static str {
        match self {
            FileStatus::Awaiting => "AWAITING_UPLOAD",
            FileStatus::Uploading => "UPLOADING",
            FileStatus::Ready => "READY",
            FileStatus::Failed => "UPLOAD_ERROR",
            FileStatus::Deleted => "DELETED",
        }
    }

    /// The status that [`FileStatus::name`] spells so; what nobody knows is taken for a failure, so that nothing is added to it.
    pub fn named(name: &str) -> Self {
        let all = [FileStatus::Awaiting, FileStatus::Uploading, FileStatus::Ready, FileStatus::Deleted];
        all.into_iter().find(|status| status.name() == name).unwrap_or(FileStatus::Failed)
    }

    /// Whether chunks may still come.
    pub fn is_open(self) -> bool {
        matches!(self, FileStatus::Awaiting | FileStatus::Uploading)
    }
}

impl File {
    /// Reads a stored document, whatever single fields look like.
    pub fn read(key: FileKey, json: &[u8]) -> Result<Self, serde_json::Error> {
        let fields = Fields::open("file document", json)?;
        let of_file = fields.section("file");
        let hashed = |hash: Option<Hash>| hash.and_then(|hash| hash.sha256).filter(|text| !text.is_empty());
        Ok(File {
            key,
            upload_id: fields.take("upload_id"),
            agent_id: fields.take("agent_id"),
            action_id: fields.take("action_id"),
            name: of_file.take("name"),
            mime_type: of_file.take("mime_type"),
            bytes: of_file.optional("size"),
            chunk_bytes: of_file.optional("ChunkSize").filter(|bytes| *bytes > 0).unwrap_or(CHUNK_BYTES),
            status: of_file
                .optional("Status")
                .map_or_else(Default::default, |name: String| FileStatus::named(&name)),
            sha256: hashed(of_file.optional("hash")),
            transit_sha256: hashed(fields.optional("transithash")),
            started: Timestamp(fields.take("upload_start")),
            target_agents: of_file
                .optional::<Meta>("Meta")
                .map(|meta| meta.target_agents)
                .unwrap_or_default(),
        })
    }

    /// How many chunks a file of that size has; `None` where the size is not known.
    pub fn chunk_count(&self) -> Option<u64> {
        self.bytes.map(|bytes| bytes.div_ceil(self.chunk_bytes))
    }
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // writing into a text cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash that this text is, in either case; `None` if it is none.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 2 * hash.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// SHA-256 over the hashes of chunks in their order: what ends an upload. `None` if one of them has no hash.
pub fn transit_hash<'a>(hashes: impl IntoIterator<Item = &'a str>) -> Option<[u8; 32]> {
    let mut all = Sha256::new();
    for hash in hashes {
        all.update(unhex(hash)?);
    }
    Some(all.finalize().into())
}

#[derive(Deserialize)]
struct Hash {
    sha256: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    target_agents: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> File {
        let key = FileKey { area: FileArea::FromHost("agent".into()), id: "x.a".into() };
        File::read(key, json.as_bytes()).unwrap()
    }

    #[test]
    fn a_document_is_read_whatever_single_fields_look_like() {
        let whole = file(
            r#"{"upload_id":"u","agent_id":"a","action_id":"x","upload_start":7,"transithash":{"sha256":"t"},
                "file":{"name":"n","size":9,"ChunkSize":4,"Status":"READY","hash":{"sha256":"h","md5":1},
                "Meta":{"target_agents":["a"]}}}"#,
        );
        assert_eq!((whole.bytes, whole.chunk_count(), whole.status), (Some(9), Some(3), FileStatus::Ready));
        assert_eq!((whole.sha256.as_deref(), whole.transit_sha256.as_deref()), (Some("h"), Some("t")));
        assert_eq!((whole.started, whole.target_agents), (Timestamp(7), vec!["a".to_owned()]));
        let odd = file(r#"{"upload_id":7,"file":{"size":"many","ChunkSize":0,"hash":"h"}}"#);
        assert_eq!((odd.upload_id.as_str(), odd.bytes, odd.chunk_bytes), ("7", None, CHUNK_BYTES));
    }

    #[test]
    fn a_hash_is_64_digits_in_either_case() {
        let text = hex(&sha256(b"abc"));
        assert!(text.starts_with("ba7816bf") && unhex(&text.to_uppercase()) == Some(sha256(b"abc")));
        for odd in
            ["", "ba", &text[1..], &format!("{text}00"), &text.replace('b', "g"), &text.replace("ba", "+a")]
        {
            assert_eq!(unhex(odd), None, "{odd}");
        }
        let of_both = sha256(&[sha256(b"a"), sha256(b"b")].concat());
        let hashes = [hex(&sha256(b"a")), hex(&sha256(b"b"))];
        assert_eq!(transit_hash(hashes.iter().map(String::as_str)), Some(of_both));
        assert_eq!(transit_hash(["x"]), None);
    }

    #[test]
    fn a_status_that_nobody_knows_takes_no_more_chunks() {
        assert!(FileStatus::named("AWAITING_UPLOAD").is_open() && FileStatus::named("UPLOADING").is_open());
        for closed in ["READY", "UPLOAD_ERROR", "DELETED", "", "ready"] {
            assert!(!FileStatus::named(closed).is_open(), "{closed}");
        }
    }

    #[test]
    fn an_area_is_found_by_its_name() {
        for area in
            [FileArea::FromHost("a-b".into()), FileArea::ToHost("c".into()), FileArea::Library("d".into())]
        {
            assert_eq!(FileArea::named(&area.name()), Some(area));
        }
        assert_eq!(FileArea::named("elsewhere-x"), None);
    }

    #[test]
    fn a_source_is_what_the_name_of_an_index_may_end_in() {
        assert!(is_source("endpoint") && is_source("a_b-9"));
        for odd in ["", "../x", "a,b", "*", "A", "a.b", "\u{e4}", &"x".repeat(65)] {
            assert!(!is_source(odd), "{odd}");
        }
    }
}
