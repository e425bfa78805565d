//! Answers whose body the handler gives piece by piece: the next one is asked for when the client has taken the last, so that
//! a slow client holds one piece, and nobody else waits for it.

use crate::connection::ConnectionId;
use crate::http::Segment;
use crate::slots::SlotId;
use crate::task::{Fate, Reply};
use crate::time::NEVER;

use super::connections::Stage;
use super::tasks::Waiting;
use super::{Effect, Server};

impl Server {
    /// All that was given of an answer is out, and more is to come: its handler goes on.
    pub(super) fn wants_more(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        let Stage::Answering(Some(task)) = connection.stage else { return };
        // from here on the client waits for us
        self.set_deadline(id, NEVER);
        self.tell_fate(task, Fate::Written);
    }

    /// Tells a task what became of what it gave last. One that waits for the store just then hears it when it gives more.
    pub(super) fn tell_fate(&mut self, task: SlotId, fate: Fate) {
        if self.tasks.get(task).is_some_and(|task| task.awaits_fate()) {
            self.resume(task, Reply::Responded(fate));
        }
    }

    /// A handler has more of its answer; an answer that is clear at once is returned. The time in which the client has to take
    /// it begins anew.
    pub(super) fn send_more(&mut self, task: SlotId, segment: Segment) -> Option<Reply> {
        let connection = self.tasks.get(task)?.connection;
        let Some(id) = connection.filter(|connection| self.streams_for(task, *connection)) else {
            return Some(Reply::Responded(Fate::Lost));
        };
        if segment.is_empty() {
            return Some(Reply::Responded(Fate::Written));
        }
        self.connections.get_mut(id)?.http.push(segment);
        self.tasks.get_mut(task)?.waiting = Waiting::Fate;
        self.effects.push_back(Effect::Write(id));
        self.set_deadline(id, self.end_of(self.config.server.timeouts.write));
        None
    }

    /// A handler waits for what it gave earlier; an answer that is clear at once is returned.
    pub(super) fn written_asked(&mut self, task: SlotId) -> Option<Reply> {
        let connection = self.tasks.get(task)?.connection;
        let Some(id) = connection.filter(|connection| self.streams_for(task, *connection)) else {
            return Some(Reply::Responded(Fate::Lost));
        };
        if self.connections.get(id)?.http.unsent_bytes() == 0 {
            return Some(Reply::Responded(Fate::Written));
        }
        self.tasks.get_mut(task)?.waiting = Waiting::Fate;
        None
    }

    /// Whether this task's answer is under way on that connection, and not all of it given.
    pub(super) fn streams_for(&self, task: SlotId, connection: ConnectionId) -> bool {
        let entry = self.connections.get(connection);
        entry.is_some_and(|entry| {
            entry.stage == Stage::Answering(Some(task))
                && entry.exchange.as_ref().is_some_and(|exchange| exchange.streams())
        })
    }

    /// An answer is out whole.
    pub(super) fn end_stream(&mut self, id: ConnectionId) {
        let fleet = self.fleet.as_deref_mut().expect("the fleet is here while no task is polled");
        if let Some(connection) = self.connections.get_mut(id)
            && let Some(exchange) = &mut connection.exchange
        {
            exchange.end_stream(fleet, connection.listener);
        }
    }
}
