//! The typed reader of one section.
//!
//! It records which keys it was asked for, so that unknown keys fall out by themselves, and which
//! value each took, so that the effective configuration can be shown without secrets.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map as Shown, Value as Json};

use super::Arguments;
use super::report::{Fault, Origin, Report, WARNINGS_MAX};
use super::scalar;
use super::tree::{Node, Value};

mod lists;
mod secrets;

pub(super) use secrets::REDACTED;

/// What reading needs beside the tree.
pub(super) struct Context<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(super) read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    pub(super) report: Report,
}

/// One section while it is read.
pub(super) struct Section<'t, 'c> {
    context: &'c mut Context<'t>,
    path: String,
    node: Option<&'t Node>,
    asked: Vec<&'static str>,
    /// Unknown keys are somebody else's business.
    knows_all: bool,
    shown: Shown<String, Json>,
}

impl<'t> Section<'t, '_> {
    /// Reads the whole tree; returns what was made of it, and how it is shown.
    pub(super) fn root<T>(
        context: &mut Context<'t>,
        root: &'t Node,
        read: impl FnOnce(&mut Section<'t, '_>) -> T,
    ) -> (T, Json) {
        Section::over(context, String::new(), Some(root), read)
    }

    fn over<T>(
        context: &mut Context<'t>,
        path: String,
        node: Option<&'t Node>,
        read: impl FnOnce(&mut Section<'t, '_>) -> T,
    ) -> (T, Json) {
        let node = node.filter(|node| !matches!(node.value, Value::Null));
        let mut section =
            Section { context, path, node, asked: Vec::new(), knows_all: false, shown: Shown::new() };
        if let Some(node) = node.filter(|node| !matches!(node.value, Value::Map(_) | Value::Failed)) {
            section.wrong_type("", node, "a section");
        }
        let read = read(&mut section);
        section.warn_of_unknown_keys();
        (read, Json::Object(section.shown))
    }

    /// A nested section; an absent one is read all the same and gives its defaults.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'t, '_>) -> T,
    ) -> T {
        let node = self.take(key);
        let path = self.key(key);
        let (read, shown) = Section::over(&mut *self.context, path, node, read);
        if shown.as_object().is_some_and(|shown| !shown.is_empty()) {
            self.show(key, shown);
        }
        read
    }

    /// Whether the key is set to anything but null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some_and(|node| !matches!(node.value, Value::Null))
    }

    /// Whether the key is set to anything but an empty text; what failed counts as content, since
    /// the fault was reported.
    pub(super) fn has_content(&self, key: &str) -> bool {
        self.has(key) && self.find(key).is_none_or(|node| node.value != Value::Text(String::new()))
    }

    /// Whether the key is set to something other than zero.
    pub(super) fn is_nonzero(&self, key: &str) -> bool {
        self.find(key).is_some_and(|node| match &node.value {
            Value::Text(text) => scalar::duration(text) != Some(Duration::ZERO),
            value => !matches!(value, Value::Null),
        })
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let value = self.parsed(key, "true or false", scalar::boolean).unwrap_or(default);
        self.show(key, value);
        value
    }

    /// A whole number within a range.
    pub(super) fn number<T>(&mut self, key: &'static str, default: T, least: T, most: T) -> T
    where
        T: TryFrom<i128> + PartialOrd + std::fmt::Display + Into<Json> + Copy,
    {
        let expected = format!("a whole number from {least} to {most}");
        let parse = |text: &str| {
            let number = T::try_from(scalar::integer(text)?).ok()?;
            (number >= least && number <= most).then_some(number)
        };
        let value = self.parsed(key, &expected, parse).unwrap_or(default);
        self.show(key, value);
        value
    }

    /// Like [`Section::number`] from 0, but 0 means the default.
    pub(super) fn nonzero<T>(&mut self, key: &'static str, default: T, most: T) -> T
    where
        T: TryFrom<i128> + PartialOrd + std::fmt::Display + Into<Json> + Copy + Default,
    {
        let value = self.number(key, default, T::default(), most);
        let value = if value == T::default() { default } else { value };
        self.show(key, value);
        value
    }

    /// A number that may be absent.
    pub(super) fn optional_number(&mut self, key: &'static str, most: u64) -> Option<u64> {
        if self.has_content(key) {
            Some(self.number(key, 0, 0, most))
        } else {
            self.ignore(key);
            None
        }
    }

    pub(super) fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.duration_by(key, default, scalar::duration)
    }

    /// Like [`Section::duration`], but 0 means the default.
    pub(super) fn nonzero_duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.duration_by(key, default, |text| {
            scalar::duration(text).map(|time| if time.is_zero() { default } else { time })
        })
    }

    /// A duration with another parser than Go's.
    pub(super) fn duration_by(
        &mut self,
        key: &'static str,
        default: Duration,
        parse: impl Fn(&str) -> Option<Duration>,
    ) -> Duration {
        let value = self.parsed(key, "a duration such as 250ms, 90s or 1h30m", parse).unwrap_or(default);
        self.show(key, scalar::duration_text(value));
        value
    }

    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        let text = self.optional_text(key).unwrap_or_else(|| default.to_owned());
        self.show(key, text.as_str());
        text
    }

    /// A text that may be absent; an empty one is absent.
    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        let text = self.parsed(key, "a text", |text| Some(text.to_owned())).filter(|text| !text.is_empty());
        if let Some(text) = &text {
            self.show(key, text.as_str());
        }
        text
    }

    /// One of some names, in any case.
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        default: T,
        choices: &[(&'static str, T)],
    ) -> T {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}", names.join(", "));
        let parse = |text: &str| {
            choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|choice| choice.1)
        };
        let value = self.parsed(key, &expected, parse).unwrap_or(default);
        if let Some((name, _)) = choices.iter().find(|(_, choice)| *choice == value) {
            self.show(key, *name);
        }
        value
    }

    /// A path; a relative one is in the working directory.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.optional_text(key).map(|text| self.context.arguments.working_directory.join(text))?;
        self.show(key, path.display().to_string());
        Some(path)
    }

    /// A value by a parser that says what it expects. Reports a wrong type; `None` then and when absent.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.take(key)?;
        match &node.value {
            Value::Text(text) | Value::List { text: Some(text), .. } => {
                let parsed = parse(text);
                if parsed.is_none() {
                    self.wrong_type(key, node, expected);
                }
                parsed
            }
            Value::Null | Value::Failed => None,
            _ => {
                self.wrong_type(key, node, expected);
                None
            }
        }
    }

    /// A key that exists on Windows only: an error when it is set.
    pub(super) fn windows_only(&mut self, key: &'static str) {
        if let Some(node) = self.take(key) {
            let key = self.key(key);
            self.context.report.error(&node.origin, key, Fault::WindowsOnly);
        }
    }

    /// A known key without effect here: a warning when it is set.
    pub(super) fn no_effect(&mut self, key: &'static str) {
        if self.take(key).is_some() {
            self.warn(key, "has no effect");
        }
    }

    /// A known key that needs no word.
    pub(super) fn ignore(&mut self, key: &'static str) {
        let _ = self.take(key);
    }

    /// No warning about unknown keys: the reader looks at [`Section::each_key`] itself.
    pub(super) fn knows_all(&mut self) {
        self.knows_all = true;
    }

    /// Every key of the section, those that are null included.
    pub(super) fn each_key(&self) -> Vec<&'t str> {
        match self.node.map(|node| &node.value) {
            Some(Value::Map(map)) => map.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn warn(&mut self, key: &str, message: impl Into<String>) {
        let (origin, key) = (self.origin(key), self.key(key));
        self.context.report.warn(&origin, key, message);
    }

    /// Reports an error at a key, or at the section when the key is empty or absent.
    pub(super) fn error(&mut self, key: &str, fault: Fault) {
        let (origin, key) = (self.origin(key), self.key(key));
        self.context.report.error(&origin, key, fault);
    }

    /// Reports that something is missing, at the section.
    pub(super) fn missing(&mut self, key: &'static str) {
        self.error("", Fault::Missing(key));
    }

    pub(super) fn arguments(&self) -> &'t Arguments {
        self.context.arguments
    }

    /// A variable of the environment that is not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.context.environment)(name).filter(|value| !value.is_empty())
    }

    /// Reports a variable of the environment that cannot be used.
    pub(super) fn wrong_variable(&mut self, name: &'static str, expected: &str) {
        let fault = Fault::Type { expected: expected.to_owned(), found: "something else".to_owned() };
        self.context.report.error(&Origin::Environment(name), "", fault);
    }

    /// How a value is shown; the last word on a key counts.
    pub(super) fn show(&mut self, key: &str, value: impl Into<Json>) {
        self.shown.insert(key.to_owned(), value.into());
    }

    /// A key with the path of this section.
    pub(super) fn key(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{key}", self.path),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Node> {
        self.asked.push(key);
        self.find(key).filter(|node| !matches!(node.value, Value::Null))
    }

    fn find(&self, key: &str) -> Option<&'t Node> {
        match self.node.map(|node| &node.value) {
            Some(Value::Map(map)) => map.get(key),
            _ => None,
        }
    }

    fn origin(&self, key: &str) -> Origin {
        self.find(key).or(self.node).map_or(Origin::Nowhere, |node| node.origin.clone())
    }

    fn wrong_type(&mut self, key: &str, node: &Node, expected: &str) {
        let fault = Fault::Type { expected: expected.to_owned(), found: found(&node.value) };
        let key = self.key(key);
        self.context.report.error(&node.origin, key, fault);
    }

    fn warn_of_unknown_keys(&mut self) {
        if self.knows_all {
            return;
        }
        let keys = self.each_key();
        let unknown = keys.into_iter().filter(|key| !self.asked.contains(key)).take(WARNINGS_MAX);
        for key in unknown.collect::<Vec<_>>() {
            let known = self.asked.iter().map(|known| (likeness(key, known), known));
            let nearest = known.max_by(|one, other| one.0.total_cmp(&other.0));
            let nearest = nearest.map(|(_, known)| format!("; the nearest known key is {}", self.key(known)));
            self.warn(key, format!("unknown key{}", nearest.unwrap_or_default()));
        }
    }
}

/// What stands there, in words, cut to a size that fits a line.
fn found(value: &Value) -> String {
    const CHARACTERS_MAX: usize = 60;
    match value {
        Value::Text(text) | Value::List { text: Some(text), .. }
            if text.chars().count() <= CHARACTERS_MAX =>
        {
            format!("`{text}`")
        }
        Value::Text(_) => "a long text".to_owned(),
        Value::List { .. } => "a list".to_owned(),
        Value::Map(_) => "a section".to_owned(),
        Value::Null | Value::Failed => "nothing".to_owned(),
    }
}

/// Unknown keys longer than any known one are cut before they are compared.
fn likeness(unknown: &str, known: &str) -> f64 {
    let unknown: String = unknown.chars().take(64).collect();
    strsim::normalized_damerau_levenshtein(&unknown, known)
}
