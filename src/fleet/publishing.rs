//! What a revision means for the agents that are here: they are queued to get it, or to hear that they cannot.

use std::sync::Arc;

use super::Fleet;
use super::render::Revision;

impl Fleet {
    /// A new revision is there to be delivered: whoever waits for one is queued, in order of arrival.
    pub fn publish(&mut self, revision: Arc<Revision>) {
        /// Its agents are served before others (checkin.md, "Policy delivery").
        const FIRST_SERVED: &str = "policy-elastic-agent-on-cloud";
        let (policy_id, revision_idx) = (revision.policy_id.clone(), revision.revision_idx);
        let first = self.policies.newest(&policy_id).is_none();
        let offers = revision.offer.is_some();
        if !self.policies.publish(revision) {
            return;
        }
        if offers {
            self.collectors.offer(&policy_id);
        }
        if first {
            // who came before any revision was known and reports a newer one has none that there is
            self.lot.forget_revisions_above(&policy_id, revision_idx);
        }
        let seats = self.lot.mark_policy(&policy_id, revision_idx);
        if &*policy_id == FIRST_SERVED {
            self.rollout.prepend(seats);
        } else {
            self.rollout.append(seats);
        }
    }

    /// A revision cannot be delivered. Where its policy has no other, agents that have none to run on are told; the others
    /// run on what they have.
    pub fn cannot_deliver(&mut self, policy_id: &str, revision_idx: i64) {
        if !self.policies.fail(policy_id, revision_idx) {
            return;
        }
        if let Some(below) = self.policies.answers_below(policy_id) {
            let seats = self.lot.mark_policy(&self.policies.shared_id(policy_id), below);
            self.rollout.append(seats);
        }
    }
}
