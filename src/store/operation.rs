//! The operations of a store, named by the domain.

use std::path::PathBuf;
use std::time::Duration;

use super::batch::BATCH_OPERATIONS_MAX;
use crate::model::raw::Raw;
use crate::model::{
    Action, ActionResult, ApiKey, ArtifactId, Chunk, FileKey, FileStatus, KeyMaking, KeysWanted, NewArtifact,
    NewChunk, NewFile, NewSecret, Patch, Policy, RetiredKey,
};
use crate::time::Timestamp;

/// One thing to do. Operations of one lane are run in the order they were asked for.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Is this key good? `Answer::Authenticated`, or `StoreError::KeyRejected` if it is positively not.
    Authenticate(ApiKey),
    /// `Answer::Agent`, as of this moment (real time, not as of the last refresh). `local_metadata` and `components`, most of
    /// its bytes, may be left out.
    AgentById(String),
    /// The same with what tells whether `local_metadata` and `components` have changed, they themselves or their fingerprints:
    /// `Answer::Agent`.
    AgentCheckingIn(String),
    /// The same with `local_metadata` and `components` whole: `Answer::Agent`.
    AgentWhole(String),
    /// The agent enrolled under this enrollment_id: `Answer::Agent`, as of this moment.
    AgentByEnrollmentId(String),
    /// The agent whose access key has this id, the newest should there be several: `Answer::Agent`.
    AgentByAccessKey(String),
    /// The enrollment token whose API key has this id, revoked ones included: `Answer::Token`.
    TokenByKey(String),
    /// The newest revision of each policy: `Answer::Policies`.
    LatestPolicies,
    /// The actions for an agent with `after < _seq_no <= up_to` that expire after `now`, at most 100, by `_seq_no`;
    /// `agents` left out, `place` given: `Answer::Actions`.
    PendingActions {
        /// The agent's id.
        agent: String,
        /// Exclusive.
        after: i64,
        /// Inclusive: the checkpoint that the watch told last.
        up_to: i64,
        /// For the expiration.
        now: Timestamp,
    },
    /// An action by `action_id`, its newest document: `Answer::Action`.
    ActionById(String),
    /// `_seq_no` of an action document by `_id`: `Answer::SeqNo`.
    ActionSeqNo(String),
    /// The highest `_seq_no` that the index of actions has given to anything, -1 for none, as of this moment: `Answer::SeqNo`.
    ActionsCheckpoint,

    /// Makes the access key and writes the agent document, all or nothing: `Answer::Key`.
    Enroll(Box<Enrollment>),
    /// Writes the document of an agent that has no access key, a collector's; `StoreError::Conflict` if one is there.
    /// `Answer::Done`.
    CreateAgent {
        /// The agent's id.
        agent: String,
        /// All its fields as one JSON object.
        document: Raw,
    },
    /// Takes an enrolment back whose answer could not be given: key invalidated, document (if it was new) deleted.
    UndoEnrollment {
        /// The agent's id.
        agent: String,
        /// The access key made for it.
        access_key: String,
        /// Whether the document was made by the enrolment.
        created: bool,
    },
    /// Changes fields of an agent document; `StoreError::NotFound` if there is none. `Answer::Done`.
    UpdateAgent {
        /// The agent's id.
        agent: String,
        /// What changes.
        patch: Patch,
    },
    /// A check-in's fields; `last_checkin` never goes back, but from where only a clock that was ahead can have put it. Where
    /// other servers write too, nothing at all if the stored `last_checkin` is newer than `at`: theirs was later. A store of
    /// our own has seen check-ins in their order, and a wall clock that was set back must not lose one. `Answer::Done`, also if
    /// there is no such agent.
    CheckIn {
        /// The agent's id.
        agent: String,
        /// When it checked in: written as `last_checkin` and `updated_at`.
        at: Timestamp,
        /// What else it said.
        patch: Patch,
    },
    /// What an agent said of its upgrade: as [`Operation::CheckIn`], and searches find it at once. `Answer::Done`.
    Upgrading {
        /// The agent's id.
        agent: String,
        /// When it said so.
        at: Timestamp,
        /// What it said.
        patch: Patch,
    },
    /// `last_checkin` and `updated_at` of agents that are parked and well, unless newer is stored. `Answer::Done`.
    Heartbeats {
        /// Ids of the agents.
        agents: Vec<String>,
        /// When.
        at: Timestamp,
    },
    /// Sets `policy_revision_idx` if the agent's policy is still `policy_id` and the stored revision is lower. `Answer::Done`.
    PolicyAcknowledged {
        /// The agent's id.
        agent: String,
        /// The policy acknowledged.
        policy_id: String,
        /// Its revision.
        revision_idx: i64,
        /// For `updated_at`.
        at: Timestamp,
    },
    /// Creates the result `ACTIONID:AGENTID`; that it exists is fine. `Answer::Done`.
    CreateResult(Box<ActionResult>),
    /// Makes API keys unusable; unknown ids are fine. `Answer::Done`.
    InvalidateKeys(Vec<String>),

    /// Values of secrets by their ids, those that there are: `Answer::Secrets`.
    Secrets(Vec<String>),
    /// Keeps a secret, in place of one of that id: `Answer::SecretId`.
    SetSecret(NewSecret),
    /// The keys of an agent for outputs, made or changed where they are not as they have to be: `Answer::OutputKeys`. Only
    /// for stores that make them ([`Lanes::key_making`]).
    OutputKeys(Box<KeysWanted>),
    /// The agent runs on its newest keys: roles that are no longer needed are dropped, keys that were replaced are
    /// invalidated, and their secrets deleted. `Answer::Done`, also if there is no such agent.
    CleanOutputKeys(String),
    /// Makes keys unusable, each in its cluster, and deletes the secrets that hold them; unknown ones are fine.
    /// `Answer::Done`.
    RetireKeys(Vec<RetiredKey>),
    /// Looks after outputs: whether the other clusters that agents send to can be reached, and which keys nobody got after
    /// all. Only for stores that make them. `Answer::Done`.
    MindOutputs {
        /// When.
        at: Timestamp,
        /// Outputs in other clusters that some policy has: others are not asked after any more.
        outputs: Vec<String>,
    },

    /// Brings documents of agents up to date that servers of old have written: only where others write too. Safe to repeat.
    /// `Answer::Done` once nothing is left.
    MigrateAgents {
        /// When.
        at: Timestamp,
    },

    /// Creates a revision; `StoreError::Conflict` if that policy has this revision_idx or a higher one. `Answer::Done`.
    CreateRevision(Box<Policy>),
    /// A given revision, or the newest for `None`: `Answer::Policy`.
    PolicyRevision {
        /// The policy's id.
        policy_id: String,
        /// Which one.
        revision_idx: Option<i64>,
    },
    /// Deletes all revisions of a policy and revokes its tokens. `Answer::Done`.
    DeletePolicy(String),
    /// Makes an enrollment token: `Answer::Token`.
    CreateToken {
        /// The policy agents get by it.
        policy_id: String,
        /// For people.
        name: String,
        /// When.
        at: Timestamp,
    },
    /// All enrollment tokens: `Answer::Tokens`.
    Tokens,
    /// Sets a token inactive and invalidates its key. `StoreError::NotFound` if there is none. `Answer::Done`.
    RevokeToken(String),
    /// Agents by id from `from` (exclusive) on, at most `limit`, without components: `Answer::Agents`.
    Agents {
        /// Only those on this policy.
        policy_id: Option<String>,
        /// Exclusive; empty for the first page.
        from: String,
        /// At most so many.
        limit: usize,
        /// Whether local_metadata is wanted, which may be large.
        with_metadata: bool,
    },
    /// Writes an action; the store gives it `document_id` and `seq_no`: `Answer::SeqNo`.
    CreateAction(Box<Action>),
    /// Newest actions first, at most `limit`, with their agents: `Answer::Actions`.
    Actions {
        /// At most so many.
        limit: usize,
    },
    /// All documents of an action, oldest first, with their agents; none if nothing is known of it: `Answer::Actions`.
    ActionDocuments(String),
    /// All results of an action: `Answer::Results`.
    ResultsOfAction(String),
    /// The body of an artifact, held against its hash: `Answer::ArtifactBody`.
    ArtifactBody(ArtifactId),
    /// Keeps an artifact, in place of one of that id. `Answer::Done`.
    PutArtifact(Box<NewArtifact>),
    /// All artifacts, without their bodies: `Answer::Artifacts`.
    Artifacts,
    /// Removes an artifact; `StoreError::NotFound` if there is none. `Answer::Done`.
    DeleteArtifact(ArtifactId),
    /// One file: `Answer::File`.
    FindFile(FileQuery),
    /// Several, newest first: `Answer::Files`.
    Files(FileList),
    /// A file begins. One of that key that is not READY is replaced, and its chunks are removed; `StoreError::Conflict` if it
    /// is READY. The next [`Operation::FindFile`] finds it. `Answer::Done`.
    BeginFile(Box<NewFile>),
    /// Keeps a chunk, in place of one of that number; `StoreError::NotFound` if the file takes no more chunks under this
    /// upload_id, as far as the store can tell. `Answer::Done`.
    PutChunk(Box<NewChunk>),
    /// What chunks of a file there are, by their numbers: `Answer::Chunks`.
    FileChunks {
        /// The file.
        file: FileKey,
        /// Whether their sizes are needed. A cluster has to read all of the file for them.
        with_sizes: bool,
    },
    /// The content of one: `Answer::Bytes`; `StoreError::NotFound` if it is not there, or another took its place since.
    ReadChunk {
        /// The file.
        file: FileKey,
        /// As it was listed.
        chunk: Box<Chunk>,
    },
    /// An open file is whole (READY), or never will be (any other status), and then its chunks are removed.
    /// `StoreError::NotFound` if it is not open under this upload_id. `Answer::Done`.
    EndFile {
        /// The file.
        file: FileKey,
        /// As its sender names it.
        upload_id: String,
        /// What becomes of it.
        status: FileStatus,
        /// SHA-256 over the hashes of its chunks, as its sender gave it.
        transit_sha256: Option<String>,
    },
    /// Removes a file with its chunks; that there is none is fine. `Answer::Done`.
    DeleteFile(FileKey),
    /// Removes what has outlived its time; ids of removed actions are remembered. `Answer::Removed`.
    Cleanup {
        /// The present.
        now: Timestamp,
        /// For how long agents have been able to check in, by a clock that made no step: nobody is silent for longer than that.
        serving: Duration,
    },
    /// Copies the whole store into a file that must not exist. `Answer::Done`.
    Backup(PathBuf),
}

/// Which file is wanted.
#[derive(Clone, Debug)]
pub enum FileQuery {
    /// The one that an agent sends under this upload_id; `StoreError::Failed` if there are several.
    Upload(String),
    /// One that an agent sent, by its id.
    Sent(String),
    /// One that is READY and meant for this agent.
    ForAgent {
        /// The file's id.
        id: String,
        /// The agent's.
        agent: String,
    },
    /// Any that goes to agents, by its key; for uploads of the operator.
    Key(FileKey),
}

/// Which files are wanted.
#[derive(Clone, Debug)]
pub enum FileList {
    /// Those that an agent sent.
    OfAgent(String),
    /// Those that go to agents, of libraries too.
    ToAgents,
}

/// The write of an enrolment (checkin.md, "POST enroll", steps 4 and 5).
#[derive(Clone, Debug)]
pub struct Enrollment {
    /// The new or replaced agent's id; also the key's name.
    pub agent: String,
    /// Create or replace.
    pub written: Written,
    /// Other agent documents to delete first (an earlier try of the same enrolment, an inactive namesake).
    pub delete_agents: Vec<String>,
    /// Access keys to invalidate.
    pub invalidate_keys: Vec<String>,
}

/// Which document an enrolment writes; the store adds `access_api_key_id`.
#[derive(Clone, Debug)]
pub enum Written {
    /// A new document: all its fields as one JSON object. `StoreError::Conflict` if one is there.
    New(Raw),
    /// Changes to the document of an active agent that is being replaced.
    Replacement(Patch),
}

/// What is queued and run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Single look-ups that an agent waits for.
    Read,
    /// Searches.
    Search,
    /// Writes that an agent waits for.
    Write,
    /// Those of them that the next search must find, in a store where that costs more.
    Refresh,
    /// Heartbeats, where they take long enough to keep others waiting.
    Beats,
    /// What operators ask for, and housekeeping: may take long.
    Operator,
    /// What such a store can do only one at a time, an agent waiting: several at once.
    Single,
    /// Keys of outputs and secrets, which take several requests each: who only wants to be recognised is not behind them.
    Keys,
    /// Bodies of artifacts, which may be large: nobody who only wants to check in is behind them.
    Artifacts,
    /// Files and their chunks, megabytes each: nobody else waits for them.
    Files,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Lane; 10] = [
        Lane::Read,
        Lane::Search,
        Lane::Write,
        Lane::Refresh,
        Lane::Beats,
        Lane::Operator,
        Lane::Single,
        Lane::Keys,
        Lane::Artifacts,
        Lane::Files,
    ];

    /// Whether what it runs is over soon, unless many ask for it at once.
    pub fn is_brief(self) -> bool {
        matches!(self, Lane::Read | Lane::Search | Lane::Write | Lane::Refresh | Lane::Single)
    }

    /// As metrics name its queue.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Read => "store_read",
            Lane::Search => "store_search",
            Lane::Write => "store_write",
            Lane::Refresh => "store_refresh",
            Lane::Beats => "store_beats",
            Lane::Operator => "store_operator",
            Lane::Single => "store_single",
            Lane::Keys => "store_keys",
            Lane::Artifacts => "store_artifacts",
            Lane::Files => "store_files",
        }
    }

    /// Its place in [`Lane::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Workers for files.
pub(super) const FILE_WORKERS: usize = 2;
/// A chunk goes alone: the other worker shall not wait for it.
pub(super) const FILES_PER_BATCH_MAX: usize = 1;

/// How a store takes operations: plain data, so that the core needs no store to plan by it.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// Which lane runs an operation.
    pub of: fn(&Operation) -> Lane,
    /// How many batches of each lane may run at once, in the order of [`Lane::ALL`]; each has a worker thread.
    pub workers: [usize; Lane::ALL.len()],
    /// Operations in one batch of each lane, at most.
    pub batch_max: [usize; Lane::ALL.len()],
    /// For which outputs it makes a key of each agent's own.
    pub key_making: KeyMaking,
}

impl Default for Lanes {
    /// One worker for each lane but [`Lane::Files`], which has two, and [`Lane::Refresh`], [`Lane::Beats`], [`Lane::Single`] and
    /// [`Lane::Keys`], which nothing uses.
    fn default() -> Self {
        let mut batch_max = [BATCH_OPERATIONS_MAX; Lane::ALL.len()];
        batch_max[Lane::Files.index()] = FILES_PER_BATCH_MAX;
        Lanes {
            of: Operation::lane,
            workers: [1, 1, 1, 0, 0, 1, 0, 0, 1, FILE_WORKERS],
            batch_max,
            key_making: KeyMaking::None,
        }
    }
}

impl Operation {
    /// The lane that runs this operation where nothing else is said.
    pub fn lane(&self) -> Lane {
        use Operation::*;
        match self {
            Authenticate(_) | AgentById(_) | AgentCheckingIn(_) => Lane::Read,
            AgentByEnrollmentId(_) | TokenByKey(_) => Lane::Read,
            AgentByAccessKey(_) | Secrets(_) => Lane::Read,
            ArtifactBody(_) => Lane::Artifacts,
            PendingActions { .. } | ActionById(_) | ActionSeqNo(_) | ActionsCheckpoint => Lane::Search,
            Enroll(_) | CreateAgent { .. } | UndoEnrollment { .. } | UpdateAgent { .. } => Lane::Write,
            CheckIn { .. } | Upgrading { .. } | Heartbeats { .. } => Lane::Write,
            PolicyAcknowledged { .. } | CreateResult(_) | InvalidateKeys(_) | SetSecret(_) => Lane::Write,
            OutputKeys(_) | CleanOutputKeys(_) | RetireKeys(_) | MindOutputs { .. } => Lane::Write,
            MigrateAgents { .. } => Lane::Write,
            // writes of operators keep their order with those of agents
            CreateRevision(_) | DeletePolicy(_) | CreateToken { .. } | RevokeToken(_) | CreateAction(_) => {
                Lane::Write
            }
            PutArtifact(_) | DeleteArtifact(_) => Lane::Write,
            LatestPolicies | PolicyRevision { .. } | Tokens | Agents { .. } | Actions { .. } => {
                Lane::Operator
            }
            FindFile(_) | Files(_) | BeginFile(_) | PutChunk(_) | FileChunks { .. } | ReadChunk { .. } => {
                Lane::Files
            }
            EndFile { .. } | DeleteFile(_) => Lane::Files,
            AgentWhole(_) | ActionDocuments(_) | ResultsOfAction(_) | Cleanup { .. } | Backup(_) => {
                Lane::Operator
            }
            Artifacts => Lane::Operator,
        }
    }

    /// Bytes that the operation holds, roughly: for the bound of a batch.
    pub fn bytes(&self) -> usize {
        use Operation::*;
        let payload = match self {
            UpdateAgent { patch, .. } | CheckIn { patch, .. } | Upgrading { patch, .. } => patch.bytes(),
            Heartbeats { agents, .. } => agents.len() * 40,
            Enroll(enrollment) => match &enrollment.written {
                Written::New(document) => document.get().len(),
                Written::Replacement(patch) => patch.bytes(),
            },
            CreateAgent { document, .. } => document.get().len(),
            CreateRevision(policy) => policy.data.get().len(),
            CreateAction(action) => action.agents.len() * 40,
            SetSecret(secret) => secret.value.expose().len(),
            PutArtifact(artifact) => artifact.body.len(),
            BeginFile(file) => file.document.get().len(),
            PutChunk(chunk) => chunk.data.0.len(),
            CreateResult(result) => result.action_response.as_ref().map_or(0, |raw| raw.get().len()),
            _ => 0,
        };
        payload + 200
    }
}
