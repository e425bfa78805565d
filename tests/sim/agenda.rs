//! What is going to happen, by time and then by order of planning.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_server::connection::ConnectionId;
use fleet_server::server::{BatchId, WorkId};

/// One thing that happens outside the core.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// An agent looks at what there is to do.
    Agent(usize),
    /// A client's bytes arrive.
    Send(ConnectionId),
    /// A client's side takes output.
    Take(ConnectionId),
    /// The store does what a batch says.
    Run(BatchId),
    /// The store answers a batch.
    Answer(BatchId),
    /// A worker does and answers a piece of pure work.
    Work(WorkId),
    /// News by their number.
    News(u64),
    /// An operator does something.
    Operator,
    /// A client comes that is no agent.
    Stranger,
    /// The store's mood changes.
    Mood,
    /// The wall clock is set.
    Clock,
    /// The process does not run for a while.
    Leap,
}

/// Everything planned.
#[derive(Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(Duration, u64), Happening>,
    planned: u64,
}

impl Agenda {
    pub(crate) fn plan(&mut self, at: Duration, happening: Happening) {
        self.planned += 1;
        self.entries.insert((at, self.planned), happening);
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn next(&mut self) -> Option<Happening> {
        self.entries.pop_first().map(|(_, happening)| happening)
    }

    /// Takes out what is chosen.
    pub(crate) fn cancel(&mut self, chosen: impl Fn(&Happening) -> bool) {
        self.entries.retain(|_, happening| !chosen(happening));
    }
}
