//! References to secrets in a policy, and what is put in their place (elasticsearch.md, "Secrets in a policy"). Two forms:
//! `$co.elastic.secret{ID}` within a text, and a `secrets` object whose leaves `{"id": ID}` stand where the values belong.
//! Each text is looked at once: what came out of a secret is no reference.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::model::raw::Fields;
use crate::model::secret::may_refer;
use crate::model::{Policy, Secrets};

/// The object that holds references in the second form.
const PLACES: &str = "secrets";
/// Sections whose members are components, each with places of its own.
const COMPONENTS: [&str; 5] = ["extensions", "receivers", "processors", "connectors", "exporters"];

#[derive(Deserialize)]
struct Reference {
    id: String,
}

/// Ids of the secrets that a revision refers to, each once.
pub fn secret_ids(policy: &Policy) -> Vec<String> {
    let references: Vec<Reference> = match Fields::open("policy", policy.data.get().as_bytes()) {
        Ok(data) => data.list("secret_references"),
        Err(_) => Vec::new(),
    };
    let ids: BTreeSet<String> = references.into_iter().map(|reference| reference.id).collect();
    ids.into_iter().filter(|id| !id.is_empty()).collect()
}

/// Puts secrets in their places and keeps book of these.
pub(super) struct Resolver<'a> {
    secrets: &'a Secrets,
    /// Whether the revision lists references: if not, its inputs are left as they are.
    lists_references: bool,
    paths: BTreeSet<String>,
}

impl<'a> Resolver<'a> {
    /// For one revision.
    pub(super) fn new(secrets: &'a Secrets, lists_references: bool) -> Self {
        Resolver { secrets, lists_references, paths: BTreeSet::new() }
    }

    /// A section of the policy, resolved; as it was written where it refers to nothing.
    pub(super) fn section<'t>(&mut self, key: &str, raw: &'t RawValue) -> Cow<'t, str> {
        let applies = match key {
            "inputs" => self.lists_references,
            "agent" | "fleet" => true,
            _ => COMPONENTS.contains(&key),
        };
        let refers = may_refer(raw.get()) || raw.get().contains("\"secrets\"");
        if !applies || !refers {
            return Cow::Borrowed(raw.get());
        }
        let Ok(mut value) = serde_json::from_str::<Value>(raw.get()) else { return Cow::Borrowed(raw.get()) };
        match key {
            "inputs" => self.walk(&mut value, key, Places::Anywhere),
            "fleet" => self.walk(&mut value, key, Places::Here),
            "agent" => {
                if let Some(download) = value.get_mut("download") {
                    self.walk(download, "agent.download", Places::Here);
                }
            }
            _ => self.members(key, value.as_object_mut().into_iter().flatten()),
        }
        Cow::Owned(value.to_string())
    }

    /// All of a value, with places anywhere in it.
    pub(super) fn whole(&mut self, value: &mut Value) {
        self.walk(value, "", Places::Anywhere);
    }

    /// The members of a section, each with places of its own: outputs and components.
    pub(super) fn members<'v>(
        &mut self,
        section: &str,
        members: impl Iterator<Item = (&'v String, &'v mut Value)>,
    ) {
        for (name, value) in members {
            self.walk(value, &format!("{section}.{name}"), Places::Here);
        }
    }

    /// A value that is not delivered after all.
    pub(super) fn forget(&mut self, path: &str) {
        self.paths.remove(path);
    }

    /// Whether no value was put anywhere in what was seen so far.
    pub(super) fn is_idle(&self) -> bool {
        self.paths.is_empty()
    }

    /// Where values were put, sorted.
    pub(super) fn into_paths(self) -> BTreeSet<String> {
        self.paths
    }

    fn walk(&mut self, value: &mut Value, path: &str, places: Places) {
        match value {
            Value::String(text) => {
                if let Some(resolved) = self.secrets.resolve(text) {
                    *text = resolved;
                    self.paths.insert(path.to_owned());
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.walk(item, &format!("{path}.{index}"), places.below());
                }
            }
            Value::Object(members) => {
                let tree = if places == Places::Nowhere { None } else { take_tree(members) };
                for (key, member) in members.iter_mut() {
                    self.walk(member, &format!("{path}.{key}"), places.below());
                }
                // last, so that the values are not looked at
                for (key, tree) in tree.into_iter().flatten() {
                    self.place(members.entry(&key).or_insert(Value::Null), &tree, &format!("{path}.{key}"));
                }
            }
            _ => {}
        }
    }

    /// Puts the values that `tree` names into `target`. One that is missing becomes an empty text.
    fn place(&mut self, target: &mut Value, tree: &Value, path: &str) {
        if let Some(id) = leaf(tree) {
            *target = self.secrets.get(id).unwrap_or_default().into();
            self.paths.insert(path.to_owned());
            return;
        }
        match tree {
            Value::Object(members) => {
                for (key, tree) in members.iter().filter(|(_, tree)| has_leaf(tree)) {
                    if !target.is_object() {
                        *target = Value::Object(Map::new());
                    }
                    self.place(&mut target[key.as_str()], tree, &format!("{path}.{key}"));
                }
            }
            Value::Array(items) => {
                for (index, tree) in items.iter().enumerate().filter(|(_, tree)| has_leaf(tree)) {
                    if !target.is_array() {
                        *target = Value::Array(Vec::new());
                    }
                    if let Some(targets) = target.as_array_mut() {
                        targets.resize(targets.len().max(index + 1), Value::Null);
                        self.place(&mut targets[index], tree, &format!("{path}.{index}"));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where a `secrets` object names places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Places {
    Here,
    Anywhere,
    Nowhere,
}

impl Places {
    fn below(self) -> Self {
        if self == Places::Anywhere { self } else { Places::Nowhere }
    }
}

/// Takes the object that names places; another value of that name is somebody's setting.
fn take_tree(members: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    let names_places = members.get(PLACES).is_some_and(|tree| tree.is_object() && has_leaf(tree));
    if !names_places {
        return None;
    }
    match members.remove(PLACES) {
        Some(Value::Object(tree)) => Some(tree),
        _ => None,
    }
}

fn leaf(tree: &Value) -> Option<&str> {
    tree.get("id").and_then(Value::as_str)
}

fn has_leaf(tree: &Value) -> bool {
    leaf(tree).is_some()
        || match tree {
            Value::Object(members) => members.values().any(has_leaf),
            Value::Array(items) => items.iter().any(has_leaf),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Secret;

    fn secrets() -> Secrets {
        [("a", "one"), ("b", "two"), ("self", "$co.elastic.secret{self}")]
            .into_iter()
            .map(|(id, value)| (id.to_owned(), Secret::new(value)))
            .collect()
    }

    fn resolved(key: &str, value: &Value, lists_references: bool) -> (Value, Vec<String>) {
        let secrets = secrets();
        let mut resolver = Resolver::new(&secrets, lists_references);
        let raw = crate::model::raw::raw(value);
        let text = resolver.section(key, &raw).into_owned();
        (serde_json::from_str(&text).unwrap(), resolver.into_paths().into_iter().collect())
    }

    #[test]
    fn inline_references_are_found_at_any_depth_and_unknown_ones_stay() {
        let inputs = json!([{"streams": [{"x": "$co.elastic.secret{a}-$co.elastic.secret{b}", "n": 1.5}],
            "y": ["$co.elastic.secret{no}", "$co.elastic.secret{self}"]}]);
        let (value, paths) = resolved("inputs", &inputs, true);
        assert_eq!(
            value,
            json!([{"streams": [{"x": "one-two", "n": 1.5}],
                "y": ["$co.elastic.secret{no}", "$co.elastic.secret{self}"]}])
        );
        assert_eq!(paths, ["inputs.0.streams.0.x", "inputs.0.y.1"]);
    }

    #[test]
    fn places_in_inputs_are_named_at_any_depth() {
        let inputs = json!([{"secrets": {"key": {"id": "a"}}, "streams": [
            {"secrets": {"list": [{"k": {"id": "b"}}, {}]}, "list": [{"k": "", "l": 1}]},
            {"secrets": {"gone": {"id": "no"}}}, {"secrets": "mine"}, {"secrets": {"x": {"id": 7}}}]}]);
        let (value, paths) = resolved("inputs", &inputs, true);
        assert_eq!(
            value,
            json!([{"key": "one", "streams": [{"list": [{"k": "two", "l": 1}]}, {"gone": ""},
                {"secrets": "mine"}, {"secrets": {"x": {"id": 7}}}]}])
        );
        assert_eq!(paths, ["inputs.0.key", "inputs.0.streams.0.list.0.k", "inputs.0.streams.1.gone"]);
    }

    #[test]
    fn a_value_that_was_put_in_its_place_is_not_looked_at_again() {
        let fleet = json!({"secrets": {"ssl": {"key": {"id": "self"}}}, "ssl": {"key": "x", "c": "d"}});
        let (value, paths) = resolved("fleet", &fleet, true);
        assert_eq!(value, json!({"ssl": {"key": "$co.elastic.secret{self}", "c": "d"}}));
        assert_eq!(paths, ["fleet.ssl.key"]);
    }

    #[test]
    fn inputs_without_references_in_the_list_are_left_as_they_are() {
        let inputs = json!([{"x": "$co.elastic.secret{a}"}]);
        assert_eq!(resolved("inputs", &inputs, false), (inputs, Vec::new()));
    }

    #[test]
    fn only_the_download_of_agent_and_the_top_of_a_component_are_looked_at() {
        let agent = json!({"x": "$co.elastic.secret{a}", "download": {"secrets": {"k": {"id": "a"}}}});
        let (value, paths) = resolved("agent", &agent, true);
        assert_eq!(value, json!({"x": "$co.elastic.secret{a}", "download": {"k": "one"}}));
        assert_eq!(paths, ["agent.download.k"]);
        let receivers =
            json!({"r/1": {"secrets": {"k": {"id": "b"}}, "deep": {"secrets": {"k": {"id": "b"}}}}});
        let (value, paths) = resolved("receivers", &receivers, true);
        assert_eq!(value, json!({"r/1": {"k": "two", "deep": {"secrets": {"k": {"id": "b"}}}}}));
        assert_eq!(paths, ["receivers.r/1.k"]);
        let other = json!({"x": "$co.elastic.secret{a}"});
        assert_eq!(resolved("signed", &other, true), (other, Vec::new()));
    }
}
