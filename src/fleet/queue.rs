//! Seats to be served one after another at a pace.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::limits::Pace;
use crate::fleet::bucket::Bucket;
use crate::fleet::lot::SeatId;

/// A queue of seats; its bound is the number of seats, for each is in it at most once (the seat keeps a mark).
#[derive(Debug)]
pub struct ServingQueue {
    seats: VecDeque<SeatId>,
    pace: Bucket,
}

impl ServingQueue {
    /// An empty queue.
    pub fn new(pace: Pace) -> Self {
        ServingQueue { seats: VecDeque::new(), pace: Bucket::new(pace) }
    }

    /// Another pace, from the next seat on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace.set_limit(pace);
    }

    /// To its end.
    pub fn append(&mut self, seats: impl IntoIterator<Item = SeatId>) {
        self.seats.extend(seats);
    }

    /// To its front, the first of them first.
    pub fn prepend(&mut self, seats: Vec<SeatId>) {
        for seat in seats.into_iter().rev() {
            self.seats.push_front(seat);
        }
    }

    /// The next seat, if the pace allows one now.
    pub fn next_seat(&mut self, now: Duration) -> Option<SeatId> {
        if self.seats.is_empty() || !self.pace.take(now) {
            return None;
        }
        let seat = self.seats.pop_front();
        if self.seats.is_empty() {
            self.seats = VecDeque::new();
        }
        seat
    }

    /// Gives back the token of a seat that turned out to need none.
    pub fn refund(&mut self) {
        self.pace.refund();
    }

    /// When the next seat may be served; `None` if nobody waits.
    pub fn next_at(&self, now: Duration) -> Option<Duration> {
        (!self.seats.is_empty()).then(|| self.pace.next_at(now))
    }

    /// How many wait, those who left meanwhile included.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }
}
