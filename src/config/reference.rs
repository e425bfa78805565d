//! `${NAME}` in values: another setting, then the environment (config.md, Command line and sources).

use super::report::{Fault, Origin, ReferenceFault, Report};
use super::setting;
use super::tree::{Map, Node, Value};

/// References that lead to references.
const CHAIN_MAX: usize = 8;

/// References that are looked up in all, those inside others each time anew.
const STEPS_MAX: usize = 100_000;

/// Nodes and bytes of the tree after expansion.
const WEIGHT_MAX: usize = 16 * 1024 * 1024;

/// The tree with every reference replaced; what cannot be is reported and left as failed.
pub(super) fn expand(root: &Node, environment: &dyn Fn(&str) -> Option<String>, report: &mut Report) -> Node {
    let mut expander = Expander {
        root,
        environment,
        report,
        chain: Vec::new(),
        steps_left: STEPS_MAX,
        weight_left: WEIGHT_MAX,
        full: false,
    };
    expander.node(root, "")
}

struct Expander<'a> {
    root: &'a Node,
    environment: &'a dyn Fn(&str) -> Option<String>,
    report: &'a mut Report,
    /// The settings being looked up, outermost first.
    chain: Vec<String>,
    steps_left: usize,
    weight_left: usize,
    /// The bound was reported.
    full: bool,
}

/// A text cut at its references.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    /// What stands between the braces.
    Reference(&'a str),
}

impl Expander<'_> {
    fn node(&mut self, node: &Node, key: &str) -> Node {
        let origin = &node.origin;
        let value = match &node.value {
            Value::Text(text) => return self.text_node(text, origin, key),
            Value::List { items, text } => {
                self.charge(items.len(), origin, key);
                let expand = |(index, item): (usize, &Node)| self.node(item, &below(key, &index.to_string()));
                let items = items.iter().enumerate().map(expand).collect();
                Value::List { items, text: text.as_deref().and_then(|text| self.text_of_list(text, origin)) }
            }
            Value::Map(map) => {
                self.charge(map.len(), origin, key);
                let expand =
                    |(name, item): (&String, &Node)| (name.clone(), self.node(item, &below(key, name)));
                Value::Map(map.iter().map(expand).collect::<Map>())
            }
            Value::Null => Value::Null,
            Value::Failed => Value::Failed,
        };
        Node::new(value, origin)
    }

    /// The text that a list was split from. A fault in it is that of an item, which reports it.
    fn text_of_list(&mut self, text: &str, origin: &Origin) -> Option<String> {
        if !text.contains("${") {
            return Some(text.to_owned());
        }
        match self.expanded(text, origin).ok()?.value {
            Value::Text(text) | Value::List { text: Some(text), .. } => Some(text),
            _ => None,
        }
    }

    fn text_node(&mut self, text: &str, origin: &Origin, key: &str) -> Node {
        if !self.charge(text.len(), origin, key) {
            return Node::new(Value::Failed, origin);
        }
        if !text.contains("${") {
            return Node::text(text, origin);
        }
        match self.expanded(text, origin) {
            Ok(node) if self.charge(node.measure().0, origin, key) => node,
            Ok(_) => Node::new(Value::Failed, origin),
            Err(fault) => {
                self.report.error(origin, key, Fault::Reference(fault));
                Node::new(Value::Failed, origin)
            }
        }
    }

    /// A text that is one reference takes whatever that is; else everything becomes text.
    fn expanded(&mut self, text: &str, origin: &Origin) -> Result<Node, ReferenceFault> {
        let pieces = pieces(text)?;
        if let [Piece::Reference(inner)] = pieces[..] {
            return self.resolve(inner, origin);
        }
        let mut whole = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => whole.push_str(text),
                Piece::Reference(inner) => match self.resolve(inner, origin)?.value {
                    Value::Text(text) | Value::List { text: Some(text), .. } => whole.push_str(&text),
                    Value::Null => {}
                    _ => return Err(ReferenceFault::NotText(inner.to_owned())),
                },
            }
            if whole.len() > self.weight_left {
                return Err(ReferenceFault::TooLarge);
            }
        }
        Ok(Node::text(whole, origin))
    }

    /// What a reference stands for, given what is between its braces.
    fn resolve(&mut self, inner: &str, origin: &Origin) -> Result<Node, ReferenceFault> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(ReferenceFault::TooLarge)?;
        let (name, rest) = split_name(inner);
        let name = self.nested_text(name, origin)?;
        let found = self.look_up(&name, origin)?.filter(|node| !is_empty(node));
        match (found, rest) {
            (Some(_), Some(rest)) if rest.starts_with('+') => {
                Ok(setting::value_of_variable(&self.nested_text(&rest[1..], origin)?, origin))
            }
            (None, Some(rest)) if rest.starts_with('+') => Ok(Node::new(Value::Null, origin)),
            (Some(node), _) => Ok(node),
            (None, Some(rest)) if rest.starts_with('?') => {
                Err(ReferenceFault::Required { name, message: rest[1..].to_owned() })
            }
            (None, Some(rest)) => Ok(setting::value_of_variable(&self.nested_text(rest, origin)?, origin)),
            (None, None) => Err(ReferenceFault::Unset(name)),
        }
    }

    fn look_up(&mut self, name: &str, origin: &Origin) -> Result<Option<Node>, ReferenceFault> {
        let Some(node) = self.root.at(name).filter(|node| !matches!(node.value, Value::Null)) else {
            let text = (self.environment)(name);
            return Ok(text.map(|text| setting::value_of_variable(&text, origin)));
        };
        if self.chain.iter().any(|earlier| earlier == name) {
            return Err(ReferenceFault::Circle(name.to_owned()));
        }
        if self.chain.len() >= CHAIN_MAX {
            return Err(ReferenceFault::TooLarge);
        }
        self.chain.push(name.to_owned());
        // Texts report their fault here, where they are used; sections report it by themselves.
        let expanded = match &node.value {
            Value::Text(text) if text.contains("${") => self.expanded(text, origin),
            _ => Ok(self.node(node, name)),
        };
        self.chain.pop();
        expanded.map(|node| Some(Node::new(node.value, origin)))
    }

    /// Names and defaults may hold references of their own.
    fn nested_text(&mut self, text: &str, origin: &Origin) -> Result<String, ReferenceFault> {
        if !text.contains("${") {
            return Ok(text.to_owned());
        }
        if self.chain.len() >= CHAIN_MAX {
            return Err(ReferenceFault::TooLarge);
        }
        self.chain.push(String::new());
        let expanded = self.expanded(text, origin);
        self.chain.pop();
        match expanded?.value {
            Value::Text(text) | Value::List { text: Some(text), .. } => Ok(text),
            Value::Null => Ok(String::new()),
            _ => Err(ReferenceFault::NotText(text.to_owned())),
        }
    }

    /// Takes from the weight that is left; reports it once when nothing is.
    fn charge(&mut self, weight: usize, origin: &Origin, key: &str) -> bool {
        match self.weight_left.checked_sub(weight + 1) {
            Some(left) => self.weight_left = left,
            None if self.full => {}
            None => {
                self.full = true;
                self.weight_left = 0;
                self.report.error(origin, key, Fault::Reference(ReferenceFault::TooLarge));
            }
        }
        !self.full
    }
}

fn below(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => text.is_empty(),
        Value::Null => true,
        _ => false,
    }
}

/// Cuts a text at its references; `$${` is a literal `${`.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, ReferenceFault> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            pieces.push(Piece::Text(&rest[..start - 1]));
            pieces.push(Piece::Text("${"));
            rest = &rest[start + 2..];
            continue;
        }
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        let inner = &rest[start + 2..];
        let end = closing_brace(inner).ok_or(ReferenceFault::Unclosed)?;
        pieces.push(Piece::Reference(&inner[..end]));
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// The brace that ends a reference, past those of references inside it.
fn closing_brace(inner: &str) -> Option<usize> {
    let mut open = 0_usize;
    let bytes = inner.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'}' if open == 0 => return Some(index),
            b'}' => open -= 1,
            b'$' if bytes.get(index + 1) == Some(&b'{') => {
                open += 1;
                index += 1;
            }
            _ => {}
        }
        index += 1;
    }
    None
}

/// The name and what follows the first colon that is not inside a nested reference.
fn split_name(inner: &str) -> (&str, Option<&str>) {
    let mut open = 0_usize;
    for (index, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            b':' if open == 0 => return (&inner[..index], Some(&inner[index + 1..])),
            _ => {}
        }
    }
    (inner, None)
}

#[cfg(test)]
mod tests {
    use super::{Piece, pieces, split_name};

    #[test]
    fn a_text_is_cut_at_its_references() {
        let cut = pieces("x${A}y${B:${C}}").unwrap();
        assert_eq!(
            cut,
            [Piece::Text("x"), Piece::Reference("A"), Piece::Text("y"), Piece::Reference("B:${C}")]
        );
    }

    #[test]
    fn a_doubled_dollar_is_literal() {
        assert_eq!(pieces("$${A}").unwrap(), [Piece::Text(""), Piece::Text("${"), Piece::Text("A}")]);
    }

    #[test]
    fn a_name_ends_at_the_first_colon_outside_braces() {
        assert_eq!(split_name("A:http://x"), ("A", Some("http://x")));
        assert_eq!(split_name("${A:b}:c"), ("${A:b}", Some("c")));
    }
}
