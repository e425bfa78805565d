//! The newest revision of each policy, and the queue of seats that are to get one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::config::limits::Pace;
use crate::fleet::bucket::Bucket;
use crate::fleet::lot::SeatId;
use crate::fleet::render::Revision;

/// Policy whose agents are served before others (checkin.md, "Policy delivery").
const FIRST_SERVED: &str = "policy-elastic-agent-on-cloud";

/// What is known of policies. A revision is immutable and shared.
#[derive(Debug)]
pub struct Policies {
    known: BTreeMap<Arc<str>, Known>,
    queue: VecDeque<SeatId>,
    pace: Bucket,
}

#[derive(Debug, Default)]
struct Known {
    /// The highest revision heard of, rendered or not.
    heard_idx: i64,
    /// The highest that can be delivered.
    revision: Option<Arc<Revision>>,
    /// Seconds; 0 for never.
    unenroll_timeout_seconds: i64,
}

impl Policies {
    /// No policy; deliveries at the pace of `policy_limit`.
    pub fn new(pace: Pace) -> Self {
        Policies { known: BTreeMap::new(), queue: VecDeque::new(), pace: Bucket::new(pace) }
    }

    /// Whether this revision is newer than all heard of; then it is to be rendered.
    pub fn hear(&mut self, policy_id: &str, revision_idx: i64, unenroll_timeout_seconds: i64) -> bool {
        let known = self.known.entry(Arc::from(policy_id)).or_default();
        let newer = revision_idx > known.heard_idx;
        if newer {
            known.heard_idx = revision_idx;
            known.unenroll_timeout_seconds = unenroll_timeout_seconds;
        }
        newer
    }

    /// Makes a rendered revision the one to deliver, unless a newer one is it already.
    pub fn publish(&mut self, revision: Arc<Revision>) -> bool {
        let known = self.known.entry(revision.policy_id.clone()).or_default();
        let newer = known.revision.as_ref().is_none_or(|current| current.revision_idx < revision.revision_idx);
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

    /// Puts seats at the end of the queue, or at its front for the policy that goes first.
    pub fn enqueue(&mut self, policy_id: &str, seats: Vec<SeatId>) {
        if policy_id == FIRST_SERVED {
            for seat in seats.into_iter().rev() {
                self.queue.push_front(seat);
            }
        } else {
            self.queue.extend(seats);
        }
    }

    /// The next seat to serve, if the pace allows one now.
    pub fn next(&mut self, now: Duration) -> Option<SeatId> {
        if self.queue.is_empty() || !self.pace.take(now) {
            return None;
        }
        let seat = self.queue.pop_front();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        seat
    }

    /// Gives back the pace's token of a seat that turned out to be gone.
    pub fn refund(&mut self) {
        self.pace.refund();
    }

    /// When the next seat may be served; `None` if nobody waits.
    pub fn next_at(&self, now: Duration) -> Option<Duration> {
        (!self.queue.is_empty()).then(|| self.pace.next_at(now))
    }

    /// How many seats wait in the queue, those left meanwhile included.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The policies that can be delivered.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Revision>> {
        self.known.values().filter_map(|known| known.revision.as_ref())
    }
}
