//! A visit to a connection that the core knows: writes and reads until neither moves, or the visit's budget is spent.

use std::io::IoSlice;

use super::connection::Closing;
use super::core::{Core, Jobs};
use super::socket::Moved;
use super::turn::Turn;
use super::{CLOSE_TIME_MAX, LINGER_STEP_BYTES, LINGER_STEP_TIME_MAX, SLICES_MAX, VISIT_BYTES_MAX};
use crate::server::{ConnectionId, Event};

/// A record of TLS that may be a close_notify takes at most this (type, version, length, nonce, two bytes, tag).
const CLOSE_NOTIFY_BYTES_MAX: usize = 31;

impl<C: Core, J: Jobs> Turn<'_, C, J> {
    /// Visits an open connection.
    pub(super) fn visit(&mut self, id: ConnectionId) {
        let mut budget = VISIT_BYTES_MAX;
        loop {
            let moved = self.write(id).saturating_add(self.read(id, budget));
            match self.network.connections.get(id) {
                None => return,
                Some(connection) if connection.broken => return self.lose(id),
                Some(_) if moved == 0 => return self.rest(id),
                Some(_) => {}
            }
            budget = budget.saturating_sub(moved);
            if budget == 0 {
                return self.network.enqueue(id);
            }
        }
    }

    /// Writes something, if there is something and room for it. Returns the bytes moved.
    fn write(&mut self, id: ConnectionId) -> usize {
        let Some(connection) = self.network.connections.get(id) else { return 0 };
        if !connection.writable || !connection.has_output() {
            return 0;
        }
        if connection.session.is_some() { self.write_encrypted(id) } else { self.write_plain(id) }
    }

    /// Reads something, if the core can take it and there is something.
    fn read(&mut self, id: ConnectionId, budget: usize) -> usize {
        let Some(connection) = self.network.connections.get(id) else { return 0 };
        let may_read = connection.readable || connection.unsettled;
        if !may_read || connection.ended || connection.closing.is_some() {
            return 0;
        }
        if !self.core.wants_input(id, || connection.unread_bytes()) {
            return 0;
        }
        if connection.session.is_some() { self.read_encrypted(id) } else { self.read_plain(id, budget) }
    }

    fn write_plain(&mut self, id: ConnectionId) -> usize {
        let Some(connection) = self.network.connections.get_mut(id) else { return 0 };
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = self.core.output(id, &mut slices);
        let slices = &slices[..count.min(SLICES_MAX)];
        let length = slices.iter().map(|slice| slice.len()).sum();
        if length == 0 {
            connection.wants_write = false;
            return 0;
        }
        let moved = connection.socket.write_vectored(slices);
        let bytes = connection.wrote(moved, length);
        if bytes > 0 {
            self.tell(Event::Sent { connection: id, bytes });
        }
        bytes
    }

    fn read_plain(&mut self, id: ConnectionId, budget: usize) -> usize {
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return 0 };
        let most = network.buffers.read.len().min(budget.max(1));
        let buffer = &mut network.buffers.read[..most];
        match connection.read(buffer) {
            Moved::Bytes(bytes) => {
                self.core.handle(self.now, Event::Received { connection: id, bytes: &buffer[..bytes] });
                self.effects();
                bytes
            }
            Moved::End => self.end(id),
            Moved::WouldBlock | Moved::Broken => 0,
        }
    }

    /// Tells the core that the peer has ended its side. Counts as something moved: the core may have answered.
    pub(super) fn end(&mut self, id: ConnectionId) -> usize {
        let Some(connection) = self.network.connections.get_mut(id) else { return 0 };
        connection.ended = true;
        connection.readable = false;
        connection.unsettled = false;
        connection.tail = Box::default();
        self.tell(Event::Ended { connection: id });
        1
    }

    /// Nothing moves any more: is it time to close, or has the peer gone while nobody was reading?
    fn rest(&mut self, id: ConnectionId) {
        let Some(connection) = self.network.connections.get(id) else { return };
        match connection.closing {
            Some(closing) if !connection.wants_write && connection.blocked.is_empty() => {
                self.close(id, closing)
            }
            // the core has shown its last byte; what is left lies with us
            Some(_) if !connection.wants_write && connection.deadline_ms == 0 => {
                self.network.set_deadline(id, self.now.mono + CLOSE_TIME_MAX);
            }
            Some(_) => {}
            None if connection.hung_up && !connection.ended => self.notice_hang_up(id),
            None => {}
        }
    }

    fn close(&mut self, id: ConnectionId, closing: Closing) {
        self.say_goodbye(id);
        match closing {
            Closing::AtOnce => self.lose(id),
            Closing::Lingering => self.linger(id),
        }
    }

    /// The peer has ended its side while the core wants no input. If nothing lies before that end, it is told now.
    fn notice_hang_up(&mut self, id: ConnectionId) {
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        let goodbye_bytes = if connection.session.is_some() { CLOSE_NOTIFY_BYTES_MAX } else { 0 };
        let pending = match connection.socket.peek::<{ CLOSE_NOTIFY_BYTES_MAX + 1 }>() {
            Moved::End => 0,
            Moved::Bytes(bytes) => bytes,
            Moved::WouldBlock => return,
            Moved::Broken => return self.lose(id),
        };
        if !connection.unsettled && connection.tail.is_empty() && pending <= goodbye_bytes {
            self.end(id);
            self.network.enqueue(id);
        }
    }

    /// Visits a connection that lingers: drops what comes.
    pub(super) fn drop_input(&mut self, id: ConnectionId) {
        let (mut budget, mut goes_on) = (VISIT_BYTES_MAX, false);
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return };
        while connection.readable && budget > 0 {
            let left = connection.linger_bytes_left as usize;
            let most = left.min(budget).min(network.buffers.read.len());
            let bytes = match connection.read(&mut network.buffers.read[..most]) {
                Moved::Bytes(bytes) if bytes < left => bytes,
                Moved::WouldBlock => break,
                Moved::Bytes(_) | Moved::End | Moved::Broken => return self.lose(id),
            };
            let before = connection.linger_bytes_left;
            connection.linger_bytes_left -= u32::try_from(bytes).unwrap_or(before);
            goes_on |= before / LINGER_STEP_BYTES != connection.linger_bytes_left / LINGER_STEP_BYTES;
            budget -= bytes.min(budget);
        }
        let (broken, readable) = (connection.broken, connection.readable);
        if goes_on {
            self.network.set_deadline(id, self.now.mono + LINGER_STEP_TIME_MAX);
        }
        if broken {
            self.lose(id);
        } else if readable {
            self.network.enqueue(id);
        }
    }
}
