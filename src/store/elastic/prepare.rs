//! What has to be known of the cluster before it can be used, found out with the first question and kept: whether it has
//! the fleet module, and whether it has keys. And indices that nobody else makes.

use std::sync::PoisonError;

use super::Elastic;
use super::ask::{Single, json, plain};
use super::failure::{Cause, Trouble};
use super::indices::{Index, definition};
use crate::store::StoreError;

/// What the cluster calls it when an index is there already.
const EXISTS: &str = "resource_already_exists_exception";

/// What the cluster can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// It knows the `_fleet` routes and the definitions of the fleet's indices.
    pub(super) fleet_module: bool,
    /// It makes and checks API keys; otherwise the keys are ours.
    pub(super) has_keys: bool,
    /// It keeps secrets; otherwise they stand in an index of ours.
    pub(super) has_secrets: bool,
}

impl Elastic {
    /// What the cluster can do; asked once, when it is first needed, and again as long as it does not answer.
    pub(super) fn facts(&self) -> Result<Facts, StoreError> {
        if let Some(facts) = self.facts.get() {
            return Ok(*facts);
        }
        let fleet = format!("/{}/_fleet/global_checkpoints", self.indices.name(Index::Agents));
        let facts = Facts {
            // who is not let in learns nothing of the module
            fleet_module: self.patiently(|| self.has_route(&fleet, &[403]))?,
            has_keys: self.patiently(|| self.has_route("/_security/_authenticate", &[401, 403]))?,
            has_secrets: self.patiently(|| self.has_route("/_fleet/secret/none", &[403]))?,
        };
        // two workers find out the same
        let facts = *self.facts.get_or_init(|| facts);
        if !facts.has_keys {
            let name = self.indices.name(Index::Keys);
            ::log::warn!("security is off in this Elasticsearch: API keys are our own, kept in {name}");
        }
        Ok(facts)
    }

    /// Whether the cluster knows a route. That it refuses what is asked there says that it does, with a status among
    /// `refused` too; trouble says nothing.
    fn has_route(&self, path: &str, refused: &[u16]) -> Single<bool> {
        let response = self.response(&plain("GET", path))?;
        match response.status {
            400 => Ok(!Cause::of(&response).is_some_and(|cause| cause.is_missing_route())),
            200..300 | 404 => Ok(true),
            status if refused.contains(&status) => Ok(true),
            _ => Err(Trouble::refused(&response)),
        }
    }

    /// Makes an index before the first write to it, where the cluster would make a wrong one: without a definition it takes
    /// each text for prose. That it is there already is fine.
    pub(super) fn ensure(&self, index: Index) -> Result<(), StoreError> {
        if self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(&index) {
            return Ok(());
        }
        // the fleet module knows the usual names and makes them itself
        let is_ours = matches!(index, Index::Keys | Index::Secrets)
            || self.indices.are_own()
            || !self.facts()?.fleet_module;
        if is_ours {
            self.make(index)?;
        }
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
        Ok(())
    }

    fn make(&self, index: Index) -> Result<(), StoreError> {
        let name = self.indices.name(index);
        match self.call(&json("PUT", format!("/{name}"), &definition(index))) {
            Ok(_) => {
                ::log::info!("the index {name} was made");
                Ok(())
            }
            Err(StoreError::Failed { status: 400, reason }) if reason.starts_with(EXISTS) => Ok(()),
            // an alias has the name, or a template makes it a data stream
            Err(StoreError::Failed { status: 400, reason }) => {
                ::log::warn!("the index {name} is not ours to make: {reason}");
                Ok(())
            }
            Err(StoreError::Failed { status: 403, reason }) => {
                ::log::error!(
                    "the index {name} is missing or not ours, and the service token may not make it: {reason}"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
