//! The newest revision of each policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fleet::render::Revision;

/// What is known of policies. A revision is immutable and shared.
#[derive(Debug, Default)]
pub struct Policies {
    known: BTreeMap<Arc<str>, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The highest revision heard of, rendered or not.
    heard_idx: i64,
    /// The highest that can be delivered.
    revision: Option<Arc<Revision>>,
}

impl Policies {
    /// Whether this revision is newer than all heard of; then it is to be rendered.
    pub fn hear(&mut self, policy_id: &str, revision_idx: i64) -> bool {
        let known = self.known.entry(Arc::from(policy_id)).or_default();
        let newer = revision_idx > known.heard_idx;
        known.heard_idx = known.heard_idx.max(revision_idx);
        newer
    }

    /// Makes a rendered revision the one to deliver, unless a newer one is it already or the policy is gone.
    pub fn publish(&mut self, revision: Arc<Revision>) -> bool {
        let Some(known) = self.known.get_mut(&revision.policy_id) else { return false };
        if revision.revision_idx > known.heard_idx {
            // rendered for so long that its policy was deleted and made anew
            return false;
        }
        let newer =
            known.revision.as_ref().is_none_or(|current| current.revision_idx < revision.revision_idx);
        if newer {
            known.revision = Some(revision);
        }
        newer
    }

    /// Forgets a deleted policy. Its agents stay parked.
    pub fn forget(&mut self, policy_id: &str) {
        self.known.remove(policy_id);
    }

    /// The revision to deliver.
    pub fn newest(&self, policy_id: &str) -> Option<&Arc<Revision>> {
        self.known.get(policy_id).and_then(|known| known.revision.as_ref())
    }

    /// Whether the policy exists.
    pub fn exists(&self, policy_id: &str) -> bool {
        self.known.contains_key(policy_id)
    }

    /// The policy's id as one shared text.
    pub fn shared_id(&self, policy_id: &str) -> Arc<str> {
        self.known.get_key_value(policy_id).map_or_else(|| Arc::from(policy_id), |(id, _)| id.clone())
    }

    /// The revisions that can be delivered.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Revision>> {
        self.known.values().filter_map(|known| known.revision.as_ref())
    }
}
