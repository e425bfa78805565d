//! Attributes as JSON: bytes as base64, lists and maps as such; what has no value is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::message::{AnyValue, KeyValue, Value};

/// Attributes as an object. The last of equal names counts.
pub(super) fn object(attributes: &[KeyValue]) -> Map<String, Json> {
    let named = |attribute: &KeyValue| Some((attribute.key.clone(), json(attribute.value.as_ref()?)?));
    attributes.iter().filter_map(named).collect()
}

/// The text of this name; empty where there is none.
pub(super) fn text<'a>(attributes: &'a [KeyValue], name: &str) -> &'a str {
    let named = attributes.iter().rev().find(|attribute| attribute.key == name);
    match named.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

fn json(value: &AnyValue) -> Option<Json> {
    Some(match value.value.as_ref()? {
        Value::Text(text) => text.as_str().into(),
        Value::Boolean(boolean) => (*boolean).into(),
        Value::Integer(number) => (*number).into(),
        // there is no JSON of what is no number
        Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::Array(array) => array.values.iter().map(|value| json(value).unwrap_or_default()).collect(),
        Value::Map(map) => object(&map.values).into(),
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
    })
}
