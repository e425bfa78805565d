//! What a revision needs so that its outputs can be delivered to an agent: an API key of the agent's own for each.

use std::fmt;
use std::sync::Arc;

use super::raw::Raw;
use crate::config::Secret;
use crate::time::Timestamp;

/// For which outputs a store makes a key of each agent's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyMaking {
    /// For none: outputs are told as they are written.
    #[default]
    None,
    /// For those in other clusters, which a service token leads to.
    Remote,
    /// For these, and for those in the cluster that is the store.
    All,
}

/// An output that each agent has a key of its own for.
#[derive(Clone)]
pub struct KeyNeed {
    /// Name of the output.
    pub output: String,
    /// Where the key lives.
    pub cluster: OutputCluster,
    /// The role descriptors that the key is to have, as in the policy.
    pub roles: Raw,
    /// What tells them from others (checkin.md, "Permissions hash").
    pub permissions_hash: String,
}

/// Where an output's keys live.
#[derive(Clone)]
pub enum OutputCluster {
    /// In the cluster that is the store.
    Own,
    /// In another one, told by the output's block, which holds a service token.
    Remote(Secret),
}

/// A wish for the keys of one agent.
#[derive(Clone, Debug)]
pub struct KeysWanted {
    /// The agent.
    pub agent: String,
    /// What its policy needs: all outputs with keys.
    pub needs: Arc<[KeyNeed]>,
    /// For `retired_at`.
    pub at: Timestamp,
}

impl KeysWanted {
    /// What tells this wish from another that is there at the same time: the agent, and the very needs of one revision.
    pub fn fingerprint(&self) -> String {
        format!("output keys {} {:p}", self.agent, Arc::as_ptr(&self.needs))
    }
}

impl fmt::Debug for KeyNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyNeed({} {})", self.output, self.permissions_hash)
    }
}
