//! What has to be known of the cluster before it can be used, found out with the first question and kept: whether it has
//! the fleet module, and whether it has keys. And indices that nobody else makes.

use std::time::Duration;

use super::Elastic;
use super::ask::{Single, is_elasticsearchs, json, plain};
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
            // whatever somebody in between says tells nothing of the cluster
            _ if !is_elasticsearchs(&response) => Err(Trouble::unknown(format!(
                "an answer of status {} that is not the cluster's",
                response.status
            ))),
            400 => Ok(!Cause::of(&response).is_some_and(|cause| cause.is_missing_route())),
            200..300 | 404 => Ok(true),
            status if refused.contains(&status) => Ok(true),
            _ => Err(Trouble::refused(&response)),
        }
    }

    /// Sees to it that an index is there before something is written to it, where the cluster would make a wrong one: without
    /// a definition it takes each text for prose. What was seen a moment ago is believed to be there; what operators write
    /// is rare and believes nothing.
    pub(super) fn ensure(&self, index: Index) -> Result<(), StoreError> {
        let now = self.client.now();
        let seen = self.seen.last(index);
        let believed = match index {
            Index::Policies | Index::Tokens | Index::Actions | Index::Artifacts => Duration::ZERO,
            Index::Agents | Index::Results | Index::Keys | Index::Secrets => self.patience.index_believed,
        };
        if seen.is_some_and(|seen| now < seen + believed) {
            return Ok(());
        }
        // the fleet module knows the usual names and makes them itself
        let is_ours = matches!(index, Index::Keys | Index::Secrets)
            || self.indices.are_own()
            || !self.facts()?.fleet_module;
        if is_ours && !(seen.is_some() && self.is_there(index)?) {
            self.make(index)?;
        }
        self.seen.note(index, now);
        Ok(())
    }

    /// The cluster says that an index is missing: the next write to it has to make it.
    pub(super) fn is_missing(&self, index: Index) {
        self.seen.forget(index);
    }

    /// Asked of the statistics, which the role of the service account allows.
    pub(super) fn is_there(&self, index: Index) -> Result<bool, StoreError> {
        let path = format!("/{}/_stats/docs?filter_path=_shards.total", self.indices.name(index));
        self.call_on_unless_missing(&self.client, &plain("GET", path)).map(|found| found.is_some())
    }

    fn make(&self, index: Index) -> Result<(), StoreError> {
        self.make_named(self.indices.name(index), &definition(index))
    }

    /// Makes an index of this name, unless there is one.
    pub(super) fn make_named(&self, name: &str, definition: &serde_json::Value) -> Result<(), StoreError> {
        is_made(name, self.call(&json("PUT", format!("/{name}"), definition)).map(drop))
    }
}

/// What came of the making of an index: one that is there already or that we may not make is used as it is.
pub(super) fn is_made(name: &str, made: Result<(), StoreError>) -> Result<(), StoreError> {
    match made {
        Ok(()) => {
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
