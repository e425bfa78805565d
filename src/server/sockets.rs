//! Connections that have become WebSockets: messages in, one at a time, answers out, news pushed, and the end of each. Between
//! messages nothing is kept of a collector but its record: no task, no buffer.
//!
//! Who has spoken is known until it says good-bye, whatever becomes of a later message: it gets heartbeats and news as long as
//! the connection is there.

use std::sync::Arc;
use std::time::Duration;

use crate::api::opamp::{Failure, MESSAGE_HEADER};
use crate::api::route::Operation;
use crate::connection::ConnectionId;
use crate::fleet::collectors::{Speakers, Told, Upgrade};
use crate::handlers::opamp;
use crate::http::{HttpConnection, Response, Segment};
use crate::model::EnrollmentToken;
use crate::slots::SlotId;
use crate::task::Outcome;
use crate::time::NEVER;
use crate::websocket::{CloseCode, Received, WebSocket};

use super::body::Share;
use super::connections::Stage;
use super::{Effect, Server};

/// The route of all WebSockets, as metrics name it.
const OPAMP: &str = Operation::OpAmp.name();
/// Collectors that are told of a new configuration in one turn, so that the loop looks at its sockets in between.
const PUSHES_PER_TURN_MAX: usize = 64;

/// What is kept of a connection beside what every connection has.
pub(super) struct Socket {
    pub(super) websocket: WebSocket,
    /// Whoever speaks has shown this.
    token: Arc<EnrollmentToken>,
    /// Its policy's id, shared with all others on it.
    policy_id: Arc<str>,
    /// Who has spoken.
    speakers: Speakers,
    /// What a message that is being received takes of the bound for all bodies.
    share: Option<Share>,
    /// When that message began.
    message_since: Duration,
    /// A new configuration waits until a message is answered and what was said before is written.
    is_due: bool,
}

impl Server {
    /// Makes a WebSocket of a connection whose request asked for one.
    pub(super) fn upgrade(&mut self, id: ConnectionId, upgrade: Upgrade) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let peer = connection.peer;
        let Some(exchange) = connection.exchange.as_mut() else { return };
        let fleet = self.fleet.as_deref_mut().expect("the fleet is here while no task is polled");
        let answer = exchange.switch(Response::new(101, ""), fleet, peer, now);
        let answer = answer.header("Upgrade", "websocket").header("Sec-WebSocket-Accept", upgrade.accept);
        connection.socket = Some(Box::new(Socket {
            websocket: WebSocket::new(answer.switching_head()),
            policy_id: fleet.policies.shared_id(&upgrade.token.policy_id),
            token: upgrade.token,
            speakers: Speakers::default(),
            share: None,
            message_since: NEVER,
            is_due: false,
        }));
        connection.http = HttpConnection::new();
        connection.stage = Stage::Socket;
        if self.stopping.is_some() {
            self.close_socket(id, CloseCode::Away);
        }
        self.effects.push_back(Effect::Write(id));
        self.await_beat(id);
        self.pump(id);
    }

    /// Takes frames until a message is whole and being answered, or nothing more can be taken.
    pub(super) fn take_frames(&mut self, id: ConnectionId, rest: &mut &[u8]) {
        // with the byte that stands before it
        let message_bytes_max = self.config.server.limits.routes.opamp.body_bytes_max.saturating_add(1);
        loop {
            let Some(connection) = self.connections.get_mut(id) else { return };
            let Some(socket) = connection.socket.as_mut() else { return };
            if connection.stage != Stage::Socket || !socket.websocket.wants_input() {
                return;
            }
            let was_idle = socket.websocket.is_idle();
            match socket.websocket.receive(rest, message_bytes_max) {
                Received::Message(message) => self.begin_message(id, message),
                Received::Pending => {
                    if was_idle {
                        socket.message_since = self.now.mono;
                    }
                    break;
                }
            }
        }
        self.book_message(id);
        self.write_frames(id);
    }

    /// Counts what a partial message holds; beyond what all bodies may hold it is refused.
    fn book_message(&mut self, id: ConnectionId) {
        let account = &self.bodies;
        let Some(socket) = self.connections.get_mut(id).and_then(|connection| connection.socket.as_mut())
        else {
            return;
        };
        let bytes = socket.websocket.held_bytes();
        if bytes == 0 {
            socket.share = None;
        } else if socket.share.get_or_insert_with(|| Share::new(account)).set(bytes).is_err() {
            socket.share = None;
            socket.websocket.close(CloseCode::Again);
        }
    }

    fn begin_message(&mut self, id: ConnectionId, message: Vec<u8>) {
        let mut share = Share::new(&self.bodies);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.let_in = false;
        let Some(socket) = connection.socket.as_mut() else { return };
        socket.share = None;
        if share.set(message.len()).is_err() {
            return self.close_socket(id, CloseCode::Again);
        }
        let token = socket.token.clone();
        let (now, listener) = (self.now.mono, connection.listener);
        let fleet = self.fleet_mut();
        fleet.counters.requests += 1;
        let route = fleet.counters.route(OPAMP);
        route.requests += 1;
        route.body_in_bytes += message.len() as u64;
        if !fleet.admission.paces(listener, Operation::OpAmp, now) {
            route.refused_rate += 1;
            fleet.counters.refused += 1;
            return self.refuse_message(id);
        }
        let task = self.spawn(Some(id), |cx| Box::pin(opamp::message(cx, token, message)));
        if let Some(task) = self.tasks.get_mut(task) {
            task.body = Some(share);
        }
    }

    /// Too many messages come.
    fn refuse_message(&mut self, id: ConnectionId) {
        let mut told = Told::failed(Failure::Rate, Vec::new());
        told.message.insert(0, MESSAGE_HEADER);
        self.fleet_mut().counters.message_answered(OPAMP, told.bytes(), told.failure.map(Failure::name));
        let Some(connection) = self.connections.get_mut(id) else { return };
        if let Some(socket) = &mut connection.socket {
            socket.websocket.send([Segment::Owned(told.message)]);
        }
    }

    /// The task that answers a message is at its end.
    pub(super) fn end_message(&mut self, id: ConnectionId, outcome: Outcome) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.stage = Stage::Socket;
        let has_ended = connection.ended;
        match outcome {
            Outcome::Told(told) => self.answer_message(id, *told),
            // a bug of ours, which is logged
            _ => self.close_socket(id, CloseCode::Error),
        }
        if has_ended {
            return self.drop_connection(id);
        }
        self.write_frames(id);
        self.pump(id);
    }

    fn answer_message(&mut self, id: ConnectionId, told: Told) {
        let fleet = self.fleet.as_deref_mut().expect("the fleet is here while no task is polled");
        fleet.counters.message_answered(OPAMP, told.bytes(), told.failure.map(Failure::name));
        let Some(socket) = self.connections.get_mut(id).and_then(|connection| connection.socket.as_mut())
        else {
            return;
        };
        if socket.websocket.is_closing() {
            return;
        }
        let accepted = socket.speakers.accepts_config();
        if let Some(speaker) = told.speaker {
            socket.speakers.heard(speaker);
        }
        match (accepted, socket.speakers.accepts_config()) {
            (false, true) => fleet.collectors.join(&socket.policy_id, id),
            (true, false) => fleet.collectors.leave(&socket.policy_id, id),
            _ => {}
        }
        let offer = told.offer.map(|offer| Segment::Shared(offer.message.clone()));
        socket.websocket.send(std::iter::once(Segment::Owned(told.message)).chain(offer));
    }

    /// So many bytes of what a WebSocket shows are on their way.
    pub(super) fn frames_sent(&mut self, id: ConnectionId, bytes: usize) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(socket) = connection.socket.as_mut() else { return };
        let could_take = socket.websocket.wants_input();
        socket.websocket.sent(bytes);
        let (is_empty, takes) = (socket.websocket.unsent_bytes() == 0, socket.websocket.wants_input());
        let is_due = is_empty && std::mem::take(&mut socket.is_due);
        if is_empty && socket.websocket.is_closing() {
            // the peer may be sending still, and is to read why it ends
            let lingering = !connection.ended;
            return self.close(id, lingering);
        }
        if is_due {
            self.push_offer(id);
        }
        if takes && !could_take {
            self.pump(id);
            self.effects.push_back(Effect::Read(id));
        }
    }

    fn write_frames(&mut self, id: ConnectionId) {
        let socket = self.connections.get(id).and_then(|connection| connection.socket.as_ref());
        if socket.is_some_and(|socket| socket.websocket.unsent_bytes() > 0) {
            self.effects.push_back(Effect::Write(id));
        }
    }

    fn close_socket(&mut self, id: ConnectionId, code: CloseCode) {
        if let Some(socket) = self.connections.get_mut(id).and_then(|connection| connection.socket.as_mut()) {
            socket.websocket.close(code);
            socket.share = None;
        }
        self.write_frames(id);
    }

    /// Time for a heartbeat of a collector, and for a look at a message that takes too long.
    pub(super) fn socket_rings(&mut self, id: ConnectionId) {
        let now = self.now.mono;
        let longest = self.config.server.timeouts.read;
        let Some(socket) = self.connections.get_mut(id).and_then(|connection| connection.socket.as_mut())
        else {
            return;
        };
        if socket.websocket.is_closing() {
            // it does not even take the end
            return self.drop_connection(id);
        }
        socket.websocket.refill();
        let agents: Vec<Arc<str>> = socket.speakers.agents().collect();
        let is_late =
            !socket.websocket.is_idle() && !longest.is_zero() && socket.message_since + longest <= now;
        for agent in agents {
            self.fleet_mut().beats.note(agent, now);
        }
        if is_late {
            self.close_socket(id, CloseCode::Policy);
        }
        self.await_beat(id);
    }

    /// Beats of a second come together, like those of parked agents.
    fn await_beat(&mut self, id: ConnectionId) {
        let beat = self.now.mono + self.config.server.timeouts.checkin_timestamp.max(Duration::from_secs(1));
        self.set_deadline(id, Duration::from_secs(beat.as_secs() + 1));
    }

    /// Tells some of those for whom there is a new configuration.
    pub(super) fn push_offers(&mut self) {
        for _ in 0..PUSHES_PER_TURN_MAX {
            let Some(id) = self.fleet_mut().collectors.next_due() else { return };
            self.push_offer(id);
        }
    }

    /// Gives the newest configuration to those on a connection who have another.
    fn push_offer(&mut self, id: ConnectionId) {
        let fleet = self.fleet.as_deref_mut().expect("the fleet is here while no task is polled");
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(socket) = connection.socket.as_mut().filter(|socket| !socket.websocket.is_closing()) else {
            return;
        };
        let newest = fleet.policies.newest(&socket.policy_id).and_then(|revision| revision.offer.clone());
        let Some(offer) = newest else { return };
        // the answer under way may hold it
        if connection.stage != Stage::Socket || socket.websocket.unsent_bytes() > 0 {
            socket.is_due = true;
            return;
        }
        for collector in socket.speakers.give(&offer) {
            let message = opamp::push(collector, &offer);
            let route = fleet.counters.route(OPAMP);
            route.body_out_bytes += (message.len() + offer.message.len()) as u64;
            socket.websocket.send([Segment::Owned(message), Segment::Shared(offer.message.clone())]);
        }
        self.write_frames(id);
    }

    /// The connection is no more: nobody tells it anything.
    pub(super) fn forget_socket(&mut self, id: ConnectionId, socket: &Socket) {
        self.fleet_mut().collectors.leave(&socket.policy_id, id);
    }

    /// Notes the last heartbeats of collectors.
    pub(super) fn note_last_beats(&mut self) {
        let now = self.now.mono;
        let sockets = self.connections.iter().filter_map(|(_, connection)| connection.socket.as_ref());
        let agents: Vec<Arc<str>> = sockets.flat_map(|socket| socket.speakers.agents()).collect();
        for agent in agents {
            self.fleet_mut().beats.note(agent, now);
        }
    }

    /// Says on each WebSocket that it ends: the server goes, or does not speak with collectors any more.
    pub(super) fn close_sockets(&mut self) {
        let is_socket = |connection: &super::connections::Connection| connection.socket.is_some();
        let ids: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, it)| is_socket(it)).map(|(id, _)| id).collect();
        for id in ids {
            self.close_socket(id, CloseCode::Away);
        }
    }

    /// Whether a task answers a message on a WebSocket.
    pub(super) fn answers_message(&self, task: SlotId, connection: ConnectionId) -> bool {
        let is_socket = self.connections.get(connection).is_some_and(|it| it.socket.is_some());
        is_socket && self.works_for(task, connection)
    }
}
