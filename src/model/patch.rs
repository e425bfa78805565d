//! A partial update of a document: each top-level field replaced whole, set to null, or removed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::raw::{self, Raw};

/// What happens to one top-level field.
#[derive(Clone, Debug)]
pub enum Change {
    /// Replaced whole, never merged with what was there. May be the JSON value null.
    Set(Raw),
    /// Taken out of the document.
    Remove,
}

/// Changes by top-level field. Fields not named stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// In the order of their names, so that equal patches have equal bytes.
    pub changes: BTreeMap<&'static str, Change>,
}

impl Patch {
    /// A patch that changes nothing.
    pub fn new() -> Self {
        Patch::default()
    }

    /// Replaces `field` by `value`.
    pub fn set(mut self, field: &'static str, value: impl Serialize) -> Self {
        self.changes.insert(field, Change::Set(raw::raw(&value)));
        self
    }

    /// Sets `field` to null.
    pub fn null(mut self, field: &'static str) -> Self {
        self.changes.insert(field, Change::Set(raw::null()));
        self
    }

    /// Takes `field` out of the document.
    pub fn remove(mut self, field: &'static str) -> Self {
        self.changes.insert(field, Change::Remove);
        self
    }

    /// Adds the changes of `later`, which win.
    pub fn merge(&mut self, later: Patch) {
        self.changes.extend(later.changes);
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of the values, for bounds.
    pub fn bytes(&self) -> usize {
        let size = |change: &Change| match change {
            Change::Set(value) => value.get().len(),
            Change::Remove => 0,
        };
        self.changes.iter().map(|(field, change)| field.len() + size(change)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_change_wins_and_earlier_fields_stay() {
        let mut patch = Patch::new().set("a", 1).set("b", 2);
        patch.merge(Patch::new().null("a").remove("c"));
        let text = |field: &str| match &patch.changes[field] {
            Change::Set(value) => value.get().to_owned(),
            Change::Remove => "removed".to_owned(),
        };
        assert_eq!((text("a"), text("b"), text("c")), ("null".into(), "2".into(), "removed".into()));
    }
}
