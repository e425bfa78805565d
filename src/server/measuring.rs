//! What the core counts for metrics, and its part of the figures that whoever looks at them gets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fleet::artifacts::{ARTIFACTS_WANTED_MAX, LENT_BYTES_MAX};
use crate::handlers::admin::server_status;
use crate::metrics::{Figures, Queue};
use crate::store::batch::LANE_OPERATIONS_MAX;
use crate::store::{Lane, Operation, StoreError, StoreResult};
use crate::task::Reply;

use super::Server;
use super::body::BODIES_BYTES_MAX;
use super::connections::Stage;
use super::tasks::Owner;

/// A store operation under way.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) owner: Owner,
    name: &'static str,
    /// When it was asked for.
    since: Duration,
}

impl Server {
    /// Puts an operation at the end of its lane.
    pub(super) fn put(&mut self, owner: Owner, operation: Operation) -> Result<(), StoreError> {
        let placed = Placed { owner, name: operation.name(), since: self.now.mono };
        self.batcher.put(placed, operation)
    }

    /// An operation was answered.
    pub(super) fn count_operation(&mut self, placed: &Placed, answer: &StoreResult) {
        let took = self.now.mono.saturating_sub(placed.since);
        let counted = self.fleet_mut().counters.operations.entry(placed.name).or_default();
        counted.times.record(took);
        if let Err(error) = answer {
            *counted.failures.entry(error.name()).or_default() += 1;
        }
    }

    /// Figures have come: rates are looked at, and whoever waits gets them with the core's own.
    pub(super) fn measured(&mut self, mut figures: Box<Figures>) {
        self.look_at_rates(&figures);
        let waiting = std::mem::take(&mut self.measuring);
        if waiting.is_empty() {
            return;
        }
        self.add_own(&mut figures);
        for id in waiting {
            if self.tasks.get(id).is_some_and(|task| task.awaits_figures()) {
                self.resume(id, Reply::Figures(figures.clone()));
            }
        }
    }

    /// The state in numbers, for diagnostics: JSON, without secrets and without what agents say.
    pub fn describe(&self, mut figures: Figures) -> String {
        self.add_own(&mut figures);
        let queues: Vec<Value> = figures
            .queues
            .iter()
            .map(|queue| json!({ "name": queue.name, "depth": queue.depth, "bound": queue.bound }))
            .collect();
        let described = json!({
            "server": server_status::describe(self.fleet()),
            "connections": figures.connections.iter().copied().collect::<BTreeMap<_, _>>(),
            "queues": queues,
            "handlers": figures.handlers,
            "answering": figures.answering,
            "deliveries": figures.deliveries,
            "log_lines_dropped": figures.log_lines_dropped,
        });
        format!("{described:#}")
    }

    fn look_at_rates(&mut self, figures: &Figures) {
        let now = self.now.mono;
        let counters = &mut self.fleet_mut().counters;
        let check_ins = counters.routes.get(crate::api::route::Operation::CheckIn.name());
        let refused = check_ins.map_or(0, |route| route.refused_rate + route.refused_max);
        counters.check_ins_refused.look(refused, now);
        let beyond = counters.beyond_connections() + figures.network.rejected;
        counters.connections_refused.look(beyond, now);
    }

    fn add_own(&self, figures: &mut Figures) {
        let fleet = self.fleet();
        for lane in Lane::ALL {
            figures.queues.push(Queue::bounded(lane.name(), self.batcher.waiting(lane), LANE_OPERATIONS_MAX));
        }
        figures.queues.extend([
            Queue::of_connections("requests_waiting", self.gate.waiting()),
            Queue::of_connections("action_deliveries", fleet.action_queue.len()),
            Queue::of_connections("policy_deliveries", fleet.rollout.len()),
            Queue::of_connections("heartbeats", fleet.beats.len()),
            Queue::bounded("body_bytes", self.bodies.bytes(), BODIES_BYTES_MAX),
        ]);
        let (kept, most) = fleet.artifacts.bytes();
        figures.queues.extend([
            Queue::bounded("artifacts_wanted", fleet.artifacts.wanted(), ARTIFACTS_WANTED_MAX),
            Queue { name: "artifact_bytes", depth: kept, bound: Some(most) },
            Queue {
                name: "artifact_bytes_lent",
                depth: fleet.artifacts.lent_bytes(),
                bound: Some(LENT_BYTES_MAX),
            },
        ]);
        figures.queues.extend(self.places.queues());
        if self.operations_max != usize::MAX {
            let operations = self.batcher.operations();
            figures.queues.push(Queue::bounded("store_operations", operations, self.operations_max));
        }
        for (_, connection) in self.connections.iter() {
            let answers = matches!(connection.stage, Stage::Answering(_));
            let checks_in = || connection.exchange.as_ref().is_some_and(|exchange| exchange.is_check_in());
            figures.answering += u64::from(answers);
            figures.deliveries += u64::from(answers && checks_in());
        }
        figures.handlers = self.tasks.len() as u64;
    }
}
