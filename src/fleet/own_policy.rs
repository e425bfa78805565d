//! The policy that a server runs under where an agent runs it: `policy.id`, else the one that is a Fleet Server's by default
//! (agent-mode.md, "States reported").

use std::collections::BTreeMap;

use serde_json::Value;

use super::health::Lack;
use crate::model::Policy;
use crate::model::raw::Fields;

/// The type of the input that makes a policy a Fleet Server's.
const INPUT: &str = "fleet-server";

/// What is known of the policies that it may be: those of that id, and those that are it by default.
#[derive(Debug, Default)]
pub struct OwnPolicy {
    known: BTreeMap<String, Facts>,
}

#[derive(Debug)]
struct Facts {
    revision_idx: i64,
    by_default: bool,
    has_input: bool,
}

impl OwnPolicy {
    /// Takes in a revision; whether it is one that matters. `configured` is `policy.id`.
    pub fn hear(&mut self, policy: &Policy, configured: Option<&str>) -> bool {
        let known = self.known.get(&policy.policy_id);
        if known.is_some_and(|known| known.revision_idx > policy.revision_idx) {
            return false;
        }
        let may_be = policy.default_fleet_server || configured == Some(policy.policy_id.as_str());
        if !may_be {
            return self.known.remove(&policy.policy_id).is_some();
        }
        let facts = Facts {
            revision_idx: policy.revision_idx,
            by_default: policy.default_fleet_server,
            has_input: has_input(policy),
        };
        self.known.insert(policy.policy_id.clone(), facts);
        true
    }

    /// A policy is gone; whether it mattered.
    pub fn forget(&mut self, policy_id: &str) -> bool {
        self.known.remove(policy_id).is_some()
    }

    /// Whether something is known of this policy.
    pub fn knows(&self, policy_id: &str) -> bool {
        self.known.contains_key(policy_id)
    }

    /// The policy, once it is there with its input; else what is waited for. Of several by default it is the first by id.
    pub fn chosen(&self, configured: Option<&str>) -> Result<&str, Lack> {
        let mut known = self.known.iter();
        let found = match configured {
            Some(id) => known.find(|(known, _)| *known == id),
            None => known.find(|(_, facts)| facts.by_default),
        };
        match found {
            None => Err(Lack::Policy(configured.map(str::to_owned))),
            Some((id, facts)) if !facts.has_input => Err(Lack::Input(id.clone())),
            Some((id, _)) => Ok(id),
        }
    }
}

fn has_input(policy: &Policy) -> bool {
    let Ok(fields) = Fields::open("policy", policy.data.get().as_bytes()) else { return false };
    let inputs: Vec<Value> = fields.take("inputs");
    inputs.iter().any(|input| input["type"] == INPUT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::raw::raw;

    fn policy(id: &str, revision_idx: i64, default_fleet_server: bool, inputs: &Value) -> Policy {
        Policy {
            policy_id: id.to_owned(),
            revision_idx,
            timestamp: String::new(),
            data: raw(&json!({ "inputs": inputs })),
            unenroll_timeout_seconds: 0,
            namespaces: Vec::new(),
            default_fleet_server,
        }
    }

    fn inputs() -> Value {
        json!([{"type": "system/metrics"}, {"type": "fleet-server"}])
    }

    #[test]
    fn it_is_the_one_that_is_configured_whatever_others_are() {
        let mut own = OwnPolicy::default();
        assert!(own.hear(&policy("other", 1, true, &inputs()), Some("mine")));
        assert!(own.chosen(Some("mine")) == Err(Lack::Policy(Some("mine".to_owned()))));
        assert!(own.hear(&policy("mine", 1, false, &inputs()), Some("mine")));
        assert!(own.chosen(Some("mine")) == Ok("mine"));
        assert!(!own.hear(&policy("third", 1, false, &inputs()), Some("mine")));
    }

    #[test]
    fn without_one_it_is_that_by_default() {
        let mut own = OwnPolicy::default();
        assert!(own.chosen(None) == Err(Lack::Policy(None)));
        own.hear(&policy("a", 1, false, &inputs()), None);
        own.hear(&policy("b", 1, true, &inputs()), None);
        assert!(own.chosen(None) == Ok("b"));
        own.hear(&policy("b", 2, false, &inputs()), None);
        assert!(own.chosen(None) == Err(Lack::Policy(None)));
    }

    #[test]
    fn it_needs_its_input_in_the_newest_revision() {
        let mut own = OwnPolicy::default();
        own.hear(&policy("a", 2, true, &json!([{"type": "x"}, 7, {"type": null}])), None);
        assert!(own.chosen(None) == Err(Lack::Input("a".to_owned())));
        assert!(!own.hear(&policy("a", 1, true, &inputs()), None), "an older one says nothing");
        own.hear(&policy("a", 3, true, &inputs()), None);
        assert!(own.chosen(None) == Ok("a"));
        own.hear(&policy("a", 4, true, &json!("none")), None);
        assert!(own.chosen(None) == Err(Lack::Input("a".to_owned())));
    }

    #[test]
    fn one_that_is_deleted_is_waited_for_again() {
        let mut own = OwnPolicy::default();
        own.hear(&policy("a", 1, true, &inputs()), None);
        assert!(own.forget("a") && !own.forget("a") && !own.knows("a"));
        assert!(own.chosen(None) == Err(Lack::Policy(None)));
    }
}
