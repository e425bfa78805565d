//! Who may begin a request while the store is busy. Clients that come all at once wait outside, their bytes in the kernel,
//! until those inside have got on: what a request holds while it waits for the store is held by a few hundred, not by all.
//! Nobody waits too long: while the store answers, those outside follow those inside; one that hangs, or takes too long for
//! all of them, lets more and more in, those sooner who cost little; and the operator and the supervising agent never wait.

use std::collections::VecDeque;
use std::time::Duration;

use crate::connection::{ConnectionId, Listener};

use super::connections::Stage;
use super::{Effect, Server};
use crate::http::Phase;

/// Store operations waiting or under way from which on further requests wait outside.
const OPERATIONS_BUSY: usize = 256;
/// A request of which no more than this lies in the kernel is light: a question for the status, an ack. The body of a
/// check-in is heavier, and held from when it is let in until it is stored.
const LIGHT_BYTES_MAX: usize = 1_024;
/// This far apart some are let in whatever the store does...
const LET_IN_EVERY: Duration = Duration::from_millis(20);
/// ...so many.
const LET_IN_AT_ONCE: usize = 64;

/// What a request costs while it waits inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Light,
    Heavy,
}

impl Weight {
    const ALL: [Weight; 2] = [Weight::Light, Weight::Heavy];

    fn of(unread_bytes: usize) -> Weight {
        if unread_bytes <= LIGHT_BYTES_MAX { Weight::Light } else { Weight::Heavy }
    }

    /// A store that has answered nothing for so long (it hangs, or those inside need it not) is waited for no longer: from
    /// then on some are let in again and again. A cluster that is busy answers more often than that; one that has just
    /// started takes seconds for its first answers.
    fn silence_max(self) -> Duration {
        match self {
            Weight::Light => Duration::from_millis(500),
            Weight::Heavy => Duration::from_secs(5),
        }
    }

    /// The same from then on when who came first has been outside for so long. Load balancers ask for the status every few
    /// seconds; an agent that checks in or enrols waits for minutes.
    fn outside_max(self) -> Duration {
        match self {
            Weight::Light => Duration::from_secs(5),
            Weight::Heavy => Duration::from_secs(60),
        }
    }
}

/// Connections whose next request is not read yet.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) busy_from: usize,
    /// Since when, and who, in the order in which they were noticed: by [`Weight`].
    outside: [VecDeque<(Duration, ConnectionId)>; Weight::ALL.len()],
    /// When the store last answered somebody, or the first began to wait.
    answered_at: Duration,
    /// When some may be let in again whatever the store does.
    paced_until: Duration,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            busy_from: OPERATIONS_BUSY,
            outside: Default::default(),
            answered_at: Duration::ZERO,
            paced_until: Duration::ZERO,
        }
    }
}

impl Gate {
    /// Connections that wait outside, with some that are gone by now.
    pub(super) fn waiting(&self) -> usize {
        self.outside.iter().map(VecDeque::len).sum()
    }

    fn since(&self, weight: Weight) -> Option<Duration> {
        self.outside[weight as usize].front().map(|(since, _)| *since)
    }

    /// When the first of this weight is let in whatever the store does.
    fn opens_at(&self, weight: Weight) -> Option<Duration> {
        let silent = self.answered_at + weight.silence_max();
        let waited = self.since(weight)? + weight.outside_max();
        Some(silent.min(waited).max(self.paced_until))
    }

    /// Who came first.
    fn pop_first(&mut self) -> Option<ConnectionId> {
        let weight =
            Weight::ALL.into_iter().min_by_key(|weight| self.since(*weight).unwrap_or(Duration::MAX))?;
        self.pop(weight)
    }

    fn pop(&mut self, weight: Weight) -> Option<ConnectionId> {
        let queue = &mut self.outside[weight as usize];
        let first = queue.pop_front();
        if queue.is_empty() {
            *queue = VecDeque::new();
        }
        first.map(|(_, id)| id)
    }
}

impl Server {
    /// Whether more bytes of this connection can be taken now. If not, [`Effect::Read`] tells when they can. `unread_bytes`:
    /// how many of its bytes lie in the kernel or with the caller; asked only where that makes a difference.
    pub fn wants_input(&mut self, id: ConnectionId, unread_bytes: impl FnOnce() -> usize) -> bool {
        if self.takes_input(id) {
            return true;
        }
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.wants_input())
        else {
            return false;
        };
        if !std::mem::replace(&mut connection.outside, true) {
            if self.gate.waiting() == 0 {
                self.gate.answered_at = self.now.mono;
            }
            let weight = Weight::of(unread_bytes());
            self.gate.outside[weight as usize].push_back((self.now.mono, id));
            self.forget_those_gone();
        }
        false
    }

    /// Clients that come and go leave no more in the queues than there are connections.
    fn forget_those_gone(&mut self) {
        if self.gate.waiting() > 2 * self.connections.len() {
            let connections = &self.connections;
            for queue in &mut self.gate.outside {
                queue.retain(|(_, id)| connections.get(*id).is_some());
            }
        }
    }

    /// The same, without a place in the queue where they cannot.
    pub fn takes_input(&self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get(id) else { return false };
        let begins = (connection.stage == Stage::Idle && connection.http.phase() == Phase::Idle)
            || connection.awaits_message();
        let gated = begins && !connection.let_in && connection.listener == Listener::External;
        let waits = gated && self.stopping.is_none() && (self.room() == 0 || self.gate.waiting() > 0);
        connection.wants_input() && !waits
    }

    /// From so many operations on further requests wait outside: for a simulation that has few.
    pub fn busy_from(mut self, operations: usize) -> Self {
        self.gate.busy_from = operations;
        self
    }

    fn room(&self) -> usize {
        self.gate.busy_from.saturating_sub(self.batcher.brief_operations())
    }

    /// Operations were answered: as many may come in, as far as there is room.
    pub(super) fn let_in_for(&mut self, answers: usize) {
        self.let_in(answers.min(self.room()), Gate::pop_first);
        self.gate.answered_at = self.now.mono;
    }

    /// Everybody may come in: the server stops. Whether anybody was outside.
    pub(super) fn let_all_in(&mut self) -> bool {
        let waited = self.gate.waiting() > 0;
        self.let_in(usize::MAX, Gate::pop_first);
        waited
    }

    /// The store has nothing to do: nobody needs to wait.
    pub(super) fn let_in_at_rest(&mut self) {
        if self.batcher.brief_operations() == 0 && self.gate.waiting() > 0 {
            self.let_in(LET_IN_AT_ONCE, Gate::pop_first);
        }
    }

    /// Lets some in whose time has come.
    pub(super) fn let_in_late(&mut self) {
        let now = self.now.mono;
        let due = Weight::ALL.map(|weight| self.gate.opens_at(weight).is_some_and(|at| at <= now));
        for weight in Weight::ALL.into_iter().filter(|weight| due[*weight as usize]) {
            self.let_in(LET_IN_AT_ONCE, |gate| gate.pop(weight));
            self.gate.paced_until = now + LET_IN_EVERY;
        }
    }

    /// When [`Server::let_in_late`] is due.
    pub(super) fn gate_opens_at(&self) -> Option<Duration> {
        Weight::ALL.into_iter().filter_map(|weight| self.gate.opens_at(weight)).min()
    }

    fn let_in(&mut self, most: usize, next: impl Fn(&mut Gate) -> Option<ConnectionId>) {
        let mut left = most;
        while left > 0
            && let Some(id) = next(&mut self.gate)
        {
            // one that is gone by now has given up its place
            let Some(connection) = self.connections.get_mut(id) else { continue };
            left -= 1;
            connection.outside = false;
            connection.let_in = true;
            let timeouts = &self.config.server.timeouts;
            let time = if connection.reads_head { timeouts.read_header } else { timeouts.idle };
            let is_socket = connection.socket.is_some();
            self.effects.push_back(Effect::Read(id));
            if !is_socket {
                self.set_deadline(id, self.end_of(time));
            }
        }
    }
}
