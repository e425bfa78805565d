//! From the first byte of a TLS connection to the moment the core hears of it.

use std::time::Duration;

use super::HANDSHAKE_TIME_PER_TURN_MAX;
use super::clock::Clock;
use super::connection::{Connection, Phase};
use super::core::{Core, Jobs};
use super::network::Timer;
use super::socket::Moved;
use super::tls::{Certificates, RECORD_BYTES_MAX, Session, SessionError, Step};
use super::turn::{Turn, millis};
use crate::server::{ConnectionId, Event};

/// A handshake that takes longer gives way to clients that wait for a place.
const SLOW: Duration = Duration::from_secs(1);

/// What is read at once when only a client's last messages are missing (64 to 80 bytes without a certificate). Its first
/// request follows on their heels, and while the store is busy such requests are to lie in the kernel, not with us.
const LAST_MESSAGES_BYTES: usize = 512;

/// What a client gets that speaks plain HTTP where TLS is spoken.
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
Connection: close\r\n\r\nThis port speaks HTTPS; the request came as plain HTTP.\n";

/// What a plain HTTP request begins with.
const METHODS: [&[u8]; 7] = [b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC"];

/// Why there is no TLS with a client.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("the client speaks plain HTTP")]
    PlainHttp,
    #[error("the client's message is too large")]
    TooLarge,
    #[error("unfinished handshakes hold as many bytes as they may")]
    NoRoom,
}

/// What came of reading and stepping once.
enum Shaken {
    /// There may be more to read.
    Again,
    /// The peer's turn.
    Waits,
    /// The peer is gone.
    Gone,
    /// The handshake is done; whether the core has been told.
    Done { told: bool },
}

impl<C: Core, J: Jobs> Turn<'_, C, J> {
    /// Works on handshakes for at most 2 ms, those under way before new ones. At least one is worked on.
    pub(super) fn shake_hands(&mut self, clock: &Clock) {
        let until = clock.elapsed() + HANDSHAKE_TIME_PER_TURN_MAX;
        loop {
            if let Some(id) = self.network.queues.handshaking.pop_front() {
                self.unqueue(id);
                self.shake(id);
            } else if self.network.counts.handshakes < self.network.bounds.handshakes_max
                && let Some(id) = self.network.queues.waiting.pop_front()
            {
                self.unqueue(id);
                self.begin(id);
            } else {
                return self.want_places();
            }
            if clock.elapsed() >= until {
                return;
            }
        }
    }

    /// If clients wait because all places are taken, they do not wait for the slowest.
    fn want_places(&mut self) {
        if !self.network.queues.waiting.is_empty() && !self.network.places_wanted {
            self.network.places_wanted = true;
            self.network.timers.set(self.now.mono + SLOW, Timer::Places);
        }
    }

    /// While others wait and nobody gets ready, whoever is slow loses the place. (Where handshakes do end, the many are slow
    /// because they are many: to lose them would only make them come again.)
    pub(super) fn free_places(&mut self) {
        self.network.places_wanted = false;
        if std::mem::take(&mut self.network.counts.finished_handshakes) > 0 {
            return;
        }
        if self.network.queues.waiting.is_empty()
            || self.network.counts.handshakes < self.network.bounds.handshakes_max
        {
            return;
        }
        let fast_until =
            millis(self.now.mono + self.network.bounds.handshake_time_max - SLOW.min(self.now.mono));
        let is_slow = |connection: &Connection| {
            connection.phase == Phase::Handshaking && connection.deadline_ms <= fast_until
        };
        let slow: Vec<_> =
            self.network.connections.iter().filter(|(_, found)| is_slow(found)).map(|(id, _)| id).collect();
        slow.into_iter().for_each(|id| self.lose(id));
    }

    fn unqueue(&mut self, id: ConnectionId) {
        if let Some(connection) = self.network.connections.get_mut(id) {
            connection.queued = false;
        }
    }

    /// The first bytes are here: makes the session. Its time runs from now on.
    fn begin(&mut self, id: ConnectionId) {
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return };
        if connection.phase != Phase::Waiting {
            return;
        }
        let Some(certificates) = network.certificates.as_mut() else { return self.lose(id) };
        match Session::new(certificates.current(self.now.mono)) {
            Ok(session) => connection.session = Some(Box::new(session)),
            Err(error) => {
                log::warn!("a TLS session cannot be made: {error}");
                return self.lose(id);
            }
        }
        connection.phase = Phase::Handshaking;
        network.counts.handshakes += 1;
        self.network.set_deadline(id, self.now.mono + self.network.bounds.handshake_time_max);
        self.shake(id);
    }

    /// Goes on with a handshake as far as the bytes that are here lead.
    fn shake(&mut self, id: ConnectionId) {
        while self.network.send_blocked(id) {
            match self.shake_once(id) {
                Ok(Shaken::Again) => {}
                Ok(Shaken::Waits) => return,
                Ok(Shaken::Gone) => return self.lose(id),
                Ok(Shaken::Done { told }) => return self.open(id, told),
                Err(error) => {
                    log::debug!("no TLS with a client: {error}");
                    self.network.figures.handshakes_failed += 1;
                    return self.linger(id);
                }
            }
        }
        if self.network.connections.get(id).is_some_and(|connection| connection.broken) {
            self.lose(id);
        }
    }

    /// Reads once and steps through what there is.
    fn shake_once(&mut self, id: ConnectionId) -> Result<Shaken, HandshakeError> {
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return Ok(Shaken::Waits) };
        if connection.phase != Phase::Handshaking {
            return Ok(Shaken::Waits);
        }
        let most = network.certificates.as_ref().map_or(RECORD_BYTES_MAX, Certificates::handshake_bytes_max);
        let kept = connection.tail.len();
        if kept >= most {
            return Err(HandshakeError::TooLarge);
        }
        network.buffers.read[..kept].copy_from_slice(&connection.tail);
        let answered = connection.session.as_ref().is_some_and(|session| session.has_chosen_version());
        let most = if answered { most.min(kept + LAST_MESSAGES_BYTES) } else { most };
        let end = match connection.read(&mut network.buffers.read[kept..most]) {
            Moved::Bytes(bytes) => kept + bytes,
            Moved::WouldBlock => return Ok(Shaken::Waits),
            Moved::End | Moved::Broken => return Ok(Shaken::Gone),
        };
        if kept == 0 && METHODS.iter().any(|method| network.buffers.read[..end].starts_with(method)) {
            connection.write(PLAIN_HTTP_ANSWER);
            return Err(HandshakeError::PlainHttp);
        }
        network.counts.handshake_bytes -= kept;
        connection.tail = Box::default();
        self.steps(id, end)
    }

    /// Steps through the first `end` bytes of the read buffer and keeps what cannot be consumed.
    fn steps(&mut self, id: ConnectionId, end: usize) -> Result<Shaken, HandshakeError> {
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return Ok(Shaken::Waits) };
        let Some(session) = connection.session.as_mut() else { return Ok(Shaken::Waits) };
        let (core, now, listener) = (&mut *self.core, self.now, connection.listener);
        let socket = &connection.socket;
        let (mut start, mut told) = (0, false);
        let outgoing = &mut network.buffers.outgoing;
        let outcome = loop {
            let incoming = &mut network.buffers.read[start..end];
            let (consumed, step) = session.step(incoming, outgoing, |bytes| {
                // the client's last message and its first request may lie in one step
                if !told {
                    let peer = socket.peer();
                    core.handle(now, Event::Opened { connection: id, listener, tls: true, peer });
                    told = true;
                }
                core.handle(now, Event::Received { connection: id, bytes });
            });
            start += consumed;
            match step {
                Err(error) => {
                    session.alert(outgoing);
                    break Err(error.into());
                }
                // what rustls says last, a Finished before TLS 1.3, comes after the client's
                Ok(Step::Again) => {}
                Ok(_) if !session.is_handshaking() => break Ok(Shaken::Done { told }),
                Ok(Step::Settled) => {
                    break Ok(if connection.readable { Shaken::Again } else { Shaken::Waits });
                }
                Ok(Step::Received | Step::PeerClosed) => break Ok(Shaken::Gone),
            }
        };
        connection.tail = network.buffers.read[start..end].into();
        network.counts.handshake_bytes += connection.tail.len();
        if matches!(outcome, Ok(Shaken::Done { .. })) {
            network.hold(id);
            return outcome;
        }
        network.send(id);
        if told {
            // what followed the client's last message is broken
            core.handle(now, Event::Lost { connection: id });
            return outcome.and(Ok(Shaken::Gone));
        }
        if network.counts.handshake_bytes > network.bounds.handshake_bytes_max {
            return Err(HandshakeError::NoRoom);
        }
        outcome
    }

    /// The core hears of the connection.
    fn open(&mut self, id: ConnectionId, told: bool) {
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return };
        network.counts.handshakes -= 1;
        network.counts.finished_handshakes += 1;
        network.figures.handshakes += 1;
        let resumed = connection.session.as_ref().is_some_and(|session| session.is_resumed());
        network.figures.resumed += u64::from(resumed);
        network.counts.handshake_bytes -= connection.tail.len();
        connection.phase = Phase::Open;
        connection.deadline_ms = 0;
        // what followed the handshake, and what rustls wants to send now, are looked at in the first visit
        connection.unsettled = true;
        let listener = connection.listener;
        if told {
            self.effects();
        } else {
            let peer = connection.socket.peer();
            self.tell(Event::Opened { connection: id, listener, tls: true, peer });
        }
        self.network.enqueue(id);
    }
}
