//! What the loop drives and what it hands out: the seams to the core and to the workers.

use std::any::Any;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use super::Bounds;
use crate::config::{Config, Tls};
use crate::fleet::health::Standing;
use crate::metrics::Figures;
use crate::server::{BatchId, ConnectionId, Effect, Event, Server, WorkId};
use crate::store::{Lane, Operation};
use crate::time::Now;

/// The sans-IO core as the loop sees it; [`Server`] in production.
///
/// What the loop promises: [`Core::poll`] is called until `None` after each [`Core::handle`] and
/// [`Core::tick`]; [`Event::Opened`] comes first and [`Event::Lost`] last and once for each connection, the latter also after
/// [`Effect::Close`] (when everything is written, before a lingering close has lingered); nothing comes after it.
pub trait Core {
    /// Takes in what happened.
    fn handle(&mut self, now: Now, event: Event<'_>);
    /// Lets timers ring that are due.
    fn tick(&mut self, now: Now);
    /// The next thing to do.
    fn poll(&mut self) -> Option<Effect>;
    /// When [`Core::tick`] is due, as [`Now::mono`].
    fn wake_at(&self) -> Option<Duration>;
    /// Whether more bytes of this connection can be taken now. If not, [`Effect::Read`] tells when they can. `unread_bytes`
    /// tells how many of its bytes lie unread.
    fn wants_input(&mut self, connection: ConnectionId, unread_bytes: impl FnOnce() -> usize) -> bool;
    /// What is to be written next on this connection; how many of the slices are filled.
    fn output<'a>(&'a self, connection: ConnectionId, slices: &mut [IoSlice<'a>]) -> usize;
    /// Its state in numbers, for diagnostics, with those that are known outside.
    fn describe(&self, _figures: Figures) -> String {
        String::new()
    }
}

/// Pure work, or an errand, to be run on a worker.
pub type Run = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;

/// Whoever runs what must not run on the loop. All return at once; the results come back through the mailbox.
pub trait Jobs {
    /// Runs a batch in the store; posts [`Event::Answered`].
    fn store(&mut self, lane: Lane, batch: BatchId, operations: Vec<Operation>);
    /// Runs pure work; posts [`Event::Worked`].
    fn work(&mut self, work: WorkId, run: Run);
    /// Runs what waits for the world outside, where nobody else waits for it; posts [`Event::Worked`].
    fn errand(&mut self, work: WorkId, run: Run);
    /// Adds what the process can say of itself at this moment.
    fn measure(&self, _figures: &mut Figures) {}
}

/// What is in force from now on, once the configuration was read again.
pub struct Reload {
    /// For the core.
    pub config: Arc<Config>,
    /// For new connections, but for those of [`Bounds`] that no configuration names.
    pub bounds: Bounds,
    /// For new handshakes; `None`: plain HTTP.
    pub tls: Option<Tls>,
}

/// What follows from a call ([`super::Sender::call`]).
#[derive(Default)]
pub struct Called {
    /// Another configuration.
    pub reload: Option<Reload>,
    /// Certificates are to be read again.
    pub certificates: bool,
    /// The core is to finish.
    pub stop: bool,
    /// Who wants to know how the core describes itself.
    pub describe: Option<Box<dyn FnOnce(String)>>,
}

/// What the process does beside serving, called on the loop.
pub trait Hooks {
    /// Somebody has called: there is something for the process.
    fn called(&mut self, _now: Now) -> Called {
        Called::default()
    }
    /// The agent that runs the server is to be told this.
    fn stands(&mut self, _standing: Standing) {}
    /// SIGHUP came. What changes by that; certificates are read again in any case.
    fn reload(&mut self, _now: Now) -> Option<Reload> {
        None
    }
    /// Every 10 s (`FILES_LOOKED_AT_EVERY`): what changes because files have changed.
    fn look_at_files(&mut self, _now: Now) -> Option<Reload> {
        None
    }
    /// Once an hour: a moment to renew our own certificate.
    fn hourly(&mut self, _now: Now) {}
}

/// No hooks.
impl Hooks for () {}

impl Core for Server {
    fn handle(&mut self, now: Now, event: Event<'_>) {
        Server::handle(self, now, event);
    }
    fn tick(&mut self, now: Now) {
        Server::tick(self, now);
    }
    fn poll(&mut self) -> Option<Effect> {
        Server::poll(self)
    }
    fn wake_at(&self) -> Option<Duration> {
        Server::wake_at(self)
    }
    fn wants_input(&mut self, connection: ConnectionId, unread_bytes: impl FnOnce() -> usize) -> bool {
        Server::wants_input(self, connection, unread_bytes)
    }
    fn output<'a>(&'a self, connection: ConnectionId, slices: &mut [IoSlice<'a>]) -> usize {
        Server::output(self, connection, slices)
    }
    fn describe(&self, figures: Figures) -> String {
        Server::describe(self, figures)
    }
}
