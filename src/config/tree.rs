//! The raw configuration: texts, lists and maps with the place where each was set.
//!
//! Scalars stay text until a typed reader wants them, so that `007` is a text for one key and a
//! number for another. No key is known here.

use std::collections::BTreeMap;

use super::report::Origin;

/// Nesting of a source, dotted keys included; the known keys need seven.
pub(super) const DEPTH_MAX: usize = 32;

/// A value and where it was set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing: as if the key were absent.
    Null,
    /// An error was reported already; readers take the default without another one.
    Failed,
    Text(String),
    List {
        items: Vec<Node>,
        /// The text that the list was split from, for keys that want a text.
        text: Option<String>,
    },
    Map(Map),
}

pub(super) type Map = BTreeMap<String, Node>;

/// What becomes of a list when a later source has a list for the same key.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Lists {
    /// Within a file the last one wins.
    Replace,
    /// `-E` changes item by item (config.md, Command line and sources).
    ByIndex,
}

impl Node {
    pub(super) fn new(value: Value, origin: &Origin) -> Self {
        Self { value, origin: origin.clone() }
    }

    pub(super) fn text(text: impl Into<String>, origin: &Origin) -> Self {
        Self::new(Value::Text(text.into()), origin)
    }

    /// Wraps the node in maps, one per segment of a dotted key but the first, which is returned.
    pub(super) fn under(self, key: &str) -> (String, Node) {
        let mut node = self;
        let mut segments = key.rsplit('.').peekable();
        while let Some(segment) = segments.next() {
            if segments.peek().is_none() {
                return (segment.to_owned(), node);
            }
            let origin = node.origin.clone();
            node = Node { value: Value::Map(Map::from([(segment.to_owned(), node)])), origin };
        }
        (key.to_owned(), node)
    }

    /// Puts a later source over this one: maps are merged, lists as said, all else is replaced.
    pub(super) fn merge(&mut self, later: Node, lists: Lists) {
        match (&mut self.value, later.value) {
            (Value::Map(map), Value::Map(entries)) => {
                for (key, node) in entries {
                    insert(map, key, node, lists);
                }
            }
            (Value::List { items, .. }, Value::Map(entries)) if is_numbered(&entries) => {
                let mut map = numbered(std::mem::take(items));
                for (key, node) in entries {
                    insert(&mut map, key, node, lists);
                }
                self.value = Value::Map(map);
            }
            (Value::Map(map), Value::List { items, .. }) if lists == Lists::ByIndex && is_numbered(map) => {
                for (key, node) in numbered(items) {
                    insert(map, key, node, lists);
                }
            }
            (Value::List { items, text }, Value::List { items: later, .. }) if lists == Lists::ByIndex => {
                *text = None;
                merge_items(items, later, lists);
            }
            (value, later_value) => {
                *value = later_value;
                self.origin = later.origin;
            }
        }
    }

    /// The node at a dotted path, list items by their index.
    pub(super) fn at(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, segment| match &node.value {
            Value::Map(map) => map.get(segment),
            Value::List { items, .. } => items.get(segment.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The items of a list, or of a map whose keys are 0, 1, 2 and so on; `None` for anything else.
    pub(super) fn items(&self) -> Option<Vec<&Node>> {
        match &self.value {
            Value::List { items, .. } => Some(items.iter().collect()),
            Value::Map(map) => (0..map.len()).map(|index| map.get(&index.to_string())).collect(),
            _ => None,
        }
    }

    /// Number of nodes and bytes, and depth, to hold copies of it to a bound.
    pub(super) fn measure(&self) -> (usize, usize) {
        let below: Vec<(usize, usize)> = match &self.value {
            Value::List { items, .. } => items.iter().map(Node::measure).collect(),
            Value::Map(map) => map
                .iter()
                .map(|(key, node)| (node.measure(), key.len()))
                .map(|((weight, depth), key)| (weight + key, depth))
                .collect(),
            Value::Text(text) => return (1 + text.len(), 1),
            Value::Null | Value::Failed => return (1, 1),
        };
        let weight = below.iter().map(|(weight, _)| weight).sum::<usize>();
        let depth = below.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
        (1 + weight, 1 + depth)
    }
}

/// Sets a key of a map, merging it with what the key had before.
pub(super) fn insert(map: &mut Map, key: String, node: Node, lists: Lists) {
    match map.get_mut(&key) {
        Some(earlier) => earlier.merge(node, lists),
        None => {
            map.insert(key, node);
        }
    }
}

fn merge_items(items: &mut Vec<Node>, later: Vec<Node>, lists: Lists) {
    for (index, node) in later.into_iter().enumerate() {
        match items.get_mut(index) {
            Some(earlier) => earlier.merge(node, lists),
            None => items.push(node),
        }
    }
}

fn is_numbered(map: &Map) -> bool {
    !map.is_empty()
        && map.keys().all(|key| key.parse::<usize>().is_ok_and(|number| number.to_string() == *key))
}

fn numbered(items: Vec<Node>) -> Map {
    items.into_iter().enumerate().map(|(index, node)| (index.to_string(), node)).collect()
}
