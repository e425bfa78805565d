//! Secrets that policies and actions name by an id. None of them is ever shown.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::raw::{self, Raw};
use crate::config::Secret;

/// How a text of a policy or an action refers to a secret; the id follows, and `}`.
const REFERENCE: &str = "$co.elastic.secret{";

/// Values by id: those that were found of what was asked for.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, Secret>);

/// A secret on its way to the store.
#[derive(Clone)]
pub struct NewSecret {
    /// Where the store lets one choose; else it makes one.
    pub id: Option<String>,
    /// What it is.
    pub value: Secret,
}

impl Secrets {
    /// The value under this id.
    pub fn get(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(Secret::expose)
    }

    /// Adds a value.
    pub fn insert(&mut self, id: String, value: Secret) {
        self.0.insert(id, value);
    }

    /// Adds those of another.
    pub fn extend(&mut self, others: Secrets) {
        self.0.extend(others.0);
    }

    /// Takes a value out.
    pub fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts values in the place of the references in `text`; those that are not known stay. What is put in is not looked
    /// at again: a secret may hold what looks like a reference. `None` if nothing changes.
    pub fn resolve(&self, text: &str) -> Option<String> {
        let (mut resolved, mut rest, mut changed) = (String::new(), text, false);
        while let Some((before, after)) = rest.split_once(REFERENCE) {
            resolved.push_str(before);
            let found = after.split_once('}').and_then(|(id, after)| Some((self.get(id)?, after)));
            match found {
                Some((value, after)) => {
                    resolved.push_str(value);
                    (rest, changed) = (after, true);
                }
                None => {
                    resolved.push_str(REFERENCE);
                    rest = after;
                }
            }
        }
        resolved.push_str(rest);
        changed.then_some(resolved)
    }
}

impl Secrets {
    /// A JSON value with secrets in all its texts, as it was written where it refers to none.
    pub fn resolve_json(&self, raw: &Raw) -> Raw {
        let value = serde_json::from_str::<Value>(raw.get()).ok().filter(|_| may_refer(raw.get()));
        let Some(mut value) = value else { return raw.clone() };
        self.resolve_texts(&mut value);
        raw::raw(&value)
    }

    fn resolve_texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(resolved) = self.resolve(text) {
                    *text = resolved;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.resolve_texts(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.resolve_texts(member)),
            _ => {}
        }
    }
}

/// Whether JSON text may hold a reference: what does not is left as it was written.
pub fn may_refer(json: &str) -> bool {
    json.contains("co.elastic.secret")
}

/// The text that refers to the secret `id`.
pub fn reference(id: &str) -> String {
    format!("{REFERENCE}{id}}}")
}

/// The id that `text` refers to, if it is one reference and nothing else.
pub fn referred(text: &str) -> Option<&str> {
    text.strip_prefix(REFERENCE)?.strip_suffix('}').filter(|id| !id.is_empty() && !id.contains('}'))
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewSecret({:?})", self.id)
    }
}

impl FromIterator<(String, Secret)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (String, Secret)>>(all: I) -> Self {
        Secrets(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        [("a", "one"), ("loop", "$co.elastic.secret{loop}"), ("empty", "")]
            .into_iter()
            .map(|(id, value)| (id.to_owned(), Secret::new(value)))
            .collect()
    }

    #[test]
    fn references_are_replaced_once_wherever_they_stand() {
        let resolve = |text: &str| secrets().resolve(text);
        assert_eq!(resolve("x$co.elastic.secret{a}y$co.elastic.secret{a}z").as_deref(), Some("xoneyonez"));
        assert_eq!(resolve("$co.elastic.secret{loop}").as_deref(), Some("$co.elastic.secret{loop}"));
        assert_eq!(resolve("$co.elastic.secret{empty}").as_deref(), Some(""));
        assert_eq!(
            resolve("$co.elastic.secret{no}$co.elastic.secret{a}").as_deref(),
            Some("$co.elastic.secret{no}one")
        );
        for unchanged in
            ["", "text", "$co.elastic.secret{no}", "$co.elastic.secret{a", "$co.elastic.secret{}"]
        {
            assert_eq!(resolve(unchanged), None, "{unchanged}");
        }
    }

    #[test]
    fn a_reference_is_told_from_other_texts() {
        assert_eq!(referred(&reference("a-b_1")), Some("a-b_1"));
        for other in
            ["id:key", "", "$co.elastic.secret{}", "$co.elastic.secret{a}x", "$co.elastic.secret{a}b}"]
        {
            assert_eq!(referred(other), None, "{other}");
        }
    }

    #[test]
    fn only_ids_are_shown() {
        assert!(!format!("{:?}", secrets()).contains("one"));
        let new = NewSecret { id: Some("i".into()), value: Secret::new("v4lue") };
        assert_eq!(format!("{new:?}"), "NewSecret(Some(\"i\"))");
    }
}
