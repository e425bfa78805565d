//! Lists and maps of a section.

use serde_json::Value as Json;

use super::{Section, found};
use crate::config::report::Fault;
use crate::config::tree::{Node, Value};

impl<'t> Section<'t, '_> {
    /// A list of texts; a single text is a list of one.
    pub(in crate::config) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let texts = self.unshown_texts(key);
        if !texts.is_empty() {
            self.show(key, texts.clone());
        }
        texts
    }

    /// Like [`Section::texts`], for lists that may hold secrets.
    pub(in crate::config) fn unshown_texts(&mut self, key: &'static str) -> Vec<String> {
        let Some(node) = self.take(key) else { return Vec::new() };
        match (&node.value, node.items()) {
            (Value::Text(text), _) => vec![text.clone()],
            (Value::Failed, _) => Vec::new(),
            (_, Some(items)) => items
                .iter()
                .enumerate()
                .flat_map(|(index, item)| match &item.value {
                    // a variable that holds several, among others or alone: `["${X}"]`
                    Value::List { items, text: Some(_) } => {
                        items.iter().filter_map(|item| self.text_of_item(key, index, item)).collect()
                    }
                    _ => Vec::from_iter(self.text_of_item(key, index, item)),
                })
                .collect(),
            _ => {
                self.wrong_type(key, node, "a list");
                Vec::new()
            }
        }
    }

    fn text_of_item(&mut self, key: &str, index: usize, item: &Node) -> Option<String> {
        match &item.value {
            Value::Text(text) => Some(text.clone()),
            Value::Null | Value::Failed => None,
            _ => {
                let fault = Fault::Type { expected: "a text".to_owned(), found: found(&item.value) };
                let key = self.key(&format!("{key}.{index}"));
                self.context.report.error(&item.origin, key, fault);
                None
            }
        }
    }

    /// A list of sections, each read like [`Section::section`]; `None` when the key is absent or wrong.
    pub(in crate::config) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'t, '_>) -> T,
    ) -> Option<Vec<T>> {
        let node = self.take(key)?;
        let items = match (&node.value, node.items()) {
            (Value::Failed, _) => return None,
            (_, Some(items)) => items,
            (Value::Map(_), None) => vec![node],
            _ => {
                self.wrong_type(key, node, "a list of sections");
                return None;
            }
        };
        let mut shown = Vec::new();
        let mut sections = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let path = self.key(&format!("{key}.{index}"));
            let (section, json) = Section::over(&mut *self.context, path, Some(item), &mut read);
            sections.push(section);
            shown.push(json);
        }
        self.show(key, Json::Array(shown));
        Some(sections)
    }

    /// A list of one section, read also when it is absent; another number is an error.
    pub(in crate::config) fn only_section<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'t, '_>) -> T,
    ) -> T {
        match self.sections(key, &mut read) {
            Some(mut sections) => {
                if sections.len() != 1 {
                    self.error(key, Fault::Inputs(sections.len()));
                }
                match sections.pop() {
                    Some(section) => section,
                    None => Section::over(&mut *self.context, String::new(), None, read).0,
                }
            }
            None => {
                let path = self.key(&format!("{key}.0"));
                let (section, json) = Section::over(&mut *self.context, path, None, read);
                self.show(key, vec![json]);
                section
            }
        }
    }

    /// Free names with texts, dots in names included.
    pub(in crate::config) fn names_and_texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        let mut entries = Vec::new();
        if let Some(node) = self.take(key) {
            self.gather(node, key, "", &mut entries);
        }
        entries
    }

    /// Dotted names became nested maps with all others; they are put together again.
    fn gather(&mut self, node: &'t Node, key: &str, name: &str, entries: &mut Vec<(String, String)>) {
        match &node.value {
            Value::Map(map) => {
                for (part, node) in map {
                    let name = if name.is_empty() { part.clone() } else { format!("{name}.{part}") };
                    self.gather(node, key, &name, entries);
                }
            }
            Value::Text(text) | Value::List { text: Some(text), .. } if !name.is_empty() => {
                entries.push((name.to_owned(), text.clone()));
            }
            Value::Null | Value::Failed => {}
            value => {
                // The value may be a credential, so its kind alone is told.
                let found = if matches!(value, Value::List { .. }) { "a list" } else { "a text" };
                let fault = Fault::Type { expected: "names with texts".to_owned(), found: found.to_owned() };
                let key = self.key(key);
                self.context.report.error(&node.origin, key, fault);
            }
        }
    }
}
