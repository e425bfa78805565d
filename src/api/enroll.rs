//! The enrolment request and its answer (checkin.md, "POST enroll").

use serde::Serialize;
use serde_json::value::RawValue;

use super::ApiError;
use super::body::{Fields, replaced};
use crate::model::raw::{Raw, raw};

/// What an agent wants to enrol as.
#[derive(Debug)]
pub struct EnrollRequest {
    /// PERMANENT, EPHEMERAL or TEMPORARY.
    pub kind: String,
    /// The wanted agent id.
    pub id: Option<String>,
    /// Lets the agent take over `id`.
    pub replace_token: Option<String>,
    /// The same for every try of one enrolment.
    pub enrollment_id: Option<String>,
    /// `metadata.local`, any object.
    pub local_metadata: Option<Raw>,
    /// Sorted and unique.
    pub tags: Vec<String>,
}

/// Elasticsearch takes no longer id of a document; and the agent has to get it into the head of each request.
const ID_BYTES_MAX: usize = 512;
const KINDS: [&str; 3] = ["PERMANENT", "EPHEMERAL", "TEMPORARY"];

impl EnrollRequest {
    /// Reads a request body.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let fields = Fields::open(body)?;
        let kind: String = fields.take("type")?;
        if !KINDS.contains(&kind.as_str()) {
            return Err(ApiError::bad(format!("type: {kind:?} is none of {}", KINDS.join(", "))));
        }
        let text = |name| -> Result<Option<String>, ApiError> {
            Ok(fields.optional::<String>(name)?.filter(|text| !text.is_empty()))
        };
        let (local_metadata, tags) = metadata(&fields)?;
        let id = text("id")?;
        if id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
            return Err(ApiError::bad(format!("id: at most {ID_BYTES_MAX} bytes")));
        }
        Ok(EnrollRequest {
            kind,
            id,
            replace_token: text("replace_token")?,
            enrollment_id: text("enrollment_id")?,
            local_metadata,
            tags,
        })
    }
}

fn metadata(fields: &Fields<'_>) -> Result<(Option<Raw>, Vec<String>), ApiError> {
    let Some(metadata) = fields.object("metadata")? else { return Ok((None, Vec::new())) };
    let local = metadata.stored("local")?;
    if local.as_ref().is_some_and(|local| !local.get().starts_with('{')) {
        return Err(ApiError::bad("metadata.local: not an object"));
    }
    let mut tags: Vec<String> = metadata.take("tags")?;
    tags.sort_unstable();
    tags.dedup();
    Ok((local, tags))
}

/// `local_metadata` with `elastic.agent.id` set to the agent's id, if that key is there.
pub fn with_agent_id(local_metadata: Raw, agent: &str) -> Raw {
    replaced(&local_metadata, &["elastic", "agent", "id"], &raw(&agent)).unwrap_or(local_metadata)
}

/// The answer to an enrolment.
#[derive(Debug, Serialize)]
pub struct EnrollAnswer<'a> {
    /// Always `created`.
    pub action: &'static str,
    /// The agent.
    pub item: EnrollItem<'a>,
}

/// The agent as the answer shows it.
#[derive(Debug, Serialize)]
pub struct EnrollItem<'a> {
    /// The whole token of the access key. Secret.
    pub access_api_key: String,
    /// Its id.
    pub access_api_key_id: &'a str,
    /// Always true.
    pub active: bool,
    /// RFC 3339.
    pub enrolled_at: &'a str,
    /// The agent's id.
    pub id: &'a str,
    /// Null when none came.
    pub local_metadata: Option<&'a RawValue>,
    /// Its policy.
    pub policy_id: &'a str,
    /// Always `online`.
    pub status: &'static str,
    /// Sorted and unique.
    pub tags: &'a [String],
    /// PERMANENT, EPHEMERAL or TEMPORARY.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// As stored, null for a new agent.
    pub user_provided_metadata: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_exact() {
        assert!(EnrollRequest::read(br#"{"type":"permanent"}"#).is_err());
        assert!(EnrollRequest::read(br#"{"type":"X"}"#).is_err());
        assert!(EnrollRequest::read(br#"{"type":"EPHEMERAL"}"#).is_ok());
    }

    #[test]
    fn without_metadata_there_are_no_tags_and_no_local_metadata() {
        let request = EnrollRequest::read(br#"{"type":"PERMANENT","id":"","metadata":null}"#).unwrap();
        assert!(request.local_metadata.is_none() && request.tags.is_empty() && request.id.is_none());
    }

    #[test]
    fn tags_are_sorted_and_unique() {
        let request =
            EnrollRequest::read(br#"{"type":"PERMANENT","metadata":{"tags":["b","a","b"]}}"#).unwrap();
        assert_eq!(request.tags, ["a", "b"]);
    }

    #[test]
    fn local_metadata_is_an_object() {
        assert!(EnrollRequest::read(br#"{"type":"PERMANENT","metadata":{"local":[]}}"#).is_err());
    }

    #[test]
    fn the_agent_id_is_set_only_where_the_key_is() {
        let of = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let set = with_agent_id(of(r#"{"elastic":{"agent":{"id":""}}}"#), "a");
        assert_eq!(set.get(), r#"{"elastic":{"agent":{"id":"a"}}}"#);
        for other in [
            r#"{"x": 1}"#,
            r#"{"elastic":null}"#,
            r#"{"elastic":{"agent":{}}}"#,
            r#"{"elastic":{"agent":[7]}}"#,
        ] {
            assert_eq!(with_agent_id(of(other), "a").get(), other);
        }
    }

    #[test]
    fn what_stands_beside_the_agent_id_stays_as_it_came() {
        let came = r#"{"host":{"n":1.50,"\u0061":"\u00e4"},"elastic":{"x\"y":[ 1 ],"agent":{"version":"9","id":7}}}"#;
        let came = RawValue::from_string(came.to_owned()).unwrap();
        let kept = r#"{"host":{"n":1.50,"\u0061":"\u00e4"},"elastic":{"x\"y":[ 1 ],"agent":{"version":"9","id":"b"}}}"#;
        assert_eq!(with_agent_id(came, "b").get(), kept);
    }
}
