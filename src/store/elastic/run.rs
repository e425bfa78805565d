//! Operations that go together, and which of the others' answers is whose.

use std::mem::discriminant;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bulk::Refresh;
use super::enrolling::Undo;
use super::indices::Index;
use super::lookup::{Part, Wanted};
use super::search::{Found, Search};
use super::writes::misplaced;
use super::{Elastic, actions, agents, lanes, tokens};
use crate::store::{ActionLookup, Answer, Enrollment, Lane, Operation, StoreError, StoreResult};
use crate::time::Timestamp;

impl Elastic {
    /// Runs operations of one lane.
    pub(super) fn run_part(&self, part: &[Operation]) -> Vec<StoreResult> {
        match part.first().map(lanes::lane) {
            None => Vec::new(),
            Some(Lane::Read) => self.read(part),
            Some(Lane::Search) => self.find(part),
            Some(Lane::Write | Lane::Beats) => self.write(part, Refresh::Later),
            Some(Lane::Refresh) => self.write(part, Refresh::Now),
            Some(Lane::Single) => self.singles(part),
            Some(Lane::Keys) => self.keep_all_keys(part),
            Some(Lane::Artifacts | Lane::Operator) => {
                part.iter().map(|operation| self.operate(operation)).collect()
            }
            // moved, not lent
            Some(Lane::Files) => part.iter().map(|_| Err(misplaced())).collect(),
        }
    }

    /// Documents by id.
    fn read(&self, part: &[Operation]) -> Vec<StoreResult> {
        let wanted: Vec<Wanted<'_>> = part.iter().filter_map(wanted).collect();
        let mut documents = self.look_up(&wanted).into_iter();
        let answer = |operation: &Operation| {
            let document = documents.next().ok_or_else(misplaced)??;
            match operation {
                Operation::ActionSeqNo(_) => {
                    Ok(Answer::SeqNo(document.map(|document| document.version.seq_no)))
                }
                Operation::AgentById(id) | Operation::AgentCheckingIn(id) | Operation::AgentWhole(id) => {
                    agents::looked_up(id, document)
                }
                _ => Err(misplaced()),
            }
        };
        part.iter().map(answer).collect()
    }

    /// Searches.
    fn find(&self, part: &[Operation]) -> Vec<StoreResult> {
        let refreshed = self.refresh_for(part);
        let wanted: Vec<Option<Search>> = part.iter().map(search_of).collect();
        let asked: Vec<bool> = wanted.iter().map(Option::is_some).collect();
        let searches: Vec<Search> = wanted.into_iter().flatten().collect();
        let mut found = self.searches(&searches).into_iter();
        let mut answers: Vec<StoreResult> = Vec::new();
        for (operation, asked) in part.iter().zip(asked) {
            let found =
                if asked { found.next().unwrap_or_else(|| Err(misplaced())) } else { Ok(Found::default()) };
            let found = found.and_then(|found| match operation {
                Operation::AgentByEnrollmentId(_) => refreshed.clone().map(|()| found),
                _ => Ok(found),
            });
            answers.push(found.and_then(|found| read_found(operation, found)));
        }
        self.look_again_for_agents(part, &mut answers);
        self.trace_unknown_actions(part, &mut answers);
        answers
    }

    /// "As of this moment" is what a search finds after a refresh.
    fn refresh_for(&self, part: &[Operation]) -> Result<(), StoreError> {
        let is_unbounded = |operation: &Operation| match operation {
            Operation::PendingActions { up_to, .. } => !actions::has_bound(*up_to),
            _ => false,
        };
        if part.iter().any(is_unbounded)
            && let Err(error) = self.refresh(Index::Actions)
        {
            ::log::debug!("actions of the last moment are found by the next check-in: {error}");
        }
        let wanted = |operation: &Operation| matches!(operation, Operation::AgentByEnrollmentId(_));
        if part.iter().any(wanted) { self.refresh(Index::Agents) } else { Ok(()) }
    }

    /// An agent that has just enrolled is found after a refresh, which costs only those who are not found without.
    fn look_again_for_agents(&self, part: &[Operation], answers: &mut [StoreResult]) {
        let is_missed = |place: &usize| {
            matches!(part[*place], Operation::AgentByAccessKey(_))
                && matches!(answers[*place], Ok(Answer::Agent(None)))
        };
        let missed: Vec<usize> = (0..part.len().min(answers.len())).filter(is_missed).collect();
        if missed.is_empty() {
            return;
        }
        let refreshed = self.refresh(Index::Agents);
        let searches: Vec<Search> = missed.iter().filter_map(|place| search_of(&part[*place])).collect();
        let mut found = self.searches(&searches).into_iter();
        for place in missed {
            let again = found.next().unwrap_or_else(|| Err(misplaced()));
            let found = refreshed.clone().and(again);
            answers[place] = found.and_then(|found| read_found(&part[place], found));
        }
    }

    fn trace_unknown_actions(&self, part: &[Operation], answers: &mut [StoreResult]) {
        let of = part.iter().zip(answers.iter());
        let ids: Vec<&String> =
            of.filter_map(|(operation, answer)| unknown_action(operation, answer)).collect();
        let mut traces = self.look_for_traces(&ids).into_iter();
        for answer in answers {
            if matches!(answer, Ok(Answer::Action(ActionLookup::Unknown))) {
                *answer = traces.next().unwrap_or_else(|| Err(misplaced())).map(Answer::Action);
            }
        }
    }

    /// What takes a request each; enrolments share the one that writes their documents.
    fn singles(&self, part: &[Operation]) -> Vec<StoreResult> {
        let same = |one: &Operation, other: &Operation| discriminant(one) == discriminant(other);
        part.chunk_by(same).flat_map(|part| self.singles_alike(part)).collect()
    }

    fn singles_alike(&self, part: &[Operation]) -> Vec<StoreResult> {
        let enrollments: Vec<&Enrollment> = part.iter().filter_map(enrollment).collect();
        if enrollments.len() == part.len() {
            return self.enroll(&enrollments);
        }
        let undos: Vec<Undo<'_>> = part.iter().filter_map(undo).collect();
        if undos.len() == part.len() {
            return self.undo(&undos).into_iter().map(|done| done.map(|()| Answer::Done)).collect();
        }
        let single = |operation: &Operation| match operation {
            Operation::Authenticate(key) => self.authenticate(key),
            Operation::InvalidateKeys(ids) => self.invalidate(ids).map(|()| Answer::Done),
            Operation::ActionsCheckpoint => self.actions_checkpoint(),
            _ => Err(misplaced()),
        };
        part.iter().map(single).collect()
    }

    fn keep_all_keys(&self, part: &[Operation]) -> Vec<StoreResult> {
        let known = self.known_keys(part).into_iter().map(|keys| keys.map(Answer::OutputKeys));
        let clean = self.are_clean(part).into_iter().map(|is_clean| is_clean.then_some(Answer::Done));
        let answers = known.zip(clean).map(|(keys, clean)| keys.or(clean));
        part.iter()
            .zip(answers)
            .map(|(operation, known)| known.map_or_else(|| self.keep_keys(operation), Ok))
            .collect()
    }

    /// Keys of outputs, and secrets.
    fn keep_keys(&self, operation: &Operation) -> StoreResult {
        match operation {
            Operation::Secrets(ids) => self.secrets(ids).map(Answer::Secrets),
            Operation::SetSecret(secret) => self.set_secret(secret).map(Answer::SecretId),
            Operation::OutputKeys(wanted) => self.output_keys(wanted).map(Answer::OutputKeys),
            Operation::CleanOutputKeys(agent) => self.clean_output_keys(agent).map(|()| Answer::Done),
            // those that are left are told in the log: nothing is kept of an agent that is gone
            Operation::RetireKeys(keys) => self.retire_keys(keys).map(|_| Answer::Done),
            _ => Err(misplaced()),
        }
    }

    /// What operators ask for, and housekeeping.
    fn operate(&self, operation: &Operation) -> StoreResult {
        use Operation::*;
        match operation {
            LatestPolicies => self.latest_policies().map(Answer::Policies),
            PolicyRevision { policy_id, revision_idx } => {
                self.policy(policy_id, *revision_idx).map(Answer::Policy)
            }
            CreateRevision(policy) => self.create_revision(policy),
            DeletePolicy(policy_id) => self.delete_policy(policy_id),
            CreateToken { policy_id, name, at } => self.create_token(policy_id, name, *at),
            Tokens => self.tokens(),
            RevokeToken(api_key_id) => self.revoke_token(api_key_id),
            Agents { policy_id, from, limit, with_metadata } => {
                self.page_of_agents(policy_id.as_deref(), from, *limit, *with_metadata)
            }
            Actions { limit } => self.newest_actions(*limit),
            ActionDocuments(action_id) => self.action_documents(action_id),
            ResultsOfAction(action_id) => self.results(action_id),
            ArtifactBody(id) => self.artifact_body(id),
            PutArtifact(artifact) => self.put_artifact(artifact),
            Artifacts => self.artifacts(),
            DeleteArtifact(id) => self.delete_artifact(id),
            Cleanup { now, .. } => self.clean_up(*now),
            MindOutputs { at, outputs } => {
                self.look_at_doubts(*at);
                self.forget_remotes_but(outputs);
                self.ask_remotes(*at);
                Ok(Answer::Done)
            }
            MigrateAgents { at } => self.migrate_agents(*at).map(|()| Answer::Done),
            Backup(_) => Err(StoreError::Failed {
                status: 501,
                reason: "a cluster is backed up by its snapshots".to_owned(),
            }),
            _ => Err(misplaced()),
        }
    }

    /// Removes actions that expired long ago, and ends uploads that were abandoned. How long uploads, results, revisions and unenrolled agents stay is for the cluster's
    /// lifecycle policies and for Kibana to say.
    fn clean_up(&self, now: Timestamp) -> StoreResult {
        let ended = self.end_abandoned_uploads(now)?;
        let kept = Duration::from_millis(self.expired_actions_kept_ms.load(Ordering::Relaxed));
        let Some(before) = crate::store::retention::outlived(now, kept) else {
            return Ok(Answer::Removed(ended));
        };
        let query = serde_json::json!({"range": {"expiration": {"lte": before.rfc3339_millis()}}});
        Ok(Answer::Removed(ended + self.delete_by_query(Index::Actions, &query)?))
    }
}

/// The document that answers an operation.
fn wanted(operation: &Operation) -> Option<Wanted<'_>> {
    match operation {
        Operation::AgentById(id) => Some(agents::by_id(id, Part::Without(&agents::DETAILS))),
        Operation::AgentCheckingIn(id) | Operation::AgentWhole(id) => Some(agents::by_id(id, Part::Whole)),
        Operation::ActionSeqNo(document_id) => Some(actions::by_document_id(document_id)),
        _ => None,
    }
}

/// The search that answers an operation, unless nothing can be found.
fn search_of(operation: &Operation) -> Option<Search> {
    match operation {
        Operation::AgentByEnrollmentId(enrollment_id) => Some(agents::by_enrollment_id(enrollment_id)),
        Operation::AgentByAccessKey(key_id) => Some(agents::by_access_key(key_id)),
        Operation::TokenByKey(key_id) => Some(tokens::by_key(key_id)),
        Operation::PendingActions { agent, after, up_to, now } if after < up_to => {
            Some(actions::pending(agent, *after, *up_to, *now))
        }
        Operation::ActionById(action_id) => Some(actions::by_action_id(action_id)),
        _ => None,
    }
}

fn read_found(operation: &Operation, found: Found) -> StoreResult {
    match operation {
        Operation::AgentByEnrollmentId(_) | Operation::AgentByAccessKey(_) => agents::found(found),
        Operation::TokenByKey(_) => tokens::found(found),
        Operation::PendingActions { .. } => Ok(Answer::Actions(actions::all_found(&found))),
        Operation::ActionById(_) => {
            let action = actions::found(&found)?;
            Ok(Answer::Action(action.map_or(ActionLookup::Unknown, ActionLookup::Found)))
        }
        _ => Err(misplaced()),
    }
}

fn unknown_action<'a>(operation: &'a Operation, answer: &StoreResult) -> Option<&'a String> {
    match (operation, answer) {
        (Operation::ActionById(id), Ok(Answer::Action(ActionLookup::Unknown))) => Some(id),
        _ => None,
    }
}

fn enrollment(operation: &Operation) -> Option<&Enrollment> {
    match operation {
        Operation::Enroll(enrollment) => Some(enrollment),
        _ => None,
    }
}

fn undo(operation: &Operation) -> Option<Undo<'_>> {
    match operation {
        Operation::UndoEnrollment { agent, access_key, created } => {
            Some(Undo { agent, access_key, created: *created })
        }
        _ => None,
    }
}
