//! The indices that Kibana and operators write to as well, where the cluster has no definition of them. Whoever writes to one
//! that is not there makes a wrong one, in which every text is prose and nothing is found by its id: so they are made as
//! soon as the cluster is reached, before the server says that it is healthy. What is wrong already is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::store::StoreError;
use crate::store::elastic::ask::{json, once_on, plain};
use crate::store::elastic::client::Client;
use crate::store::elastic::indices::{Index, Indices, definition};
use crate::store::elastic::prepare::is_made;

/// After something that could not be made or looked at.
const AGAIN: Duration = Duration::from_secs(10);
/// Each with the field by which its documents are found.
const FOUNDED: [(Index, &str); 4] = [
    (Index::Policies, "policy_id"),
    (Index::Tokens, "api_key_id"),
    (Index::Actions, "agents"),
    (Index::Agents, "access_api_key_id"),
];

/// Makes them, once.
pub(super) struct Founder {
    client: Arc<Client>,
    indices: Indices,
    left: Vec<(Index, &'static str)>,
    /// When it is time to try, by the client's clock.
    pub(super) due: Duration,
}

/// What an index says of its fields: their types, by field.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    fields: BTreeMap<String, BTreeMap<String, IgnoredAny>>,
}

impl Founder {
    /// Nobody but us writes to indices under names of our own: those are made when they are needed.
    pub(super) fn new(client: Arc<Client>, indices: Indices) -> Self {
        let left = if indices.are_own() { Vec::new() } else { FOUNDED.to_vec() };
        Founder { client, indices, left, due: Duration::ZERO }
    }

    /// Makes what is left to be made. The fleet module knows its indices and makes them itself.
    pub(super) fn go_on(&mut self, fleet_module: bool) {
        let now = self.client.now();
        if fleet_module || self.left.is_empty() || now < self.due {
            return;
        }
        self.due = now + AGAIN;
        let Founder { client, indices, left, .. } = self;
        left.retain(|(index, field)| {
            let name = indices.name(*index);
            let made = found(client, *index, name, field);
            made.inspect_err(|error| ::log::debug!("the index {name} is yet to be made: {error}")).is_err()
        });
    }
}

fn found(client: &Client, index: Index, name: &str, field: &str) -> Result<(), StoreError> {
    let ask = |request| once_on(client, &request).map_err(|trouble| trouble.error);
    is_made(name, ask(json("PUT", format!("/{name}"), &definition(index))).map(drop))?;
    let told = ask(plain("GET", format!("/{name}/_field_caps?fields={field}&ignore_unavailable=true")))?;
    let told: Capabilities = serde_json::from_slice(&told).unwrap_or_default();
    if told.fields.get(field).is_some_and(|types| types.contains_key("text")) {
        ::log::error!(
            "in the index {name} the field {field} is prose, as where something was written to it before it was made: \
             nothing is found in it. Delete it, or make it anew with its mapping"
        );
    }
    Ok(())
}
