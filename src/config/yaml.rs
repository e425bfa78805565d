//! A YAML file to the raw tree, from the parser's events.
//!
//! The events rather than saphyr's finished nodes: depth and aliases are bounded before anything
//! is built, a scalar keeps its text, and of two equal keys the last one wins.

use std::collections::BTreeMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::report::{Fault, Origin};
use super::tree::{self, DEPTH_MAX, Lists, Map, Node, Value};

/// Bytes of a configuration file.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Nodes and bytes that aliases may copy.
const ALIAS_WEIGHT_MAX: usize = 1024 * 1024;

/// Parses a file; an empty one is an empty map. The error names the line in its origin.
pub(super) fn parse(name: &str, text: &str) -> Result<Node, (Origin, Fault)> {
    let mut builder = Builder::new(name);
    if text.len() > FILE_BYTES_MAX {
        return Err(builder.fault(1, format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, span.start.line())?,
            Err(error) => return Err(builder.fault(error.marker().line(), error.info().to_owned())),
        }
    }
    builder.finish()
}

struct Builder {
    name: Arc<str>,
    open: Vec<Collection>,
    /// Depth of the open collections, dotted keys included.
    depth: usize,
    anchors: BTreeMap<usize, Node>,
    alias_weight_left: usize,
    document: Option<Node>,
}

/// A list or map that is not closed yet.
struct Collection {
    content: Content,
    anchor: usize,
    line: usize,
    /// Levels it adds to the tree.
    levels: usize,
}

enum Content {
    List(Vec<Node>),
    Map {
        map: Map,
        /// The key whose value comes next, and its line.
        key: Option<(String, usize)>,
    },
}

type Outcome = Result<(), (Origin, Fault)>;

impl Builder {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            open: Vec::new(),
            depth: 0,
            anchors: BTreeMap::new(),
            alias_weight_left: ALIAS_WEIGHT_MAX,
            document: None,
        }
    }

    fn event(&mut self, event: Event<'_>, line: usize) -> Outcome {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain && is_null(&text) && !self.awaits_key() {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                };
                let node = Node { value, origin: self.origin(line) };
                self.add(node, anchor, line)
            }
            Event::SequenceStart(anchor, _) => self.begin(Content::List(Vec::new()), anchor, line),
            Event::MappingStart(anchor, _) => {
                self.begin(Content::Map { map: Map::new(), key: None }, anchor, line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, line),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, content: Content, anchor: usize, line: usize) -> Outcome {
        if self.awaits_key() {
            return Err(self.fault(line, "a key must be a text".to_owned()));
        }
        let levels = 1 + self.key_levels();
        if self.depth + levels > DEPTH_MAX {
            return Err(self.fault(line, format!("nested deeper than {DEPTH_MAX}")));
        }
        self.depth += levels;
        self.open.push(Collection { content, anchor, line, levels });
        Ok(())
    }

    fn end(&mut self) -> Outcome {
        let Some(Collection { content, anchor, line, levels }) = self.open.pop() else {
            return Ok(());
        };
        self.depth -= levels;
        let value = match content {
            Content::List(items) => Value::List { items, text: None },
            Content::Map { map, .. } => Value::Map(with_merge_keys(map)),
        };
        let node = Node { value, origin: self.origin(line) };
        self.add(node, anchor, line)
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Outcome {
        // An alias inside its own anchor is not finished yet, so it is not found.
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.fault(line, "unknown alias".to_owned()));
        };
        let (weight, depth) = node.measure();
        if weight > self.alias_weight_left || self.depth + self.key_levels() + depth > DEPTH_MAX {
            return Err(self.fault(line, "aliases grow too large".to_owned()));
        }
        self.alias_weight_left -= weight;
        let node = Node { value: node.value.clone(), origin: self.origin(line) };
        self.add(node, 0, line)
    }

    fn add(&mut self, mut node: Node, anchor: usize, line: usize) -> Outcome {
        if anchor > 0 {
            let (weight, _) = node.measure();
            if weight > self.alias_weight_left {
                return Err(self.fault(line, "anchors grow too large".to_owned()));
            }
            self.alias_weight_left -= weight;
            self.anchors.insert(anchor, node.clone());
        }
        let too_deep = self.depth + self.key_levels() >= DEPTH_MAX;
        let name = self.name.clone();
        match self.open.last_mut().map(|collection| &mut collection.content) {
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { map, key }) => match key.take() {
                Some(_) if too_deep => {
                    return Err(self.fault(line, format!("nested deeper than {DEPTH_MAX}")));
                }
                Some((key, line)) => {
                    // Where the key stands is what people look for, not where its value begins.
                    node.origin = Origin::File { name, line };
                    let (key, node) = node.under(&key);
                    tree::insert(map, key, node, Lists::Replace);
                }
                None => match node.value {
                    Value::Text(text) => *key = Some((text, line)),
                    _ => return Err(self.fault(line, "a key must be a text".to_owned())),
                },
            },
            None if self.document.is_none() || node.value == Value::Null => {
                self.document.get_or_insert(node);
            }
            None => return Err(self.fault(line, "more than one document".to_owned())),
        }
        Ok(())
    }

    fn finish(self) -> Result<Node, (Origin, Fault)> {
        let origin = self.origin(1);
        match self.document {
            None => Ok(Node::new(Value::Map(Map::new()), &origin)),
            Some(node) => match node.value {
                Value::Map(_) => Ok(node),
                Value::Null => Ok(Node::new(Value::Map(Map::new()), &origin)),
                _ => Err((node.origin, Fault::Yaml("expected `key: value`".to_owned()))),
            },
        }
    }

    /// Whether the next node is a key of a map.
    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Collection { content: Content::Map { key: None, .. }, .. }))
    }

    /// Levels that the dots of the key at hand add.
    fn key_levels(&self) -> usize {
        match self.open.last() {
            Some(Collection { content: Content::Map { key: Some((key, _)), .. }, .. }) => {
                key.matches('.').count()
            }
            _ => 0,
        }
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File { name: self.name.clone(), line }
    }

    fn fault(&self, line: usize, message: String) -> (Origin, Fault) {
        (self.origin(line), Fault::Yaml(message))
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// `<<: *base`: takes from the base what the map lacks.
fn with_merge_keys(mut map: Map) -> Map {
    let Some(base) = map.remove("<<") else { return map };
    let bases = match base.value {
        Value::List { items, .. } => items,
        _ => vec![base],
    };
    for base in bases {
        if let Value::Map(entries) = base.value {
            for (key, node) in entries {
                map.entry(key).or_insert(node);
            }
        }
    }
    map
}
