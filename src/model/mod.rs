//! The stored documents (elasticsearch.md) as Rust types, with tolerant readers: one malformed field
//! is logged and left at its default, it never makes the rest unreadable. No I/O, no rendering.

mod action;
mod agent;
mod artifact;
mod collector;
mod detail;
pub mod file;
mod key;
mod output;
mod patch;
mod policy;
pub mod raw;
pub mod secret;

pub use action::{Action, ActionResult, Signed};
pub use agent::{Agent, AgentInfo, AgentOutput, RetiredKey};
pub use artifact::{ArtifactBody, ArtifactFacts, ArtifactId, NewArtifact, SHA256_DIGITS, sha256_hex};
pub use collector::Collector;
pub use detail::{Detail, Fingerprint};
pub use file::{
    Bytes, CHUNK_BYTES, CHUNKS_MAX, Chunk, FILE_BYTES_MAX, File, FileArea, FileKey, FileStatus, NewChunk,
    NewFile, is_source,
};
pub use key::{ApiKey, EnrollmentToken, KeyRole};
pub use output::{KeyMaking, KeyNeed, KeysWanted, OutputCluster};
pub use patch::{Change, Patch};
pub use policy::Policy;
pub use secret::{NewSecret, Secrets};
