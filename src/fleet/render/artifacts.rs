//! Which artifacts the agents of a revision may fetch (files.md, "Artifacts"): those that an input of it lists.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::Policy;

/// What an input says that lists artifacts; policies without this word list none.
const MANIFEST: &str = "artifact_manifest";

/// Artifacts by identifier and hash, sorted. Some forty entries of a hundred bytes in a policy with Endpoint.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AllowedArtifacts(Box<[(Box<str>, Box<str>)]>);

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    artifact_manifest: Option<Manifest<'a>>,
}

#[derive(Deserialize)]
struct Manifest<'a> {
    #[serde(borrow)]
    artifacts: Option<BTreeMap<String, &'a RawValue>>,
}

#[derive(Deserialize)]
struct Artifact {
    decoded_sha256: String,
}

impl AllowedArtifacts {
    /// Those that `policy` lists. What is malformed lists nothing and does not hide the rest. Takes about a millisecond for
    /// 100 kB: worker's work.
    pub fn of(policy: &Policy) -> Self {
        let data = policy.data.get();
        if !data.contains(MANIFEST) {
            return Self::default();
        }
        let inputs = serde_json::from_str::<Data<'_>>(data).ok().and_then(|data| data.inputs);
        let inputs = inputs.and_then(|inputs| serde_json::from_str::<Vec<&RawValue>>(inputs.get()).ok());
        let mut allowed: Vec<_> = inputs.into_iter().flatten().flat_map(listed).collect();
        allowed.sort_unstable();
        allowed.dedup();
        AllowedArtifacts(allowed.into())
    }

    /// Whether agents may fetch it; the hash is compared as it is written.
    pub fn allow(&self, identifier: &str, decoded_sha256: &str) -> bool {
        let wanted = (identifier, decoded_sha256);
        self.0.binary_search_by(|(identifier, hash)| (&**identifier, &**hash).cmp(&wanted)).is_ok()
    }
}

/// What one input lists.
fn listed(input: &RawValue) -> Vec<(Box<str>, Box<str>)> {
    let input = serde_json::from_str::<Input<'_>>(input.get()).ok();
    let artifacts = input.and_then(|input| input.artifact_manifest).and_then(|manifest| manifest.artifacts);
    let read = |(identifier, artifact): (String, &RawValue)| {
        let artifact: Artifact = serde_json::from_str(artifact.get()).ok()?;
        Some((identifier.into(), artifact.decoded_sha256.into()))
    };
    artifacts.into_iter().flatten().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::raw::raw;
    use crate::store::default_policy;
    use crate::time::Timestamp;

    fn allowed(data: &Value) -> AllowedArtifacts {
        AllowedArtifacts::of(&Policy { data: raw(data), ..default_policy(Timestamp(0)) })
    }

    fn input(identifier: &str, hash: &Value) -> Value {
        json!({"artifact_manifest": {"artifacts": {identifier: {"decoded_sha256": hash, "other": 1}}}})
    }

    #[test]
    fn what_any_input_lists_is_allowed_and_compared_exactly() {
        let inputs = [input("a", &json!("0f")), json!({"type": "log"}), input("a", &json!("1f"))];
        let allowed = allowed(&json!({"inputs": inputs}));
        assert!(allowed.allow("a", "0f") && allowed.allow("a", "1f"));
        for (identifier, hash) in [("a", "0F"), ("a", ""), ("b", "0f"), ("", "0f"), ("A", "0f")] {
            assert!(!allowed.allow(identifier, hash), "{identifier} {hash}");
        }
    }

    #[test]
    fn malformed_entries_hide_no_others() {
        let odd = [
            json!(7),
            json!({"artifact_manifest": 7}),
            json!({"artifact_manifest": {"artifacts": [1]}}),
            json!({"artifact_manifest": null}),
            input("odd", &json!(7)),
            input("null", &Value::Null),
        ];
        let inputs: Vec<Value> = odd.into_iter().chain([input("a", &json!("0f"))]).collect();
        let allowed = allowed(&json!({"inputs": inputs}));
        assert!(allowed.allow("a", "0f") && !allowed.allow("odd", "7"));
    }

    #[test]
    fn a_policy_without_lists_allows_nothing() {
        for data in [
            json!({}),
            json!({"inputs": "artifact_manifest"}),
            json!("artifact_manifest"),
            json!({"inputs": []}),
        ] {
            assert_eq!(allowed(&data), AllowedArtifacts::default(), "{data}");
        }
    }
}
