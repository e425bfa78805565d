//! The sans-IO core: [`Event`]s in, [`Effect`]s out. No socket, no clock, no thread.

use std::any::Any;
use std::io::IoSlice;
use std::time::Duration;

pub use crate::connection::{ConnectionId, Listener};
use crate::store::{Changes, Lane, Operation, StoreResult};
use crate::time::Now;

/// Names a batch under way in the store's pool.
pub type BatchId = u64;
/// Names a piece of pure work under way in the pool.
pub type WorkId = u64;

/// What happened outside.
pub enum Event<'a> {
    /// A connection is ready for requests (the TLS handshake is done).
    Opened {
        /// Its id, from here on.
        connection: ConnectionId,
        /// The door.
        listener: Listener,
        /// Whether it is encrypted.
        tls: bool,
    },
    /// Plain bytes came. All are taken; see [`Server::wants_input`].
    Received {
        /// From here.
        connection: ConnectionId,
        /// At most one read buffer.
        bytes: &'a [u8],
    },
    /// So many bytes of what [`Server::output`] showed are on their way.
    Sent {
        /// On this connection.
        connection: ConnectionId,
        /// How many.
        bytes: usize,
    },
    /// The peer has ended its sending side (FIN or close_notify).
    Ended {
        /// On this connection.
        connection: ConnectionId,
    },
    /// The connection is gone. Its id means nothing any more.
    Lost {
        /// Which one.
        connection: ConnectionId,
    },
    /// A batch is done.
    Answered {
        /// Which one.
        batch: BatchId,
        /// An answer for each of its operations.
        answers: Vec<StoreResult>,
    },
    /// Pure work is done; `None` if it panicked.
    Worked {
        /// Which one.
        work: WorkId,
        /// What it made.
        result: Option<Box<dyn Any + Send>>,
    },
    /// A watch has news.
    Changed(Changes),
    /// Finish what is under way, answer parked polls last, then say [`Effect::Exit`].
    Stop,
}

/// What the reactor has to do.
pub enum Effect {
    /// [`Server::output`] of this connection has bytes to write.
    Write(ConnectionId),
    /// Bytes of this connection can be taken again.
    Read(ConnectionId),
    /// Close once everything that [`Server::output`] shows is written.
    Close {
        /// Which one.
        connection: ConnectionId,
        /// Shut our sending side, then read and drop what still comes, for at most 2 s and 256 KiB, so that the answer is not lost to
        /// a reset.
        lingering: bool,
    },
    /// Run this in the store.
    Store {
        /// Where.
        lane: Lane,
        /// Under this id.
        batch: BatchId,
        /// In this order.
        operations: Vec<Operation>,
    },
    /// Run this on a worker.
    Work {
        /// Under this id.
        work: WorkId,
        /// What.
        run: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    },
    /// Everything is finished.
    Exit,
}

/// The core. After each [`Server::handle`] or [`Server::tick`] call [`Server::poll`] until `None`.
#[derive(Default)]
pub struct Server {}

impl Server {
    /// Takes in what happened.
    pub fn handle(&mut self, _now: Now, _event: Event<'_>) {}

    /// Lets timers ring that are due.
    pub fn tick(&mut self, _now: Now) {}

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Effect> {
        None
    }

    /// When [`Server::tick`] is due, as [`Now::mono`].
    pub fn wake_at(&self) -> Option<Duration> {
        None
    }

    /// Whether more bytes of this connection can be taken now.
    pub fn wants_input(&self, _connection: ConnectionId) -> bool {
        true
    }

    /// What is to be written next on this connection; how many of the slices are filled.
    pub fn output<'a>(&'a self, _connection: ConnectionId, _slices: &mut [IoSlice<'a>]) -> usize {
        0
    }
}
