//! Agents: reading them, enrolment, check-ins, heartbeats, acknowledgements.

use super::state::{State, StoredAgent};
use crate::model::raw::Raw;
use crate::model::{Agent, Detail, Patch};
use crate::store::documents::{self, latest_checkin, seconds, unreadable};
use crate::store::{Answer, Enrollment, StoreError, StoreResult, Written};
use crate::time::Timestamp;

impl State {
    pub(super) fn agent_by_id(&self, id: &str) -> StoreResult {
        let agent = self.agents.get(id).map(|stored| read(id, stored)).transpose()?;
        Ok(Answer::Agent(agent.map(Box::new)))
    }

    pub(super) fn agent_by_enrollment_id(&self, enrollment_id: &str) -> StoreResult {
        self.newest_agent(|agent| agent.enrollment_id.as_deref() == Some(enrollment_id))
    }

    pub(super) fn agent_by_access_key(&self, key_id: &str) -> StoreResult {
        self.newest_agent(|agent| agent.access_api_key_id == key_id)
    }

    fn newest_agent(&self, wanted: impl Fn(&Agent) -> bool) -> StoreResult {
        let mut newest: Option<(i64, Agent)> = None;
        for (id, stored) in &self.agents {
            let agent = read(id, stored)?;
            if wanted(&agent) && newest.as_ref().is_none_or(|(number, _)| *number < stored.number) {
                newest = Some((stored.number, agent));
            }
        }
        Ok(Answer::Agent(newest.map(|(_, agent)| Box::new(agent))))
    }

    pub(super) fn page_of_agents(
        &self,
        policy_id: Option<&str>,
        from: &str,
        limit: usize,
        with_metadata: bool,
    ) -> StoreResult {
        let mut agents = Vec::new();
        for (id, stored) in self.agents.iter().filter(|(id, _)| id.as_str() > from) {
            if agents.len() == limit {
                break;
            }
            let mut agent = read(id, stored)?;
            if policy_id.is_none_or(|policy_id| policy_id == agent.policy_id) {
                agent.components = Detail::Absent;
                agent.collector = None;
                if !with_metadata {
                    agent.local_metadata = Detail::Absent;
                }
                agents.push(agent);
            }
        }
        Ok(Answer::Agents(agents))
    }

    pub(super) fn enroll(&mut self, enrollment: Enrollment) -> StoreResult {
        let Enrollment { agent, written, delete_agents, invalidate_keys } = enrollment;
        let taken = self.agents.contains_key(&agent) && !delete_agents.contains(&agent);
        match &written {
            Written::New(document) => {
                documents::open(document.get()).map_err(|error| unreadable(&error))?;
                if taken {
                    return Err(StoreError::Conflict);
                }
            }
            Written::Replacement(_) if !taken => return Err(StoreError::NotFound),
            Written::Replacement(_) => {}
        }
        delete_agents.iter().for_each(|agent| self.delete_agent(agent));
        self.invalidate_keys(&invalidate_keys);
        let key = self.make_key();
        let with_key = Patch::new().set("access_api_key_id", &key.id);
        match written {
            Written::New(document) => self.insert_agent(&agent, document.get(), &with_key)?,
            Written::Replacement(mut patch) => {
                patch.merge(with_key);
                self.change_agent(&agent, &patch)?;
            }
        }
        Ok(Answer::Key(key))
    }

    pub(super) fn undo_enrollment(&mut self, agent: &str, access_key: &str, created: bool) {
        self.keys.remove(access_key);
        let object = self.agents.get(agent).and_then(|stored| documents::open(&stored.document).ok());
        if created
            && object.is_some_and(|object| documents::string(&object, "access_api_key_id") == access_key)
        {
            self.delete_agent(agent);
        }
    }

    pub(super) fn create_agent(&mut self, agent: &str, document: &Raw) -> StoreResult {
        documents::open(document.get()).map_err(|error| unreadable(&error))?;
        if self.agents.contains_key(agent) {
            return Err(StoreError::Conflict);
        }
        self.insert_agent(agent, document.get(), &Patch::new())?;
        Ok(Answer::Done)
    }

    pub(super) fn check_in(&mut self, agent: &str, at: Timestamp, patch: &Patch) -> StoreResult {
        let at = seconds(at);
        if let Some(stored) = self.agents.get(agent) {
            let last = latest_checkin(stored.last_checkin, at);
            self.change_agent(agent, patch)?;
            self.agents.entry(agent.to_owned()).and_modify(|stored| stored.last_checkin = Some(last));
        }
        Ok(Answer::Done)
    }

    pub(super) fn heartbeats(&mut self, agents: &[String], at: Timestamp) -> Answer {
        let at = seconds(at);
        for agent in agents {
            if let Some(stored) = self.agents.get_mut(agent)
                && stored.last_checkin != Some(latest_checkin(stored.last_checkin, at))
            {
                stored.last_checkin = Some(at);
                self.sequences.agents += 1;
            }
        }
        Answer::Done
    }

    pub(super) fn policy_acknowledged(
        &mut self,
        agent: &str,
        policy_id: &str,
        revision_idx: i64,
        at: Timestamp,
    ) -> StoreResult {
        let stored = self.agents.get(agent).map(|stored| read(agent, stored)).transpose()?;
        if stored
            .is_some_and(|stored| stored.policy_id == policy_id && stored.policy_revision_idx < revision_idx)
        {
            let patch = Patch::new().set("policy_revision_idx", revision_idx).set("updated_at", at.rfc3339());
            self.change_agent(agent, &patch)?;
        }
        Ok(Answer::Done)
    }

    pub(super) fn delete_agent(&mut self, id: &str) {
        if self.agents.remove(id).is_some() {
            self.sequences.agents += 1;
        }
    }

    fn insert_agent(&mut self, id: &str, json: &str, patch: &Patch) -> Result<(), StoreError> {
        self.sequences.agents += 1;
        let mut stored = StoredAgent {
            number: self.sequences.agents,
            last_checkin: None,
            seen_inactive: None,
            document: String::new(),
        };
        stored.write(json, patch)?;
        self.agents.insert(id.to_owned(), stored);
        Ok(())
    }

    pub(super) fn change_agent(&mut self, id: &str, patch: &Patch) -> Result<(), StoreError> {
        let stored = self.agents.get_mut(id).ok_or(StoreError::NotFound)?;
        let before = std::mem::take(&mut stored.document);
        let done = stored.write(&before, patch);
        if done.is_err() {
            stored.document = before;
        }
        self.sequences.agents += 1;
        done
    }
}

impl StoredAgent {
    fn write(&mut self, json: &str, patch: &Patch) -> Result<(), StoreError> {
        let mut object = documents::open(json).map_err(|error| unreadable(&error))?;
        patch.changes.iter().for_each(|(field, what)| documents::change(&mut object, field, what));
        if object.contains_key("last_checkin") || patch.changes.contains_key("last_checkin") {
            self.last_checkin = documents::time(&object, "last_checkin").map(seconds);
        }
        object.remove("last_checkin");
        self.document = documents::text(&object);
        Ok(())
    }
}

pub(super) fn read(id: &str, stored: &StoredAgent) -> Result<Agent, StoreError> {
    let agent = Agent::read(id, stored.document.as_bytes()).map_err(|error| unreadable(&error))?;
    let last_checkin = stored.last_checkin.map(documents::rfc3339);
    Ok(Agent { last_checkin, ..agent })
}
