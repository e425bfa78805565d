//! The newest revision of each policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::fleet::render::Revision;
use crate::model::{KeyNeed, OutputCluster, Policy};

/// What is known of policies. A revision is immutable and shared.
#[derive(Debug, Default)]
pub struct Policies {
    known: BTreeMap<Arc<str>, Known>,
    /// Newest revisions that wait for their secrets: one a policy at most.
    late: BTreeMap<String, Late>,
}

/// A revision that could not be rendered yet.
#[derive(Debug)]
struct Late {
    policy: Arc<Policy>,
    /// How often that was so.
    tries: u32,
    /// When it is tried again; none while it is.
    due: Option<Duration>,
}

/// Before the second try; each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// No wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Known {
    /// The highest revision heard of, rendered or not.
    heard_idx: i64,
    /// The highest that can be delivered.
    revision: Option<Arc<Revision>>,
    /// There is none, and the highest heard of cannot be.
    fails: bool,
    /// Deliveries of its revisions.
    delivered: u64,
}

impl Policies {
    /// Whether this revision is newer than all heard of; then it is to be rendered.
    pub fn hear(&mut self, policy_id: &str, revision_idx: i64) -> bool {
        let known = self.known.entry(Arc::from(policy_id)).or_default();
        let newer = revision_idx > known.heard_idx;
        known.heard_idx = known.heard_idx.max(revision_idx);
        known.fails &= !newer;
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
            self.late.retain(|id, late| {
                **id != *revision.policy_id || late.policy.revision_idx > revision.revision_idx
            });
            known.revision = Some(revision);
            known.fails = false;
        }
        newer
    }

    /// A revision cannot be delivered, now or later; true if that leaves its policy with none that can be.
    pub fn fail(&mut self, policy_id: &str, revision_idx: i64) -> bool {
        let Some(known) = self.known.get_mut(policy_id) else { return false };
        known.fails = known.revision.is_none() && known.heard_idx == revision_idx;
        known.fails
    }

    /// Whether there is no revision of the policy that can be delivered, nor one on its way.
    pub fn fails(&self, policy_id: &str) -> bool {
        self.known.get(policy_id).is_some_and(|known| known.fails)
    }

    /// Agents on the policy whose revision is below this are to be answered; none while there is nothing to say.
    pub fn answers_below(&self, policy_id: &str) -> Option<i64> {
        match self.newest(policy_id) {
            Some(revision) => Some(revision.revision_idx),
            // who has any revision runs on that
            None => self.fails(policy_id).then_some(1),
        }
    }

    /// Forgets a deleted policy. Its agents stay parked.
    pub fn forget(&mut self, policy_id: &str) {
        self.known.remove(policy_id);
        self.late.remove(policy_id);
    }

    /// Keeps a revision that cannot be rendered now, unless a newer one was heard of.
    pub fn publish_later(&mut self, policy: Arc<Policy>, now: Duration) {
        let heard_idx = self.known.get(policy.policy_id.as_str()).map(|known| known.heard_idx);
        if heard_idx != Some(policy.revision_idx) {
            return;
        }
        let before = self.late.get(&policy.policy_id);
        let same = before.filter(|late| late.policy.revision_idx == policy.revision_idx);
        let tries = same.map_or(0, |late| late.tries) + 1;
        let wait = FIRST_WAIT.saturating_mul(1 << (tries - 1).min(10)).min(WAIT_MAX);
        self.late.insert(policy.policy_id.clone(), Late { policy, tries, due: Some(now + wait) });
    }

    /// Revisions that are to be tried again now; each is told once.
    pub fn take_late(&mut self, now: Duration) -> Vec<Arc<Policy>> {
        let due = self.late.values_mut().filter(|late| late.due.is_some_and(|due| due <= now));
        due.map(|late| {
            late.due = None;
            late.policy.clone()
        })
        .collect()
    }

    /// The revision to deliver.
    pub fn newest(&self, policy_id: &str) -> Option<&Arc<Revision>> {
        self.known.get(policy_id).and_then(|known| known.revision.as_ref())
    }

    /// A revision of the policy was given to an agent.
    pub fn count_delivery(&mut self, policy_id: &str) {
        if let Some(known) = self.known.get_mut(policy_id) {
            known.delivered += 1;
        }
    }

    /// How often a revision of the policy was given to an agent.
    pub fn delivered(&self, policy_id: &str) -> u64 {
        self.known.get(policy_id).map_or(0, |known| known.delivered)
    }

    /// The highest revision heard of, whether it can be delivered yet or not.
    pub fn heard(&self, policy_id: &str) -> Option<i64> {
        self.known.get(policy_id).map(|known| known.heard_idx)
    }

    /// Whether the policy exists.
    pub fn exists(&self, policy_id: &str) -> bool {
        self.known.contains_key(policy_id)
    }

    /// The policy's id as one shared text.
    pub fn shared_id(&self, policy_id: &str) -> Arc<str> {
        self.known.get_key_value(policy_id).map_or_else(|| Arc::from(policy_id), |(id, _)| id.clone())
    }

    /// Names of the outputs in other clusters, each once.
    pub fn far_outputs(&self) -> Vec<String> {
        let is_far = |need: &&KeyNeed| matches!(need.cluster, OutputCluster::Remote(_));
        let far = self.iter().flat_map(|revision| revision.needs.iter().filter(is_far));
        far.map(|need| need.output.clone()).collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// The revisions that can be delivered.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Revision>> {
        self.known.values().filter_map(|known| known.revision.as_ref())
    }
}
