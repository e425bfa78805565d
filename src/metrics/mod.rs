//! Counters as plain fields, counted by the loop thread, and the forms in which they are shown. What is shown under which
//! name is not decided here, but in `handlers/metrics`.

mod family;
mod histogram;
pub mod process;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

pub use family::{Family, Kind, Sample, Value};
pub use histogram::{BOUNDS, Histogram};
pub use text::{render, render_prometheus};

/// What has happened since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Requests begun.
    pub requests: u64,
    /// Requests answered with less than 400, and messages on WebSockets with what was asked for.
    pub succeeded: u64,
    /// Requests answered with 400 or more, and messages on WebSockets with an error.
    pub failed: u64,
    /// Requests refused by a limit.
    pub refused: u64,
    /// Clients that went away before their answer.
    pub dropped: u64,
    /// Agents enrolled.
    pub enrolments: u64,
    /// Policy revisions given to agents.
    pub policies_delivered: u64,
    /// Actions given to agents.
    pub actions_delivered: u64,
    /// Events acknowledged.
    pub acks: u64,
    /// Handlers that panicked or waited for nothing.
    pub handler_bugs: u64,
    /// Batches given to the store.
    pub store_batches: u64,
    /// Operations given to the store.
    pub store_operations: u64,
    /// Operations refused because too many waited.
    pub store_refused: u64,
    /// The same by route: one of the agents' API, or what [`crate::connection`] calls a listener that has none of those.
    pub routes: BTreeMap<&'static str, Route>,
    /// Answers that told an error, by route and by the error's name, both of which are few.
    pub errors: BTreeMap<(&'static str, &'static str), u64>,
    /// Store operations by their names.
    pub operations: BTreeMap<&'static str, Operations>,
    /// Check-ins refused by a limit, per second.
    pub check_ins_refused: Rate,
    /// Connections and requests beyond `max_connections`, per second.
    pub connections_refused: Rate,
}

/// What has happened on one route.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Requests begun.
    pub requests: u64,
    /// Answered with 400 or more, or with an error on a WebSocket.
    pub failed: u64,
    /// Clients that went away before their answer.
    pub dropped: u64,
    /// Refused by the route's rate.
    pub refused_rate: u64,
    /// Refused by the route's number of requests at a time.
    pub refused_max: u64,
    /// Refused by the listener's number of requests at a time.
    pub refused_connections: u64,
    /// Bytes of bodies received, as they came over the wire.
    pub body_in_bytes: u64,
    /// Bytes of bodies answered, compressed where they are.
    pub body_out_bytes: u64,
}

/// What became of one kind of store operation.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    /// From when it was asked for to its answer.
    pub times: Histogram,
    /// Failures by their kind.
    pub failures: BTreeMap<&'static str, u64>,
}

/// How often something happens per second, looked at now and then.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    total: u64,
    looked_at: Duration,
    per_second: u64,
}

/// Between two looks, at least (config.md, "Metrics": every 10 s).
const RATE_EVERY: Duration = Duration::from_secs(10);

impl Rate {
    /// It has happened `total` times until `now` ([`crate::time::Now::mono`]).
    pub fn look(&mut self, total: u64, now: Duration) {
        let passed = now.saturating_sub(self.looked_at);
        if passed >= RATE_EVERY {
            let more = total.saturating_sub(self.total) as f64;
            self.per_second = (more / passed.as_secs_f64()).round() as u64;
            self.total = total;
            self.looked_at = now;
        }
    }

    /// Per second, rounded, between the last two looks.
    pub fn per_second(&self) -> u64 {
        self.per_second
    }
}

impl Counters {
    /// The counters of a route.
    pub fn route(&mut self, name: &'static str) -> &mut Route {
        self.routes.entry(name).or_default()
    }

    /// An answer tells an error of this name.
    pub fn told_error(&mut self, route: &'static str, error: &'static str) {
        *self.errors.entry((route, error)).or_default() += 1;
    }

    /// A message on a WebSocket of this route is answered with so many bytes, and with the error of this name if it came to
    /// nothing.
    pub fn message_answered(&mut self, route: &'static str, bytes: usize, error: Option<&'static str>) {
        self.route(route).body_out_bytes += bytes as u64;
        match error {
            None => self.succeeded += 1,
            Some(error) => {
                self.failed += 1;
                self.route(route).failed += 1;
                self.told_error(route, error);
            }
        }
    }

    /// Whatever a limit refused on a listener of agents for want of places.
    pub fn beyond_connections(&self) -> u64 {
        self.routes.values().map(|route| route.refused_connections).sum()
    }
}

/// What is known outside the fleet's state at one moment: by the loop, the core and the process.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Connections by listener.
    pub connections: Vec<(&'static str, u64)>,
    /// Of the loop, counted since the start.
    pub network: Network,
    /// What waits, and how much may.
    pub queues: Vec<Queue>,
    /// Requests under way whose answers are being written.
    pub answering: u64,
    /// Those of them that are check-ins.
    pub deliveries: u64,
    /// Requests whose handlers are at work, and handlers without a request.
    pub handlers: u64,
    /// Lines that the log had no room for.
    pub log_lines_dropped: u64,
    /// Requests to Elasticsearch by what they were for, and how many of them failed.
    pub elasticsearch: Vec<(&'static str, u64, u64)>,
}

/// Counters of the loop.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Connections of agents' listeners that were taken in.
    pub opened: u64,
    /// Those of them that are closed.
    pub closed: u64,
    /// Connections closed when they were accepted, for want of places.
    pub rejected: u64,
    /// TLS handshakes that went well.
    pub handshakes: u64,
    /// Those of them that resumed a session.
    pub resumed: u64,
    /// TLS handshakes that did not go well.
    pub handshakes_failed: u64,
    /// How long the loop's turns took, waits left out.
    pub turns: Histogram,
}

/// Something that waits.
#[derive(Clone, Debug)]
pub struct Queue {
    /// What.
    pub name: &'static str,
    /// How much of it.
    pub depth: u64,
    /// How much may; `None`: bounded by the number of connections.
    pub bound: Option<u64>,
}

impl Queue {
    /// A queue of a bound of its own.
    pub fn bounded(name: &'static str, depth: usize, bound: usize) -> Self {
        Queue { name, depth: depth as u64, bound: Some(bound as u64) }
    }

    /// A queue of connections or of agents that have one.
    pub fn of_connections(name: &'static str, depth: usize) -> Self {
        Queue { name, depth: depth as u64, bound: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_per_second_rounded_and_looked_at_every_ten_seconds() {
        let at = Duration::from_secs;
        let mut rate = Rate::default();
        rate.look(7, at(5));
        assert_eq!(rate.per_second(), 0, "too early");
        rate.look(26, at(10));
        assert_eq!(rate.per_second(), 3);
        rate.look(1_000, at(19));
        assert_eq!(rate.per_second(), 3, "too early");
        rate.look(26, at(20));
        assert_eq!(rate.per_second(), 0);
    }
}
