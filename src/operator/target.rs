//! Paths and queries, percent-encoded.

use std::fmt::Write;

/// A text as one segment of a path, or as a value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        // RFC 3986, 2.3: unreserved
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // writing into a text cannot fail
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A field and its value in Kibana's query language.
pub(super) fn condition(field: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("fleet-agents.{field}:\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_unreserved_is_encoded() {
        assert_eq!(encoded("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(encoded("a b/c%?#ä"), "a%20b%2Fc%25%3F%23%C3%A4");
    }

    #[test]
    fn quotes_in_a_value_are_escaped() {
        assert_eq!(condition("policy_id", r#"a"b\"#), r#"fleet-agents.policy_id:"a\"b\\""#);
    }
}
