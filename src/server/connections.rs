//! Connections: bytes in, requests begun, responses out, and the end of each.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

use crate::connection::{BodyError, ConnectionId, Listener};
use crate::fleet::SeatId;
use crate::http::{BadRequest, BodyKind, Done, HttpConnection, Phase, Received, Response, Sent};
use crate::slots::SlotId;
use crate::task::Fate;
use crate::time::NEVER;

use super::exchange::Exchange;
use super::sockets::Socket;
use super::{Effect, Server};

/// One connection. Owns bytes only while a message is partial.
pub(super) struct Connection {
    pub(super) http: HttpConnection,
    /// What is spoken instead, once it has become a WebSocket.
    pub(super) socket: Option<Box<Socket>>,
    pub(super) listener: Listener,
    pub(super) is_encrypted: bool,
    /// Who opened it, for the log.
    pub(super) peer: Option<SocketAddr>,
    pub(super) stage: Stage,
    /// Bytes that cannot be taken yet: at most one read buffer, for nothing more is read then.
    input: Vec<u8>,
    /// The request under way.
    pub(super) exchange: Option<Box<Exchange>>,
    /// When it has waited long enough in its present phase.
    pub(super) deadline: Duration,
    /// When its timer rings next; it is moved then, not before.
    pub(super) timer_at: Duration,
    /// The peer sends no more.
    pub(super) ended: bool,
    /// The deadline is that of a head.
    pub(super) reads_head: bool,
    /// It waits for the gate.
    pub(super) outside: bool,
    /// It has waited, and its next request may begin.
    pub(super) let_in: bool,
}

/// Who is at work for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody: the next request is awaited.
    Idle,
    /// A task.
    Working(SlotId),
    /// Nobody: the agent is parked.
    Parked(SeatId),
    /// The socket: the answer is on its way; a task may wait for its fate.
    Answering(Option<SlotId>),
    /// Nobody: the next message on a WebSocket is awaited.
    Socket,
}

impl Connection {
    pub(super) fn wants_input(&self) -> bool {
        let inflating = self.exchange.as_ref().is_some_and(|exchange| exchange.is_behind());
        let takes = self.socket.as_ref().is_none_or(|socket| socket.websocket.wants_input());
        self.input.is_empty() && !inflating && takes
    }

    /// Whether the next message on a WebSocket would begin with what comes.
    pub(super) fn awaits_message(&self) -> bool {
        self.stage == Stage::Socket && self.socket.as_ref().is_some_and(|socket| socket.websocket.is_idle())
    }

    /// What is to be written next; how many of the slices are filled.
    pub(super) fn output<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match &self.socket {
            Some(socket) => socket.websocket.output(slices),
            None => self.http.output(slices),
        }
    }

    /// Whether the body's bytes are nobody's: its handler has not asked for it, and no answer was given.
    fn holds_back(&self) -> bool {
        let wanted = self.exchange.as_ref().is_some_and(|exchange| exchange.body.is_some());
        matches!(self.stage, Stage::Working(_)) && !wanted && self.http.phase() == Phase::Body
    }
}

impl Server {
    pub(super) fn opened(
        &mut self,
        id: ConnectionId,
        listener: Listener,
        is_encrypted: bool,
        peer: Option<SocketAddr>,
    ) {
        let connection = Connection {
            http: HttpConnection::new(),
            socket: None,
            listener,
            is_encrypted,
            peer,
            stage: Stage::Idle,
            input: Vec::new(),
            exchange: None,
            deadline: NEVER,
            timer_at: NEVER,
            ended: false,
            reads_head: true,
            outside: false,
            let_in: false,
        };
        self.connections.insert(id, connection);
        // a client that never says a word has as long as for a head
        self.set_deadline(id, self.end_of(self.config.server.timeouts.read_header));
    }

    pub(super) fn received(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.input.is_empty() {
            let mut rest = bytes;
            self.take(id, &mut rest);
            self.keep(id, rest);
        } else {
            connection.input.extend_from_slice(bytes);
            self.pump(id);
        }
    }

    /// Takes what waits in the connection's own buffer.
    pub(super) fn pump(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let waiting = std::mem::take(&mut connection.input);
        let mut rest = waiting.as_slice();
        self.take(id, &mut rest);
        let emptied = !waiting.is_empty() && rest.is_empty();
        self.keep(id, rest);
        if emptied {
            self.effects.push_back(Effect::Read(id));
        }
    }

    fn keep(&mut self, id: ConnectionId, rest: &[u8]) {
        if let Some(connection) = self.connections.get_mut(id)
            && !rest.is_empty()
        {
            connection.input = rest.to_vec();
        }
    }

    /// Feeds the protocol machine until it, or whoever wants the body, takes no more.
    fn take(&mut self, id: ConnectionId, rest: &mut &[u8]) {
        if self.connections.get(id).is_some_and(|connection| connection.socket.is_some()) {
            return self.take_frames(id, rest);
        }
        loop {
            let limits = self.limits;
            let Some(connection) = self.connections.get_mut(id) else { return };
            if connection.holds_back()
                || connection.exchange.as_ref().is_some_and(|exchange| exchange.is_behind())
            {
                return;
            }
            match connection.http.receive(rest, &limits) {
                Received::Pending => break,
                Received::Head(head) => self.begin(id, head),
                Received::Body(piece) => self.body_piece(id, piece),
                Received::End => self.body_ended(id),
                Received::Bad(bad) => self.refuse(id, bad),
                Received::Close => return self.close(id, true),
            }
        }
        self.watch_head(id);
    }

    /// A head that has begun has to be complete in time: counted from its first byte, or, for the first, from the start.
    fn watch_head(&mut self, id: ConnectionId) {
        let limit = self.end_of(self.config.server.timeouts.read_header);
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.stage != Stage::Idle || connection.http.phase() != Phase::Head {
            return;
        }
        if !std::mem::replace(&mut connection.reads_head, true) {
            self.set_deadline(id, limit);
        }
    }

    /// What came is not a request that can be served: an answer, and the end of the connection.
    fn refuse(&mut self, id: ConnectionId, bad: BadRequest) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        match connection.stage {
            // the framing of a body turned out wrong: its handler has to answer something
            Stage::Working(task) => {
                self.answer_now(id, super::exchange::bad_request(&bad));
                self.body_failed(task, BodyError::Gone);
            }
            Stage::Idle => {
                if let Some(connection) = self.connections.get_mut(id) {
                    let unreadable = Exchange::unreadable(connection.http.request_id(), self.now);
                    connection.exchange = Some(Box::new(unreadable));
                }
                self.answer_now(id, super::exchange::bad_request(&bad));
            }
            Stage::Parked(_) | Stage::Answering(_) | Stage::Socket => {}
        }
    }

    /// Gives the response of the exchange under way to the protocol machine.
    pub(super) fn answer_now(&mut self, id: ConnectionId, response: Response) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let task = match connection.stage {
            Stage::Answering(_) | Stage::Socket => return,
            Stage::Working(task) => Some(task),
            Stage::Idle | Stage::Parked(_) => None,
        };
        let Some(exchange) = connection.exchange.as_mut() else { return };
        let (listener, peer) = (connection.listener, connection.peer);
        let fleet = self.fleet.as_deref_mut().expect("the fleet is here while no task is polled");
        let response = exchange.complete(response, fleet, listener, peer, now);
        connection.http.respond(response);
        connection.stage = Stage::Answering(
            task.filter(|task| self.tasks.get(*task).is_some_and(|task| task.awaits_fate())),
        );
        self.effects.push_back(Effect::Write(id));
        self.set_deadline(id, self.end_of(self.config.server.timeouts.write));
    }

    pub(super) fn sent(&mut self, id: ConnectionId, bytes: usize) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.socket.is_some() {
            return self.frames_sent(id, bytes);
        }
        let done = match connection.http.sent(bytes) {
            Sent::Response(done) => done,
            Sent::Starved => return self.wants_more(id),
            Sent::More | Sent::Interim => return,
        };
        self.end_stream(id);
        let Some(connection) = self.connections.get_mut(id) else { return };
        let stage = std::mem::replace(&mut connection.stage, Stage::Idle);
        connection.exchange = None;
        connection.reads_head = false;
        let ended = connection.ended;
        if let Stage::Answering(Some(task)) = stage {
            self.tell_fate(task, Fate::Written);
        }
        match done {
            Done::Close { lingering } => self.close(id, lingering && !ended),
            Done::KeepAlive if self.stopping.is_some() && self.input_is_empty(id) => self.close(id, false),
            Done::KeepAlive => {
                self.set_deadline(id, self.end_of(self.config.server.timeouts.idle));
                self.pump(id);
                if ended && self.connections.get(id).is_some_and(|connection| connection.stage == Stage::Idle)
                {
                    self.close(id, false);
                }
            }
        }
    }

    /// The route of the request under way, as metrics name it.
    pub(super) fn route_of(&self, id: ConnectionId) -> Option<&'static str> {
        let connection = self.connections.get(id)?;
        Some(connection.exchange.as_ref()?.route(connection.listener))
    }

    fn input_is_empty(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|connection| connection.input.is_empty())
    }

    /// The peer sends no more: a parked agent is gone, an answer under way is finished.
    pub(super) fn ended(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.ended = true;
        match connection.stage {
            Stage::Idle | Stage::Parked(_) | Stage::Socket => self.drop_connection(id),
            Stage::Answering(_) => {}
            Stage::Working(_) => self.miss_body(id),
        }
    }

    /// A handler that waits for a body whose rest will never come is told so.
    pub(super) fn miss_body(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        let taken =
            connection.input.is_empty() && !connection.exchange.as_ref().is_some_and(|e| e.is_behind());
        let missing = connection.ended && connection.http.phase() == Phase::Body && taken;
        if let (true, Stage::Working(task)) = (missing, connection.stage) {
            self.body_failed(task, BodyError::Gone);
        }
    }

    pub(super) fn lost(&mut self, id: ConnectionId) {
        self.forget(id);
    }

    /// Closes at once; what was not written never will be.
    pub(super) fn drop_connection(&mut self, id: ConnectionId) {
        self.close(id, false);
    }

    pub(super) fn close(&mut self, id: ConnectionId, lingering: bool) {
        if self.connections.get(id).is_some() {
            self.effects.push_back(Effect::Close { connection: id, lingering });
            self.forget(id);
        }
    }

    /// The connection is no more. Its task goes on to its end.
    fn forget(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(id) else { return };
        if let Some((exchange, socket)) = connection.exchange.as_ref().zip(connection.socket.as_ref()) {
            exchange.leave(self.fleet_mut(), connection.listener);
            self.forget_socket(id, socket);
        } else if let Some(exchange) = &connection.exchange
            && !exchange.is_over()
        {
            let fleet = self.fleet_mut();
            fleet.counters.dropped += 1;
            fleet.counters.route(exchange.route(connection.listener)).dropped += 1;
            exchange.leave(fleet, connection.listener);
        }
        match connection.stage {
            Stage::Idle | Stage::Answering(None) | Stage::Socket => {}
            Stage::Parked(seat) => {
                self.fleet_mut().lot.leave(seat);
            }
            Stage::Answering(Some(task)) => self.tell_fate(task, Fate::Lost),
            Stage::Working(task) => self.body_failed(task, BodyError::Gone),
        }
    }

    /// Whether a request announces a body longer than `bytes_max`.
    pub(super) fn announces_more_than(kind: BodyKind, bytes_max: u64) -> bool {
        matches!(kind, BodyKind::Length(length) if length > bytes_max)
    }
}
