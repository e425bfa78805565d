//! What is kept of a connection: its socket, its TLS state, and bytes only while a record is partial or the socket full.

use mio::event::Event as Readiness;

use super::socket::{Moved, Socket};
use super::tls::Session;
use crate::server::Listener;

/// A connection from accept to close. Small: there are ten thousands of them.
pub(super) struct Connection {
    pub(super) socket: Socket,
    /// None on plain connections and on those whose handshake has not begun.
    pub(super) session: Option<Box<Session>>,
    /// What rustls has not consumed: a partial record, or records that the core cannot take yet.
    pub(super) tail: Box<[u8]>,
    /// Ciphertext that the socket did not take; a record cannot be encrypted twice.
    pub(super) blocked: Box<[u8]>,
    /// Ciphertext that is in no hurry and goes with the next that is.
    pub(super) held: Box<[u8]>,
    /// How much of `blocked` has been written since.
    pub(super) blocked_written: u32,
    /// Input that a lingering close may still drop.
    pub(super) linger_bytes_left: u32,
    /// When [`Phase::Waiting`], [`Phase::Handshaking`], [`Phase::Lingering`] or a close must be over, in ms of
    /// [`crate::time::Now::mono`]; 0: no deadline.
    pub(super) deadline_ms: u64,
    pub(super) listener: Listener,
    pub(super) phase: Phase,
    /// The socket may have bytes: it has not said WouldBlock since the last edge.
    pub(super) readable: bool,
    /// The socket may have room.
    pub(super) writable: bool,
    /// The peer has ended its side; bytes may still lie before that end.
    pub(super) hung_up: bool,
    /// The core has been told so.
    pub(super) ended: bool,
    /// The socket is broken.
    pub(super) broken: bool,
    /// The core has said that there is output.
    pub(super) wants_write: bool,
    /// The core has said close, and how.
    pub(super) closing: Option<Closing>,
    /// `tail` may hold whole records that rustls has not looked at.
    pub(super) unsettled: bool,
    /// It stands in one of the queues.
    pub(super) queued: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// TLS, and no byte of it read.
    Waiting,
    /// In the TLS handshake.
    Handshaking,
    /// The core knows it.
    Open,
    /// The core has forgotten it: our side is shut, input is dropped.
    Lingering,
}

/// How to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// At once when all is written.
    AtOnce,
    /// Wait for the peer's end first.
    Lingering,
}

impl Connection {
    pub(super) fn new(socket: Socket, listener: Listener, phase: Phase) -> Self {
        Connection {
            socket,
            session: None,
            tail: Box::default(),
            blocked: Box::default(),
            blocked_written: 0,
            held: Box::default(),
            linger_bytes_left: 0,
            deadline_ms: 0,
            listener,
            phase,
            readable: false,
            writable: true,
            hung_up: false,
            ended: false,
            broken: false,
            wants_write: false,
            closing: None,
            unsettled: false,
            queued: false,
        }
    }

    /// Takes in an edge. Whether there is something to do about it.
    pub(super) fn note(&mut self, readiness: &Readiness) -> bool {
        self.readable |= readiness.is_readable();
        self.writable |= readiness.is_writable();
        self.hung_up |= readiness.is_read_closed();
        // while we still send, a closed sending side was not of our making
        self.broken |=
            readiness.is_error() || (readiness.is_write_closed() && self.phase != Phase::Lingering);
        self.readable || self.hung_up || self.broken || self.has_output()
    }

    /// Whether something is, or may be, to be written.
    pub(super) fn has_output(&self) -> bool {
        self.wants_write || !self.blocked.is_empty()
    }

    /// Reads what the socket has. Knows from a short read that it is empty now (epoll(7)).
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Moved {
        let moved = self.socket.read(buffer);
        match moved {
            Moved::Bytes(bytes) => self.readable = bytes == buffer.len() || self.hung_up,
            Moved::WouldBlock | Moved::End => self.readable = false,
            Moved::Broken => self.broken = true,
        }
        moved
    }

    /// How many bytes have come and are not handed on.
    pub(super) fn unread_bytes(&self) -> usize {
        self.tail.len() + self.socket.unread_bytes()
    }

    /// Writes what the socket takes of `bytes`. Knows from a short write that it is full now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let moved = self.socket.write(bytes);
        self.wrote(moved, bytes.len())
    }

    /// Notes what came of a write of `length` bytes; how many were taken.
    pub(super) fn wrote(&mut self, moved: Moved, length: usize) -> usize {
        match moved {
            Moved::Bytes(bytes) => {
                self.writable = bytes == length;
                bytes
            }
            Moved::WouldBlock => {
                self.writable = false;
                0
            }
            Moved::End | Moved::Broken => {
                self.broken = true;
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_slab_is_small() {
        // debug builds of mio keep a selector's id in each socket
        assert!(size_of::<(u32, Connection)>() <= 128, "{}", size_of::<(u32, Connection)>());
    }
}
