//! Tasks under way: what each waits for, and whose answers belong to whom.

use std::any::Any;

use crate::api::ApiError;
use crate::connection::ConnectionId;
use crate::fleet::UnfinishedUndo;
use crate::handlers::{deliver, enroll};
use crate::model::ApiKey;
use crate::slots::SlotId;
use crate::store::{Answer, Operation, StoreError, StoreResult, Written};
use crate::task::{Ask, Cx, Fate, Handler, Outcome, Progress, Reply, Shared, Task};

use super::body::Share;
use super::connections::Stage;
use super::places::{Taken, Wanted};
use super::{BatchId, Effect, Server, WorkId};

/// A task and what it waits for.
pub(super) struct Running {
    task: Task,
    pub(super) connection: Option<ConnectionId>,
    pub(super) waiting: Waiting,
    /// What it holds of what only few may hold at once.
    pub(super) place: Option<Taken>,
    /// What its body takes of the bound for all bodies.
    pub(super) body: Option<Share>,
    /// Counts what it asked for, so that an answer that comes too late is not taken for that to a later question.
    asks: u32,
    /// When it began to wait ([`crate::time::Now::mono`]).
    pub(super) since: std::time::Duration,
}

pub(super) enum Waiting {
    Nothing,
    Store { results: Vec<Option<StoreResult>>, left: usize },
    Lookup,
    Body,
    Work,
    Errand,
    Fate,
    Figures,
    Place(Wanted),
}

/// Whose a piece of work is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Worker {
    /// A task's.
    Task(SlotId),
    /// All who wait for this errand.
    Errand(&'static str),
}

/// Whose a store operation is.
#[derive(Debug)]
pub(super) enum Owner {
    /// A task's.
    Task(Spot),
    /// A task's that, if nobody waits for it any more, is taken back.
    Enrolment(Spot, Undo),
    /// All who wait for this look-up.
    Lookup(String),
    /// Heartbeats: nobody waits.
    Beats,
    /// Housekeeping: nobody waits.
    Housekeeping,
    /// The look after outputs.
    Outputs,
    /// Old documents that are brought up to date.
    Migration,
}

/// Where the answer to an operation belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    task: SlotId,
    /// Which of the task's questions it was.
    ask: u32,
    /// Which of that question's operations.
    index: usize,
}

/// What takes an enrolment back, but for the key.
#[derive(Debug)]
pub(super) struct Undo {
    agent: String,
    created: bool,
}

impl Running {
    pub(super) fn awaits_body(&self) -> bool {
        matches!(self.waiting, Waiting::Body)
    }

    pub(super) fn awaits_figures(&self) -> bool {
        matches!(self.waiting, Waiting::Figures)
    }

    pub(super) fn awaits_fate(&self) -> bool {
        matches!(self.waiting, Waiting::Fate)
    }

    /// The answer to a task that has waited too long for the store, which may never answer, or for a place. Pure work always ends.
    pub(super) fn expired(&self) -> Option<Reply> {
        let late = || Err(StoreError::Unavailable("it did not answer in time".into()));
        match &self.waiting {
            Waiting::Store { results, .. } => {
                Some(Reply::Store(results.iter().map(|result| result.clone().unwrap_or_else(late)).collect()))
            }
            Waiting::Lookup => Some(Reply::Store(vec![late()])),
            Waiting::Place(_) => Some(Reply::Entered(false)),
            _ => None,
        }
    }
}

impl Server {
    /// Starts a handler, for a connection or on its own.
    pub(super) fn spawn(
        &mut self,
        connection: Option<ConnectionId>,
        start: impl FnOnce(Cx) -> Handler,
    ) -> SlotId {
        let task = Task::new(&self.loan, self.now, start);
        let since = self.now.mono;
        let waiting = Waiting::Nothing;
        let id =
            self.tasks.insert(Running { task, connection, waiting, place: None, body: None, asks: 0, since });
        if let Some(connection) = connection.and_then(|connection| self.connections.get_mut(connection)) {
            connection.stage = Stage::Working(id);
        }
        self.drive(id, None);
        id
    }

    /// Gives a task the answer it waits for.
    pub(super) fn resume(&mut self, id: SlotId, reply: Reply) {
        self.drive(id, Some(reply));
    }

    fn drive(&mut self, id: SlotId, mut reply: Option<Reply>) {
        loop {
            let Some(running) = self.tasks.get_mut(id) else { return };
            running.waiting = Waiting::Nothing;
            running.since = self.now.mono;
            let progress = running.task.resume(&mut self.fleet, self.now, reply.take());
            match progress {
                Progress::Asks(ask) => match self.place(id, ask) {
                    None => return,
                    answered => reply = answered,
                },
                Progress::Ends(outcome) => return self.end(id, outcome),
                Progress::Fails(reason) => {
                    ::log::error!("{reason}");
                    self.fleet_mut().counters.handler_bugs += 1;
                    if let Some(connection) = self.tasks.get(id).and_then(|running| running.connection) {
                        self.fleet_mut().forget_enrolment(connection);
                    }
                    return self.end(id, Outcome::Respond(ApiError::Internal.response().closing()));
                }
            }
        }
    }

    /// Sees to what a task asks for; an answer that is there at once is returned.
    fn place(&mut self, id: SlotId, ask: Ask) -> Option<Reply> {
        let connection = self.tasks.get(id)?.connection;
        let waiting = match ask {
            Ask::Store(operations) => return self.place_operations(id, operations),
            Ask::Lookup(operation) => return self.place_lookup(id, operation),
            Ask::Work(run) => {
                self.last_work += 1;
                self.work.insert(self.last_work, Worker::Task(id));
                self.effects.push_back(Effect::Work { work: self.last_work, run });
                Waiting::Work
            }
            Ask::Errand { name, run } => {
                self.place_errand(id, name, run);
                Waiting::Errand
            }
            Ask::Figures => {
                self.measuring.push(id);
                self.effects.push_back(Effect::Measure);
                Waiting::Figures
            }
            Ask::Body(bounds) => {
                let Some(connection) = connection else {
                    return Some(Reply::Body(Err(crate::connection::BodyError::Gone)));
                };
                if let Some(reply) = self.body_asked(connection, bounds) {
                    return Some(reply);
                }
                self.tasks.get_mut(id)?.waiting = Waiting::Body;
                // bytes that came with the head, taken once this poll is over
                self.pump(connection);
                self.miss_body(connection);
                return None;
            }
            Ask::Enter(place, client) => return self.place_asked(id, Wanted { place, client }),
            Ask::Leave => {
                let place = self.tasks.get_mut(id)?.place.take();
                self.place_given_back(place);
                return Some(Reply::Entered(true));
            }
            Ask::Send(segment) => return self.send_more(id, segment),
            Ask::Written => return self.written_asked(id),
            Ask::Respond(response) => {
                let Some(connection) = connection.filter(|connection| self.works_for(id, *connection)) else {
                    return Some(Reply::Responded(Fate::Lost));
                };
                self.tasks.get_mut(id)?.waiting = Waiting::Fate;
                self.answer_now(connection, response);
                return None;
            }
        };
        self.tasks.get_mut(id)?.waiting = waiting;
        None
    }

    fn place_operations(&mut self, id: SlotId, operations: Vec<Operation>) -> Option<Reply> {
        let running = self.tasks.get_mut(id)?;
        running.asks += 1;
        let ask = running.asks;
        let mut results: Vec<Option<StoreResult>> = operations.iter().map(|_| None).collect();
        for (index, operation) in operations.into_iter().enumerate() {
            let owner = owner(Spot { task: id, ask, index }, &operation);
            if let Err(error) = self.put(owner, operation) {
                results[index] = Some(Err(error));
                self.fleet_mut().counters.store_refused += 1;
            }
        }
        let left = results.iter().filter(|result| result.is_none()).count();
        if left == 0 {
            return Some(Reply::Store(results.into_iter().flatten().collect()));
        }
        self.tasks.get_mut(id)?.waiting = Waiting::Store { results, left };
        None
    }

    /// One look-up in flight for all who want the same.
    fn place_lookup(&mut self, id: SlotId, operation: Operation) -> Option<Reply> {
        let key = lookup_key(&operation);
        if let Some(waiting) = self.lookups.get_mut(&key) {
            waiting.push(id);
        } else if let Err(error) = self.put(Owner::Lookup(key.clone()), operation) {
            return Some(Reply::Store(vec![Err(error)]));
        } else {
            self.lookups.insert(key, vec![id]);
        }
        self.tasks.get_mut(id)?.waiting = Waiting::Lookup;
        None
    }

    /// One errand under way for all who want the same.
    fn place_errand(&mut self, id: SlotId, name: &'static str, run: Box<dyn FnOnce() -> Shared + Send>) {
        if let Some(waiting) = self.errands.get_mut(name) {
            waiting.push(id);
            return;
        }
        self.errands.insert(name, vec![id]);
        self.last_work += 1;
        self.work.insert(self.last_work, Worker::Errand(name));
        let run = Box::new(move || Box::new(run()) as Box<dyn Any + Send>);
        self.effects.push_back(Effect::Errand { work: self.last_work, run });
    }

    pub(super) fn answered(&mut self, batch: BatchId, answers: Vec<StoreResult>) {
        let count = answers.len();
        let mut answers = answers.into_iter();
        for placed in self.batcher.done(batch) {
            // a store that answers too little has failed
            let answer = answers.next().unwrap_or_else(|| Err(StoreError::Unavailable("no answer".into())));
            self.count_operation(&placed, &answer);
            match placed.owner {
                Owner::Task(spot) => {
                    self.answer_task(spot, answer);
                }
                Owner::Enrolment(spot, undo) => {
                    if let Some(Ok(Answer::Key(key))) = self.answer_task(spot, answer) {
                        self.undo_enrolment(undo, key);
                    }
                }
                Owner::Lookup(key) => self.answer_lookup(&key, &answer),
                Owner::Beats => self.beats_written(&answer),
                Owner::Housekeeping => housekept(&answer),
                Owner::Outputs => self.outputs_are_minded(),
                Owner::Migration => self.migrated(&answer),
            }
        }
        self.let_in_for(count);
    }

    /// Gives a task its answer; given back if the task does not wait for it any more.
    fn answer_task(&mut self, spot: Spot, answer: StoreResult) -> Option<StoreResult> {
        let Some(running) = self.tasks.get_mut(spot.task).filter(|running| running.asks == spot.ask) else {
            return Some(answer);
        };
        let Waiting::Store { results, left } = &mut running.waiting else { return Some(answer) };
        let Some(result) = results.get_mut(spot.index).filter(|result| result.is_none()) else {
            return Some(answer);
        };
        *result = Some(answer);
        *left -= 1;
        if *left == 0 {
            let results = std::mem::take(results).into_iter().flatten().collect();
            self.resume(spot.task, Reply::Store(results));
        }
        None
    }

    /// The store made a key after its agent was told that it could not: nobody has it, nobody may.
    fn undo_enrolment(&mut self, undo: Undo, key: ApiKey) {
        let Undo { agent, created } = undo;
        let undo = UnfinishedUndo { agent, access_key: key.id, created };
        self.spawn(None, |cx| Box::pin(enroll::undo_again(cx, undo)));
    }

    fn answer_lookup(&mut self, key: &str, answer: &StoreResult) {
        for id in self.lookups.remove(key).unwrap_or_default() {
            if self.tasks.get(id).is_some_and(|task| matches!(task.waiting, Waiting::Lookup)) {
                self.resume(id, Reply::Store(vec![answer.clone()]));
            }
        }
    }

    pub(super) fn worked(&mut self, work: WorkId, result: Option<Box<dyn Any + Send>>) {
        let id = match self.work.remove(&work) {
            None => return,
            Some(Worker::Task(id)) => id,
            Some(Worker::Errand(name)) => return self.errand_done(name, result),
        };
        if self.tasks.get(id).is_some_and(|task| matches!(task.waiting, Waiting::Work)) {
            self.resume(id, Reply::Work(result));
        }
    }

    fn errand_done(&mut self, name: &str, result: Option<Box<dyn Any + Send>>) {
        let result: Option<Shared> = result.and_then(|result| result.downcast().ok()).map(|result| *result);
        for id in self.errands.remove(name).unwrap_or_default() {
            if self.tasks.get(id).is_some_and(|task| matches!(task.waiting, Waiting::Errand)) {
                self.resume(id, Reply::Errand(result.clone()));
            }
        }
    }

    fn end(&mut self, id: SlotId, outcome: Outcome) {
        let Some(running) = self.tasks.remove(id) else { return };
        self.place_given_back(running.place);
        let Some(connection) = running.connection else { return };
        if self.answers_message(id, connection) {
            return self.end_message(connection, outcome);
        }
        if self.streams_for(id, connection) {
            // what is still missing of its answer will never come
            return self.drop_connection(connection);
        }
        match outcome {
            // the answer was given earlier
            Outcome::Done if !self.works_for(id, connection) => {}
            Outcome::Respond(_) if !self.works_for(id, connection) => {}
            Outcome::Done => self.answer_now(connection, ApiError::Internal.response().closing()),
            Outcome::Respond(response) => self.answer_now(connection, response),
            Outcome::Parked(seat) => self.park(connection, seat),
            Outcome::Upgrade(upgrade) if self.works_for(id, connection) => self.upgrade(connection, *upgrade),
            // the client is gone
            Outcome::Upgrade(_) | Outcome::Told(_) => {}
        }
    }

    fn park(&mut self, connection: ConnectionId, seat: SlotId) {
        match self.connections.get_mut(connection) {
            Some(entry) if !entry.ended => {
                entry.stage = Stage::Parked(seat);
                if let Some(exchange) = &mut entry.exchange {
                    exchange.park();
                }
                self.set_deadline(connection, crate::time::NEVER);
                self.parked(connection, seat);
            }
            // the client went away meanwhile
            _ => {
                self.fleet_mut().lot.leave(seat);
                self.drop_connection(connection);
            }
        }
    }

    /// Whether this task is the one at work for that connection.
    pub(super) fn works_for(&self, task: SlotId, connection: ConnectionId) -> bool {
        self.connections.get(connection).is_some_and(|connection| connection.stage == Stage::Working(task))
    }

    /// Serves parked agents for which something has come, a bounded number a turn.
    pub(super) fn serve_queues(&mut self) {
        /// So that the loop looks at its sockets in between.
        const DELIVERIES_PER_TURN_MAX: usize = 64;
        for _ in 0..DELIVERIES_PER_TURN_MAX {
            let now = self.now.mono;
            let fleet = self.fleet_mut();
            let (seat, from_actions) = match fleet.action_queue.next_seat(now) {
                Some(seat) => (seat, true),
                None => match fleet.rollout.next_seat(now) {
                    Some(seat) => (seat, false),
                    None => return,
                },
            };
            let connection =
                fleet.lot.get(seat).and_then(|seat| seat.parked()).map(|parked| parked.connection);
            let is_parked = |id: &ConnectionId| {
                self.connections.get(*id).is_some_and(|connection| connection.stage == Stage::Parked(seat))
            };
            let Some(connection) = connection.filter(is_parked) else {
                // it left, was served already or is being served: the pace's token is for another
                let fleet = self.fleet_mut();
                if from_actions {
                    fleet.action_queue.refund()
                } else {
                    fleet.rollout.refund()
                };
                continue;
            };
            self.spawn(Some(connection), |cx| Box::pin(deliver::deliver(cx, seat)));
        }
    }

    /// Answers the older of two check-ins of one agent, empty, at once.
    pub(super) fn answer_dismissed(&mut self) {
        for parked in std::mem::take(&mut self.fleet_mut().dismissed) {
            self.answer_now(parked.connection, deliver::empty());
        }
    }
}

fn owner(spot: Spot, operation: &Operation) -> Owner {
    match operation {
        Operation::Enroll(enrollment) => {
            let created = matches!(enrollment.written, Written::New(_));
            Owner::Enrolment(spot, Undo { agent: enrollment.agent.clone(), created })
        }
        _ => Owner::Task(spot),
    }
}

/// What tells one look-up from another.
fn lookup_key(operation: &Operation) -> String {
    match operation {
        Operation::Authenticate(key) => format!("key {} {}", key.id, key.secret),
        Operation::OutputKeys(wanted) => wanted.fingerprint(),
        other => format!("{other:?}"),
    }
}

fn housekept(answer: &StoreResult) {
    match answer {
        Ok(Answer::Removed(count)) if *count > 0 => {
            ::log::info!("{count} documents that outlived their time were removed")
        }
        Ok(_) => {}
        Err(error) => ::log::warn!("what outlived its time could not be removed: {error}"),
    }
}
