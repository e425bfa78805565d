//! What an agent sent, as a raw tree: JSON whose keys may be dotted, as policies have them.

use serde_json::Value as Json;

use super::report::{Fault, Origin};
use super::tree::{self, DEPTH_MAX, Lists, Map, Node, Value};

/// The tree of `sent`; numbers and truth values become texts, as those of a file.
pub(super) fn tree(sent: &Json) -> Result<Node, Fault> {
    node(sent, DEPTH_MAX)
}

/// `levels_left` bounds what the value may be nested, dots included.
fn node(sent: &Json, levels_left: usize) -> Result<Node, Fault> {
    let too_deep =
        || Fault::Type { expected: format!("at most {DEPTH_MAX} levels"), found: "more of them".to_owned() };
    let value = match sent {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Text(value.to_string()),
        Json::Number(value) => Value::Text(value.to_string()),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => {
            let below = levels_left.checked_sub(1).ok_or_else(too_deep)?;
            let items = items.iter().map(|item| node(item, below)).collect::<Result<_, _>>()?;
            Value::List { items, text: None }
        }
        Json::Object(fields) => {
            let mut map = Map::new();
            for (key, field) in fields {
                let levels = 1 + key.matches('.').count();
                let below = levels_left.checked_sub(levels).ok_or_else(too_deep)?;
                let (key, node) = node(field, below)?.under(key);
                tree::insert(&mut map, key, node, Lists::Replace);
            }
            Value::Map(map)
        }
    };
    Ok(Node::new(value, &Origin::Agent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(tree: &Node, key: &str) -> Option<String> {
        match &tree.at(key)?.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    #[test]
    fn dotted_and_nested_keys_are_one() {
        let sent = json!({"server.limits.max_agents": 7, "server": {"limits": {"max_connections": 9}, "port": 8220}});
        let tree = tree(&sent).unwrap();
        assert_eq!(text(&tree, "server.limits.max_agents"), Some("7".to_owned()));
        assert_eq!(text(&tree, "server.limits.max_connections"), Some("9".to_owned()));
        assert_eq!(text(&tree, "server.port"), Some("8220".to_owned()));
    }

    #[test]
    fn scalars_are_texts_and_null_is_nothing() {
        let tree = tree(&json!({"a": true, "b": 0.25, "c": "x", "d": null, "e": [1, "y"]})).unwrap();
        assert_eq!(text(&tree, "a"), Some("true".to_owned()));
        assert_eq!(text(&tree, "b"), Some("0.25".to_owned()));
        assert_eq!(text(&tree, "c"), Some("x".to_owned()));
        assert_eq!(tree.at("d").map(|node| &node.value), Some(&Value::Null));
        assert_eq!((text(&tree, "e.0"), text(&tree, "e.1")), (Some("1".to_owned()), Some("y".to_owned())));
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_and_not_followed() {
        let nested = (0..DEPTH_MAX).fold(json!(1), |value, _| json!({ "a": value }));
        assert!(tree(&nested).is_ok());
        assert!(tree(&json!({ "a": nested })).is_err());
        let dotted = vec!["a"; DEPTH_MAX + 1].join(".");
        assert!(tree(&json!({ dotted: 1 })).is_err());
    }
}
