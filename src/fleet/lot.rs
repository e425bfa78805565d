//! The parking lot: a seat for each agent that checks in, from before its pending actions are searched until it is answered.
//!
//! A seat is claimed first, so that what happens between search and parking is kept in it and never missed. Ids carry
//! generations, so that a check-in that leaves late cannot take its successor's seat.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Hashing;
use crate::connection::ConnectionId;
use crate::model::Action;
use crate::slots::{SlotId, Slots};

/// Names a seat.
pub type SeatId = SlotId;

/// Actions kept in one seat until it is served; what is beyond is found by the search of the next check-in.
pub const ACTIONS_PER_SEAT_MAX: usize = 100;

/// One agent's place.
#[derive(Debug)]
pub struct Seat {
    /// The agent.
    pub agent: Arc<str>,
    /// The policy it is on.
    pub policy_id: Arc<str>,
    /// The revision it has; newer ones are for it.
    pub revision_idx: i64,
    /// `_seq_no` of the last action it has; later ones are for it.
    pub seq_no: i64,
    /// Order of arrival.
    arrival: u64,
    /// What has come for it.
    due: Vec<Arc<Action>>,
    /// Whether a newer revision waits for it (in the rollout's queue).
    policy_due: bool,
    /// Set once the handler has nothing for it at once.
    parked: Option<Parked>,
}

/// What is needed to answer a parked agent.
#[derive(Clone, Copy, Debug)]
pub struct Parked {
    /// Its connection.
    pub connection: ConnectionId,
    /// When the poll ends with an empty answer ([`crate::time::Now::mono`]).
    pub ends_at: Duration,
    /// Accept-Encoding allows gzip.
    pub gzip: bool,
    /// It was here before something came for it.
    pub rests: bool,
}

/// All seats.
#[derive(Debug)]
pub struct Lot {
    seats: Slots<Seat>,
    by_agent: HashMap<Arc<str>, SeatId, Hashing>,
    /// The seats of each policy in order of arrival.
    by_policy: BTreeMap<Arc<str>, BTreeMap<u64, SeatId>>,
    arrivals: u64,
    parked: usize,
}

impl Lot {
    /// Nobody is here; `hashing` is for ids of agents.
    pub fn new(hashing: &Hashing) -> Self {
        Lot {
            seats: Slots::default(),
            by_agent: HashMap::with_hasher(hashing.clone()),
            by_policy: BTreeMap::new(),
            arrivals: 0,
            parked: 0,
        }
    }

    /// Claims the agent's seat. The parked connection of an older check-in of the same agent is returned: it is to be
    /// answered, empty, at once.
    pub fn claim(
        &mut self,
        agent: &str,
        policy_id: &Arc<str>,
        revision_idx: i64,
        seq_no: i64,
    ) -> (SeatId, Option<Parked>) {
        let older = self
            .by_agent
            .get(agent)
            .copied()
            .and_then(|older| self.leave(older))
            .and_then(|seat| seat.parked);
        self.arrivals += 1;
        let agent: Arc<str> = Arc::from(agent);
        let seat = Seat {
            agent: agent.clone(),
            policy_id: policy_id.clone(),
            revision_idx,
            seq_no,
            arrival: self.arrivals,
            due: Vec::new(),
            policy_due: false,
            parked: None,
        };
        let id = self.seats.insert(seat);
        self.by_agent.insert(agent, id);
        self.by_policy.entry(policy_id.clone()).or_default().insert(self.arrivals, id);
        (id, older)
    }

    /// The agent waits from now on. False if the seat is gone (a newer check-in took it): answer empty at once.
    pub fn park(&mut self, id: SeatId, parked: Parked) -> bool {
        let Some(seat) = self.seats.get_mut(id) else { return false };
        if seat.parked.replace(parked).is_none() {
            self.parked += 1;
        }
        true
    }

    /// Gives the seat back, with all that was in it.
    pub fn leave(&mut self, id: SeatId) -> Option<Seat> {
        let seat = self.seats.remove(id)?;
        self.by_agent.remove(&seat.agent);
        if let Some(seats) = self.by_policy.get_mut(&seat.policy_id) {
            seats.remove(&seat.arrival);
            if seats.is_empty() {
                self.by_policy.remove(&seat.policy_id);
            }
        }
        if seat.parked.is_some() {
            self.parked -= 1;
        }
        Some(seat)
    }

    /// The seat, while it is held.
    pub fn get(&self, id: SeatId) -> Option<&Seat> {
        self.seats.get(id)
    }

    /// The agent's seat.
    pub fn seat_of(&self, agent: &str) -> Option<SeatId> {
        self.by_agent.get(agent).copied()
    }

    /// Puts an action into the agent's seat. Returns the seat if it is parked and has to be served from now on.
    pub fn put_action(&mut self, agent: &str, action: &Arc<Action>) -> Option<SeatId> {
        let id = self.by_agent.get(agent).copied()?;
        let seat = self.seats.get_mut(id)?;
        let is_due = |due: &Arc<Action>| due.document_id == action.document_id && due.seq_no == action.seq_no;
        let known = action.seq_no <= seat.seq_no || seat.due.iter().any(is_due);
        if known || seat.due.len() >= ACTIONS_PER_SEAT_MAX {
            return None;
        }
        seat.due.push(action.clone());
        (seat.parked.is_some() && seat.due.len() == 1).then_some(id)
    }

    /// Whatever actions the agents have, they are none of those that come from now on.
    pub fn forget_seq_nos(&mut self) {
        self.seats.values_mut().for_each(|seat| seat.seq_no = -1);
    }

    /// Marks the seats of a policy that have an older revision, in order of arrival; those not marked before are returned.
    pub fn mark_policy(&mut self, policy_id: &Arc<str>, revision_idx: i64) -> Vec<SeatId> {
        let ids: Vec<SeatId> =
            self.by_policy.get(policy_id).into_iter().flat_map(BTreeMap::values).copied().collect();
        ids.into_iter().filter(|id| self.mark_seat(*id, revision_idx)).collect()
    }

    /// Seats of a policy that report a revision above `newest_idx` count as having none.
    pub fn forget_revisions_above(&mut self, policy_id: &Arc<str>, newest_idx: i64) {
        for id in self.by_policy.get(policy_id).into_iter().flat_map(BTreeMap::values) {
            if let Some(seat) = self.seats.get_mut(*id).filter(|seat| seat.revision_idx > newest_idx) {
                seat.revision_idx = 0;
            }
        }
    }

    /// Marks a seat that has an older revision; true if it was not marked before.
    pub fn mark_seat(&mut self, id: SeatId, revision_idx: i64) -> bool {
        let Some(seat) = self.seats.get_mut(id) else { return false };
        let fresh = seat.revision_idx < revision_idx && !seat.policy_due;
        seat.policy_due |= fresh;
        fresh
    }

    /// The seats of a policy, parked or not.
    pub fn seats_of(&self, policy_id: &str) -> impl Iterator<Item = &Seat> {
        let ids = self.by_policy.get(policy_id).into_iter().flat_map(BTreeMap::values);
        ids.filter_map(|id| self.seats.get(*id))
    }

    /// How many seats are held, parked or not.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Nothing was there for it when it came: from now on it rests.
    pub fn rest(&mut self, id: SeatId) {
        if let Some(parked) = self.seats.get_mut(id).and_then(|seat| seat.parked.as_mut()) {
            parked.rests = true;
        }
    }

    /// Whether nobody is here.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// How many agents are parked.
    pub fn parked(&self) -> usize {
        self.parked
    }

    /// Ids of the seats that are parked, in the order of the slots.
    pub fn parked_seats(&self) -> Vec<SeatId> {
        self.seats.iter().filter(|(_, seat)| seat.parked.is_some()).map(|(id, _)| id).collect()
    }
}

impl Seat {
    /// The waiting connection, once parked.
    pub fn parked(&self) -> Option<&Parked> {
        self.parked.as_ref()
    }

    /// Actions that have come for it, by `_seq_no`.
    pub fn actions(&self) -> &[Arc<Action>] {
        &self.due
    }

    /// Whether it stands in the rollout's queue.
    pub fn is_marked(&self) -> bool {
        self.policy_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(index: u32) -> Parked {
        Parked {
            connection: ConnectionId { index, generation: 1 },
            ends_at: Duration::from_secs(300),
            gzip: true,
            rests: false,
        }
    }

    fn action(seq_no: i64) -> Arc<Action> {
        Arc::new(Action { seq_no, ..Action::default() })
    }

    fn policy() -> Arc<str> {
        Arc::from("p")
    }

    #[test]
    fn a_newer_check_in_takes_the_seat_and_the_older_one_cannot_take_it_back() {
        let mut lot = Lot::new(&Hashing::default());
        let (first, _) = lot.claim("a", &policy(), 1, -1);
        assert!(lot.park(first, parked(1)));
        let (second, older) = lot.claim("a", &policy(), 1, -1);
        assert_eq!(older.unwrap().connection.index, 1);
        assert!(lot.leave(first).is_none());
        assert!(lot.park(second, parked(2)));
        assert_eq!(lot.put_action("a", &action(2)), Some(second));
        assert_eq!(lot.put_action("a", &action(3)), None, "it stands in the queue");
        assert_eq!((lot.len(), lot.parked()), (1, 1));
    }

    #[test]
    fn an_action_between_search_and_parking_is_kept() {
        let mut lot = Lot::new(&Hashing::default());
        let (seat, _) = lot.claim("a", &policy(), 1, 5);
        assert_eq!(lot.put_action("a", &action(5)), None, "it has this one");
        assert_eq!(lot.put_action("a", &action(6)), None, "not parked yet");
        assert!(lot.park(seat, parked(1)));
        assert!(!lot.get(seat).unwrap().actions().is_empty());
        assert_eq!(lot.leave(seat).unwrap().due.len(), 1);
    }

    #[test]
    fn a_revision_concerns_only_those_who_have_an_older_one_in_order_of_arrival() {
        let mut lot = Lot::new(&Hashing::default());
        let (late, _) = lot.claim("z", &policy(), 1, -1);
        let (early, _) = lot.claim("a", &policy(), 1, -1);
        lot.claim("b", &policy(), 2, -1);
        lot.claim("c", &Arc::from("q"), 1, -1);
        assert_eq!(lot.mark_policy(&policy(), 2), [late, early]);
        assert_eq!(lot.mark_policy(&policy(), 3).len(), 1, "only b is new in the queue");
    }

    #[test]
    fn a_seat_holds_a_bounded_number_of_actions() {
        let mut lot = Lot::new(&Hashing::default());
        let (seat, _) = lot.claim("a", &policy(), 1, -1);
        for seq_no in 0..1_000 {
            lot.put_action("a", &action(seq_no));
        }
        assert_eq!(lot.leave(seat).unwrap().due.len(), ACTIONS_PER_SEAT_MAX);
    }

    #[test]
    fn a_seat_is_small() {
        assert!(size_of::<Seat>() <= 176, "{}", size_of::<Seat>());
    }
}
