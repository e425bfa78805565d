//! Keys of agents for outputs (elasticsearch.md, "Output keys"). The agent's document says which keys it has and where they
//! are kept; every change of it is conditional on the key that was read, so two servers that see to one agent at once agree
//! on one key, and the other one is taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::Elastic;
use super::bulk::{Item, Refresh};
use super::client::Client;
use super::doubtful::{Doubt, is_in_doubt, log_taken_back};
use super::indices::Index;
use super::key_roles::{Roles, merged};
use super::keys::KeyMetadata;
use super::lookup::{Document, Part, Wanted};
use super::output_health::Sign;
use super::script::{OUTPUT_GONE, OUTPUT_KEY};
use crate::config::Secret;
use crate::model::raw::Fields;
use crate::model::secret::reference;
use crate::model::{AgentOutput, ApiKey, KeyNeed, KeysWanted, NewSecret, OutputCluster, RetiredKey, Secrets};
use crate::store::StoreError;
use crate::store::documents::unreadable;
use crate::time::Timestamp;

/// How often another server may change the same output of the same agent in between.
const ATTEMPTS_MAX: u32 = 5;
/// The type of all outputs that have keys, remote ones too.
pub(super) const KIND: &str = "elasticsearch";
const FIELD: &str = "outputs";
/// The part of an agent's document that says which keys it has.
pub(super) const PART: Part = Part::Field(FIELD);

/// What an agent's document says of its outputs.
pub(super) type Outputs = BTreeMap<String, AgentOutput>;

/// What [`OUTPUT_KEY`] is told.
#[derive(Serialize)]
struct KeyParams<'a> {
    output: &'a str,
    fields: Value,
    replaces: &'a str,
    retire: Option<&'a RetiredKey>,
}

/// What [`OUTPUT_GONE`] is told.
#[derive(Serialize)]
struct GoneParams<'a> {
    output: &'a str,
    keeper: &'a str,
    replaces: &'a str,
    retire: Vec<RetiredKey>,
}

/// What keeps an agent from its key.
enum Trouble {
    /// The store.
    Store(StoreError),
    /// Another cluster: what else the agent does goes on without it.
    Remote(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Trouble::Store(error)
    }
}

impl Trouble {
    fn into_error(self) -> StoreError {
        match self {
            Trouble::Store(error) | Trouble::Remote(error) => error,
        }
    }
}

/// One need of one agent, on the cluster that it is about.
struct Case<'a> {
    agent: &'a str,
    need: &'a KeyNeed,
    client: &'a Arc<Client>,
    at: Timestamp,
}

impl Case<'_> {
    /// Where its keys live, if not in our own cluster.
    fn remote(&self) -> Option<&Arc<Client>> {
        matches!(self.need.cluster, OutputCluster::Remote(_)).then_some(self.client)
    }

    fn doubt(&self, key: &ApiKey, secret_id: String) -> Doubt {
        Doubt {
            agent: self.agent.to_owned(),
            output: self.need.output.clone(),
            key_id: key.id.clone(),
            secret_id,
            remote: self.remote().cloned(),
        }
    }

    fn trouble(&self, error: StoreError) -> Trouble {
        match self.need.cluster {
            OutputCluster::Own => Trouble::Store(error),
            OutputCluster::Remote(_) => Trouble::Remote(error),
        }
    }
}

impl Elastic {
    /// The agent's keys, in the order of its needs.
    pub(super) fn output_keys(&self, wanted: &KeysWanted) -> Result<Vec<Option<ApiKey>>, StoreError> {
        let has_keys = self.facts()?.has_keys;
        let mut outputs = self.outputs_of(&wanted.agent)?.ok_or(StoreError::NotFound)?;
        let mut keys = Vec::new();
        for need in wanted.needs.iter() {
            keys.push(match &need.cluster {
                OutputCluster::Own if !has_keys => None,
                OutputCluster::Own => {
                    let case = Case { agent: &wanted.agent, need, client: &self.client, at: wanted.at };
                    Some(self.output_key(&case, &mut outputs).map_err(Trouble::into_error)?)
                }
                OutputCluster::Remote(block) => self.remote_key(wanted, need, block, &mut outputs)?,
            });
        }
        self.retire_gone(wanted, &outputs, &keys);
        Ok(keys)
    }

    /// What an agent's document says of its outputs, as of this moment; `None` if there is no such agent.
    pub(super) fn outputs_of(&self, agent: &str) -> Result<Option<Outputs>, StoreError> {
        let document = self.look_up_one(Wanted { index: Index::Agents, id: agent, part: PART })?;
        document.as_ref().map(outputs_in).transpose()
    }

    /// A key on another cluster. Without one its output is told all the same: what else the agent does goes on.
    fn remote_key(
        &self,
        wanted: &KeysWanted,
        need: &KeyNeed,
        block: &Secret,
        outputs: &mut Outputs,
    ) -> Result<Option<ApiKey>, StoreError> {
        let client = self.remote(&need.output, block)?;
        let case = Case { agent: &wanted.agent, need, client: &client, at: wanted.at };
        let is_known = self.check_makes_keys(&client).is_err();
        match self.output_key(&case, outputs) {
            Ok(key) => Ok(Some(key)),
            Err(Trouble::Store(error)) => Err(error),
            Err(Trouble::Remote(_)) if is_known => Ok(None),
            Err(Trouble::Remote(error)) => {
                self.makes_no_keys(&client);
                self.output_does(&need.output, Some(&error.to_string()), Sign::Key, wanted.at);
                ::log::warn!("fleet.agent.id" = wanted.agent.as_str(); "no key for the remote output {}: {error}", need.output);
                Ok(None)
            }
        }
    }

    /// The key of one output: as it is, with other roles, or a new one.
    fn output_key(&self, case: &Case<'_>, outputs: &mut Outputs) -> Result<ApiKey, Trouble> {
        for _ in 0..ATTEMPTS_MAX {
            let stored = outputs.get(&case.need.output).cloned().unwrap_or_default();
            if let Some(key) = self.usable_key(case, &stored)? {
                return Ok(key);
            }
            if let Some(key) = self.new_key(case, &stored)? {
                return Ok(key);
            }
            // somebody else was first: their key is the agent's
            *outputs = self.outputs_of(case.agent)?.ok_or(StoreError::NotFound)?;
        }
        Err(StoreError::Unavailable("others change the keys of this agent all the time".to_owned()).into())
    }

    /// The key that is stored, with the roles it has to have. `None` if there is none that can be used.
    fn usable_key(&self, case: &Case<'_>, stored: &AgentOutput) -> Result<Option<ApiKey>, Trouble> {
        let Some(key) = self.stored_key(stored)? else { return Ok(None) };
        let need = case.need;
        if stored.permissions_hash == need.permissions_hash {
            // under the name of a remote output there may be another cluster by now; one that cannot be asked may well be it
            let is_there = matches!(need.cluster, OutputCluster::Own)
                || !case.client.is_reachable()
                || !matches!(self.good_key(case.client, &key.id), Ok(None));
            return Ok(is_there.then_some(key));
        }
        self.check_reachable(case)?;
        let found = self.good_key(case.client, &key.id).map_err(|error| case.trouble(error))?;
        let Some(found) = found else { return Ok(None) };
        let new: Roles = serde_json::from_str(need.roles.get()).map_err(|error| unreadable(&error))?;
        let roles = merged(&found.role_descriptors, &new);
        if !self.set_roles(case.client, &key.id, &roles).map_err(|error| case.trouble(error))? {
            return Ok(None);
        }
        let fields = json!({"permissions_hash": need.permissions_hash, "type": KIND});
        self.write_output(case, fields, &key.id, None)?;
        Ok(Some(key))
    }

    fn check_reachable(&self, case: &Case<'_>) -> Result<(), Trouble> {
        let far = case.remote().map_or(Ok(()), |client| self.check_makes_keys(client));
        far.map_err(Trouble::Remote)
    }

    /// What the document's reference leads to; older documents hold the key itself.
    fn stored_key(&self, stored: &AgentOutput) -> Result<Option<ApiKey>, StoreError> {
        let secrets = match stored.secret_id() {
            None => Secrets::default(),
            Some(id) => self.secrets(&[id.to_owned()])?,
        };
        Ok(key_of(stored, &secrets))
    }

    /// Makes a key, keeps it, and writes it into the document in place of the stored one. `None` if that has changed.
    fn new_key(&self, case: &Case<'_>, stored: &AgentOutput) -> Result<Option<ApiKey>, Trouble> {
        self.check_reachable(case)?;
        let (agent, need) = (case.agent, case.need);
        let name = format!("{agent}:{}", need.output);
        let key = self
            .make_key_on(case.client, &name, &need.roles, &KeyMetadata::output(agent))
            .map_err(|error| case.trouble(error))?;
        if case.remote().is_some() {
            self.output_does(&need.output, None, Sign::Key, case.at);
        }
        let value = Secret::new(format!("{}:{}", key.id, key.secret));
        let secret_id = match self.set_secret(&NewSecret { id: None, value }) {
            Ok(id) => id,
            Err(error) => {
                self.take_back(case, &key, None);
                return Err(error.into());
            }
        };
        let fields = json!({
            "api_key": reference(&secret_id),
            "api_key_id": key.id,
            "permissions_hash": need.permissions_hash,
            "type": KIND,
        });
        let retired = retired(stored, case);
        let written = self.write_output(case, fields, &stored.api_key_id, retired.as_ref());
        // also when it failed: the cluster may have written it before it fell silent
        match self.outputs_of(agent) {
            Ok(now) if has_key(now.as_ref(), &need.output, &key.id) => Ok(Some(key)),
            Ok(_) if !written.as_ref().is_err_and(is_in_doubt) => {
                self.take_back(case, &key, Some(secret_id));
                written?;
                Ok(None)
            }
            now => {
                self.doubt(case.doubt(&key, secret_id), case.at);
                written?;
                now?;
                Ok(None)
            }
        }
    }

    fn write_output(
        &self,
        case: &Case<'_>,
        fields: Value,
        replaces: &str,
        retire: Option<&RetiredKey>,
    ) -> Result<(), StoreError> {
        let params = KeyParams { output: &case.need.output, fields, replaces, retire };
        let item = Item::update(self.indices.name(Index::Agents), case.agent, OUTPUT_KEY, &params);
        self.write_one(item, Refresh::Later).map(drop)
    }

    /// Nobody was told of this key.
    fn take_back(&self, case: &Case<'_>, key: &ApiKey, secret_id: Option<String>) {
        let done = self.take_key_back(case.remote(), &key.id, secret_id.as_slice());
        log_taken_back(case.agent, &key.id, done);
    }

    /// Invalidates a key, here or in another cluster, and deletes what holds it.
    pub(super) fn take_key_back(
        &self,
        remote: Option<&Arc<Client>>,
        key_id: &str,
        secrets: &[String],
    ) -> Result<(), StoreError> {
        let ids = [key_id.to_owned()];
        match remote {
            None => self.invalidate(&ids)?,
            Some(client) => drop(self.invalidate_visible(client, &ids)?),
        }
        self.delete_secrets(secrets)
    }

    /// Outputs that the policy no longer has: their keys are invalidated once the agent has acknowledged that.
    fn retire_gone(&self, wanted: &KeysWanted, outputs: &Outputs, keys: &[Option<ApiKey>]) {
        let is_needed = |output: &String| wanted.needs.iter().any(|need| need.output == *output);
        // one that stands in the document
        let keeper = wanted.needs.iter().zip(keys).find(|(_, key)| key.is_some());
        let Some(keeper) = keeper.map(|(need, _)| need.output.as_str()) else { return };
        for (output, stored) in outputs.iter().filter(|(output, _)| !is_needed(output)) {
            let mut retire = stored.to_retire_api_key_ids.clone();
            retire.extend(retired_from(stored, output, wanted.at));
            let params = GoneParams { output, keeper, replaces: &stored.api_key_id, retire };
            let item = Item::update(self.indices.name(Index::Agents), &wanted.agent, OUTPUT_GONE, &params);
            if let Err(error) = self.write_one(item, Refresh::Later) {
                ::log::warn!("fleet.agent.id" = wanted.agent.as_str(); "the output {output} is gone, and its key is not yet: {error}");
            }
        }
    }
}

/// What an agent's document says of its outputs; of [`PART`] of it.
pub(super) fn outputs_in(document: &Document) -> Result<Outputs, StoreError> {
    let fields = Fields::open("agent document", document.source.get().as_bytes());
    Ok(AgentOutput::read_all(&fields.map_err(|error| unreadable(&error))?))
}

/// The key that a document refers to, its secret among `secrets`; older documents hold it themselves.
pub(super) fn key_of(stored: &AgentOutput, secrets: &Secrets) -> Option<ApiKey> {
    let text = match stored.secret_id() {
        None => &stored.api_key,
        Some(id) => secrets.get(id)?,
    };
    let (id, secret) = text.split_once(':')?;
    let key = ApiKey { id: id.to_owned(), secret: secret.to_owned() };
    (!key.id.is_empty() && key.id == stored.api_key_id).then_some(key)
}

/// The key that a new one replaces. `output` is set for those that live elsewhere.
fn retired(stored: &AgentOutput, case: &Case<'_>) -> Option<RetiredKey> {
    let output = match case.need.cluster {
        OutputCluster::Own => "",
        OutputCluster::Remote(_) => &case.need.output,
    };
    retired_from(stored, output, case.at)
}

/// The key of an output that gets another one, or is gone. `output` is set for those that live elsewhere.
pub(super) fn retired_from(stored: &AgentOutput, output: &str, at: Timestamp) -> Option<RetiredKey> {
    (!stored.api_key_id.is_empty()).then(|| RetiredKey {
        id: stored.api_key_id.clone(),
        retired_at: at.rfc3339(),
        output: output.to_owned(),
        secret_id: stored.secret_id().unwrap_or_default().to_owned(),
    })
}

fn has_key(outputs: Option<&Outputs>, output: &str, key_id: &str) -> bool {
    outputs.and_then(|outputs| outputs.get(output)).is_some_and(|output| output.api_key_id == key_id)
}
