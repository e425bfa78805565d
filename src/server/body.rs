//! Request bodies: collected once the handler asks, inflated within a budget, bounded before and after.

use std::cell::Cell;
use std::rc::Rc;

use crate::connection::{BodyBounds, BodyError, ConnectionId};
use crate::http::BodyKind;
use crate::http::inflate::{Inflate, InflateError, Progress};
use crate::slots::SlotId;
use crate::task::Reply;

use super::connections::{Connection, Stage};
use super::{Effect, Server};

/// Bytes that one body may be inflated by in one turn, so that a bomb does not hold up the loop.
const INFLATED_BYTES_PER_TURN: usize = 256 * 1024;

/// Bytes of all bodies that are on their way, inflated ones counted inflated: beyond, the one that grows is refused with 429.
pub(super) const BODIES_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Memory taken for a body before its bytes are there, whatever the client announces.
const RESERVED_BYTES_MAX: usize = 16 * 1024;

/// What bodies on their way hold together, shared by them; each takes its part back when it is gone.
#[derive(Debug, Default)]
pub(super) struct BodyAccount(Cell<usize>);

impl BodyAccount {
    /// Bytes held at present.
    pub(super) fn bytes(&self) -> usize {
        self.0.get()
    }
}

/// One body's part of the account, from its first byte until its handler is done with it.
#[derive(Debug)]
pub(super) struct Share {
    account: Rc<BodyAccount>,
    bytes: usize,
}

impl Share {
    /// A part that holds nothing yet.
    pub(super) fn new(account: &Rc<BodyAccount>) -> Self {
        Share { account: Rc::clone(account), bytes: 0 }
    }

    /// Books that so many bytes are held now.
    pub(super) fn set(&mut self, bytes: usize) -> Result<(), BodyError> {
        let total = self.account.0.get() - self.bytes + bytes;
        self.account.0.set(total);
        self.bytes = bytes;
        if total > BODIES_BYTES_MAX { Err(BodyError::NoRoom) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.0.set(self.account.0.get() - self.bytes);
    }
}

/// A body on its way.
pub(super) struct Collector {
    share: Share,
    bytes: Vec<u8>,
    bounds: BodyBounds,
    /// Bytes on the wire so far.
    received_bytes: u64,
    inflate: Option<Box<Inflate>>,
    /// Received, and to be inflated in the next turns: at most one read buffer.
    behind: Vec<u8>,
    /// This turn's budget is spent; more may come out even if nothing more is put in.
    is_behind: bool,
    ended: bool,
}

impl Collector {
    pub(super) fn new(bounds: BodyBounds, gzip: bool, kind: BodyKind, account: Rc<BodyAccount>) -> Self {
        let inflate = bounds
            .inflated_bytes_max
            .filter(|_| gzip)
            .map(|bytes_max| Box::new(Inflate::new(usize::try_from(bytes_max).unwrap_or(usize::MAX))));
        let announced = match kind {
            BodyKind::Length(length) if inflate.is_none() => {
                usize::try_from(length).unwrap_or(usize::MAX).min(RESERVED_BYTES_MAX)
            }
            _ => 0,
        };
        Collector {
            share: Share { account, bytes: 0 },
            bytes: Vec::with_capacity(announced),
            bounds,
            received_bytes: 0,
            inflate,
            behind: Vec::new(),
            is_behind: false,
            ended: false,
        }
    }

    /// Bytes on the wire so far.
    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Whether more input has to wait for the next turn.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), BodyError> {
        self.received_bytes += piece.len() as u64;
        if self.received_bytes > self.bounds.bytes_max {
            return Err(BodyError::TooLarge);
        }
        if self.inflate.is_some() {
            self.behind.extend_from_slice(piece);
            return self.inflate_on();
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Inflates what is behind, as far as this turn's budget goes.
    fn inflate_on(&mut self) -> Result<(), BodyError> {
        let Some(inflate) = &mut self.inflate else { return Ok(()) };
        let behind = std::mem::take(&mut self.behind);
        let mut rest = behind.as_slice();
        let progress = inflate.push(&mut rest, &mut self.bytes, INFLATED_BYTES_PER_TURN)?;
        self.is_behind = progress == Progress::BudgetSpent;
        self.behind = rest.to_vec();
        Ok(())
    }

    /// Books what it holds by now.
    fn book(&mut self) -> Result<(), BodyError> {
        self.share.set(self.bytes.len() + self.behind.len())
    }

    fn finish(&mut self) -> Result<Vec<u8>, BodyError> {
        if let Some(inflate) = self.inflate.take() {
            inflate.finish()?;
        }
        Ok(std::mem::take(&mut self.bytes))
    }
}

impl From<InflateError> for BodyError {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::TooLarge => BodyError::TooLarge,
            InflateError::Corrupt | InflateError::Truncated => BodyError::Corrupt,
        }
    }
}

impl Server {
    /// The handler of this connection asks for its body. An answer that is clear at once is returned.
    pub(super) fn body_asked(&mut self, id: ConnectionId, bounds: BodyBounds) -> Option<Reply> {
        let Some(connection) = self.connections.get_mut(id) else {
            return Some(Reply::Body(Err(BodyError::Gone)));
        };
        let Some(exchange) = connection.exchange.as_mut() else {
            return Some(Reply::Body(Err(BodyError::Gone)));
        };
        if exchange.body_ended {
            return Some(Reply::Body(Ok(Vec::new())));
        }
        if Self::announces_more_than(exchange.body_kind, bounds.bytes_max) {
            return Some(Reply::Body(Err(BodyError::TooLarge)));
        }
        exchange.body =
            Some(Box::new(Collector::new(bounds, exchange.gzip, exchange.body_kind, self.bodies.clone())));
        connection.http.send_continue();
        self.effects.push_back(Effect::Write(id));
        // counted from here: that the store was slow before is not the client's doing
        self.set_deadline(id, self.end_of(self.config.server.timeouts.read));
        None
    }

    pub(super) fn body_piece(&mut self, id: ConnectionId, piece: &[u8]) {
        if let Some(route) = self.route_of(id) {
            self.fleet_mut().counters.route(route).body_in_bytes += piece.len() as u64;
        }
        self.on_body(id, |collector| collector.push(piece));
    }

    pub(super) fn body_ended(&mut self, id: ConnectionId) {
        let Some(exchange) = self.connections.get_mut(id).and_then(|connection| connection.exchange.as_mut())
        else {
            return;
        };
        match &mut exchange.body {
            None => exchange.body_ended = true,
            Some(collector) => {
                collector.ended = true;
                self.on_body(id, |_| Ok(()));
            }
        }
    }

    /// Goes on inflating the bodies that are behind.
    pub(super) fn inflate_on(&mut self) {
        for id in std::mem::take(&mut self.inflating) {
            self.on_body(id, Collector::inflate_on);
            self.pump(id);
            self.miss_body(id);
            if self.connections.get(id).is_some_and(Connection::wants_input) {
                self.effects.push_back(Effect::Read(id));
            }
        }
    }

    /// Does something to the body under way and tells its handler if that was the end of it.
    fn on_body(&mut self, id: ConnectionId, change: impl FnOnce(&mut Collector) -> Result<(), BodyError>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Stage::Working(task) = connection.stage else { return };
        let Some(exchange) = connection.exchange.as_mut() else { return };
        let Some(collector) = exchange.body.as_mut() else { return };
        let result = match change(collector).and_then(|()| collector.book()) {
            Ok(()) if collector.is_behind() => {
                self.inflating.push_back(id);
                return;
            }
            Ok(()) if !collector.ended => return,
            Ok(()) => collector.finish(),
            Err(error) => Err(error),
        };
        exchange.body_ended = result.is_ok();
        // what it holds counts until the handler is done with it
        let share = exchange.body.take().map(|collector| collector.share);
        if let Some(task) = self.tasks.get_mut(task) {
            task.body = share;
        }
        self.set_deadline(id, crate::time::NEVER);
        self.resume(task, Reply::Body(result));
    }

    /// A handler that waits for its body gets none.
    pub(super) fn body_failed(&mut self, task: SlotId, error: BodyError) {
        if self.tasks.get(task).is_some_and(|task| task.awaits_body()) {
            self.resume(task, Reply::Body(Err(error)));
        }
    }
}
