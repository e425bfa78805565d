//! A store of ours with other clusters beside it: outputs with a service token, for which each agent gets keys of its own
//! there (interface.md, "Outputs on the embedded store"). Agents' documents and secrets are the inner store's. Nobody else
//! writes to that, so that one turn at a time for each agent is all the care its keys need.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::key_roles::{Roles, current, merged};
use super::keys::KeyMetadata;
use super::output_keys::{KIND, Outputs, retired_from};
use super::{Elastic, Indices};
use crate::config::{Elasticsearch, Secret};
use crate::model::secret::reference;
use crate::model::{
    AgentOutput, ApiKey, KeyMaking, KeyNeed, KeysWanted, NewSecret, OutputCluster, Patch, RetiredKey,
};
use crate::store::documents::unreadable;
use crate::store::{Answer, Lane, Lanes, Operation, Store, StoreError, StoreResult};

/// Agents whose keys are seen to at once.
const KEEPERS: usize = 4;
/// Operations of one batch that wait for each other's clusters.
const KEYS_PER_BATCH_MAX: usize = 4;

/// A store of ours, and clients of the clusters that its agents send to.
pub struct WithRemotes {
    inner: Arc<dyn Store>,
    /// Only what has to do with other clusters is used of it: it has none of its own. Made when an output first needs it, so
    /// that whoever has none pays nothing.
    far: OnceLock<Elastic>,
    closed: AtomicBool,
    /// Agents whose keys are being seen to: as many as there are workers at most.
    busy: Mutex<BTreeSet<String>>,
    bell: Condvar,
}

/// An agent's turn, until it is dropped.
struct Turn<'a> {
    store: &'a WithRemotes,
    agent: &'a str,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.store.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(self.agent);
        self.store.bell.notify_all();
    }
}

impl Store for WithRemotes {
    fn run(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        match batch.first().map(lane) {
            Some(Lane::Keys) => batch.into_iter().map(|operation| self.keep(operation)).collect(),
            _ => self.inner.run(batch),
        }
    }

    fn lanes(&self) -> Lanes {
        let mut lanes = Lanes { of: lane, key_making: KeyMaking::Remote, ..self.inner.lanes() };
        lanes.workers[Lane::Keys.index()] = KEEPERS;
        lanes.batch_max[Lane::Keys.index()] = KEYS_PER_BATCH_MAX;
        lanes
    }
}

/// Which lane runs an operation: what may wait for another cluster has one of its own.
fn lane(operation: &Operation) -> Lane {
    use Operation::*;
    match operation {
        OutputKeys(_) | CleanOutputKeys(_) | RetireKeys(_) | MindOutputs { .. } => Lane::Keys,
        other => other.lane(),
    }
}

impl WithRemotes {
    /// `inner`, with agents' keys for other clusters.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let (far, closed) = (OnceLock::new(), AtomicBool::new(false));
        WithRemotes { inner, far, closed, busy: Mutex::default(), bell: Condvar::new() }
    }

    /// Ends all that waits for other clusters.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(far) = self.far.get() {
            far.close();
        }
    }

    fn far(&self) -> Result<&Elastic, StoreError> {
        if let Some(far) = self.far.get() {
            return Ok(far);
        }
        let nowhere = Elasticsearch { hosts: Vec::new(), ..Elasticsearch::default() };
        let made = Elastic::open(&nowhere, Indices::default(), Duration::ZERO);
        let made = made.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let far = self.far.get_or_init(|| made);
        if self.closed.load(Ordering::SeqCst) {
            far.close();
        }
        Ok(far)
    }

    fn keep(&self, operation: Operation) -> StoreResult {
        match operation {
            Operation::OutputKeys(wanted) => self.output_keys(&wanted).map(Answer::OutputKeys),
            Operation::CleanOutputKeys(agent) => self.clean(&agent).map(|()| Answer::Done),
            Operation::RetireKeys(keys) => self.retire(keys).map(|()| Answer::Done),
            Operation::MindOutputs { outputs, .. } => {
                self.mind(&outputs);
                Ok(Answer::Done)
            }
            other => self.ask(other),
        }
    }

    /// Asks other clusters whether they are there, so that those who miss keys get them soon. Nobody is told how they do, and
    /// no write of ours is ever in doubt.
    fn mind(&self, outputs: &[String]) {
        if let Some(far) = self.far.get() {
            far.forget_remotes_but(outputs);
            drop(far.ping_remotes());
        }
    }

    /// The agent's keys, in the order of its needs.
    fn output_keys(&self, wanted: &KeysWanted) -> Result<Vec<Option<ApiKey>>, StoreError> {
        let _turn = self.turn(&wanted.agent);
        let mut outputs = self.outputs(&wanted.agent)?.ok_or(StoreError::NotFound)?;
        let mut keys = Vec::new();
        for need in wanted.needs.iter() {
            let OutputCluster::Remote(block) = &need.cluster else {
                keys.push(None);
                continue;
            };
            let client = self.far()?.remote(&need.output, block)?;
            let stored = outputs.get(&need.output).cloned().unwrap_or_default();
            let is_known = self.far()?.check_makes_keys(&client).is_err();
            let key = match self.usable_key(need, &client, stored.clone()) {
                Ok(None) => self.new_key(wanted, need, &client, &stored),
                other => other,
            };
            match key {
                Ok(key) => {
                    if let Some((_, Some(output))) = &key {
                        outputs.insert(need.output.clone(), output.clone());
                        self.write(&wanted.agent, &outputs)
                            .inspect_err(|_| self.take_back(&client, output, &stored))?;
                    }
                    keys.push(key.map(|(key, _)| key));
                }
                // what else the agent does goes on without it
                Err(_) if is_known => keys.push(None),
                Err(error) => {
                    self.far()?.makes_no_keys(&client);
                    ::log::warn!("fleet.agent.id" = wanted.agent.as_str(); "no key for the output {}: {error}", need.output);
                    keys.push(None);
                }
            }
        }
        self.retire_gone(wanted, outputs)?;
        Ok(keys)
    }

    /// The key that is stored, with the roles it has to have, and what its document says then if that is news. `None` if
    /// there is none that can be used.
    fn usable_key(&self, need: &KeyNeed, client: &Arc<Client>, mut stored: AgentOutput) -> MadeKey {
        let Some(key) = self.stored_key(&stored)? else { return Ok(None) };
        if stored.permissions_hash == need.permissions_hash {
            // under the name there may be another cluster by now; one that cannot be asked may well be it
            let is_there =
                !client.is_reachable() || !matches!(self.far()?.good_key(client, &key.id), Ok(None));
            return Ok(is_there.then_some((key, None)));
        }
        self.far()?.check_makes_keys(client)?;
        let Some(found) = self.far()?.good_key(client, &key.id)? else { return Ok(None) };
        let new: Roles = serde_json::from_str(need.roles.get()).map_err(|error| unreadable(&error))?;
        if !self.far()?.set_roles(client, &key.id, &merged(&found.role_descriptors, &new))? {
            return Ok(None);
        }
        stored.permissions_hash.clone_from(&need.permissions_hash);
        Ok(Some((key, Some(stored))))
    }

    fn stored_key(&self, stored: &AgentOutput) -> Result<Option<ApiKey>, StoreError> {
        let Some(id) = stored.secret_id() else { return Ok(None) };
        let Answer::Secrets(secrets) = self.ask(Operation::Secrets(vec![id.to_owned()]))? else {
            return Ok(None);
        };
        let key = secrets.get(id).and_then(|text| text.split_once(':'));
        let key = key.map(|(id, secret)| ApiKey { id: id.to_owned(), secret: secret.to_owned() });
        Ok(key.filter(|key| key.id == stored.api_key_id))
    }

    /// Makes a key and keeps it; what the document is to say of it.
    fn new_key(
        &self,
        wanted: &KeysWanted,
        need: &KeyNeed,
        client: &Arc<Client>,
        stored: &AgentOutput,
    ) -> MadeKey {
        self.far()?.check_makes_keys(client)?;
        let name = format!("{}:{}", wanted.agent, need.output);
        let key = self.far()?.make_key_on(client, &name, &need.roles, &KeyMetadata::output(&wanted.agent))?;
        let value = Secret::new(format!("{}:{}", key.id, key.secret));
        let mut output = AgentOutput {
            api_key_id: key.id.clone(),
            permissions_hash: need.permissions_hash.clone(),
            kind: KIND.to_owned(),
            to_retire_api_key_ids: stored.to_retire_api_key_ids.clone(),
            ..AgentOutput::default()
        };
        output.to_retire_api_key_ids.extend(retired_from(stored, &need.output, wanted.at));
        match self.ask(Operation::SetSecret(NewSecret { id: None, value })) {
            Ok(Answer::SecretId(id)) => output.api_key = reference(&id),
            other => {
                self.take_back(client, &output, stored);
                let none = StoreError::Unavailable("no secret was kept".to_owned());
                return Err(other.err().unwrap_or(none));
            }
        }
        Ok(Some((key, Some(output))))
    }

    /// Nobody was told of this key; one that was there before stays.
    fn take_back(&self, client: &Client, output: &AgentOutput, stored: &AgentOutput) {
        if output.api_key_id == stored.api_key_id {
            return;
        }
        let far = self
            .far()
            .and_then(|far| far.invalidate_visible(client, std::slice::from_ref(&output.api_key_id)))
            .map(drop);
        let secret_id = output.secret_id().unwrap_or_default().to_owned();
        let near = self.ask(Operation::RetireKeys(vec![RetiredKey { secret_id, ..RetiredKey::default() }]));
        if let Err(error) = far.and(near.map(drop)) {
            ::log::warn!("fleet.apikey.id" = output.api_key_id.as_str(); "a key that nobody has could not be taken back: {error}");
        }
    }

    /// Outputs that the policy no longer has: their keys are invalidated once the agent has acknowledged that.
    fn retire_gone(&self, wanted: &KeysWanted, mut outputs: Outputs) -> Result<(), StoreError> {
        let is_needed = |output: &String| wanted.needs.iter().any(|need| need.output == *output);
        let gone: Vec<String> = outputs.keys().filter(|output| !is_needed(output)).cloned().collect();
        let keeper = wanted.needs.iter().find(|need| outputs.contains_key(&need.output));
        let (Some(keeper), false) = (keeper, gone.is_empty()) else { return Ok(()) };
        for output in gone {
            let Some(stored) = outputs.remove(&output) else { continue };
            let retired = retired_from(&stored, &output, wanted.at);
            let Some(keeper) = outputs.get_mut(&keeper.output) else { continue };
            keeper.to_retire_api_key_ids.extend(stored.to_retire_api_key_ids.into_iter().chain(retired));
        }
        self.write(&wanted.agent, &outputs)
    }

    /// Drops roles that only an older revision needed, and invalidates keys that were replaced.
    fn clean(&self, agent: &str) -> Result<(), StoreError> {
        let _turn = self.turn(agent);
        let Some(mut outputs) = self.outputs(agent)? else { return Ok(()) };
        for (output, stored) in &outputs {
            let Some(client) = self.client_of(output)?.filter(|client| client.is_reachable()) else {
                continue;
            };
            if self.far()?.is_as_made(&stored.api_key_id) {
                continue;
            }
            let found = self.far()?.good_key(&client, &stored.api_key_id)?;
            if let Some(roles) = found.and_then(|key| current(&key.role_descriptors)) {
                self.far()?.set_roles(&client, &stored.api_key_id, &roles)?;
            }
        }
        let retired: Vec<RetiredKey> = outputs
            .values_mut()
            .flat_map(|output| std::mem::take(&mut output.to_retire_api_key_ids))
            .collect();
        if retired.is_empty() {
            return Ok(());
        }
        self.retire(retired)?;
        self.write(agent, &outputs)
    }

    /// Invalidates keys, each where it lives, and deletes what holds them. Another cluster that is down is only logged.
    fn retire(&self, keys: Vec<RetiredKey>) -> Result<(), StoreError> {
        for key in keys.iter().filter(|key| !key.output.is_empty()) {
            let client = self.client_of(&key.output)?;
            let done = client.map(|client| {
                check_reachable(&client)?;
                self.far()?.invalidate_visible(&client, std::slice::from_ref(&key.id))
            });
            if let Some(Err(error)) = done {
                ::log::warn!("fleet.apikey.id" = key.id.as_str(); "a key for the output {} could not be invalidated: {error}", key.output);
            }
        }
        self.ask(Operation::RetireKeys(keys)).map(drop)
    }

    /// The client of an output that was used, or that a policy has.
    fn client_of(&self, output: &str) -> Result<Option<Arc<Client>>, StoreError> {
        let known = self.far()?.remote_clients().into_iter().find(|(known, _)| known == output);
        if let Some((_, client)) = known {
            return Ok(Some(client));
        }
        let Answer::Policies(policies) = self.ask(Operation::LatestPolicies)? else { return Ok(None) };
        for policy in policies {
            let data: Value = serde_json::from_str(policy.data.get()).unwrap_or_default();
            let Some(mut block) = data.get("outputs").and_then(|outputs| outputs.get(output)).cloned() else {
                continue;
            };
            if let Some(id) =
                block.pointer("/secrets/service_token/id").and_then(Value::as_str).map(str::to_owned)
                && let Answer::Secrets(secrets) = self.ask(Operation::Secrets(vec![id.clone()]))?
            {
                block["service_token"] = secrets.get(&id).into();
            }
            if block["service_token"].is_string() {
                return self.far()?.remote(output, &Secret::new(block.to_string())).map(Some);
            }
        }
        Ok(None)
    }

    fn outputs(&self, agent: &str) -> Result<Option<Outputs>, StoreError> {
        match self.ask(Operation::AgentById(agent.to_owned()))? {
            Answer::Agent(agent) => Ok(agent.map(|agent| agent.outputs)),
            _ => Err(StoreError::Unavailable("no agent was answered".to_owned())),
        }
    }

    fn write(&self, agent: &str, outputs: &Outputs) -> Result<(), StoreError> {
        let patch = Patch::new().set("outputs", outputs);
        self.ask(Operation::UpdateAgent { agent: agent.to_owned(), patch }).map(drop)
    }

    fn ask(&self, operation: Operation) -> StoreResult {
        let answer = self.inner.run(vec![operation]).pop();
        answer.unwrap_or_else(|| Err(StoreError::Unavailable("no answer".to_owned())))
    }

    fn turn<'a>(&'a self, agent: &'a str) -> Turn<'a> {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let others = |busy: &mut BTreeSet<String>| busy.contains(agent);
        let mut busy = self.bell.wait_while(busy, others).unwrap_or_else(PoisonError::into_inner);
        busy.insert(agent.to_owned());
        Turn { store: self, agent }
    }
}

/// A key, and what its document is to say of it if that is news.
type MadeKey = Result<Option<(ApiKey, Option<AgentOutput>)>, StoreError>;

/// A worker does not wait for another cluster again and again, once for each agent.
fn check_reachable(client: &Client) -> Result<(), StoreError> {
    if client.is_reachable() {
        return Ok(());
    }
    Err(StoreError::Unavailable("its hosts are set aside".to_owned()))
}
