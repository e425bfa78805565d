//! The sans-IO core: [`Event`]s in, [`Effect`]s out. No socket, no clock, no thread, no TLS.
//!
//! After each [`Server::handle`] or [`Server::tick`] the caller takes effects with [`Server::poll`] until there are none. The
//! reactor, the simulator and the tests are its callers.

mod body;
mod configuring;
mod connections;
mod event;
mod exchange;
mod gate;
mod measuring;
mod news;
mod sockets;
mod places;
mod stopping;
mod streaming;
mod supervised;
mod tasks;
mod timing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::api::user_agent::Version;
use crate::config::Config;
pub use crate::connection::{ConnectionId, Listener};
use crate::fleet::Fleet;
use crate::http::Limits;
use crate::slots::{Beside, SlotId, Slots};
use crate::store::batch::Batcher;
use crate::store::{Lanes, Store};
use crate::task::Loan;
use crate::time::Now;
use crate::timers::Timers;
use crate::version::STACK_VERSION;

use body::BodyAccount;
use connections::Connection;
pub use event::{BatchId, Effect, Event, WorkId};
use gate::Gate;
use measuring::Placed;
use places::Places;
use stopping::Stopping;
use supervised::Supervised;
use tasks::{Running, Worker};
use timing::Timer;

/// Header lines of a request.
const HEADERS_MAX: usize = 100;

/// The core.
pub struct Server {
    /// Always here but while a task is polled.
    fleet: Option<Box<Fleet>>,
    loan: Rc<Loan>,
    config: Arc<Config>,
    limits: Limits,
    connections: Beside<Connection>,
    tasks: Slots<Running>,
    /// Tasks that share a look-up, by what is looked up.
    lookups: BTreeMap<String, Vec<SlotId>>,
    /// Tasks that share an errand, by its name.
    errands: BTreeMap<&'static str, Vec<SlotId>>,
    work: BTreeMap<WorkId, Worker>,
    last_work: WorkId,
    batcher: Batcher<Placed>,
    /// How many operations the operator lets wait or be under way; `usize::MAX`: nothing was said.
    operations_max: usize,
    gate: Gate,
    timers: Timers<Timer>,
    bodies: Rc<BodyAccount>,
    places: Places,
    /// Connections whose body is being inflated within the budget of each turn.
    inflating: VecDeque<ConnectionId>,
    /// Tasks that wait for figures.
    measuring: Vec<SlotId>,
    effects: VecDeque<Effect>,
    stopping: Option<Stopping>,
    now: Now,
    /// Since when the wall clock has gone as the monotonic one does.
    steady_since: Duration,
    beats_under_way: usize,
    /// A look after outputs is under way.
    minds_outputs: bool,
    supervised: Supervised,
}

impl Server {
    /// A core at `now` with the configuration in force and the lanes of `store`; `seed` feeds ids and jitter.
    pub fn new(config: Arc<Config>, store: &dyn Store, seed: [u8; 32], now: Now) -> Self {
        Self::with_lanes(config, store.lanes(), seed, now)
    }

    /// The same, told how the store takes operations.
    pub fn with_lanes(config: Arc<Config>, lanes: Lanes, seed: [u8; 32], now: Now) -> Self {
        let operations_max = configuring::operations_max(&config);
        let mut server = Server {
            fleet: Some(Box::new(Fleet::new(config.clone(), own_version(), seed))),
            loan: Rc::default(),
            limits: Limits {
                head_bytes_max: config.server.limits.header_bytes_max,
                headers_max: HEADERS_MAX,
            },
            config,
            connections: Beside::default(),
            tasks: Slots::default(),
            lookups: BTreeMap::new(),
            errands: BTreeMap::new(),
            work: BTreeMap::new(),
            last_work: 0,
            operations_max,
            batcher: Batcher::new(lanes).bounded(operations_max),
            gate: Gate::default(),
            timers: Timers::default(),
            bodies: Rc::default(),
            places: Places::default(),
            inflating: VecDeque::new(),
            measuring: Vec::new(),
            effects: VecDeque::new(),
            stopping: None,
            now,
            steady_since: now.mono,
            beats_under_way: 0,
            minds_outputs: false,
            supervised: Supervised::default(),
        };
        server.fleet_mut().key_making = lanes.key_making;
        server.start_housekeeping();
        server.start_under_agent();
        server
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, event: Event<'_>) {
        self.note_time(now);
        match event {
            Event::Opened { connection, listener, tls, peer } => self.opened(connection, listener, tls, peer),
            Event::Received { connection, bytes } => self.received(connection, bytes),
            Event::Sent { connection, bytes } => self.sent(connection, bytes),
            Event::Ended { connection } => self.ended(connection),
            Event::Lost { connection } => self.lost(connection),
            Event::Answered { batch, answers } => self.answered(batch, answers),
            Event::Worked { work, result } => self.worked(work, result),
            Event::Changed(changes) => self.changed(changes),
            Event::Configured(config) => self.configured(config),
            Event::Measured(figures) => self.measured(figures),
            Event::Stop => self.stop(),
        }
        self.settle();
    }

    /// Lets timers ring that are due.
    pub fn tick(&mut self, now: Now) {
        self.note_time(now);
        self.ring();
        self.inflate_on();
        self.let_in_late();
        self.settle();
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Effect> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        let batch = self.batcher.next_batch()?;
        let counters = &mut self.fleet_mut().counters;
        counters.store_batches += 1;
        counters.store_operations += batch.operations.len() as u64;
        Some(Effect::Store { lane: batch.lane, batch: batch.id, operations: batch.operations })
    }

    /// When [`Server::tick`] is due, as [`Now::mono`].
    pub fn wake_at(&self) -> Option<Duration> {
        let now = self.now.mono;
        let fleet = self.fleet();
        let at_once = (!self.inflating.is_empty() || !self.fleet().collectors.is_idle()).then_some(now);
        let queues = [fleet.action_queue.next_at(now), fleet.rollout.next_at(now)];
        [at_once, self.timers.wake_at(), self.gate_opens_at()].into_iter().chain(queues).flatten().min()
    }

    /// What is to be written next on this connection; how many of the slices are filled.
    pub fn output<'a>(&'a self, connection: ConnectionId, slices: &mut [IoSlice<'a>]) -> usize {
        self.connections.get(connection).map_or(0, |connection| connection.output(slices))
    }

    /// The fleet state, for metrics and the operator.
    pub fn fleet(&self) -> &Fleet {
        self.fleet.as_deref().expect("the fleet is here while no task is polled")
    }

    /// Whether nothing is under way: no request, no store operation, nothing to be written.
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.batcher.is_idle() && self.effects.is_empty()
    }

    fn fleet_mut(&mut self) -> &mut Fleet {
        self.fleet.as_deref_mut().expect("the fleet is here while no task is polled")
    }

    /// What a turn leaves to be done: dismissed agents, queued seats, the way to the end.
    fn settle(&mut self) {
        self.answer_dismissed();
        self.fill_places();
        self.serve_queues();
        self.push_offers();
        self.flush_beats();
        self.let_in_at_rest();
        self.go_on_under_agent();
        self.go_on_stopping();
    }
}

/// The version whose protocol we speak.
fn own_version() -> Version {
    Version::parse(STACK_VERSION).expect("the constant is a version")
}
