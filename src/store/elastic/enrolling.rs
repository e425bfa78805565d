//! Enrolments and their undoing. An enrolment is a key, a document and what both replace. The key comes first, so that no
//! document names a key that is not there; if the document cannot be written, the key is taken back.

use std::collections::BTreeMap;

use serde_json::json;

use super::Elastic;
use super::bulk::{Item, Outcome, Refresh, is_id};
use super::indices::Index;
use super::keys::{KeyMetadata, KeyPurpose};
use super::lookup::{Document, Part, Wanted};
use super::script::DELETE_IF_OURS;
use crate::model::ApiKey;
use crate::model::raw::raw;
use crate::store::documents::{self, unreadable};
use crate::store::{Answer, Enrollment, StoreError, StoreResult, Written};

/// An enrolment whose key is made.
struct Attempt<'a> {
    enrollment: &'a Enrollment,
    key: ApiKey,
}

/// An enrolment that is to be taken back.
#[derive(Clone, Copy)]
pub(super) struct Undo<'a> {
    /// The agent's id.
    pub(super) agent: &'a str,
    /// The access key made for it.
    pub(super) access_key: &'a str,
    /// Whether the document was made by the enrolment.
    pub(super) created: bool,
}

impl Attempt<'_> {
    fn undo(&self) -> Undo<'_> {
        let created = matches!(self.enrollment.written, Written::New(_));
        Undo { agent: &self.enrollment.agent, access_key: &self.key.id, created }
    }
}

impl Elastic {
    /// Enrols each agent: keys one by one, all documents in one request.
    pub(super) fn enroll(&self, enrollments: &[&Enrollment]) -> Vec<StoreResult> {
        // the look comes first: it may find that the index is missing
        let present = self.present(enrollments);
        if let Err(error) = self.ensure(Index::Agents) {
            return enrollments.iter().map(|_| Err(error.clone())).collect();
        }
        let (attempts, mut items) = self.begin_all(enrollments, present);
        let written = items.len();
        for attempt in attempts.iter().flatten() {
            items.extend(self.deletions(attempt.enrollment));
        }
        // nobody searches for a new agent without refreshing first, and a refresh for each few would cost more than the rest
        let mut outcomes = self.bulk(&items, Refresh::Later);
        log_failed_deletions(&outcomes.split_off(written));
        let answers = self.finish_all(&attempts, outcomes);
        let done = enrollments.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let replaced: Vec<String> =
            done.flat_map(|(enrollment, _)| enrollment.invalidate_keys.iter().cloned()).collect();
        if let Err(error) = self.invalidate(&replaced) {
            ::log::warn!("keys of replaced agents could not be invalidated: {error}");
        }
        answers
    }

    /// Makes the keys of those that can be enrolled, one after another as long as there is time; and the writes of their
    /// documents.
    fn begin_all<'a>(
        &self,
        enrollments: &[&'a Enrollment],
        present: Vec<Result<Option<Document>, StoreError>>,
    ) -> (Vec<Result<Attempt<'a>, StoreError>>, Vec<Item>) {
        let (mut attempts, mut items) = (Vec::new(), Vec::new());
        let until = self.client.now() + self.patience.keys_made_for;
        for (enrollment, document) in enrollments.iter().zip(present) {
            let is_first = attempts.is_empty();
            attempts.push(document.and_then(|document| {
                if !is_first && self.client.now() >= until {
                    return Err(StoreError::Unavailable(
                        "the cluster takes too long to make keys".to_owned(),
                    ));
                }
                let attempt = self.begin(enrollment, document.as_ref())?;
                items.push(self.document_of(&attempt, document.as_ref())?);
                Ok(attempt)
            }));
        }
        (attempts, items)
    }

    /// What came of each. Those whose write failed, or may have, are taken back together: each for itself they would all wait
    /// for a cluster that does not answer.
    fn finish_all(
        &self,
        attempts: &[Result<Attempt<'_>, StoreError>],
        outcomes: Vec<Result<Outcome, StoreError>>,
    ) -> Vec<StoreResult> {
        let mut outcomes = outcomes.into_iter();
        let (mut answers, mut undos) = (Vec::new(), Vec::new());
        for attempt in attempts {
            answers.push(attempt.as_ref().map_err(StoreError::clone).and_then(|attempt| {
                let outcome = outcomes.next().unwrap_or(Err(StoreError::NotFound));
                self.finish(attempt, outcome).inspect_err(|_| undos.push(attempt.undo()))
            }));
        }
        for (undo, undone) in undos.iter().zip(self.undo(&undos)) {
            if let Err(error) = undone {
                ::log::warn!("fleet.agent.id" = undo.agent, "fleet.apikey.id" = undo.access_key;
                    "an enrolment failed, and its key could not be taken back: {error}");
            }
        }
        answers
    }

    /// Takes enrolments back: documents that are still theirs are deleted, keys invalidated.
    pub(super) fn undo(&self, undos: &[Undo<'_>]) -> Vec<Result<(), StoreError>> {
        if undos.is_empty() {
            return Vec::new();
        }
        if let Err(error) = self.ensure(Index::Agents) {
            return undos.iter().map(|_| Err(error.clone())).collect();
        }
        let index = self.indices.name(Index::Agents);
        let created: Vec<&Undo<'_>> = undos.iter().filter(|undo| undo.created && is_id(undo.agent)).collect();
        let delete = |undo: &&Undo<'_>| {
            Item::update(index, undo.agent, DELETE_IF_OURS, &json!({"access_key": undo.access_key}))
        };
        let deleted = self.bulk(&created.iter().map(delete).collect::<Vec<_>>(), Refresh::Now);
        let failed =
            created.iter().zip(deleted).filter_map(|(undo, outcome)| Some((undo.agent, outcome.err()?)));
        let failed: BTreeMap<&str, StoreError> = failed.collect();
        let keys = self.invalidate_young(undos.iter().map(|undo| undo.access_key.to_owned()).collect());
        let result = |undo: &Undo<'_>| match failed.get(undo.agent).filter(|_| undo.created) {
            Some(error) => Err(error.clone()),
            None => keys.clone(),
        };
        undos.iter().map(result).collect()
    }

    /// The documents that have the ids wanted now.
    fn present(&self, enrollments: &[&Enrollment]) -> Vec<Result<Option<Document>, StoreError>> {
        let wanted = enrollments.iter().map(|enrollment| Wanted {
            index: Index::Agents,
            id: &enrollment.agent,
            part: Part::Version,
        });
        self.look_up(&wanted.collect::<Vec<_>>())
    }

    /// Makes the key of an enrolment that can be.
    fn begin<'a>(
        &self,
        enrollment: &'a Enrollment,
        present: Option<&Document>,
    ) -> Result<Attempt<'a>, StoreError> {
        match (&enrollment.written, present) {
            (Written::New(document), _) => {
                documents::members(document)?;
                if present.is_some() && !enrollment.delete_agents.contains(&enrollment.agent) {
                    return Err(StoreError::Conflict);
                }
            }
            (Written::Replacement(_), None) => return Err(StoreError::NotFound),
            (Written::Replacement(_), Some(_)) => {}
        }
        let agent = &enrollment.agent;
        if !is_id(agent) {
            return Err(StoreError::Failed { status: 400, reason: "no document can have that id".into() });
        }
        let key = self.make_key(&KeyPurpose {
            name: agent,
            role: "fleet-apikey-access",
            metadata: KeyMetadata::access(agent),
        })?;
        Ok(Attempt { enrollment, key })
    }

    /// The write of the agent's document: a new one, one in place of the namesake that was read, or changes.
    fn document_of(&self, attempt: &Attempt<'_>, present: Option<&Document>) -> Result<Item, StoreError> {
        let (index, agent) = (self.indices.name(Index::Agents), &attempt.enrollment.agent);
        match &attempt.enrollment.written {
            Written::Replacement(patch) => {
                Ok(self.change(agent, &patch.clone().set("access_api_key_id", &attempt.key.id)))
            }
            Written::New(document) => {
                let document = documents::with_field(document, "access_api_key_id", &raw(&attempt.key.id))?;
                Ok(match present {
                    Some(present) => Item::replace(index, agent, present.version, &document),
                    None => Item::create(index, agent, &document),
                })
            }
        }
    }

    /// Earlier tries of the same enrolment; a namesake is replaced instead.
    fn deletions(&self, enrollment: &Enrollment) -> Vec<Item> {
        let index = self.indices.name(Index::Agents);
        let others = enrollment.delete_agents.iter().filter(|id| **id != enrollment.agent && is_id(id));
        others.map(|id| Item::delete(index, id)).collect()
    }

    /// What the outcome of the write means.
    fn finish(&self, attempt: &Attempt<'_>, outcome: Result<Outcome, StoreError>) -> StoreResult {
        match outcome?.status {
            404 => Err(StoreError::NotFound),
            // by somebody else, or by an earlier try of ours whose answer was lost
            409 if !self.has_access_key(&attempt.enrollment.agent, &attempt.key.id)? => {
                Err(StoreError::Conflict)
            }
            _ => Ok(Answer::Key(attempt.key.clone())),
        }
    }

    fn has_access_key(&self, agent: &str, key_id: &str) -> Result<bool, StoreError> {
        const FIELD: &str = "access_api_key_id";
        let wanted = Wanted { index: Index::Agents, id: agent, part: Part::Field(FIELD) };
        let Some(document) = self.look_up_one(wanted)? else { return Ok(false) };
        let object = documents::open(document.source.get()).map_err(|error| unreadable(&error))?;
        Ok(documents::string(&object, FIELD) == key_id)
    }
}

/// Documents that stay by mistake show as agents that never come: the enrolment itself is good.
fn log_failed_deletions(outcomes: &[Result<Outcome, StoreError>]) {
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        ::log::warn!("an agent that was enrolled again could not be deleted: {error}");
    }
}
