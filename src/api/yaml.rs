//! YAML to JSON values, from the parser's events: depth and aliases are bounded before anything is built, a repeated key is
//! an error, and every error has its line. Scalars follow the core schema of YAML 1.2. Knows nothing of what it is read for.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

/// Nesting of a text.
const DEPTH_MAX: usize = 64;
/// How much a text may take once it is read: a small map takes a hundred times the bytes that say it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Values and keys that stand in it.
    pub nodes: usize,
    /// Values and bytes that anchors and aliases may copy.
    pub alias_weight: usize,
}

/// Of a text that an operator writes.
const OPERATOR_BOUNDS: Bounds = Bounds { nodes: 4 * 1024 * 1024, alias_weight: 1024 * 1024 };

/// Where a text is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct YamlError {
    /// Counted from 1.
    pub line: usize,
    /// For people.
    pub message: String,
}

/// A text as JSON, with the lines of the keys at its top.
#[derive(Debug, Default)]
pub struct Document {
    /// What stands in it; null if nothing does.
    pub value: Value,
    /// By key, counted from 1.
    pub lines: BTreeMap<String, usize>,
}

/// Reads the only document in `text`, which an operator has written.
pub fn parse(text: &str) -> Result<Document, YamlError> {
    parse_within(OPERATOR_BOUNDS, text)
}

/// Reads the only document in `text` within bounds.
pub fn parse_within(bounds: Bounds, text: &str) -> Result<Document, YamlError> {
    let mut builder = Builder { left: bounds, bounds, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, span.start.line())?,
            Err(error) => return Err(fault(error.marker().line(), error.info())),
        }
    }
    Ok(Document { value: builder.document.unwrap_or_default(), lines: builder.lines })
}

impl Default for Bounds {
    fn default() -> Self {
        OPERATOR_BOUNDS
    }
}

#[derive(Default)]
struct Builder {
    bounds: Bounds,
    left: Bounds,
    open: Vec<Collection>,
    anchors: BTreeMap<usize, Value>,
    document: Option<Value>,
    lines: BTreeMap<String, usize>,
}

/// A list or map that is not closed yet.
struct Collection {
    content: Content,
    anchor: usize,
    line: usize,
}

enum Content {
    List(Vec<Value>),
    Map {
        map: Map<String, Value>,
        /// The key whose value comes next, and its line.
        key: Option<(String, usize)>,
    },
}

type Outcome = Result<(), YamlError>;

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize) -> Outcome {
        if matches!(event, Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)) {
            let left = self.left.nodes.checked_sub(1);
            self.left.nodes =
                left.ok_or_else(|| fault(line, format!("more than {} values and keys", self.bounds.nodes)))?;
        }
        match event {
            Event::Scalar(text, _, _, _) if self.awaits_key() => self.key(text.into_owned(), line),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref()).map_err(|message| fault(line, message))?;
                self.add(value, anchor, line)
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

    /// Whether the next node is a key of a map.
    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Collection { content: Content::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: String, line: usize) -> Outcome {
        let is_top = self.open.len() == 1;
        let Some(Content::Map { map, key }) = self.open.last_mut().map(|open| &mut open.content) else {
            return Ok(());
        };
        if map.contains_key(&text) {
            return Err(fault(line, format!("the key {text} is repeated")));
        }
        if is_top {
            self.lines.insert(text.clone(), line);
        }
        *key = Some((text, line));
        Ok(())
    }

    fn begin(&mut self, content: Content, anchor: usize, line: usize) -> Outcome {
        if self.awaits_key() {
            return Err(fault(line, "a key must be a text"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(fault(line, format!("nested deeper than {DEPTH_MAX}")));
        }
        self.open.push(Collection { content, anchor, line });
        Ok(())
    }

    fn end(&mut self) -> Outcome {
        let Some(Collection { content, anchor, line }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Content::List(items) => Value::Array(items),
            Content::Map { map, .. } => Value::Object(with_merge_keys(map, line)?),
        };
        self.add(value, anchor, line)
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Outcome {
        if self.awaits_key() {
            return Err(fault(line, "a key must be a text"));
        }
        // an alias inside its own anchor is not finished yet, so it is not found
        let value = self.anchors.get(&anchor).cloned().ok_or_else(|| fault(line, "unknown alias"))?;
        self.copied(&value, line)?;
        self.add(value, 0, line)
    }

    fn add(&mut self, value: Value, anchor: usize, line: usize) -> Outcome {
        if anchor > 0 {
            self.copied(&value, line)?;
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            Some(Content::List(items)) => items.push(value),
            Some(Content::Map { map, key }) => {
                if let Some((key, _)) = key.take() {
                    map.insert(key, value);
                }
            }
            None if self.document.is_none() => self.document = Some(value),
            None => return Err(fault(line, "more than one document")),
        }
        Ok(())
    }

    /// Takes a copy of `value` from what may be copied, in depth as in size.
    fn copied(&mut self, value: &Value, line: usize) -> Outcome {
        let (weight, depth) = measure(value);
        if weight > self.left.alias_weight || self.open.len() + depth > DEPTH_MAX {
            return Err(fault(line, "anchors and aliases grow too large"));
        }
        self.left.alias_weight -= weight;
        Ok(())
    }
}

fn fault(line: usize, message: impl Into<String>) -> YamlError {
    YamlError { line, message: message.into() }
}

/// Values and bytes, and levels. The value is no deeper than [`DEPTH_MAX`].
fn measure(value: &Value) -> (usize, usize) {
    let sum = |parts: &mut dyn Iterator<Item = (usize, usize)>| {
        parts.fold((1, 1), |(weight, depth), (more, below)| (weight + more, depth.max(below + 1)))
    };
    match value {
        Value::Array(items) => sum(&mut items.iter().map(measure)),
        Value::Object(map) => sum(&mut map.iter().map(|(key, value)| {
            let (weight, depth) = measure(value);
            (weight + key.len(), depth)
        })),
        Value::String(text) => (1 + text.len(), 0),
        _ => (1, 0),
    }
}

/// `<<: *base`: takes from the base what the map lacks.
fn with_merge_keys(mut map: Map<String, Value>, line: usize) -> Result<Map<String, Value>, YamlError> {
    let Some(base) = map.remove("<<") else { return Ok(map) };
    let bases = match base {
        Value::Array(items) => items,
        base => vec![base],
    };
    for base in bases {
        let Value::Object(entries) = base else { return Err(fault(line, "`<<` needs a map")) };
        for (key, value) in entries {
            map.entry(key).or_insert(value);
        }
    }
    Ok(map)
}

/// A scalar that is no key.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(text.into()),
        Some(tag) => Err(format!("the tag {tag} has no meaning here")),
        None if style == ScalarStyle::Plain => plain(text),
        None => Ok(text.into()),
    }
}

fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(true.into()),
        "false" | "False" | "FALSE" => return Ok(false.into()),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{text} cannot be sent to agents: JSON has no such number"));
    }
    Ok(number(text, unsigned).map_or_else(|| text.into(), Value::Number))
}

fn number(text: &str, unsigned: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return is_digits(digits, 16).then(|| u64::from_str_radix(digits, 16).ok().map(Number::from))?;
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return is_digits(digits, 8).then(|| u64::from_str_radix(digits, 8).ok().map(Number::from))?;
    }
    if is_digits(unsigned, 10) {
        // 0644 is octal for some readers and decimal for others: the text says the same to all
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            return None;
        }
        let whole = text.strip_prefix('+').unwrap_or(text);
        return whole
            .parse::<i64>()
            .map(Number::from)
            .ok()
            .or_else(|| whole.parse::<u64>().ok().map(Number::from));
    }
    is_float(unsigned).then(|| text.parse().ok().and_then(Number::from_f64))?
}

fn is_digits(text: &str, radix: u32) -> bool {
    !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix))
}

/// `1.5`, `.5`, `1.`, `1e3`: with a point or an exponent, and digits before the exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_empty_or_digits = |part: &str| part.is_empty() || is_digits(part, 10);
    (whole.len() + fraction.len() > 0)
        && is_empty_or_digits(whole)
        && is_empty_or_digits(fraction)
        && exponent.is_none_or(|exponent| is_digits(exponent, 10))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        parse(text).unwrap().value
    }

    fn error(text: &str) -> (usize, String) {
        let error = parse(text).unwrap_err();
        (error.line, error.message)
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let text = "[1, -2, +3, 0x1F, 0o17, 1.5, .5, 1e3, true, no, null, ~, '1', \"true\", 1.2.3, 18446744073709551615]";
        let expected = json!([
            1,
            -2,
            3,
            31,
            15,
            1.5,
            0.5,
            1000.0,
            true,
            "no",
            null,
            null,
            "1",
            "true",
            "1.2.3",
            u64::MAX
        ]);
        assert_eq!(value(text), expected);
        assert_eq!(value("a: !!str 1\nb:\nc: |\n  x\n  y\n"), json!({"a": "1", "b": null, "c": "x\ny\n"}));
    }

    #[test]
    fn a_number_with_leading_zeros_stays_text() {
        assert_eq!(value("[0644, 0, 00, -01]"), json!(["0644", 0, "00", "-01"]));
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        assert_eq!(error("a: 1\nb: .inf").0, 2);
        assert_eq!(error("a: !custom 1").0, 1);
    }

    #[test]
    fn a_repeated_key_is_an_error_with_its_line() {
        assert_eq!(error("a: 1\nb: 2\na: 3\n"), (3, "the key a is repeated".into()));
        assert_eq!(error("x:\n  - {a: 1, a: 2}").0, 2);
    }

    #[test]
    fn broken_yaml_is_an_error_with_its_line() {
        assert_eq!(error("a: 1\nb: [1, 2\nc: 3\n").0, 3);
        assert_eq!(error("a: 1\n---\nb: 2\n").1, "more than one document");
        assert_eq!(error("? [a]\n: 1").1, "a key must be a text");
    }

    #[test]
    fn anchors_copy_and_merge() {
        let text = "base: &b {x: 1, y: [2]}\nuse: *b\nmore:\n  <<: *b\n  x: 3\n";
        let expected =
            json!({"base": {"x": 1, "y": [2]}, "use": {"x": 1, "y": [2]}, "more": {"x": 3, "y": [2]}});
        assert_eq!(value(text), expected);
        assert_eq!(error("a: *nothing").0, 1);
    }

    #[test]
    fn copies_are_bounded() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert_eq!(error(&bomb).1, "anchors and aliases grow too large");
    }

    #[test]
    fn values_and_keys_are_bounded() {
        let bounds = Bounds { nodes: 4, alias_weight: 0 };
        assert!(parse_within(bounds, "[[], {}, 1]").is_ok());
        assert!(parse_within(bounds, "a: 1\nb:\n").is_err(), "a map, two keys and two values");
        let error = parse_within(bounds, "- []\n- {}\n- 1\n- 2").unwrap_err();
        assert_eq!((error.line, error.message.as_str()), (4, "more than 4 values and keys"));
        assert!(parse_within(bounds, "[&a 1, *a]").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(error(&deep(DEPTH_MAX + 1)).1, "nested deeper than 64");
        assert!(parse(&deep(10_000)).is_err());
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(value(""), Value::Null);
        assert_eq!(value("# nothing\n"), Value::Null);
    }

    #[test]
    fn lines_of_the_keys_at_the_top_are_told() {
        let lines = parse("a:\n  b: 1\nc: 2\n").unwrap().lines;
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 1), ("c".to_owned(), 3)]);
    }
}
