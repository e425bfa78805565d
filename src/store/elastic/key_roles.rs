//! What an output key may do. While an agent may still run on an older revision its key keeps what that one needed: old roles
//! stay under names that say so, until the agent has acknowledged the newer (elasticsearch.md, "Output keys").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Elastic;
use super::ask::json;
use super::client::Client;
use super::failure::{Cause, Trouble};
use super::keys::KeyFound;
use crate::model::raw::Raw;
use crate::store::StoreError;

/// Role descriptors by name.
pub(super) type Roles = BTreeMap<String, Raw>;

/// How the name of a role ends that only an older revision needs.
const STALE: &str = "-rdstale";

#[derive(Serialize)]
struct Change<'a> {
    ids: [&'a str; 1],
    role_descriptors: &'a Roles,
}

#[derive(Deserialize)]
struct Changed<'a> {
    #[serde(borrow, default)]
    errors: Option<Errors<'a>>,
}

#[derive(Deserialize)]
struct Errors<'a> {
    #[serde(borrow, default)]
    details: BTreeMap<String, &'a RawValue>,
}

/// The roles of now and the new ones. An old role R becomes `R-N-rdstale` with the first N that is free; one that was stale
/// already loses that ending first. What is kept under another name already is not kept twice.
pub(super) fn merged(now: &Roles, new: &Roles) -> Roles {
    let mut all = new.clone();
    let mut kept: Vec<(&str, &str)> = Vec::new();
    for (name, role) in now {
        let base = base(name);
        if kept.contains(&(base, role.get())) {
            continue;
        }
        kept.push((base, role.get()));
        let free =
            (0..).map(|number: u64| format!("{base}-{number}{STALE}")).find(|name| !all.contains_key(name));
        all.extend(free.map(|name| (name, role.clone())));
    }
    all
}

/// The roles without those that only an older revision needed. `None` if there are none of them.
pub(super) fn current(now: &Roles) -> Option<Roles> {
    let roles: Roles = now
        .iter()
        .filter(|(name, _)| !is_stale(name))
        .map(|(name, role)| (name.clone(), role.clone()))
        .collect();
    (roles.len() < now.len()).then_some(roles)
}

fn is_stale(name: &str) -> bool {
    base(name).len() < name.len()
}

/// The name without the ending of a stale one.
fn base(name: &str) -> &str {
    let numbered = name.strip_suffix(STALE).and_then(|name| name.rsplit_once('-'));
    match numbered {
        Some((base, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            base
        }
        _ => name,
    }
}

impl Elastic {
    /// A key that is good, with its roles; one made a moment ago is waited for. `None`: there is positively none.
    pub(super) fn good_key(&self, client: &Client, id: &str) -> Result<Option<KeyFound>, StoreError> {
        let mut look = 0;
        loop {
            let found = self.find_key(client, id)?;
            if found.is_some() || look >= self.patience.key_looks_max || !self.is_young(client, id) {
                return Ok(found.filter(|key| !key.invalidated));
            }
            look += 1;
            self.patience.before_key_look();
        }
    }

    /// Changes what a key may do; false if there is no such key.
    pub(super) fn set_roles(&self, client: &Client, id: &str, roles: &Roles) -> Result<bool, StoreError> {
        let change = Change { ids: [id], role_descriptors: roles };
        let answer = self.call_on(client, &json("POST", "/_security/api_key/_bulk_update", &change))?;
        let changed: Changed<'_> =
            serde_json::from_slice(&answer).map_err(|_| Trouble::garbled("the change of a key").error)?;
        let errors = changed.errors.map(|errors| errors.details).unwrap_or_default();
        match errors.values().next().map(|error| Cause::read(error)) {
            None => Ok(true),
            Some(cause) if cause.kind == "resource_not_found_exception" => Ok(false),
            // invalidated meanwhile
            Some(cause) if cause.kind == "illegal_argument_exception" => Ok(false),
            Some(cause) => Err(Trouble::unknown(cause.text()).error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(all: &[(&str, u32)]) -> Roles {
        all.iter().map(|(name, role)| ((*name).to_owned(), crate::model::raw::raw(role))).collect()
    }

    fn told(roles: &Roles) -> Vec<(String, String)> {
        roles.iter().map(|(name, role)| (name.clone(), role.get().to_owned())).collect()
    }

    #[test]
    fn old_roles_stay_under_names_that_are_free() {
        let merged = |now: &[(&str, u32)], new: &[(&str, u32)]| told(&merged(&roles(now), &roles(new)));
        assert_eq!(merged(&[("a", 1)], &[("a", 2)]), told(&roles(&[("a", 2), ("a-0-rdstale", 1)])));
        assert_eq!(
            merged(&[("a", 1), ("a-0-rdstale", 2)], &[("a", 3)]),
            told(&roles(&[("a", 3), ("a-0-rdstale", 1), ("a-1-rdstale", 2)]))
        );
        assert_eq!(
            merged(&[("b-7-rdstale", 1), ("c", 2)], &[("a", 3)]),
            told(&roles(&[("a", 3), ("b-0-rdstale", 1), ("c-0-rdstale", 2)]))
        );
    }

    #[test]
    fn what_is_kept_already_is_not_kept_twice() {
        let mut now = roles(&[("a", 0)]);
        for round in 0..100 {
            now = merged(&now, &roles(&[("a", round % 3)]));
        }
        assert!(now.len() <= 4, "{:?}", told(&now));
    }

    #[test]
    fn an_acknowledgement_leaves_the_new_ones() {
        let now =
            roles(&[("a", 1), ("a-0-rdstale", 2), ("b-12-rdstale", 3), ("c-rdstale", 4), ("d-x-rdstale", 5)]);
        assert_eq!(
            told(&current(&now).unwrap()),
            told(&roles(&[("a", 1), ("c-rdstale", 4), ("d-x-rdstale", 5)]))
        );
        assert!(current(&roles(&[("a", 1)])).is_none());
    }
}
