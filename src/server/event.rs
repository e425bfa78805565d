//! What goes into the core and what comes out of it.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::Config;
use crate::connection::{ConnectionId, Listener};
use crate::fleet::health::Standing;
use crate::metrics::Figures;
use crate::store::{Changes, Lane, Operation, StoreResult};

/// Names a batch under way in the store's pool.
pub type BatchId = u64;
/// Names a piece of pure work or an errand under way in the pool.
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
        /// Who opened it, for the log; `None` where nobody has an address, and for who is gone already.
        peer: Option<SocketAddr>,
    },
    /// Plain bytes came. All are taken; see [`super::Server::wants_input`].
    Received {
        /// From here.
        connection: ConnectionId,
        /// At most one read buffer.
        bytes: &'a [u8],
    },
    /// So many bytes of what [`super::Server::output`] showed are on their way.
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
    /// Pure work or an errand is done; `None` if it panicked.
    Worked {
        /// Which one.
        work: WorkId,
        /// What it made.
        result: Option<Box<dyn Any + Send>>,
    },
    /// A watch has news.
    Changed(Changes),
    /// This configuration is in force from now on.
    Configured(Arc<Config>),
    /// What [`Effect::Measure`] asked for.
    Measured(Box<Figures>),
    /// Finish what is under way, answer parked polls last, then say [`Effect::Exit`].
    Stop,
}

/// What the reactor has to do.
pub enum Effect {
    /// [`super::Server::output`] of this connection has bytes to write.
    Write(ConnectionId),
    /// Bytes of this connection can be taken again.
    Read(ConnectionId),
    /// Close now: everything to be written is written, or never will be.
    Close {
        /// Which one.
        connection: ConnectionId,
        /// Shut our sending side, then read and drop what still comes, as far as the reactor's bounds go, so that the answer is not
        /// lost to a reset.
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
    /// Run this on a thread where it may wait for the world outside; comes back as [`Event::Worked`].
    Errand {
        /// Under this id.
        work: WorkId,
        /// What.
        run: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    },
    /// Say [`Event::Measured`].
    Measure,
    /// The agent that runs the server is to be told this.
    Stands(Standing),
    /// Everything is finished.
    Exit,
}
