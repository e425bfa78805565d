//! Places for what is megabytes each: chunks of files on their way in and out. Whoever finds none waits in line; only where too
//! many wait, or for too long, is anybody refused. No client takes more than a few, and one that is slow gives way to those who
//! wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::connection::BodyError;
use crate::metrics::Queue;
use crate::slots::SlotId;
use crate::task::{Fate, Place, Reply};

use super::Server;
use super::tasks::{Running, Waiting};

/// Chunks on their way from agents into the store at once, of 4 MiB each.
const UPLOAD_CHUNKS_MAX: usize = 16;
/// Chunks on their way to clients at once, of 4 MiB each.
const DELIVERY_CHUNKS_MAX: usize = 16;
/// Of these, those of one client; it may have several files under way.
const CHUNKS_PER_CLIENT_MAX: usize = 2;
/// Tasks that wait for a place of one kind.
const PLACES_AWAITED_MAX: usize = 1_024;
/// Of these, those of one client.
const AWAITED_PER_CLIENT_MAX: usize = 32;
/// For so long a place is held whoever waits for it.
const PLACE_TIME_MAX: Duration = Duration::from_secs(5);
/// After that an upload keeps its place if it comes at this pace, far below what `timeouts.read` asks of a whole chunk.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// What a task waits for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) client: Arc<str>,
}

/// A place that a task holds.
#[derive(Debug)]
pub(super) struct Taken {
    wanted: Wanted,
    /// Since when.
    since: Duration,
}

/// Both kinds.
#[derive(Debug)]
pub(super) struct Places {
    uploads: Kind,
    deliveries: Kind,
}

#[derive(Debug)]
struct Kind {
    most: usize,
    taken: usize,
    /// How many of them each client has.
    by_client: BTreeMap<Arc<str>, usize>,
    /// In the order of arrival; some may have gone.
    waiting: VecDeque<(SlotId, Arc<str>)>,
}

impl Default for Places {
    fn default() -> Self {
        let kind = |most| Kind { most, taken: 0, by_client: BTreeMap::new(), waiting: VecDeque::new() };
        Places { uploads: kind(UPLOAD_CHUNKS_MAX), deliveries: kind(DELIVERY_CHUNKS_MAX) }
    }
}

impl Places {
    fn kind(&mut self, place: Place) -> &mut Kind {
        match place {
            Place::Upload => &mut self.uploads,
            Place::Delivery => &mut self.deliveries,
        }
    }

    /// What is taken and who waits, for metrics.
    pub(super) fn queues(&self) -> [Queue; 4] {
        let Places { uploads, deliveries } = self;
        [
            Queue::bounded("upload_chunks", uploads.taken, uploads.most),
            Queue::bounded("uploads_waiting", uploads.waiting.len(), PLACES_AWAITED_MAX),
            Queue::bounded("delivery_chunks", deliveries.taken, deliveries.most),
            Queue::bounded("deliveries_waiting", deliveries.waiting.len(), PLACES_AWAITED_MAX),
        ]
    }
}

impl Kind {
    /// Whether this client may have a place now.
    fn has_one_for(&self, client: &str) -> bool {
        self.taken < self.most && self.by_client.get(client).is_none_or(|held| *held < CHUNKS_PER_CLIENT_MAX)
    }

    /// Whether nobody more of this client may wait.
    fn is_full_for(&self, client: &str) -> bool {
        let of_client = || self.waiting.iter().filter(|(_, other)| **other == *client).count();
        self.waiting.len() >= PLACES_AWAITED_MAX || of_client() >= AWAITED_PER_CLIENT_MAX
    }

    /// Whether somebody waits whom a place of this client would help.
    fn awaits_one_of(&self, client: &str) -> bool {
        let waits = || self.waiting.iter().any(|(_, other)| **other == *client);
        !self.waiting.is_empty() && (self.taken >= self.most || waits())
    }

    fn take(&mut self, client: &Arc<str>) {
        self.taken += 1;
        *self.by_client.entry(client.clone()).or_default() += 1;
    }

    fn give_back(&mut self, client: &str) {
        self.taken -= 1;
        if let Some(held) = self.by_client.get_mut(client) {
            *held -= 1;
            if *held == 0 {
                self.by_client.remove(client);
            }
        }
    }

    /// Who comes first of those for whom there is a place; whoever does not wait any more is forgotten.
    fn next(&mut self, waits: impl Fn(SlotId) -> bool) -> Option<SlotId> {
        if self.taken >= self.most {
            return None;
        }
        self.waiting.retain(|(id, _)| waits(*id));
        let index = self.waiting.iter().position(|(_, client)| self.has_one_for(client))?;
        self.waiting.remove(index).map(|(id, _)| id)
    }
}

impl Server {
    /// A task asks for a place; an answer that is clear at once is returned. While others wait nobody passes them: those for whom
    /// there is one have it before the turn ends.
    pub(super) fn place_asked(&mut self, id: SlotId, wanted: Wanted) -> Option<Reply> {
        let since = self.now.mono;
        let kind = self.places.kind(wanted.place);
        let is_first = kind.waiting.iter().all(|(_, client)| !kind.has_one_for(client));
        if is_first && kind.has_one_for(&wanted.client) {
            kind.take(&wanted.client);
            self.tasks.get_mut(id)?.place = Some(Taken { wanted, since });
            return Some(Reply::Entered(true));
        }
        if kind.is_full_for(&wanted.client) {
            return Some(Reply::Entered(false));
        }
        kind.waiting.push_back((id, wanted.client.clone()));
        self.tasks.get_mut(id)?.waiting = Waiting::Place(wanted);
        None
    }

    /// A task gives its place back, or ends with it.
    pub(super) fn place_given_back(&mut self, taken: Option<Taken>) {
        if let Some(Taken { wanted, .. }) = taken {
            self.places.kind(wanted.place).give_back(&wanted.client);
        }
    }

    /// Lets those go on for whom there is a place now.
    pub(super) fn fill_places(&mut self) {
        for place in [Place::Upload, Place::Delivery] {
            loop {
                let tasks = &self.tasks;
                let waits = |id: SlotId| tasks.get(id).is_some_and(|task| task.wanted(place).is_some());
                let Some(id) = self.places.kind(place).next(waits) else { break };
                let Some(task) = self.tasks.get_mut(id) else { continue };
                let Some(wanted) = task.wanted(place).cloned() else { continue };
                self.places.kind(place).take(&wanted.client);
                task.place = Some(Taken { wanted, since: self.now.mono });
                self.resume(id, Reply::Entered(true));
            }
        }
    }

    /// As many as wait for a place get it from those who have held theirs for long and are slow: a client that does not take what
    /// it is sent, or that hardly sends.
    pub(super) fn take_places_from_the_slow(&mut self) {
        for place in [Place::Upload, Place::Delivery] {
            let count = self.places.kind(place).waiting.len();
            for id in self.slow_ones(place).into_iter().take(count) {
                match place {
                    Place::Delivery => self.tell_fate(id, Fate::Pending),
                    Place::Upload => self.body_failed(id, BodyError::NoRoom),
                }
            }
        }
    }

    /// Tasks whose place would help somebody who waits, and whose clients are slow; those who have it for longest first.
    fn slow_ones(&self, place: Place) -> Vec<SlotId> {
        let kind = match place {
            Place::Upload => &self.places.uploads,
            Place::Delivery => &self.places.deliveries,
        };
        let mut slow: Vec<(Duration, SlotId)> = Vec::new();
        for (id, task) in self.tasks.iter() {
            let Some(taken) = task.place.as_ref().filter(|taken| taken.wanted.place == place) else {
                continue;
            };
            let held = self.now.mono.saturating_sub(taken.since);
            if held >= PLACE_TIME_MAX && kind.awaits_one_of(&taken.wanted.client) && self.is_slow(task, held)
            {
                slow.push((taken.since, id));
            }
        }
        slow.sort_unstable();
        slow.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether it is the client that a task with a place has waited for, in vain or nearly.
    fn is_slow(&self, task: &Running, held: Duration) -> bool {
        let exchange = || self.connections.get(task.connection?)?.exchange.as_ref();
        let received = || exchange()?.body.as_ref().map(|body| body.received_bytes());
        match task.waiting {
            Waiting::Fate => true,
            Waiting::Body => received().unwrap_or(0) < held.as_secs() * UPLOAD_BYTES_PER_SECOND_MIN,
            _ => false,
        }
    }
}

impl Running {
    /// The place of this kind that it waits for.
    fn wanted(&self, place: Place) -> Option<&Wanted> {
        match &self.waiting {
            Waiting::Place(wanted) if wanted.place == place => Some(wanted),
            _ => None,
        }
    }
}
