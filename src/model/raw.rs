//! JSON that passes through byte for byte, and a reader that takes a document field by field.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A JSON value as it was written.
pub type Raw = Box<RawValue>;

/// `value` as JSON text. Values of our own types always have one; anything else is `null`.
pub fn raw(value: &impl Serialize) -> Raw {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| null())
}

/// The JSON value `null`.
pub fn null() -> Raw {
    RawValue::NULL.to_owned()
}

/// Whether `value` is the JSON value `null`.
pub fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// A document opened for reading field by field.
#[derive(Debug)]
pub struct Fields<'a> {
    document: &'a str,
    fields: BTreeMap<&'a str, &'a RawValue>,
}

impl<'a> Fields<'a> {
    /// Opens the JSON object in `json`; `name` is what log lines call the document.
    pub fn open(name: &'a str, json: &'a [u8]) -> Result<Self, serde_json::Error> {
        Ok(Fields { document: name, fields: serde_json::from_slice(json)? })
    }

    /// The field, or its default if absent, null, or malformed (which is logged).
    pub fn take<T: DeserializeOwned + Default>(&self, field: &str) -> T {
        self.optional(field).unwrap_or_default()
    }

    /// The field, if present, not null, and well-formed (if not, that is logged).
    pub fn optional<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        let value = self.fields.get(field)?;
        if is_null(value) {
            return None;
        }
        serde_json::from_str(value.get())
            .inspect_err(|error| {
                ::log::warn!("{}: the stored field {field} is malformed and ignored: {error}", self.document);
            })
            .ok()
    }

    /// The field as it was written, if present and not null.
    pub fn raw(&self, field: &str) -> Option<Raw> {
        self.fields.get(field).filter(|value| !is_null(value)).map(|value| (*value).to_owned())
    }

    /// The field as it was written, if present, be it null.
    pub fn raw_or_null(&self, field: &str) -> Option<Raw> {
        self.fields.get(field).map(|value| (*value).to_owned())
    }

    /// Whether the document has the field with a value other than null.
    pub fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !is_null(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_field_does_not_hide_the_others() {
        let json = br#"{"a": 1, "b": "text", "c": null}"#;
        let fields = Fields::open("test", json).unwrap();
        assert_eq!(fields.take::<i64>("b"), 0);
        assert_eq!(fields.take::<i64>("a"), 1);
        assert_eq!(fields.optional::<i64>("c"), None);
        assert!(!fields.has("c") && !fields.has("d") && fields.has("b"));
    }
}
