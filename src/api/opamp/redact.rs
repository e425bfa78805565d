//! Takes what may be secret out of a configuration before it is stored (opamp.md, "Redaction"). Scalars in a list under a
//! secret's name go too, which the Go server leaves.

use serde_json::{Map, Value};

/// What stands in a secret's place.
const REDACTED: &str = "REDACTED";
/// What stands in the place of a URL's user and password.
const REDACTED_USER: &str = "REDACTED:REDACTED";
/// Parts of names, in lower case, under which secrets stand.
const SECRET_NAMES: [&str; 7] = ["auth", "certificate", "passphrase", "password", "token", "key", "secret"];
/// Names a header of a load balancer, not a key.
const NO_SECRET: &str = "routekey";

/// Redacts at any depth.
pub(super) fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => redact_map(map),
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::String(text) => redact_user(text),
        _ => {}
    }
}

fn redact_map(map: &mut Map<String, Value>) {
    // `{name: password, value: x}`
    let names_secret = map.get("name").and_then(Value::as_str).is_some_and(is_secret);
    for (key, value) in map.iter_mut() {
        let hides = is_secret(key) || (names_secret && key == "value");
        match value {
            Value::String(text) if hides => REDACTED.clone_into(text),
            Value::Array(items) if hides => items.iter_mut().for_each(hide_in_list),
            value => redact(value),
        }
    }
}

/// An item of a list under a secret's name.
fn hide_in_list(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_in_list),
        Value::Object(map) => redact_map(map),
        Value::Null => {}
        scalar => *scalar = REDACTED.into(),
    }
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    name != NO_SECRET && SECRET_NAMES.iter().any(|part| lower.contains(part))
}

/// `scheme://user:password@host` loses its user and password.
fn redact_user(text: &mut String) {
    let Some((scheme, rest)) = text.split_once("//") else { return };
    let is_scheme = scheme.is_empty()
        || scheme.strip_suffix(':').is_some_and(|name| {
            name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
        });
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let (true, Some((_, host))) = (is_scheme, authority.rsplit_once('@')) {
        *text = format!("{scheme}//{REDACTED_USER}@{host}{}", &rest[authority.len()..]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(mut value: Value) -> Value {
        redact(&mut value);
        value
    }

    #[test]
    fn texts_under_the_name_of_a_secret_are_redacted_in_any_case() {
        for key in [
            "api_key",
            "Authorization",
            "tls_CERTIFICATE",
            "passphrase",
            "Password",
            "bearer_token",
            "secret_id",
        ] {
            assert_eq!(redacted(json!({ key: "x" })), json!({ key: "REDACTED" }), "{key}");
        }
        assert_eq!(
            redacted(json!({ "routekey": "x", "RouteKey": "x" })),
            json!({ "routekey": "x", "RouteKey": "REDACTED" })
        );
    }

    #[test]
    fn numbers_and_maps_under_such_a_name_stay_and_lists_are_redacted() {
        let value = json!({ "tokens": 5, "auth": { "authenticator": "a", "on": true }, "keys": ["a", 1, true, ["b"], { "id": 2, "key": "k" }, null] });
        let expected = json!({ "tokens": 5, "auth": { "authenticator": "REDACTED", "on": true },
            "keys": ["REDACTED", "REDACTED", "REDACTED", ["REDACTED"], { "id": 2, "key": "REDACTED" }, null] });
        assert_eq!(redacted(value), expected);
    }

    #[test]
    fn a_value_beside_the_name_of_a_secret_is_redacted() {
        let value = json!([{ "name": "X-Api-Key", "value": "v" }, { "name": "Accept", "value": "v" }, { "name": "routekey", "value": "v" }]);
        let expected = json!([{ "name": "X-Api-Key", "value": "REDACTED" }, { "name": "Accept", "value": "v" }, { "name": "routekey", "value": "v" }]);
        assert_eq!(redacted(value), expected);
    }

    #[test]
    fn user_and_password_of_a_url_are_redacted() {
        for (url, expected) in [
            ("http://u:p@h", "http://REDACTED:REDACTED@h"),
            ("https://u@h:1/p@q?r", "https://REDACTED:REDACTED@h:1/p@q?r"),
            ("mongodb+srv://u:p@q@h/d", "mongodb+srv://REDACTED:REDACTED@h/d"),
            ("//u:p@h", "//REDACTED:REDACTED@h"),
            ("http://h/a@b", "http://h/a@b"),
            ("mail a@b // c@d", "mail a@b // c@d"),
            ("u:p@h", "u:p@h"),
        ] {
            assert_eq!(redacted(json!([url])), json!([expected]));
        }
    }
}
