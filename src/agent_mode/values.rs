//! `google.protobuf.Struct` to JSON and back. How deep it nests is bounded by prost, which refuses a message of more than 100
//! levels (about 30 of a policy).

use serde_json::{Map, Number, Value as Json};

use super::messages::{Kind, ListValue, Struct, Value};

/// Above it a double no longer tells one whole number from the next.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// As JSON; numbers that are whole are integers, since every number comes as a double (8220.0).
pub fn json(of: &Struct) -> Json {
    Json::Object(of.fields.iter().map(|(key, value)| (key.clone(), json_value(value))).collect())
}

fn json_value(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::Null(_)) => Json::Null,
        Some(Kind::Number(number)) => json_number(*number),
        Some(Kind::Text(text)) => Json::String(text.clone()),
        Some(Kind::Boolean(value)) => Json::Bool(*value),
        Some(Kind::Struct(fields)) => json(fields),
        Some(Kind::List(list)) => Json::Array(list.values.iter().map(json_value).collect()),
    }
}

fn json_number(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within what an i64 holds")]
        return Json::from(number as i64);
    }
    // what JSON has no number for
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

/// The fields of an object; none of anything else.
pub fn fields(of: &Json) -> Struct {
    let fields = of.as_object().into_iter().flat_map(Map::iter);
    Struct { fields: fields.map(|(key, value)| (key.clone(), field(value))).collect() }
}

fn field(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::Null(0),
        Json::Bool(value) => Kind::Boolean(*value),
        Json::Number(number) => Kind::Number(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::Text(text.clone()),
        Json::Array(items) => Kind::List(ListValue { values: items.iter().map(field).collect() }),
        Json::Object(_) => Kind::Struct(fields(json)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use serde_json::json;

    use super::*;

    fn number(number: f64) -> Json {
        json_value(&Value { kind: Some(Kind::Number(number)) })
    }

    #[test]
    fn whole_doubles_are_integers() {
        assert_eq!(number(8220.0).to_string(), "8220");
        assert_eq!(number(-3.0).to_string(), "-3");
        assert_eq!(number(0.25).to_string(), "0.25");
        assert_eq!(number(1e300), json!(1e300));
        assert_eq!(number(f64::NAN), Json::Null);
    }

    #[test]
    fn json_comes_back_as_it_went() {
        let source = json!({"a": [1, 2.5, "x", null, true], "b": {"c": {}, "d.e": []}});
        assert_eq!(json(&fields(&source)), source);
        assert_eq!(json(&fields(&json!([1]))), json!({}));
    }

    #[test]
    fn a_value_of_no_kind_is_null() {
        assert_eq!(json_value(&Value::default()), Json::Null);
    }

    #[test]
    fn what_nests_without_end_is_refused_by_the_decoder() {
        let nested = (0..40).fold(json!({}), |value, _| json!({ "a": value }));
        assert!(Struct::decode(&*fields(&nested).encode_to_vec()).is_err());
        let nested = (0..25).fold(json!({}), |value, _| json!({ "a": value }));
        assert_eq!(Struct::decode(&*fields(&nested).encode_to_vec()).map(|it| json(&it)).ok(), Some(nested));
    }
}
