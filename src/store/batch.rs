//! Group commit: operations wait in a lane while its workers are busy and go together when one is idle. Sans-IO; the core owns it.

use std::collections::{BTreeMap, VecDeque};

use super::{Lane, Lanes, Operation, StoreError};
use crate::time::Timestamp;

/// Operations in one batch.
pub const BATCH_OPERATIONS_MAX: usize = 2_048;
/// Bytes in one batch, roughly; a single larger operation goes alone.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Operations that may wait in one lane; beyond, they are refused as [`StoreError::Busy`].
pub const LANE_OPERATIONS_MAX: usize = 65_536;

/// Lanes of waiting operations. `T` says whose each is.
#[derive(Debug)]
pub struct Batcher<T> {
    lane_of: fn(&Operation) -> Lane,
    lanes: BTreeMap<Lane, LaneState<T>>,
    under_way: BTreeMap<u64, (Lane, Vec<T>)>,
    last_batch: u64,
    operations: usize,
    /// Of those the ones of lanes in which nobody waits for long.
    brief_operations: usize,
    operations_max: usize,
}

#[derive(Debug)]
struct LaneState<T> {
    waiting: VecDeque<(T, Operation)>,
    idle_workers: usize,
    batch_max: usize,
}

/// A batch to be run.
#[derive(Debug)]
pub struct Batch {
    /// Where.
    pub lane: Lane,
    /// Under this id.
    pub id: u64,
    /// What.
    pub operations: Vec<Operation>,
}

impl<T> Batcher<T> {
    /// Empty lanes as the store has them.
    pub fn new(plan: Lanes) -> Self {
        let lane = |lane: Lane| {
            let idle_workers = plan.workers[lane.index()];
            (
                lane,
                LaneState { waiting: VecDeque::new(), idle_workers, batch_max: plan.batch_max[lane.index()] },
            )
        };
        Batcher {
            lane_of: plan.of,
            lanes: Lane::ALL.into_iter().map(lane).collect(),
            under_way: BTreeMap::new(),
            last_batch: 0,
            operations: 0,
            brief_operations: 0,
            operations_max: usize::MAX,
        }
    }

    /// At most so many operations wait or are under way, in all lanes, beside the bound of each.
    pub fn bounded(self, operations_max: usize) -> Self {
        Batcher { operations_max, ..self }
    }

    /// From now on at most so many operations wait or are under way.
    pub fn bind(&mut self, operations_max: usize) {
        self.operations_max = operations_max;
    }

    /// Puts an operation at the end of its lane.
    pub fn put(&mut self, whose: T, operation: Operation) -> Result<(), StoreError> {
        let is_full = self.operations >= self.operations_max;
        let name = (self.lane_of)(&operation);
        let lane = self.lane(name);
        if is_full || lane.waiting.len() >= LANE_OPERATIONS_MAX {
            return Err(StoreError::Busy);
        }
        lane.waiting.push_back((whose, operation));
        self.operations += 1;
        self.brief_operations += usize::from(name.is_brief());
        Ok(())
    }

    /// The next batch for an idle worker. Ask once all of a turn's operations are in.
    pub fn next_batch(&mut self) -> Option<Batch> {
        let (lane, state) =
            self.lanes.iter_mut().find(|(_, state)| state.idle_workers > 0 && !state.waiting.is_empty())?;
        let (owners, operations) = state.take_batch();
        state.idle_workers -= 1;
        self.last_batch += 1;
        self.under_way.insert(self.last_batch, (*lane, owners));
        Some(Batch { lane: *lane, id: self.last_batch, operations })
    }

    /// A batch is done: whose its operations were, in their order.
    pub fn done(&mut self, batch: u64) -> Vec<T> {
        let Some((lane, owners)) = self.under_way.remove(&batch) else { return Vec::new() };
        self.lane(lane).idle_workers += 1;
        self.operations -= owners.len();
        self.brief_operations -= if lane.is_brief() { owners.len() } else { 0 };
        owners
    }

    /// Whether a write is about to go that heartbeats may ride along with.
    pub fn heartbeats_may_ride(&self) -> bool {
        let beats = Operation::Heartbeats { agents: Vec::new(), at: Timestamp(0) };
        (self.lane_of)(&beats) == Lane::Write && self.waiting(Lane::Write) > 0
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.lanes.values().all(|lane| lane.waiting.is_empty())
    }

    /// How many operations wait or are under way, in all lanes.
    pub fn operations(&self) -> usize {
        self.operations
    }

    /// How many operations wait or are under way of which those who wait for them hold most: check-ins and the like. What
    /// takes long by its nature (keys of outputs, files, lists) says nothing of how the store keeps up.
    pub fn brief_operations(&self) -> usize {
        self.brief_operations
    }

    /// How many operations wait in a lane.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.lanes.get(&lane).map_or(0, |lane| lane.waiting.len())
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneState<T> {
        self.lanes.get_mut(&lane).expect("every lane is made at the start")
    }
}

impl<T> LaneState<T> {
    /// What the next idle worker takes: its share, if several are idle.
    fn take_batch(&mut self) -> (Vec<T>, Vec<Operation>) {
        let share = self.waiting.len().div_ceil(self.idle_workers.max(1)).min(self.batch_max).max(1);
        let (mut owners, mut operations, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some((_, operation)) = self.waiting.front() {
            bytes += operation.bytes();
            if !operations.is_empty() && (operations.len() >= share || bytes > BATCH_BYTES_MAX) {
                break;
            }
            let (owner, operation) = self.waiting.pop_front().expect("the front was just seen");
            owners.push(owner);
            operations.push(operation);
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        (owners, operations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(id: usize) -> Operation {
        Operation::AgentById(id.to_string())
    }

    #[test]
    fn what_comes_while_the_worker_is_busy_goes_together() {
        let mut batcher = Batcher::new(Lanes::default());
        batcher.put(0, read(0)).unwrap();
        let first = batcher.next_batch().unwrap();
        for n in 1..=10 {
            batcher.put(n, read(n)).unwrap();
        }
        assert!(batcher.next_batch().is_none(), "the only worker is busy");
        assert_eq!(batcher.done(first.id), [0]);
        let second = batcher.next_batch().unwrap();
        assert_eq!(second.operations.len(), 10);
        assert_eq!(batcher.done(second.id), (1..=10).collect::<Vec<_>>());
        assert!(batcher.is_idle());
    }

    #[test]
    fn lanes_do_not_wait_for_each_other() {
        let mut batcher = Batcher::new(Lanes::default());
        batcher.put(0, read(0)).unwrap();
        batcher.put(1, Operation::InvalidateKeys(vec![])).unwrap();
        let lanes: Vec<Lane> = std::iter::from_fn(|| batcher.next_batch()).map(|batch| batch.lane).collect();
        assert_eq!(lanes, [Lane::Read, Lane::Write]);
    }

    #[test]
    fn a_batch_is_bounded_by_operations_and_by_bytes() {
        let mut batcher = Batcher::new(Lanes::default());
        for n in 0..BATCH_OPERATIONS_MAX + 1 {
            batcher.put(n, read(n)).unwrap();
        }
        assert_eq!(
            batcher.next_batch().unwrap().operations.len(),
            BATCH_OPERATIONS_MAX.min(BATCH_BYTES_MAX / 200)
        );
    }

    #[test]
    fn heartbeats_ride_only_where_they_go_with_the_writes() {
        let may_ride = |plan: Lanes| {
            let mut batcher = Batcher::new(plan);
            assert!(!batcher.heartbeats_may_ride());
            batcher.put(0, Operation::InvalidateKeys(vec![])).unwrap();
            batcher.heartbeats_may_ride()
        };
        assert!(may_ride(Lanes::default()));
        let apart = |operation: &Operation| match operation {
            Operation::Heartbeats { .. } => Lane::Beats,
            other => other.lane(),
        };
        assert!(!may_ride(Lanes { of: apart, ..Lanes::default() }));
    }

    #[test]
    fn a_full_lane_refuses() {
        let mut batcher = Batcher::new(Lanes::default());
        for n in 0..LANE_OPERATIONS_MAX {
            batcher.put(n, read(n)).unwrap();
        }
        assert_eq!(batcher.put(0, read(0)), Err(StoreError::Busy));
        assert!(batcher.put(0, Operation::Tokens).is_ok());
    }

    #[test]
    fn no_more_wait_in_all_lanes_than_the_operator_says() {
        let mut batcher = Batcher::new(Lanes::default()).bounded(2);
        batcher.put(0, read(0)).unwrap();
        batcher.put(1, Operation::Tokens).unwrap();
        assert_eq!(batcher.put(2, read(2)), Err(StoreError::Busy));
        let batch = batcher.next_batch().unwrap();
        assert_eq!(batcher.put(2, read(2)), Err(StoreError::Busy), "it is under way");
        batcher.done(batch.id);
        assert!(batcher.put(2, read(2)).is_ok());
    }
}
