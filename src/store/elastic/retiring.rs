//! The end of output keys: of those that were replaced once the agent has acknowledged it, of all when it leaves.

use std::collections::BTreeMap;

use serde_json::json;

use super::Elastic;
use super::bulk::{Item, Refresh};
use super::client::Client;
use super::indices::Index;
use super::key_roles::current;
use super::keys::KeyFound;
use super::script::RETIRED;
use crate::model::RetiredKey;
use crate::store::StoreError;

impl Elastic {
    /// Drops roles that only an older revision needed, and invalidates keys that were replaced.
    pub(super) fn clean_output_keys(&self, agent: &str) -> Result<(), StoreError> {
        let Some(outputs) = self.outputs_of(agent)? else { return Ok(()) };
        let in_use: Vec<&str> = outputs.values().map(|output| output.api_key_id.as_str()).collect();
        for (output, stored) in &outputs {
            let id = stored.api_key_id.as_str();
            // one that was just made has no older roles, and would be waited for until the cluster shows it
            if !id.is_empty() && !self.is_as_made(id) {
                self.drop_old_roles(output, id)?;
            }
        }
        let retired = outputs.values().flat_map(|output| &output.to_retire_api_key_ids);
        let retired: Vec<RetiredKey> =
            retired.filter(|key| !in_use.contains(&key.id.as_str())).cloned().collect();
        if retired.is_empty() {
            return Ok(());
        }
        let left = self.retire_keys(&retired)?;
        let ids: Vec<&str> = retired
            .iter()
            .map(|key| key.id.as_str())
            .filter(|id| !left.iter().any(|left| left == id))
            .collect();
        let index = self.indices.name(Index::Agents);
        self.write_one(Item::update(index, agent, RETIRED, &json!({"ids": ids})), Refresh::Later).map(drop)
    }

    /// Drops the roles of a key that only an older revision needed. Another cluster that is down does not hold up what is
    /// done here.
    fn drop_old_roles(&self, output: &str, id: &str) -> Result<(), StoreError> {
        if let Some(key) = self.good_key(&self.client, id)? {
            return self.keep_current(&self.client, id, &key);
        }
        let Some(client) = self.remote_of_any_policy(output)?.filter(|client| client.is_reachable()) else {
            return Ok(());
        };
        let done = self
            .good_key(&client, id)
            .and_then(|key| key.map_or(Ok(()), |key| self.keep_current(&client, id, &key)));
        if let Err(error) = done {
            ::log::warn!("fleet.apikey.id" = id; "a key of the output {output} may do what only an older revision needed: {error}");
        }
        Ok(())
    }

    fn keep_current(&self, client: &Client, id: &str, key: &KeyFound) -> Result<(), StoreError> {
        match current(&key.role_descriptors) {
            Some(roles) => self.set_roles(client, id, &roles).map(drop),
            None => Ok(()),
        }
    }

    /// Invalidates keys, each where it lives, and deletes the secrets that hold them; ids of those that are still good, since
    /// their cluster does not answer. Which cluster that is, none of the
    /// documents says for sure: first ours is asked, and only for keys that it does not know the output's own.
    pub(super) fn retire_keys(&self, keys: &[RetiredKey]) -> Result<Vec<String>, StoreError> {
        let mut left = Vec::new();
        let (far, near): (Vec<&RetiredKey>, Vec<&RetiredKey>) = self.by_cluster(keys)?;
        let ids: Vec<String> = near.iter().map(|key| key.id.clone()).collect();
        self.invalidate(&ids)?;
        let mut of_outputs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for key in far {
            of_outputs.entry(&key.output).or_default().push(key.id.clone());
        }
        for (output, ids) in of_outputs {
            // another cluster that is down does not hold up what is done here
            if let Err(error) = self.invalidate_far(output, &ids) {
                ::log::warn!(
                    "keys of the output {output} could not be invalidated ({}): {error}",
                    ids.join(", ")
                );
                left.extend(ids);
            }
        }
        let done = keys.iter().filter(|key| !key.secret_id.is_empty() && !left.contains(&key.id));
        self.delete_secrets(&done.map(|key| key.secret_id.clone()).collect::<Vec<_>>())?;
        Ok(left)
    }

    /// Keys of other clusters, and keys of ours, with those that nobody knows.
    fn by_cluster<'a>(
        &self,
        keys: &'a [RetiredKey],
    ) -> Result<(Vec<&'a RetiredKey>, Vec<&'a RetiredKey>), StoreError> {
        let is_named = |key: &&RetiredKey| !key.output.is_empty();
        let (named, mut near): (Vec<&RetiredKey>, Vec<&RetiredKey>) = keys.iter().partition(is_named);
        if !self.facts()?.has_keys {
            // what the cluster itself has no keys for is another's
            return Ok((named, near));
        }
        let mut far = Vec::new();
        for key in named {
            let is_ours =
                self.is_young(&self.client, &key.id) || self.find_key(&self.client, &key.id)?.is_some();
            if is_ours { near.push(key) } else { far.push(key) }
        }
        Ok((far, near))
    }

    fn invalidate_far(&self, output: &str, ids: &[String]) -> Result<(), StoreError> {
        match self.remote_of_any_policy(output)? {
            Some(client) if client.is_reachable() => self.invalidate_visible(&client, ids).map(drop),
            Some(_) => Err(StoreError::Unavailable("its hosts are set aside".to_owned())),
            // it is no other cluster: these keys are gone already
            None => Ok(()),
        }
    }
}
