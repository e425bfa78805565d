//! Uploads: what an agent says of a file before and after its chunks (files.md, "Upload from a host").

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::body::{Fields, check_stored};
use super::{ApiError, FileError};
use crate::model::raw::{Raw, raw};
use crate::model::{CHUNK_BYTES, FILE_BYTES_MAX, FileArea, FileKey, FileStatus, NewFile, is_source};
use crate::time::Timestamp;

/// Longest id of a document: what Elasticsearch takes.
const ID_BYTES_MAX: usize = 512;

/// The request that begins an upload, read as far as is known before it is authenticated.
pub struct UploadBegin {
    /// Who sends the file, by its own word.
    pub agent_id: String,
    request: Raw,
}

/// What the server adds to the document.
pub struct Begun {
    /// How the agent names the upload from now on.
    pub upload_id: String,
    /// When.
    pub at: Timestamp,
    /// The agent's Kibana spaces.
    pub namespaces: Vec<String>,
}

type Object<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl UploadBegin {
    /// Reads a request body: any JSON object with an `agent_id`.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        if body.trim_ascii().is_empty() {
            return Err(FileError::BodyRequired.into());
        }
        let request = match serde_json::Deserializer::from_slice(body).into_iter::<Raw>().next() {
            Some(Ok(request)) => request,
            Some(Err(error)) => return Err(ApiError::bad(format!("the body is not JSON: {error}"))),
            None => return Err(FileError::BodyRequired.into()),
        };
        check_stored("the body", &request)?;
        let fields = object(&request).ok_or_else(|| ApiError::bad("the body is not a JSON object"))?;
        let agent_id =
            text(&fields, "agent_id").filter(|id| !id.is_empty()).ok_or(FileError::AgentIdMissing)?;
        Ok(UploadBegin { agent_id, request })
    }

    /// Checks what the request says of the file, and makes its document; a file of more than `bytes_max` is refused.
    pub fn into_file(self, begun: &Begun, bytes_max: Option<u64>) -> Result<NewFile, ApiError> {
        let mut fields = object(&self.request).unwrap_or_default();
        let file = fields.get("file").and_then(|file| object(file)).unwrap_or_default();
        require(&file, "name", "file.name")?;
        require(&file, "mime_type", "file.mime_type")?;
        let action_id = require(&fields, "action_id", "action_id")?;
        let agent_id = require(&fields, "agent_id", "agent_id")?;
        let source = require(&fields, "src", "src")?;
        check_size(file.get("size").copied(), bytes_max.unwrap_or(u64::MAX).min(FILE_BYTES_MAX))?;
        if !is_source(&source) {
            return Err(ApiError::bad(format!("src: {source:?} cannot be part of an index's name")));
        }
        let id = format!("{action_id}.{agent_id}");
        if id.len() > ID_BYTES_MAX {
            return Err(ApiError::bad(format!("action_id: with agent_id more than {ID_BYTES_MAX} bytes")));
        }
        let file = with_state(&file);
        let added = [
            ("file", file),
            ("upload_id", raw(&begun.upload_id)),
            ("upload_start", raw(&begun.at.0)),
            ("@timestamp", raw(&begun.at.0)),
            ("namespaces", raw(&begun.namespaces)),
            ("source", raw(&source)),
        ];
        fields.extend(added.iter().map(|(name, value)| (Cow::from(*name), &**value)));
        let key = FileKey { area: FileArea::FromHost(source), id };
        Ok(NewFile { key, upload_id: begun.upload_id.clone(), document: raw(&fields) })
    }
}

/// The `file` section with what the server says of it.
fn with_state(file: &Object<'_>) -> Raw {
    let (chunk_bytes, status) = (raw(&CHUNK_BYTES), raw(&FileStatus::Awaiting.name()));
    let mut file: BTreeMap<&str, &RawValue> = file.iter().map(|(name, value)| (&**name, *value)).collect();
    file.extend([("ChunkSize", &*chunk_bytes), ("Status", &*status)]);
    raw(&file)
}

fn check_size(size: Option<&RawValue>, bytes_max: u64) -> Result<(), FileError> {
    // a text, a fraction or a number that no machine holds is no size
    let size: i128 =
        size.and_then(|size| serde_json::from_str(size.get()).ok()).ok_or(FileError::SizeRequired)?;
    match u64::try_from(size) {
        Ok(0) | Err(_) if size <= 0 => Err(FileError::InvalidSize),
        Ok(size) if size <= bytes_max => Ok(()),
        _ => Err(FileError::TooLarge),
    }
}

fn object(value: &RawValue) -> Option<Object<'_>> {
    serde_json::from_str(value.get()).ok()
}

fn text(fields: &Object<'_>, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

fn require(fields: &Object<'_>, name: &str, shown: &'static str) -> Result<String, FileError> {
    let value = text(fields, name).filter(|value| !value.trim().is_empty());
    value.ok_or(FileError::FieldRequired(shown))
}

/// The hash that ends an upload: SHA-256 over those of its chunks, as sent.
pub fn read_transit_hash(body: &[u8]) -> Result<String, ApiError> {
    let fields = Fields::open(body)?;
    let hash: String = match fields.object("transithash")? {
        Some(hash) => hash.take("sha256")?,
        None => String::new(),
    };
    if hash.trim().is_empty() { Err(FileError::TransitHashRequired.into()) } else { Ok(hash) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request() -> Value {
        json!({
            "agent_id": "a", "action_id": "x", "src": "endpoint", "host": {"name": "h"},
            "file": {"name": "f", "mime_type": "application/zip", "size": 5, "hash": {"sha256": "h"}},
        })
    }

    fn begun() -> Begun {
        Begun { upload_id: "u".into(), at: Timestamp(7), namespaces: vec!["default".into()] }
    }

    fn file(request: &Value, bytes_max: Option<u64>) -> Result<NewFile, ApiError> {
        UploadBegin::read(request.to_string().as_bytes())?.into_file(&begun(), bytes_max)
    }

    #[test]
    fn the_document_is_the_whole_request_with_what_the_server_adds() {
        let new = file(&request(), None).unwrap();
        assert_eq!((new.key.id.as_str(), new.key.area), ("x.a", FileArea::FromHost("endpoint".into())));
        let document: Value = serde_json::from_str(new.document.get()).unwrap();
        let mut expected = request();
        expected["file"]["ChunkSize"] = json!(4_194_304);
        expected["file"]["Status"] = json!("AWAITING_UPLOAD");
        for (name, value) in [
            ("upload_id", json!("u")),
            ("upload_start", json!(7)),
            ("@timestamp", json!(7)),
            ("namespaces", json!(["default"])),
            ("source", json!("endpoint")),
        ] {
            expected[name] = value;
        }
        assert_eq!(document, expected);
    }

    #[test]
    fn each_field_that_is_needed_is_named_where_it_is_missing_or_blank() {
        for pointer in ["/file/name", "/file/mime_type", "/action_id", "/src"] {
            for odd in [json!(null), json!(" "), json!(7), json!({})] {
                let mut request = request();
                *request.pointer_mut(pointer).unwrap() = odd;
                let error = file(&request, None).unwrap_err();
                let (status, name, message) = error.row();
                assert_eq!((status, &*name), (400, "ErrFieldRequired"), "{pointer}");
                assert!(message.contains(&pointer[1..].replace('/', ".")), "{message}");
            }
        }
    }

    #[test]
    fn a_size_is_a_whole_number_within_its_bounds() {
        let name = |size: Value, bytes_max| {
            let mut request = request();
            request["file"]["size"] = size;
            file(&request, bytes_max).map_err(|error| error.row().1.into_owned()).err()
        };
        for size in [json!(null), json!(1.5), json!("5"), json!([5]), json!(1e40)] {
            assert_eq!(name(size, None).as_deref(), Some("ErrFileSizeRequired"));
        }
        for size in [json!(0), json!(-1), json!(i64::MIN)] {
            assert_eq!(name(size, None).as_deref(), Some("ErrInvalidFileSize"));
        }
        for size in [json!(i64::MAX), json!(u64::MAX), json!(FILE_BYTES_MAX + 1)] {
            assert_eq!(name(size, None).as_deref(), Some("ErrFileSizeTooLarge"));
        }
        assert_eq!(name(json!(11), Some(10)).as_deref(), Some("ErrFileSizeTooLarge"));
        assert_eq!((name(json!(10), Some(10)), name(json!(FILE_BYTES_MAX), None)), (None, None));
    }

    #[test]
    fn what_is_no_object_with_an_agent_is_refused_before_anybody_is_asked_who_it_is() {
        let name =
            |body: &str| UploadBegin::read(body.as_bytes()).map(|_| ()).unwrap_err().row().1.into_owned();
        assert_eq!(
            (name("").as_str(), name(" \n").as_str()),
            ("ErrFileInfoBodyRequired", "ErrFileInfoBodyRequired")
        );
        for body in ["{", "[]", "5", "nul"] {
            assert_eq!(name(body), "BadRequest", "{body}");
        }
        for body in ["{}", r#"{"agent_id":""}"#, r#"{"agent_id":7}"#, r#"{"agent_id":null}"#] {
            assert_eq!(name(body), "ErrAgentIDMissing", "{body}");
        }
        assert_eq!(
            name(&format!(r#"{{"agent_id":"a","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000))),
            "BadRequest"
        );
    }

    #[test]
    fn a_blank_transit_hash_is_none() {
        assert_eq!(read_transit_hash(br#"{"transithash":{"sha256":"aB"}}"#).unwrap(), "aB");
        for body in [r#"{}"#, r#"{"transithash":null}"#, r#"{"transithash":{"sha256":" "}}"#] {
            assert_eq!(
                read_transit_hash(body.as_bytes()).unwrap_err().row().1,
                "TransitHashRequired",
                "{body}"
            );
        }
    }
}
