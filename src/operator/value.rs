//! Taking JSON answers apart: what is not there shows as `-`.

use serde_json::Value;

/// How a missing value shows.
pub(super) const NOTHING: &str = "-";

/// The value at a JSON pointer, for people.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => NOTHING.to_owned(),
        Some(Value::String(text)) if text.is_empty() => NOTHING.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => NOTHING.to_owned(),
        Some(Value::Array(items)) => items.iter().map(|item| text(item, "")).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

/// The items of a list.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The `items` of an answer, taken out of it.
pub(super) fn take_items(mut answer: Value) -> Vec<Value> {
    match answer["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_show_as_people_read_them() {
        let value =
            json!({ "a": { "b": "x" }, "n": 3, "t": true, "l": ["p", 1], "e": "", "z": null, "none": [] });
        let texts =
            ["/a/b", "/n", "/t", "/l", "/e", "/z", "/none", "/missing"].map(|pointer| text(&value, pointer));
        assert_eq!(texts, ["x", "3", "true", "p, 1", "-", "-", "-", "-"]);
    }
}
