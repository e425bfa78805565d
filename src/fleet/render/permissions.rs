//! What tells the role descriptors of an output from others. The Go server stored it as well, so it has to be the same to
//! the byte: a fleet that moves over keeps its keys (checkin.md, "Permissions hash").

use serde_json::{Map, Number, Value};

use crate::model::sha256_hex;

/// SHA-256, in hexadecimal, of the roles as Go's JSON encoder writes them.
pub(super) fn hash(roles: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_object(roles, &mut text);
    text.push('\n');
    sha256_hex(text.as_bytes())
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&float(number)),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

/// Keys by their bytes, whatever the map's own order.
fn write_object(members: &Map<String, Value>, out: &mut String) {
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    out.push('{');
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(key, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

/// Fit for HTML: that is what Go does unless told otherwise.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..'\u{20}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Every number is a float64: the shortest text that reads back as the same, with an exponent for the very large and small.
fn float(number: &Number) -> String {
    let value = number.as_f64().unwrap_or_default();
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> String {
        let mut text = String::new();
        write(&serde_json::from_str(json).unwrap(), &mut text);
        text
    }

    #[test]
    fn a_text_is_as_go_writes_it() {
        for (given, expected) in [
            (r#"{ "b" : [ 1 , true , null ] , "a" : {} }"#, r#"{"a":{},"b":[1,true,null]}"#),
            (r#"{"Z":1,"a":2,"Ä":3,"_":4}"#, r#"{"Z":1,"_":4,"a":2,"Ä":3}"#),
            (r#""<a href='x'>&amp;</a>""#, r#""\u003ca href='x'\u003e\u0026amp;\u003c/a\u003e""#),
            ("\"\u{2028}\u{2029}\u{7f}ü\"", "\"\\u2028\\u2029\u{7f}ü\""),
            (r#""\u0000\b\f\n\r\t\u001f\"\\\/""#, r#""\u0000\b\f\n\r\t\u001f\"\\/""#),
        ] {
            assert_eq!(written(given), expected);
        }
    }

    #[test]
    fn a_number_is_as_go_writes_a_float() {
        for (given, expected) in [
            ("0", "0"),
            ("-0.0", "-0"),
            ("7", "7"),
            ("1.0", "1"),
            ("-1.50", "-1.5"),
            ("0.000001", "0.000001"),
            ("0.00000015", "1.5e-7"),
            ("1e-9", "1e-9"),
            ("100000000000000000000", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1.25e100", "1.25e+100"),
            ("9007199254740993", "9007199254740992"),
            ("18446744073709551615", "18446744073709552000"),
        ] {
            assert_eq!(written(given), expected, "{given}");
        }
    }

    /// By `printf '%s\n' '...' | sha256sum`.
    #[test]
    fn the_hash_is_that_of_the_text_with_a_line_end() {
        for (roles, expected) in [
            ("{}", EMPTY),
            (r#"{"r":{"cluster":["monitor"],"indices":[{"names":["logs-*"],"privileges":["a","b"]}]}}"#, ONE),
        ] {
            assert_eq!(hash(&serde_json::from_str(roles).unwrap()), expected);
        }
    }

    const EMPTY: &str = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356";
    const ONE: &str = "bc607ec2a1ccdbfcde055bc98733a721b69090f00fbdea72c35fc6f525b9e490";
}
