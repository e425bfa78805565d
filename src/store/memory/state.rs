//! The collections, and which operation does what to them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::files::StoredFile;
use crate::model::{
    Action, ActionResult, ArtifactId, EnrollmentToken, FileKey, NewArtifact, Policy, Secrets,
};
use crate::store::keys::Sealed;
use crate::store::news::PolicyMark;
use crate::store::{Answer, Operation, Retention, StoreError, StoreResult};
use crate::time::Timestamp;

/// Everything that is kept.
pub(super) struct State {
    pub(super) random: StdRng,
    pub(super) sequences: Sequences,
    pub(super) keys: BTreeMap<String, Sealed>,
    pub(super) secrets: Secrets,
    pub(super) artifacts: BTreeMap<ArtifactId, NewArtifact>,
    pub(super) agents: BTreeMap<String, StoredAgent>,
    /// By policy and revision.
    pub(super) policies: BTreeMap<(String, i64), StoredPolicy>,
    /// Oldest first.
    pub(super) tokens: Vec<EnrollmentToken>,
    /// By `_seq_no`.
    pub(super) actions: BTreeMap<i64, StoredAction>,
    /// Oldest first.
    pub(super) gone_actions: VecDeque<String>,
    /// Oldest first.
    pub(super) results: Vec<StoredResult>,
    pub(super) files: BTreeMap<FileKey, StoredFile>,
    /// How many file documents there were.
    pub(super) last_file: i64,
    /// For the watch.
    pub(super) changed_policies: BTreeMap<String, PolicyMark>,
}

/// `_seq_no` of the newest write or delete of each index; -1 for none.
pub(super) struct Sequences {
    pub(super) agents: i64,
    pub(super) actions: i64,
    pub(super) policies: i64,
}

pub(super) struct StoredAgent {
    /// Which agent document this was, from the first one on.
    pub(super) number: i64,
    /// Seconds since 1970; not in the document.
    pub(super) last_checkin: Option<i64>,
    /// When housekeeping first saw it inactive, if the document does not say since when it is.
    pub(super) seen_inactive: Option<Timestamp>,
    pub(super) document: String,
}

pub(super) struct StoredPolicy {
    pub(super) written: Option<Timestamp>,
    pub(super) policy: Arc<Policy>,
}

pub(super) struct StoredAction {
    pub(super) expiration: Option<Timestamp>,
    /// From when on it cannot be delivered any more.
    pub(super) over: Option<Timestamp>,
    pub(super) action: Arc<Action>,
}

pub(super) struct StoredResult {
    /// When housekeeping first saw it.
    pub(super) seen: Option<Timestamp>,
    pub(super) result: ActionResult,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        State {
            random: StdRng::seed_from_u64(seed),
            sequences: Sequences { agents: -1, actions: -1, policies: -1 },
            keys: BTreeMap::new(),
            secrets: Secrets::default(),
            artifacts: BTreeMap::new(),
            agents: BTreeMap::new(),
            policies: BTreeMap::new(),
            tokens: Vec::new(),
            actions: BTreeMap::new(),
            gone_actions: VecDeque::new(),
            results: Vec::new(),
            files: BTreeMap::new(),
            last_file: 0,
            changed_policies: BTreeMap::new(),
        }
    }

    /// Runs one operation; if it fails nothing is changed.
    pub(super) fn run(&mut self, operation: Operation, retention: &Retention) -> StoreResult {
        use Operation::*;
        match operation {
            Authenticate(key) => self.authenticate(&key),
            AgentById(id) | AgentCheckingIn(id) | AgentWhole(id) => self.agent_by_id(&id),
            AgentByEnrollmentId(enrollment_id) => self.agent_by_enrollment_id(&enrollment_id),
            AgentByAccessKey(key_id) => self.agent_by_access_key(&key_id),
            TokenByKey(key_id) => Ok(self.token_by_key(&key_id)),
            Secrets(ids) => Ok(Answer::Secrets(self.secrets_of(&ids))),
            PendingActions { agent, after, up_to, now } => {
                Ok(self.pending_actions(&agent, after, up_to, now))
            }
            ActionById(action_id) => Ok(self.action_by_id(&action_id)),
            ActionSeqNo(document_id) => Ok(self.action_seq_no(&document_id)),
            ActionsCheckpoint => Ok(Answer::SeqNo(Some(self.sequences.actions))),
            LatestPolicies => Ok(Answer::Policies(self.newest_policies())),
            PolicyRevision { policy_id, revision_idx } => {
                Ok(Answer::Policy(self.policy(&policy_id, revision_idx)))
            }
            Tokens => Ok(Answer::Tokens(self.tokens.clone())),
            Agents { policy_id, from, limit, with_metadata } => {
                self.page_of_agents(policy_id.as_deref(), &from, limit, with_metadata)
            }
            Actions { limit } => Ok(self.newest_actions(limit)),
            ActionDocuments(action_id) => Ok(self.action_documents(&action_id)),
            ResultsOfAction(action_id) => Ok(self.results_of(&action_id)),
            ArtifactBody(id) => Ok(self.artifact_body(&id)),
            Artifacts => Ok(self.all_artifacts()),
            FindFile(query) => self.find_file(&query),
            Files(list) => Ok(self.list_files(&list)),
            FileChunks { file, .. } => Ok(self.file_chunks(&file)),
            ReadChunk { file, chunk } => self.read_chunk(&file, &chunk),
            Cleanup { now, serving } => Ok(Answer::Removed(self.clean_up(retention, now, serving))),
            Backup(_) => Err(StoreError::Failed {
                status: 501,
                reason: "the store in memory has no backup".to_owned(),
            }),
            write => self.write(write),
        }
    }

    fn write(&mut self, operation: Operation) -> StoreResult {
        use Operation::*;
        match operation {
            Enroll(enrollment) => self.enroll(*enrollment),
            UndoEnrollment { agent, access_key, created } => {
                self.undo_enrollment(&agent, &access_key, created);
                Ok(Answer::Done)
            }
            CreateAgent { agent, document } => self.create_agent(&agent, &document),
            UpdateAgent { agent, patch } => self.change_agent(&agent, &patch).map(|()| Answer::Done),
            CheckIn { agent, at, patch } | Upgrading { agent, at, patch } => {
                self.check_in(&agent, at, &patch)
            }
            Heartbeats { agents, at } => Ok(self.heartbeats(&agents, at)),
            PolicyAcknowledged { agent, policy_id, revision_idx, at } => {
                self.policy_acknowledged(&agent, &policy_id, revision_idx, at)
            }
            CreateResult(result) => Ok(self.create_result(*result)),
            InvalidateKeys(ids) => Ok(self.invalidate_keys(&ids)),
            SetSecret(secret) => Ok(self.set_secret(secret)),
            RetireKeys(keys) => Ok(self.retire_keys(&keys)),
            // there is nothing to clean where none are made, and nobody else has ever written here
            CleanOutputKeys(_) | MindOutputs { .. } | MigrateAgents { .. } => Ok(Answer::Done),
            CreateRevision(policy) => self.create_revision(*policy),
            DeletePolicy(policy_id) => Ok(self.delete_policy(&policy_id)),
            CreateToken { policy_id, name, at } => Ok(self.create_token(&policy_id, &name, at)),
            RevokeToken(api_key_id) => self.revoke_token(&api_key_id),
            CreateAction(action) => Ok(self.create_action(*action)),
            PutArtifact(artifact) => Ok(self.put_artifact(*artifact)),
            DeleteArtifact(id) => self.delete_artifact(&id),
            BeginFile(file) => self.begin_file(*file),
            PutChunk(chunk) => self.put_chunk(*chunk),
            EndFile { file, upload_id, status, transit_sha256 } => {
                self.end_file(&file, &upload_id, status, transit_sha256)
            }
            DeleteFile(file) => {
                self.files.remove(&file);
                Ok(Answer::Done)
            }
            _ => Err(StoreError::Failed { status: 500, reason: "not a write".to_owned() }),
        }
    }

    /// The next bytes that follow from the seed.
    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill_bytes(&mut bytes);
        bytes
    }
}
