//! Who may begin a request while the store is busy. Clients that come all at once wait outside, their bytes in the kernel,
//! until those inside have got on: what a request holds while it waits for the store is held by a few hundred, not by all.
//! Nobody waits long: while the store answers, those outside follow those inside; one that hangs, or takes too long for all of
//! them, lets more and more in; and the operator and the supervising agent never wait.

use std::collections::VecDeque;
use std::time::Duration;

use crate::connection::{ConnectionId, Listener};

use super::connections::Stage;
use super::{Effect, Server};
use crate::http::Phase;

/// Store operations waiting or under way from which on further requests wait outside.
const OPERATIONS_BUSY: usize = 256;
/// A store that has answered nothing for so long (it hangs, or those inside need it not) is waited for no longer: from then on
/// some are let in again and again. A cluster that is busy answers more often than that.
const SILENCE_MAX: Duration = Duration::from_millis(500);
/// The same from then on when who came first has been outside for so long.
const OUTSIDE_MAX: Duration = Duration::from_secs(5);
/// This far apart...
const LET_IN_EVERY: Duration = Duration::from_millis(20);
/// ...so many.
const LET_IN_AT_ONCE: usize = 64;

/// Connections whose next request is not read yet, in the order in which it was noticed.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) busy_from: usize,
    /// Since when, and who.
    outside: VecDeque<(Duration, ConnectionId)>,
    /// When the store has been silent for too long.
    opens_at: Duration,
    /// When some may be let in again because the store is.
    paced_until: Duration,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            busy_from: OPERATIONS_BUSY,
            outside: VecDeque::new(),
            opens_at: Duration::ZERO,
            paced_until: Duration::ZERO,
        }
    }
}

impl Gate {
    /// Connections that wait outside, with some that are gone by now.
    pub(super) fn waiting(&self) -> usize {
        self.outside.len()
    }
}

impl Server {
    /// Whether more bytes of this connection can be taken now. If not, [`Effect::Read`] tells when they can.
    pub fn wants_input(&mut self, id: ConnectionId) -> bool {
        if self.takes_input(id) {
            return true;
        }
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.wants_input())
        else {
            return false;
        };
        if !std::mem::replace(&mut connection.outside, true) {
            if self.gate.outside.is_empty() {
                self.gate.opens_at = self.now.mono + SILENCE_MAX;
            }
            self.gate.outside.push_back((self.now.mono, id));
            self.forget_those_gone();
        }
        false
    }

    /// Clients that come and go leave no more in the queue than there are connections.
    fn forget_those_gone(&mut self) {
        if self.gate.outside.len() > 2 * self.connections.len() {
            let connections = &self.connections;
            self.gate.outside.retain(|(_, id)| connections.get(*id).is_some());
        }
    }

    /// The same, without a place in the queue where they cannot.
    pub fn takes_input(&self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get(id) else { return false };
        let begins = (connection.stage == Stage::Idle && connection.http.phase() == Phase::Idle)
            || connection.awaits_message();
        let gated = begins && !connection.let_in && connection.listener == Listener::External;
        let waits = gated && self.stopping.is_none() && (self.room() == 0 || !self.gate.outside.is_empty());
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
        self.let_in(answers.min(self.room()));
        self.gate.opens_at = self.now.mono + SILENCE_MAX;
    }

    /// Everybody may come in: the server stops. Whether anybody was outside.
    pub(super) fn let_all_in(&mut self) -> bool {
        let waited = !self.gate.outside.is_empty();
        self.let_in(usize::MAX);
        waited
    }

    /// The store has nothing to do: nobody needs to wait.
    pub(super) fn let_in_at_rest(&mut self) {
        if self.batcher.brief_operations() == 0 && !self.gate.outside.is_empty() {
            self.let_in(LET_IN_AT_ONCE);
        }
    }

    /// Lets some in whose time has come.
    pub(super) fn let_in_late(&mut self) {
        if self.gate_opens_at().is_some_and(|at| at <= self.now.mono) {
            self.let_in(LET_IN_AT_ONCE);
            self.gate.paced_until = self.now.mono + LET_IN_EVERY;
        }
    }

    /// When [`Server::let_in_late`] is due.
    pub(super) fn gate_opens_at(&self) -> Option<Duration> {
        let (since, _) = self.gate.outside.front()?;
        Some(self.gate.opens_at.min(*since + OUTSIDE_MAX).max(self.gate.paced_until))
    }

    fn let_in(&mut self, most: usize) {
        let mut left = most;
        while left > 0
            && let Some((_, id)) = self.gate.outside.pop_front()
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
        if self.gate.outside.is_empty() {
            self.gate.outside = VecDeque::new();
        }
    }
}
