//! `-E key=value`, and the values of environment variables (config.md, Command line and sources).

use super::report::{Fault, Origin};
use super::tree::{DEPTH_MAX, Map, Node, Value};

/// Bytes of one `-E` setting.
const SETTING_BYTES_MAX: usize = 1024 * 1024;

/// The tree of one setting: `key` alone is true, `key=` is nothing.
pub(super) fn parse(setting: &str) -> Result<Option<Node>, (Origin, Fault)> {
    let (key, value) = match setting.split_once('=') {
        Some((key, value)) => (key.trim(), value),
        None => (setting.trim(), "true"),
    };
    let origin = Origin::Setting(shortened(key).into());
    if key.is_empty() || key.matches('.').count() >= DEPTH_MAX || setting.len() > SETTING_BYTES_MAX {
        return Err((origin, Fault::Setting));
    }
    if value.trim().is_empty() {
        return Ok(None);
    }
    let (first, node) = value_of(value, &origin).under(key);
    Ok(Some(Node::new(Value::Map(Map::from([(first, node)])), &origin)))
}

/// A value as `-E` takes it: list, object, quoted text or text. What is no whole list or object is
/// a text, so `[::1]:8220` is one.
pub(super) fn value_of(text: &str, origin: &Origin) -> Node {
    let text = text.trim();
    let mut parser = Parser { rest: text, origin };
    let parsed = match parser.value(0, &[',']) {
        Some(first) if parser.rest.is_empty() => Some(first),
        Some(first) => parser.following_items(first),
        None => None,
    };
    match parsed {
        Some(Node { value: Value::List { items, .. }, .. }) => {
            Node::new(Value::List { items, text: Some(text.to_owned()) }, origin)
        }
        Some(node) => node,
        None => Node::text(text, origin),
    }
}

/// A value as an environment variable has it: like `-E`, but `{..}` stays text.
pub(super) fn value_of_variable(text: &str, origin: &Origin) -> Node {
    if text.trim_start().starts_with('{') { Node::text(text, origin) } else { value_of(text, origin) }
}

struct Parser<'a> {
    rest: &'a str,
    origin: &'a Origin,
}

impl Parser<'_> {
    /// One value up to one of the ends; `None` when it is malformed or too deep.
    fn value(&mut self, depth: usize, ends: &[char]) -> Option<Node> {
        self.rest = self.rest.trim_start();
        if depth >= DEPTH_MAX / 2 {
            return None;
        }
        let value = match self.rest.chars().next() {
            Some('[') => self.list(depth)?,
            Some('{') => self.object(depth)?,
            Some(quote @ ('\'' | '"')) => Value::Text(self.quoted(quote)?),
            _ => Value::Text(self.plain(ends)),
        };
        self.rest = self.rest.trim_start();
        Some(Node::new(value, self.origin))
    }

    /// `a,b` without brackets.
    fn following_items(&mut self, first: Node) -> Option<Node> {
        let mut items = vec![first];
        while let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            items.push(self.value(0, &[','])?);
        }
        self.rest.is_empty().then(|| Node::new(Value::List { items, text: None }, self.origin))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        self.rest = self.rest.strip_prefix('[')?.trim_start();
        while !self.rest.starts_with(']') {
            items.push(self.value(depth + 1, &[',', ']'])?);
            self.separator(']')?;
        }
        self.rest = self.rest.strip_prefix(']')?;
        Some(Value::List { items, text: None })
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        self.rest = self.rest.strip_prefix('{')?.trim_start();
        while !self.rest.starts_with('}') {
            let key = match self.rest.chars().next()? {
                quote @ ('\'' | '"') => self.quoted(quote)?,
                _ => self.plain(&[':', ',', '}']),
            };
            self.rest = self.rest.trim_start().strip_prefix(':')?;
            if key.matches('.').count() > DEPTH_MAX / 4 {
                return None;
            }
            let node = self.value(depth + 1, &[',', '}'])?;
            let (key, node) = node.under(&key);
            super::tree::insert(&mut map, key, node, super::tree::Lists::Replace);
            self.separator('}')?;
        }
        self.rest = self.rest.strip_prefix('}')?;
        Some(Value::Map(map))
    }

    /// A comma, or the end that the caller looks for.
    fn separator(&mut self, end: char) -> Option<()> {
        if self.rest.starts_with(end) {
            return Some(());
        }
        self.rest = self.rest.strip_prefix(',')?.trim_start();
        Some(())
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            if character == quote {
                self.rest = &self.rest[index + character.len_utf8()..];
                return Some(text);
            }
            text.push(if character == '\\' && quote == '"' {
                match characters.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                }
            } else {
                character
            });
        }
        None
    }

    fn plain(&mut self, ends: &[char]) -> String {
        let mut end = self.rest.find(ends).unwrap_or(self.rest.len());
        // A reference keeps its braces and commas.
        if let Some(start) = self.rest.find("${").filter(|start| *start < end) {
            let close = self.rest[start..].find('}').map_or(self.rest.len(), |close| start + close + 1);
            end = self.rest[close..].find(ends).map_or(self.rest.len(), |next| close + next);
        }
        let text = self.rest[..end].trim_end().to_owned();
        self.rest = &self.rest[end..];
        text
    }
}

/// Keys are shown in messages, so a very long one is cut.
fn shortened(key: &str) -> String {
    key.chars().take(200).collect()
}
