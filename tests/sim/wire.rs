//! The clients' ends of connections: bytes given in pieces, output taken in pieces, and clients that vanish, stall or end
//! their sending side at any byte.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use fleet_server::connection::{ConnectionId, Listener};
use fleet_server::server::Event;

use crate::agenda::Happening;
use crate::dice::Dice;
use crate::request::Request;
use crate::response::{Response, ResponseReader};
use crate::run::Sim;

/// What the core is given at once at most, as by the reactor.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Agent(usize),
    /// Some client, or one that its agent has given up without closing it.
    Nobody,
}

/// What a client does once it has given so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Dies,
    Stalls,
    /// Ends its sending side.
    Ends,
}

/// One connection, its client's side.
pub(crate) struct Wire {
    pub(crate) owner: Owner,
    outbox: Vec<u8>,
    given: usize,
    /// Requests without their answers, in order, with the place where each ends in `outbox`.
    pub(crate) asked: VecDeque<(usize, Request)>,
    reader: ResponseReader,
    trouble: Option<(usize, Trouble)>,
    dies_after_taken: Option<usize>,
    taken: usize,
    gives_bytes: usize,
    takes_bytes: usize,
    gap_ms: u64,
    send_planned: bool,
    take_planned: bool,
    stalled: bool,
    /// It ended its sending side.
    pub(crate) ended: bool,
    /// The last answer said that the server closes.
    last: bool,
}

impl Wire {
    fn new(owner: Owner, dice: &mut Dice, misbehaviour: u64) -> Self {
        let odd = dice.percent(misbehaviour);
        let piece = |dice: &mut Dice| if odd { *dice.pick(&[1, 30, 100, 1_000]) } else { READ_BYTES_MAX };
        Wire {
            owner,
            outbox: Vec::new(),
            given: 0,
            asked: VecDeque::new(),
            reader: ResponseReader::default(),
            trouble: None,
            dies_after_taken: None,
            taken: 0,
            gives_bytes: piece(dice),
            takes_bytes: piece(dice),
            gap_ms: if odd { *dice.pick(&[0, 1, 20]) } else { 1 },
            send_planned: false,
            take_planned: false,
            stalled: false,
            ended: false,
            last: false,
        }
    }

    /// Whether another request may be sent on it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.stalled && !self.ended && !self.last && self.trouble.is_none()
    }

    /// Whether nothing will come of it any more, or may not.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stalled || self.ended || self.trouble.is_some() || self.dies_after_taken.is_some()
    }

    /// Whether the core was given all of its first request that has no answer.
    pub(crate) fn waits_for_an_answer(&self) -> bool {
        self.asked.front().is_some_and(|(end, _)| *end <= self.given)
    }

    /// Whether there is more for it than it took so far.
    pub(crate) fn is_taking(&self) -> bool {
        self.take_planned
    }

    fn has_more(&self) -> bool {
        !self.stalled && !self.ended && self.given < self.outbox.len()
    }
}

impl Sim {
    pub(crate) fn connect(&mut self, owner: Owner) -> ConnectionId {
        let id = self.new_connection_id();
        let misbehaviour = self.misbehaviour();
        self.wires.insert(id, Wire::new(owner, &mut self.dice, misbehaviour));
        self.tally.connections += 1;
        self.tell(Event::Opened { connection: id, listener: Listener::External, tls: false, peer: None });
        id
    }

    /// Sends a request, perhaps not to its end.
    pub(crate) fn ask(&mut self, id: ConnectionId, mut request: Request) {
        let misbehaviour = self.misbehaviour();
        let Some(start) = self.wires.get(&id).map(|wire| wire.outbox.len()) else { return };
        let bytes = std::mem::take(&mut request.bytes);
        self.say(|| format!("{id:?} asks {request:?}"));
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.outbox.extend_from_slice(&bytes);
        wire.asked.push_back((wire.outbox.len(), request));
        if self.dice.percent(misbehaviour) && wire.trouble.is_none() {
            let place = start + self.dice.index(bytes.len() + 1);
            // often with the last byte: what comes then is most delicate
            let place = if self.dice.percent(40) { wire.outbox.len() } else { place };
            match self.dice.below(4) {
                0 => wire.trouble = Some((place, Trouble::Dies)),
                1 => wire.trouble = Some((place, Trouble::Stalls)),
                2 => wire.trouble = Some((place, Trouble::Ends)),
                _ => wire.dies_after_taken = Some(wire.taken + self.dice.index(700)),
            }
            self.tally.misbehaved += 1;
        }
        self.plan_send(id);
    }

    pub(crate) fn plan_send(&mut self, id: ConnectionId) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if !wire.send_planned && wire.has_more() {
            wire.send_planned = true;
            let gap = self.dice.millis(0, wire.gap_ms);
            self.agenda.plan(self.mono + gap, Happening::Send(id));
        }
    }

    pub(crate) fn plan_take(&mut self, id: ConnectionId) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        // who stalls does not read either
        if !wire.take_planned && !wire.stalled {
            wire.take_planned = true;
            let gap = self.dice.millis(0, wire.gap_ms);
            self.agenda.plan(self.mono + gap, Happening::Take(id));
        }
    }

    /// Gives the core the next bytes, if it takes any.
    pub(crate) fn send(&mut self, id: ConnectionId) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let wants_input = self.server.wants_input(id, || wire.outbox.len() - wire.given);
        wire.send_planned = false;
        if !wire.has_more() || !wants_input {
            return;
        }
        let left = wire.outbox.len() - wire.given;
        // what is large does not come byte by byte
        let most = wire.gives_bytes.max(left / 30).min(READ_BYTES_MAX);
        let piece = if most == READ_BYTES_MAX { most } else { self.dice.between(1, most as u64) as usize };
        let mut end = wire.outbox.len().min(wire.given + piece);
        if let Some((place, _)) = wire.trouble {
            end = end.min(place.max(wire.given));
        }
        let bytes = wire.outbox[wire.given..end].to_vec();
        wire.given = end;
        for (_, request) in wire.asked.iter_mut().filter(|(whole, _)| *whole <= end) {
            request.given_at.get_or_insert(self.mono);
        }
        let trouble = wire.trouble.filter(|(place, _)| *place <= end).map(|(_, trouble)| trouble);
        wire.stalled = trouble == Some(Trouble::Stalls);
        wire.ended = trouble == Some(Trouble::Ends);
        if !bytes.is_empty() {
            self.tell(Event::Received { connection: id, bytes: &bytes });
        }
        match trouble {
            Some(Trouble::Dies) => self.vanish(id),
            Some(Trouble::Ends) => self.tell(Event::Ended { connection: id }),
            Some(Trouble::Stalls) => {}
            None => self.plan_send(id),
        }
    }

    /// Takes what the core has for this client.
    pub(crate) fn take(&mut self, id: ConnectionId) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.take_planned = false;
        let bytes = shown(&self.server, id, wire.takes_bytes);
        if bytes.is_empty() {
            return;
        }
        let dies = wire.dies_after_taken.is_some_and(|place| wire.taken + bytes.len() >= place);
        wire.taken += bytes.len();
        wire.reader.sink().extend_from_slice(&bytes);
        self.read_answers(id, dies);
        self.tell(Event::Sent { connection: id, bytes: bytes.len() });
        if dies {
            self.vanish(id);
        } else if self.has_output(id) {
            self.plan_take(id);
        }
    }

    fn read_answers(&mut self, id: ConnectionId, dies: bool) {
        loop {
            let Some(wire) = self.wires.get_mut(&id) else { return };
            let response = match wire.reader.take() {
                Ok(Some(response)) => response,
                Ok(None) => return,
                Err(reason) => self.broken("every answer is well-formed HTTP", &reason),
            };
            wire.last = response.close;
            let Some((_, request)) = wire.asked.pop_front() else {
                self.broken("every request gets exactly one answer", &format!("another one, {response:?}"));
            };
            let owner = wire.owner;
            self.say(|| format!("{id:?} {owner:?} is answered {} for {request:?}", response.status));
            self.answered(owner, request, &response, dies);
        }
    }

    /// The client is gone, without a word.
    pub(crate) fn vanish(&mut self, id: ConnectionId) {
        if self.wires.contains_key(&id) {
            self.tally.vanished += 1;
            self.drop_wire(id);
            self.tell(Event::Lost { connection: id });
        }
    }

    /// The core has closed the connection.
    pub(crate) fn closed(&mut self, id: ConnectionId) {
        let Some(wire) = self.wires.get(&id) else {
            self.broken("a connection is closed once", &format!("{id:?}"));
        };
        let since = wire.asked.front().map_or(self.mono, |(_, request)| request.since);
        let untaken = wire.is_taking() || wire.stalled;
        let too_slow = untaken && self.mono >= since + self.settings.config.server.timeouts.write;
        if wire.waits_for_an_answer() && !wire.last && !wire.ended && !too_slow {
            let asked = format!("{id:?} was closed while {:?} waits", wire.asked.front());
            self.broken("every request gets exactly one answer", &asked);
        }
        self.drop_wire(id);
    }

    fn drop_wire(&mut self, id: ConnectionId) {
        let Some(wire) = self.wires.remove(&id) else { return };
        self.free_connection_id(id);
        if let Owner::Agent(agent) = wire.owner {
            self.connection_lost(agent, id);
        }
    }

    /// The agent leaves this connection as it is, open, and turns to another.
    pub(crate) fn abandon(&mut self, id: ConnectionId) {
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.owner = Owner::Nobody;
        }
    }

    pub(crate) fn has_output(&self, id: ConnectionId) -> bool {
        !shown(&self.server, id, 1).is_empty()
    }

    /// Whether the client would give or take something and nobody told it that it can.
    pub(crate) fn is_forgotten(&self, id: ConnectionId, wire: &Wire) -> bool {
        let can_give = wire.has_more() && !wire.send_planned && self.server.takes_input(id);
        let can_take = !wire.stalled && !wire.take_planned && self.has_output(id);
        can_give || can_take
    }

    /// Percent of requests that are disturbed at present.
    fn misbehaviour(&self) -> u64 {
        if self.calm { 0 } else { self.settings.misbehaviour }
    }
}

/// Bytes of a response that a complete one would be made of; for tests of the reader's state.
fn shown(server: &fleet_server::server::Server, id: ConnectionId, bytes_max: usize) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 8];
    let count = server.output(id, &mut slices);
    let mut bytes = Vec::new();
    for slice in &slices[..count] {
        let rest = bytes_max - bytes.len();
        bytes.extend_from_slice(&slice[..slice.len().min(rest)]);
    }
    bytes
}

/// How long a client waits before it tries again.
pub(crate) fn pause(dice: &mut Dice, calm: bool) -> Duration {
    if calm { dice.millis(200, 2_000) } else { dice.millis(500, 30_000) }
}

/// Of an answer whose whole text is wanted.
pub(crate) fn text(response: &Response) -> Result<serde_json::Value, String> {
    let text = response.text()?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
