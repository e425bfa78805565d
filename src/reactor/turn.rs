//! One turn of the loop: what the core is told, and what it wants done.

use std::time::Duration;

use mio::event::Event as Readiness;

use super::connection::{Closing, Phase};
use super::core::{Called, Core, Hooks, Jobs, Reload};
use super::network::{Network, Timer};
use super::signals::Asked;
use super::tls::Certificates;
use super::{FILES_LOOKED_AT_EVERY, HOUR, LINGER_BYTES_MAX, LINGER_STEP_TIME_MAX, VISITS_PER_TURN_MAX};
use crate::fleet::health::Standing;
use crate::metrics::Figures;
use crate::server::{ConnectionId, Effect, Event};
use crate::time::Now;

/// What one turn works with.
pub(super) struct Turn<'a, C, J> {
    pub(super) core: &'a mut C,
    pub(super) jobs: &'a mut J,
    pub(super) network: &'a mut Network,
    /// The one reading of the clock that the core sees in this turn.
    pub(super) now: Now,
    pub(super) said: &'a mut Said,
}

/// What the core has said for others than the turn.
#[derive(Default)]
pub(super) struct Said {
    /// [`Effect::Exit`]
    pub(super) exit: bool,
    /// The last [`Effect::Stands`] that is yet to be told.
    pub(super) standing: Option<Standing>,
}

impl<C: Core, J: Jobs> Turn<'_, C, J> {
    /// Tells the core what happened, and does what it wants.
    pub(super) fn tell(&mut self, event: Event<'_>) {
        self.core.handle(self.now, event);
        self.effects();
    }

    /// Lets the core's timers ring.
    pub(super) fn tick(&mut self) {
        if self.core.wake_at().is_some_and(|at| at <= self.now.mono) {
            self.core.tick(self.now);
            self.effects();
        }
    }

    /// Does what the core wants. Connections are only marked and queued here, never removed.
    pub(super) fn effects(&mut self) {
        while let Some(effect) = self.core.poll() {
            match effect {
                Effect::Write(id) => {
                    let Some(connection) = self.network.connections.get_mut(id) else { continue };
                    connection.wants_write = true;
                    self.network.enqueue(id);
                }
                Effect::Read(id) => self.network.enqueue(id),
                Effect::Close { connection: id, lingering } => {
                    let Some(connection) = self.network.connections.get_mut(id) else { continue };
                    connection.closing = Some(if lingering { Closing::Lingering } else { Closing::AtOnce });
                    // whatever it shows goes out first, announced or not
                    connection.wants_write = true;
                    self.network.enqueue(id);
                }
                Effect::Store { lane, batch, operations } => self.jobs.store(lane, batch, operations),
                Effect::Work { work, run } => self.jobs.work(work, run),
                Effect::Errand { work, run } => self.jobs.errand(work, run),
                Effect::Measure => {
                    let figures = Box::new(self.figures());
                    self.core.handle(self.now, Event::Measured(figures));
                }
                Effect::Stands(standing) => self.said.standing = Some(standing),
                Effect::Exit => self.said.exit = true,
            }
        }
    }

    /// What the loop and the process know.
    fn figures(&self) -> Figures {
        let mut figures = self.network.figures();
        self.jobs.measure(&mut figures);
        figures
    }

    /// Somebody has called: does what follows from that.
    pub(super) fn call(&mut self, hooks: &mut impl Hooks) {
        let Called { reload, certificates, stop, describe } = hooks.called(self.now);
        match reload {
            Some(reload) => self.reconfigure(reload),
            None if certificates => self.read_certificates_again(),
            None => {}
        }
        if let Some(describe) = describe {
            describe(self.core.describe(self.figures()));
        }
        if stop {
            self.tell(Event::Stop);
        }
    }

    fn read_certificates_again(&mut self) {
        if let Some(certificates) = &mut self.network.certificates {
            certificates.reload();
        }
    }

    /// Takes in an edge of a connection's socket.
    pub(super) fn note(&mut self, id: ConnectionId, readiness: &Readiness) {
        let connection = self.network.connections.get_mut(id);
        if connection.is_some_and(|connection| connection.note(readiness)) {
            self.network.enqueue(id);
        }
    }

    /// Does what a signal asks for.
    pub(super) fn obey(&mut self, asked: Asked, hooks: &mut impl Hooks) {
        match asked {
            Asked::Stop => self.tell(Event::Stop),
            Asked::Reload => match hooks.reload(self.now) {
                Some(reload) => self.reconfigure(reload),
                None => self.read_certificates_again(),
            },
        }
    }

    /// Another configuration: for what begins from now on. Connections that are there stay as they are.
    fn reconfigure(&mut self, reload: Reload) {
        let Reload { config, bounds, tls } = reload;
        self.network.bounds = bounds;
        match (&mut self.network.certificates, tls) {
            (Some(certificates), Some(tls)) => certificates.replace(tls),
            (none, Some(tls)) => match Certificates::read(tls) {
                Ok(certificates) => *none = Some(certificates),
                Err(error) => log::error!("connections are not encrypted: {error}"),
            },
            (certificates, None) => *certificates = None,
        }
        self.tell(Event::Configured(config));
    }

    /// Lets the loop's own timers ring; `rung` is memory to work with.
    pub(super) fn ring(&mut self, rung: &mut Vec<Timer>, hooks: &mut impl Hooks) {
        self.network.timers.advance(self.now.mono, rung);
        for timer in rung.drain(..) {
            match timer {
                Timer::Deadline(id) => self.expire(id),
                Timer::Accept => self.network.descriptor_freed = true,
                Timer::Places => self.free_places(),
                Timer::Files => {
                    self.network.timers.set(self.now.mono + FILES_LOOKED_AT_EVERY, Timer::Files);
                    if let Some(reload) = hooks.look_at_files(self.now) {
                        self.reconfigure(reload);
                    }
                }
                Timer::Hour => {
                    self.network.timers.set(self.now.mono + HOUR, Timer::Hour);
                    hooks.hourly(self.now);
                }
            }
        }
    }

    /// Visits connections that are ready, each once, a bounded number.
    pub(super) fn visits(&mut self) {
        for _ in 0..self.network.queues.ready.len().min(VISITS_PER_TURN_MAX) {
            let Some(id) = self.network.queues.ready.pop_front() else { return };
            let Some(connection) = self.network.connections.get_mut(id) else { continue };
            connection.queued = false;
            match connection.phase {
                Phase::Open => self.visit(id),
                Phase::Lingering => self.drop_input(id),
                Phase::Waiting | Phase::Handshaking => self.network.enqueue(id),
            }
        }
    }

    /// Takes a ring of a connection's deadline.
    fn expire(&mut self, id: ConnectionId) {
        let Some(connection) = self.network.connections.get(id) else { return };
        if connection.deadline_ms == 0 || millis(self.now.mono) < connection.deadline_ms {
            return;
        }
        match connection.phase {
            // its first bytes wait for us, not we for them
            Phase::Waiting if connection.queued => {
                self.network.set_deadline(id, self.now.mono + self.network.bounds.handshake_time_max);
            }
            Phase::Open if connection.closing.is_none() => {}
            _ => self.lose(id),
        }
    }

    /// Closes at once; the core forgets the connection if it knew it.
    pub(super) fn lose(&mut self, id: ConnectionId) {
        if self.network.remove(id).is_some_and(|connection| connection.phase == Phase::Open) {
            self.tell(Event::Lost { connection: id });
        }
    }

    /// Ends our side, then drops what the peer still sends.
    pub(super) fn linger(&mut self, id: ConnectionId) {
        let Some(connection) = self.network.connections.get_mut(id) else { return };
        if connection.broken || connection.ended || connection.socket.shutdown_write().is_err() {
            return self.lose(id);
        }
        let known = connection.phase == Phase::Open;
        self.network.counts.release(connection);
        connection.phase = Phase::Lingering;
        connection.linger_bytes_left = LINGER_BYTES_MAX;
        self.network.set_deadline(id, self.now.mono + LINGER_STEP_TIME_MAX);
        self.network.enqueue(id);
        if known {
            self.tell(Event::Lost { connection: id });
        }
    }
}

/// As [`super::connection::Connection::deadline_ms`] counts.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
