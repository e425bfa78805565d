//! What a store answers, and why it may not.

use std::sync::Arc;

use crate::model::{
    Action, ActionResult, Agent, ApiKey, ArtifactBody, ArtifactFacts, Chunk, EnrollmentToken, File, Policy,
    Secrets,
};

/// The answer to one operation.
pub type StoreResult = Result<Answer, StoreError>;

/// What came of an operation; which one belongs to which operation stands at [`super::Operation`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is done and durable.
    Done,
    /// The key is good.
    Authenticated {
        /// False for a key that exists but is disabled.
        enabled: bool,
    },
    /// The agent, or none.
    Agent(Option<Box<Agent>>),
    /// Agents by id.
    Agents(Vec<Agent>),
    /// A key just made.
    Key(ApiKey),
    /// The token, or none.
    Token(Option<Box<EnrollmentToken>>),
    /// Tokens, oldest first.
    Tokens(Vec<EnrollmentToken>),
    /// A revision, or none.
    Policy(Option<Arc<Policy>>),
    /// Revisions.
    Policies(Vec<Arc<Policy>>),
    /// What is known of an action.
    Action(ActionLookup),
    /// Actions.
    Actions(Vec<Arc<Action>>),
    /// A document's `_seq_no`, if there is such a document.
    SeqNo(Option<i64>),
    /// Results, oldest first.
    Results(Vec<ActionResult>),
    /// Secrets that there are.
    Secrets(Secrets),
    /// The id of a secret.
    SecretId(String),
    /// Keys in the order of the needs; none where another cluster did not give one.
    OutputKeys(Vec<Option<ApiKey>>),
    /// The artifact's body, or none.
    ArtifactBody(Option<ArtifactBody>),
    /// Artifacts, by identifier and hash.
    Artifacts(Vec<ArtifactFacts>),
    /// The file, or none.
    File(Option<Box<File>>),
    /// Files.
    Files(Vec<File>),
    /// Chunks by number.
    Chunks(Vec<Chunk>),
    /// Content, shared by all who asked for it at once.
    Bytes(Arc<[u8]>),
    /// How many documents were removed.
    Removed(usize),
}

/// What is known of an action id.
#[derive(Clone, Debug)]
pub enum ActionLookup {
    /// It is there.
    Found(Arc<Action>),
    /// It was there and outlived its time: an acknowledgement of it is fine.
    Gone,
    /// Nothing is known of it; it may still appear.
    Unknown,
}

/// Why an operation failed. Only [`StoreError::KeyRejected`] says that a key is bad.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store positively says that the key is not good.
    #[error("the key is not valid")]
    KeyRejected,
    /// The store limits authentication.
    #[error("exceeded the store's api key auth limit")]
    AuthenticationLimited,
    /// What was to be changed is not there.
    #[error("not found")]
    NotFound,
    /// What was to be created is there, or changed meanwhile.
    #[error("conflict")]
    Conflict,
    /// Too many operations wait.
    #[error("too many operations wait for the store")]
    Busy,
    /// The store answered an error.
    #[error("store fail {status}: {reason}")]
    Failed {
        /// HTTP status of an Elasticsearch, 500 elsewhere.
        status: u16,
        /// For people.
        reason: String,
    },
    /// The Elasticsearch cannot be reached, or what it answers is not understood.
    #[error("Elasticsearch is unavailable: {0}")]
    Unreachable(String),
    /// The store does not answer, or its disk is full or broken. It may be so for a while.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}
