//! The mio reactor: the only caller of the core in production, and the only place that reads a clock.
//!
//! One loop owns every socket. Readiness comes edge-triggered; a connection leaves the ready queue when its socket would
//! block, at most 64 KiB a visit. Buffers belong to the loop: a connection owns bytes only while a record is partial or its
//! socket is full. What the core does not want to read stays in the kernel.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

mod accept;
mod clock;
mod connection;
mod core;
mod descriptors;
mod encrypted;
mod error;
mod handshake;
mod listeners;
mod mailbox;
mod network;
mod signals;
mod socket;
#[cfg(test)]
mod tests;
pub mod tls;
mod turn;
mod visit;

pub use self::clock::Clock;
pub use self::core::{Called, Core, Hooks, Jobs, Reload, Run};
pub use self::error::ReactorError;
pub use self::mailbox::Sender;
pub(crate) use self::signals::end_at_the_second;

use self::accept::Accepting;
use self::listeners::Doors;
use self::mailbox::Mailbox;
use self::network::{Network, Timer, connection_of};
use self::signals::Signals;
use self::tls::Certificates;
use self::turn::{Said, Turn};
use crate::config::{Endpoint, Tls};
use crate::server::{Event, Listener};
use crate::time::Now;

/// Bytes moved in one visit to a connection.
const VISIT_BYTES_MAX: usize = 64 * 1024;
/// The loop's read buffer.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Slices that the core may show at once.
const SLICES_MAX: usize = 32;
/// Visits to open connections in one turn, so that the core's clock does not stand still.
const VISITS_PER_TURN_MAX: usize = 64;
/// Handshakes per turn; P-256 costs 0.1 to 0.18 ms each.
const HANDSHAKE_TIME_PER_TURN_MAX: Duration = Duration::from_millis(2);
/// Ciphertext of an established connection that waits for company: one ticket (230 bytes) and little else.
const HELD_BYTES_MAX: usize = 512;
/// A lingering close ends after so many bytes: a client that is refused early has sent the largest body, a chunk of a file,
/// before it looks for the answer.
const LINGER_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// It ends when a client does not send this much ...
const LINGER_STEP_BYTES: u32 = 256 * 1024;
/// ... in this time; whoever has nothing more to send has gone by then.
const LINGER_STEP_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the last ciphertext of a connection that is to be closed may wait for the peer.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);
/// Events taken from the system at once.
const EVENTS_MAX: usize = 1_024;
/// How long output may still be written after the core has said exit.
const FINISH_TIME_MAX: Duration = Duration::from_secs(1);
/// Between two looks at the configuration's files.
const FILES_LOOKED_AT_EVERY: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3_600);

const MAILBOX: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address without brackets; empty: all addresses of the machine.
    pub host: String,
    /// 0: the system chooses.
    pub port: u16,
}

impl Address {
    /// An error if somebody else listens there, as far as that can be found out without waiting.
    pub fn check_free(&self) -> Result<(), ReactorError> {
        listeners::check_free(self)
    }
}

/// Where metrics are shown: without TLS, to whoever may connect.
#[derive(Clone, Debug)]
pub struct MetricsDoor {
    /// `http.host` and `http.port`.
    pub endpoint: Endpoint,
    /// Nobody asked for it: that somebody else is there is a warning.
    pub by_default: bool,
}

/// What the reactor is built from.
pub struct Settings {
    /// For agents.
    pub external: Address,
    /// For the supervising agent; left out if it equals `external`.
    pub internal: Option<Address>,
    /// For the operator: `admin.sock` in the data directory, whose lock we hold.
    pub admin_socket: Option<PathBuf>,
    /// For whoever looks at metrics.
    pub metrics: Option<MetricsDoor>,
    /// None: plain HTTP.
    pub tls: Option<Tls>,
    /// See there.
    pub bounds: Bounds,
    /// Whether SIGTERM, SIGINT and SIGHUP are ours.
    pub signals: bool,
}

/// The loop's bounds.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// `limits.max_connections`, per listener: beyond 110 % of it connections are closed when accepted; 0: none.
    pub connections_max: u32,
    /// A TLS client's time from the first byte that we process (and from accept, if there is none) to the end of the handshake.
    pub handshake_time_max: Duration,
    /// Handshakes under way; further clients wait, their bytes unread.
    pub handshakes_max: usize,
    /// Bytes that unfinished handshakes hold together.
    pub handshake_bytes_max: usize,
    /// Connections that may hold a full record that their socket did not take; beyond, records are small.
    pub deliveries_blocked_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connections_max: 0,
            handshake_time_max: Duration::from_secs(5),
            handshakes_max: 512,
            handshake_bytes_max: 16 * 1024 * 1024,
            deliveries_blocked_max: 2_048,
        }
    }
}

/// The loop, bound to its addresses and ready to run.
pub struct Reactor {
    poll: Poll,
    clock: Clock,
    doors: Doors,
    accepting: Accepting,
    network: Network,
    mailbox: Mailbox,
    waker: Arc<Waker>,
    signals: Option<Signals>,
    /// Memory to work with: events that were posted, and timers that rang.
    posted: Vec<Event<'static>>,
    rung: Vec<Timer>,
}

impl Reactor {
    /// Reads certificates, binds, catches signals and raises the limit of open files.
    pub fn new(settings: Settings) -> Result<Self, ReactorError> {
        descriptors::raise_limit();
        let certificates = settings.tls.as_ref().map(|tls| Certificates::read(tls.clone())).transpose()?;
        let poll = Poll::new().map_err(ReactorError::Poll)?;
        let waker = Arc::new(Waker::new(poll.registry(), MAILBOX).map_err(ReactorError::Poll)?);
        let doors = Doors::open(&settings, poll.registry())?;
        let signals = if settings.signals {
            Some(Signals::catch(poll.registry(), SIGNALS).map_err(ReactorError::Signals)?)
        } else {
            None
        };
        let registry = poll.registry().try_clone().map_err(ReactorError::Poll)?;
        Ok(Reactor {
            clock: Clock::start(),
            doors,
            accepting: Accepting::default(),
            network: Network::new(registry, certificates, settings.bounds),
            mailbox: Mailbox::default(),
            waker,
            signals,
            posted: Vec::new(),
            rung: Vec::new(),
            poll,
        })
    }

    /// For threads that have something to tell the core.
    pub fn sender(&self) -> Sender {
        self.mailbox.sender(Arc::clone(&self.waker))
    }

    /// The clock of the loop.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Where we listen: `IP:PORT`, or the path of a Unix socket.
    pub fn addresses(&self) -> impl Iterator<Item = (Listener, &str)> {
        self.doors.addresses()
    }

    /// Runs until the core says [`crate::server::Effect::Exit`]; what can still be written then is written.
    pub fn run<C: Core, J: Jobs>(
        mut self,
        core: &mut C,
        jobs: &mut J,
        hooks: &mut impl Hooks,
    ) -> Result<(), ReactorError> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut said = Said::default();
        let started = self.clock.elapsed();
        self.network.timers.set(started + HOUR, Timer::Hour);
        self.network.timers.set(started + FILES_LOOKED_AT_EVERY, Timer::Files);
        // what the core wants before anything has happened
        let now = self.clock.now();
        Turn { core, jobs, network: &mut self.network, now, said: &mut said }.effects();
        while !said.exit {
            self.wait(&mut events, core.wake_at())?;
            let woken = self.clock.elapsed();
            self.turn(&events, core, jobs, hooks, &mut said);
            if let Some(standing) = said.standing.take() {
                hooks.stands(standing);
            }
            self.network.figures.turns.record(self.clock.elapsed().saturating_sub(woken));
        }
        self.finish(core, jobs);
        Ok(())
    }

    fn turn<C: Core, J: Jobs>(
        &mut self,
        events: &Events,
        core: &mut C,
        jobs: &mut J,
        hooks: &mut impl Hooks,
        said: &mut Said,
    ) {
        let now = self.clock.now();
        let mut turn = Turn { core, jobs, network: &mut self.network, now, said };
        let (mut posted, mut signalled) = (false, false);
        for event in events {
            match event.token() {
                MAILBOX => posted = true,
                SIGNALS => signalled = true,
                token => match self.doors.of(token) {
                    Some(door) => door.ready = true,
                    None => turn.note(connection_of(token), event),
                },
            }
        }
        if posted {
            let called = self.mailbox.take(&mut self.posted);
            self.posted.drain(..).for_each(|event| turn.tell(event));
            if called {
                turn.call(hooks);
            }
        }
        if signalled && let Some(signals) = &mut self.signals {
            signals.pending().for_each(|asked| turn.obey(asked, hooks));
        }
        turn.ring(&mut self.rung, hooks);
        turn.tick();
        turn.accept(&mut self.doors, &mut self.accepting);
        turn.visits();
        turn.shake_hands(&self.clock);
    }

    /// Writes what the core still shows, as far as sockets take it at once.
    fn finish<C: Core, J: Jobs>(&mut self, core: &mut C, jobs: &mut J) {
        let until = self.clock.elapsed() + FINISH_TIME_MAX;
        while !self.network.queues.ready.is_empty() && self.clock.elapsed() < until {
            let now = self.clock.now();
            Turn { core, jobs, network: &mut self.network, now, said: &mut Said::default() }.visits();
        }
    }

    /// Waits for the system, not at all while there is work.
    fn wait(&mut self, events: &mut Events, core_wakes_at: Option<Duration>) -> Result<(), ReactorError> {
        let accepts = !self.accepting.paused && self.doors.doors.iter().any(|door| door.ready);
        let timeout = if accepts || self.network.has_work() {
            Some(Duration::ZERO)
        } else {
            let wakes_at = [core_wakes_at, self.network.timers.wake_at()].into_iter().flatten().min();
            wakes_at.map(|at| at.saturating_sub(self.clock.elapsed()))
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(ReactorError::Poll(error)),
            _ => Ok(()),
        }
    }
}
