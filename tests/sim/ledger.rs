//! What is true outside the core: policies and actions as operators made them, and which keys somebody may have.

use std::collections::BTreeSet;

use crate::request::Event;

/// The books.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) policies: Vec<PolicyFacts>,
    /// By `_seq_no`.
    pub(crate) actions: Vec<ActionFacts>,
    /// Policies deleted so far.
    pub(crate) deletions: u64,
    /// Ids of access keys that were written to a client, or may be lost by a fault of the store.
    known_keys: BTreeSet<String>,
    /// Ids that agents got.
    enrolled: BTreeSet<String>,
    markers: u64,
}

/// One policy.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFacts {
    pub(crate) id: String,
    /// The newest revision; none while it is deleted.
    pub(crate) newest: Option<RevisionFacts>,
    /// Its enrollment token.
    pub(crate) token: Option<String>,
    /// Counts the tokens that were revoked.
    pub(crate) round: u64,
    /// It was made anew with lower revisions than before.
    pub(crate) went_back: bool,
}

/// One revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RevisionFacts {
    pub(crate) revision_idx: i64,
    /// Higher for each revision written later, of any policy.
    pub(crate) marker: u64,
    /// Whether it can be delivered at all.
    pub(crate) sound: bool,
}

/// One action.
#[derive(Clone, Debug)]
pub(crate) struct ActionFacts {
    pub(crate) seq_no: i64,
    pub(crate) action_id: String,
    pub(crate) document_id: String,
    pub(crate) kind: String,
    pub(crate) agents: Vec<String>,
    /// It is of a type that is delivered, its data is sound, and it does not expire while the simulation runs.
    pub(crate) must_arrive: bool,
    /// Its data is sound.
    pub(crate) sound: bool,
}

impl ActionFacts {
    pub(crate) fn is_for(&self, agent: &str) -> bool {
        self.agents.iter().any(|own| own == agent)
    }

    /// Whether agents get such actions.
    pub(crate) fn is_delivered(&self) -> bool {
        self.sound && self.kind != "UPDATE_TAGS"
    }

    pub(crate) fn event(&self) -> Event {
        Event { action_id: self.action_id.clone(), policy: None, is_end: self.kind == "UNENROLL" }
    }
}

impl Ledger {
    pub(crate) fn next_marker(&mut self) -> u64 {
        self.markers += 1;
        self.markers
    }

    pub(crate) fn key_given(&mut self, key_id: &str) {
        self.known_keys.insert(key_id.to_owned());
    }

    pub(crate) fn may_be_known(&self, key_id: &str) -> bool {
        self.known_keys.contains(key_id)
    }

    pub(crate) fn enrolled(&mut self, agent: &str) {
        self.enrolled.insert(agent.to_owned());
    }

    pub(crate) fn action(&self, action_id: &str) -> Option<&ActionFacts> {
        self.actions.iter().find(|action| action.action_id == action_id)
    }

    pub(crate) fn seq_no_of_token(&self, token: &str) -> Option<i64> {
        self.actions.iter().find(|action| action.document_id == token).map(|action| action.seq_no)
    }

    pub(crate) fn policy(&self, id: &str) -> Option<&PolicyFacts> {
        self.policies.iter().find(|policy| policy.id == id)
    }
}
