//! Reads a JSON request body field by field (http-api.md, "Bodies"): unknown fields ignored, names in any case, null is
//! absent, what follows the first value is ignored.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ApiError;
use crate::model::raw::{Raw, is_null, read_whole};

/// Arrays and objects within each other that a stored field may have: what Elasticsearch and our own readers can follow.
pub const JSON_DEPTH_MAX: usize = 100;

/// An opened request body.
pub struct Fields<'a> {
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// Opens the JSON object that `body` starts with.
    pub fn open(body: &'a [u8]) -> Result<Self, ApiError> {
        match serde_json::Deserializer::from_slice(body).into_iter::<Fields<'a>>().next() {
            Some(Ok(fields)) => Ok(fields),
            Some(Err(error)) => {
                Err(ApiError::bad(format!("the body is not the JSON object expected: {error}")))
            }
            None => Err(ApiError::bad("the body is empty")),
        }
    }

    /// The field as text of JSON, if present and not null.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        // as Go does: the last of several wins
        let found = |(key, _): &&(Cow<'a, str>, &'a RawValue)| key.eq_ignore_ascii_case(name);
        self.entries.iter().rev().find(found).map(|(_, value)| *value).filter(|value| !is_null(value))
    }

    /// The field, if present and not null; an error that names it if it is of another type.
    pub fn optional<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, ApiError> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(value.get())
            .map(Some)
            .map_err(|error| ApiError::bad(format!("{name}: {}", without_place(&error))))
    }

    /// The field, its default if absent or null.
    pub fn take<T: DeserializeOwned + Default>(&self, name: &'static str) -> Result<T, ApiError> {
        self.optional(name).map(Option::unwrap_or_default)
    }

    /// The object in this field, opened; `None` if absent or null.
    pub fn object(&self, name: &'static str) -> Result<Option<Fields<'a>>, ApiError> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(value.get())
            .map(Some)
            .map_err(|_| ApiError::bad(format!("{name}: not an object")))
    }

    /// The field byte for byte, if present and not null; an error if it cannot be stored.
    pub fn stored(&self, name: &'static str) -> Result<Option<Raw>, ApiError> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        check_stored(name, value)?;
        Ok(Some(value.to_owned()))
    }
}

/// `object` with another value at `path`, which leads through objects; `None` if nothing is there. All else stays as it was
/// written.
pub fn replaced(object: &RawValue, path: &[&str], value: &RawValue) -> Option<Raw> {
    let mut present = object;
    for name in path {
        let fields: Fields<'_> = serde_json::from_str(present.get()).ok()?;
        present = fields.entries.iter().rev().find(|(key, _)| key == name)?.1;
    }
    // it lies within the text of the object
    let start = (present.get().as_ptr() as usize).checked_sub(object.get().as_ptr() as usize)?;
    let (before, rest) = object.get().split_at_checked(start)?;
    let after = rest.get(present.get().len()..)?;
    RawValue::from_string([before, value.get(), after].concat()).ok()
}

/// An error if `value` cannot be stored: it is nested too deeply, or holds a number or a text that who reads the document
/// cannot take (1e400, half a surrogate pair). Looks at each byte: not for what is compared only.
pub fn check_stored(name: &'static str, value: &RawValue) -> Result<(), ApiError> {
    if depth(value.get().as_bytes()) > JSON_DEPTH_MAX {
        return Err(ApiError::bad(format!("{name}: nested more than {JSON_DEPTH_MAX} levels deep")));
    }
    read_whole(value).map_err(|error| ApiError::bad(format!("{name}: {}", without_place(&error))))
}

/// serde_json's message without the place, which counts from the field's own start.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// How deeply arrays and objects are nested in well-formed JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<'de> serde::Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some((Name(key), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            entries.push((key, value));
        }
        Ok(Fields { entries })
    }
}

/// A key, borrowed unless it holds escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_any_case_and_the_last_wins() {
        let fields = Fields::open(br#"{"Status":"a","STATUS":"b","x":1} trailing"#).unwrap();
        assert_eq!(fields.take::<String>("status").unwrap(), "b");
    }

    #[test]
    fn null_is_absent() {
        let fields = Fields::open(br#"{"a":null}"#).unwrap();
        assert_eq!(fields.optional::<String>("a").unwrap(), None);
        assert!(fields.stored("a").unwrap().is_none());
    }

    #[test]
    fn an_error_names_the_field() {
        let fields = Fields::open(br#"{"status":5}"#).unwrap();
        let error = fields.take::<String>("status").unwrap_err();
        assert_eq!(error.row().2, "Bad request: status: invalid type: integer `5`, expected a string");
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for body in ["", "[1]", "{", "\"x\"", "nul", "{\"a\":}"] {
            assert!(Fields::open(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn ten_thousand_levels_are_refused_without_recursion() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(Fields::open(deep.as_bytes()).unwrap().stored("a").is_err());
        let flat = format!(r#"{{"a":["{}"]}}"#, "[\\\"".repeat(10_000));
        assert!(Fields::open(flat.as_bytes()).unwrap().stored("a").unwrap().is_some());
    }

    #[test]
    fn a_number_or_a_text_that_others_cannot_read_is_not_stored() {
        for value in ["1e400", r#""\ud800""#, r#"{"a":[{"\udfff":1}]}"#, "[-1e999]"] {
            let body = format!(r#"{{"a":{value},"b":1}}"#);
            let fields = Fields::open(body.as_bytes()).unwrap();
            let error = fields.stored("a").unwrap_err();
            assert!(error.row().2.starts_with("Bad request: a: "), "{value}: {error:?}");
            assert!(fields.stored("b").unwrap().is_some());
        }
        for value in
            [r#""\ud83d\ude00\u0000""#, "123456789012345678901234567890", "-0", "1e-400", "[]", "true"]
        {
            let body = format!(r#"{{"a":{value}}}"#);
            assert_eq!(Fields::open(body.as_bytes()).unwrap().stored("a").unwrap().unwrap().get(), value);
        }
    }
}
