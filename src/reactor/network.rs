//! All connections with what they share: queues, timers, buffers, counts.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use mio::{Registry, Token};

use super::connection::{Connection, Phase};
use super::encrypted::SEND_PLAIN_BYTES_MAX;
use super::socket::Socket;
use super::tls::{Certificates, Outgoing};
use super::{Bounds, HELD_BYTES_MAX, READ_BYTES_MAX};
use crate::metrics::{Figures, Queue};
use crate::server::{ConnectionId, Listener};
use crate::slots::Slots;
use crate::timers::Timers;

/// Everything about connections that is not the core's.
pub(super) struct Network {
    pub(super) registry: Registry,
    pub(super) connections: Slots<Connection>,
    pub(super) queues: Queues,
    pub(super) timers: Timers<Timer>,
    pub(super) buffers: Buffers,
    /// None: plain HTTP.
    pub(super) certificates: Option<Certificates>,
    pub(super) bounds: Bounds,
    pub(super) counts: Counts,
    /// What is counted for metrics only.
    pub(super) figures: crate::metrics::Network,
    /// A descriptor was given back since accepting paused.
    pub(super) descriptor_freed: bool,
    /// [`Timer::Places`] is set.
    pub(super) places_wanted: bool,
}

/// The loop's own timers. Never cancelled: a ring that is stale is ignored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    /// See [`Connection::deadline_ms`].
    Deadline(ConnectionId),
    /// Try to accept again.
    Accept,
    /// Clients wait for a place to begin their handshake: see who holds one for long.
    Places,
    /// Call [`super::Hooks::look_at_files`].
    Files,
    /// Call [`super::Hooks::hourly`].
    Hour,
}

/// Who is to be visited, first come first served.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Open and lingering ones.
    pub(super) ready: VecDeque<ConnectionId>,
    /// Those in the handshake.
    pub(super) handshaking: VecDeque<ConnectionId>,
    /// Those that want to begin it.
    pub(super) waiting: VecDeque<ConnectionId>,
}

/// The loop's only large buffers.
#[derive(Debug)]
pub(super) struct Buffers {
    /// What a socket has just given.
    pub(super) read: Box<[u8]>,
    /// What is to be encrypted.
    pub(super) plain: Box<[u8]>,
    /// What is encrypted.
    pub(super) outgoing: Outgoing,
}

/// What is bounded, counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    connections: [u32; Listener::ALL.len()],
    /// Connections in the handshake.
    pub(super) handshakes: usize,
    /// Handshakes that ended well since it was last looked at whether any does.
    pub(super) finished_handshakes: u64,
    /// Bytes of [`Connection::tail`] of those.
    pub(super) handshake_bytes: usize,
    /// Connections with [`Connection::blocked`] bytes.
    pub(super) blocked: usize,
}

impl Network {
    pub(super) fn new(registry: Registry, certificates: Option<Certificates>, bounds: Bounds) -> Self {
        Network {
            registry,
            connections: Slots::default(),
            queues: Queues::default(),
            timers: Timers::default(),
            buffers: Buffers::default(),
            certificates,
            bounds,
            counts: Counts::default(),
            figures: crate::metrics::Network::default(),
            descriptor_freed: false,
            places_wanted: false,
        }
    }

    /// Takes an accepted socket in; `None` if it cannot be watched.
    pub(super) fn add(&mut self, socket: Socket, listener: Listener, phase: Phase) -> Option<ConnectionId> {
        let id = self.connections.insert(Connection::new(socket, listener, phase));
        let connection = self.connections.get_mut(id).expect("just inserted");
        if let Err(error) = connection.socket.register(&self.registry, token(id)) {
            log::warn!("a connection cannot be watched: {error}");
            self.connections.remove(id);
            return None;
        }
        *self.counts.of(listener) += 1;
        self.figures.opened += u64::from(listener.is_for_agents());
        Some(id)
    }

    /// Takes a connection out; dropping it closes it.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let mut connection = self.connections.remove(id)?;
        self.counts.release(&mut connection);
        *self.counts.of(connection.listener) -= 1;
        self.figures.closed += u64::from(connection.listener.is_for_agents());
        self.descriptor_freed = true;
        Some(connection)
    }

    /// Puts a connection into the queue that its phase asks for, once.
    pub(super) fn enqueue(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.queued {
            return;
        }
        connection.queued = true;
        match connection.phase {
            Phase::Open | Phase::Lingering => self.queues.ready.push_back(id),
            Phase::Handshaking => self.queues.handshaking.push_back(id),
            Phase::Waiting => self.queues.waiting.push_back(id),
        }
    }

    /// Gives a connection until `at`; an earlier deadline is forgotten.
    pub(super) fn set_deadline(&mut self, id: ConnectionId, at: Duration) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.deadline_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.timers.set(at, Timer::Deadline(id));
    }

    /// What the loop can say of itself at this moment.
    pub(super) fn figures(&self) -> Figures {
        let (counts, bounds) = (&self.counts, &self.bounds);
        let connections = Listener::ALL.into_iter().zip(counts.connections);
        let queues = vec![
            Queue::bounded("handshakes", counts.handshakes, bounds.handshakes_max),
            Queue::bounded("handshake_bytes", counts.handshake_bytes, bounds.handshake_bytes_max),
            Queue::of_connections("handshakes_waiting", self.queues.waiting.len()),
            Queue::bounded("deliveries_blocked", counts.blocked, bounds.deliveries_blocked_max),
            Queue::of_connections("visits", self.queues.ready.len()),
        ];
        Figures {
            connections: connections.map(|(listener, count)| (listener.name(), count.into())).collect(),
            network: self.figures.clone(),
            queues,
            ..Figures::default()
        }
    }

    /// Whether a visit is due at once.
    pub(super) fn has_work(&self) -> bool {
        let begin = !self.queues.waiting.is_empty() && self.counts.handshakes < self.bounds.handshakes_max;
        begin || !self.queues.ready.is_empty() || !self.queues.handshaking.is_empty()
    }

    /// Sends [`Buffers::outgoing`] behind what was held; what the socket does not take is kept with the connection, which has
    /// nothing blocked yet.
    pub(super) fn send(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let outgoing = self.buffers.outgoing.filled();
        if !outgoing.is_empty() {
            let held = std::mem::take(&mut connection.held);
            let together =
                if held.is_empty() { Cow::from(outgoing) } else { [&held, outgoing].concat().into() };
            let written = connection.write(&together);
            if written < together.len() {
                connection.blocked = together[written..].into();
                self.counts.blocked += 1;
            }
        }
        self.buffers.outgoing.clear();
    }

    /// Keeps [`Buffers::outgoing`] for the next [`Network::send`], if it is little. What rustls says of its own accord after the
    /// handshake, a ticket above all, is in no hurry, and a send of its own costs as much as that of an answer.
    pub(super) fn hold(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let outgoing = self.buffers.outgoing.filled();
        let may_wait = connection.session.as_ref().is_some_and(|session| session.may_wait());
        if !may_wait || connection.held.len() + outgoing.len() > HELD_BYTES_MAX {
            return self.send(id);
        }
        if !outgoing.is_empty() {
            connection.held = [&connection.held, outgoing].concat().into();
        }
        self.buffers.outgoing.clear();
    }

    /// Sends what the socket did not take earlier. Whether nothing of it is left.
    pub(super) fn send_blocked(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get_mut(id) else { return true };
        if connection.blocked.is_empty() {
            return true;
        }
        if !connection.writable {
            return false;
        }
        let blocked = std::mem::take(&mut connection.blocked);
        let start = connection.blocked_written as usize;
        let end = start + connection.write(&blocked[start..]);
        if end < blocked.len() {
            connection.blocked = blocked;
            connection.blocked_written = u32::try_from(end).unwrap_or(u32::MAX);
            return false;
        }
        connection.blocked_written = 0;
        self.counts.blocked -= 1;
        true
    }
}

impl Counts {
    /// Connections of a listener.
    pub(super) fn of(&mut self, listener: Listener) -> &mut u32 {
        &mut self.connections[listener.index()]
    }

    /// Frees all that a connection holds beside its socket.
    pub(super) fn release(&mut self, connection: &mut Connection) {
        if connection.phase == Phase::Handshaking {
            self.handshakes -= 1;
            self.handshake_bytes -= connection.tail.len();
        }
        if !connection.blocked.is_empty() {
            self.blocked -= 1;
        }
        connection.session = None;
        connection.tail = Box::default();
        connection.blocked = Box::default();
        connection.held = Box::default();
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers {
            read: vec![0; READ_BYTES_MAX].into(),
            plain: vec![0; SEND_PLAIN_BYTES_MAX].into(),
            outgoing: Outgoing::default(),
        }
    }
}

/// A connection's token; [`connection_of`] is its inverse.
pub(super) fn token(id: ConnectionId) -> Token {
    const { assert!(usize::BITS >= 64, "an id with its generation must fit into a token") };
    Token(id.pack() as usize)
}

/// The connection of a token.
pub(super) fn connection_of(token: Token) -> ConnectionId {
    ConnectionId::unpack(token.0 as u64)
}
