//! JSON that passes through byte for byte, and a reader that takes a document field by field.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
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

/// Reads a value to its end, and keeps nothing of it: an error for what is skipped without harm, but who reads it cannot take, a
/// number beyond all numbers (1e400) or half a surrogate pair.
pub fn read_whole(value: &RawValue) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Readable>(value.get()).map(drop)
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

    /// The field, if present, not null, and well-formed (if not, that is logged). What is written as another type than it is
    /// counts as well-formed, as Elasticsearch has it: `"true"`, `"3"`, `3.0`, or `7` where a text is wanted.
    pub fn optional<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        let value = self.value(field)?;
        read(value.get()).inspect_err(|error| self.is_malformed(field, error)).ok()
    }

    /// The entries of a list; a single value is a list of one, as Elasticsearch has it. Entries that are malformed are left out,
    /// which is logged, and so are nulls.
    pub fn list<T: DeserializeOwned>(&self, field: &str) -> Vec<T> {
        let Some(value) = self.value(field) else { return Vec::new() };
        if let Ok(all) = serde_json::from_str(value.get()) {
            return all;
        }
        let entries: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_else(|_| vec![value]);
        let mut malformed = None;
        let read = |entry: &RawValue| {
            read(entry.get()).inspect_err(|error| malformed = Some(error.to_string())).ok()
        };
        let list = entries.into_iter().filter(|entry| !is_null(entry)).filter_map(read).collect();
        if let Some(error) = malformed {
            self.is_malformed(field, &error);
        }
        list
    }

    /// The object in a field, opened; empty if there is none.
    pub fn section(&self, field: &str) -> Fields<'a> {
        let read = |value: &'a RawValue| serde_json::from_str(value.get());
        let fields = self
            .value(field)
            .and_then(|value| read(value).inspect_err(|error| self.is_malformed(field, error)).ok());
        Fields { document: self.document, fields: fields.unwrap_or_default() }
    }

    /// The members of the object in a field, whatever their names; none if it is none.
    pub fn members(&self, field: &str) -> BTreeMap<String, &'a RawValue> {
        self.value(field).and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
    }

    /// All fields but `known`, as they were written: what another version of the stack has added survives a change.
    pub fn others(&self, known: &[&str]) -> BTreeMap<String, Raw> {
        let others = self.fields.iter().filter(|(field, _)| !known.contains(field));
        others.map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    fn value(&self, field: &str) -> Option<&'a RawValue> {
        self.fields.get(field).copied().filter(|value| !is_null(value))
    }

    fn is_malformed(&self, field: &str, error: &dyn fmt::Display) {
        ::log::warn!("{}: the stored field {field} is malformed and ignored: {error}", self.document);
    }

    /// The field as it was written, if present and not null.
    pub fn raw(&self, field: &str) -> Option<Raw> {
        self.value(field).map(ToOwned::to_owned)
    }

    /// The field as it was written, if present, be it null.
    pub fn raw_or_null(&self, field: &str) -> Option<Raw> {
        self.fields.get(field).map(|value| (*value).to_owned())
    }

    /// Whether the document has the field with a value other than null.
    pub fn has(&self, field: &str) -> bool {
        self.value(field).is_some()
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    let read = |json: &str| serde_json::from_str(json);
    read(json).or_else(|error| other_writings(json).find_map(|json| read(&json).ok()).ok_or(error))
}

/// A text, number or truth value written as another of these types.
fn other_writings(json: &str) -> impl Iterator<Item = String> {
    let text: Option<String> = serde_json::from_str(json).ok();
    let bare = text.as_deref().unwrap_or(json);
    let is_scalar = bare.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        || ["true", "false"].contains(&bare);
    let unquoted = (text.is_some() && is_scalar).then(|| bare.to_owned());
    // whole numbers are stored as the client wrote them, `3.0` too
    let whole = bare.parse::<f64>().ok().filter(|_| is_scalar).map(|number| format!("{:.0}", number.trunc()));
    let quoted = (text.is_none() && is_scalar).then(|| format!("\"{bare}\""));
    [unquoted, whole, quoted].into_iter().flatten()
}

/// A value that was read whole; nothing of it is kept.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Readable)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Readable;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_str<E>(self, _: &str) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Readable, A::Error> {
        while values.next_element::<Readable>()?.is_some() {}
        Ok(Readable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Readable, A::Error> {
        while entries.next_entry::<Readable, Readable>()?.is_some() {}
        Ok(Readable)
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

    #[test]
    fn a_value_written_as_another_type_is_what_elasticsearch_takes_it_for() {
        let json = br#"{"a":"true","b":"false","c":"3","d":3.0,"e":"4.9","f":7,"g":true,"h":-1,"i":1e400,"j":{},"k":"five"}"#;
        let fields = Fields::open("test", json).unwrap();
        assert_eq!((fields.take::<bool>("a"), fields.take::<bool>("b")), (true, false));
        assert_eq!(["c", "d", "e", "h"].map(|field| fields.take::<i64>(field)), [3, 3, 4, -1]);
        assert_eq!(["f", "g", "h"].map(|field| fields.take::<String>(field)), ["7", "true", "-1"]);
        assert_eq!(["i", "j", "k"].map(|field| fields.optional::<i64>(field)), [None, None, None]);
        assert_eq!(["j", "k"].map(|field| fields.optional::<bool>(field)), [None, None]);
        assert_eq!(fields.optional::<String>("j"), None);
    }

    #[test]
    fn a_single_value_is_a_list_and_a_malformed_entry_hides_no_other() {
        let json = br#"{"a":"x","b":["x",null,{},7],"c":5,"d":"5","e":null,"f":[[1],2]}"#;
        let fields = Fields::open("test", json).unwrap();
        assert_eq!(fields.list::<String>("a"), ["x"]);
        assert_eq!(fields.list::<String>("b"), ["x", "7"]);
        assert_eq!(["c", "d", "f"].map(|field| fields.list::<i64>(field)), [[5], [5], [2]]);
        assert!(fields.list::<i64>("e").is_empty() && fields.list::<i64>("none").is_empty());
    }

    #[test]
    fn a_section_that_is_none_is_empty_and_the_rest_of_one_is_kept() {
        let json = br#"{"a":{"id":"i","more":[1.50]},"b":7}"#;
        let fields = Fields::open("test", json).unwrap();
        assert_eq!(fields.section("a").take::<String>("id"), "i");
        assert_eq!(fields.section("a").others(&["id"])["more"].get(), "[1.50]");
        assert!(!fields.section("b").has("id") && !fields.section("c").has("id"));
    }
}
