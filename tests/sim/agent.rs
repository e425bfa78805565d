//! Agents: they enrol, check in, acknowledge, check in again; some carelessly.

use std::collections::BTreeSet;
use std::time::Duration;

use fleet_server::connection::ConnectionId;
use fleet_server::fleet::FIRST_NEWS_WAIT_MAX;
use serde_json::{Value, json};

use crate::agenda::Happening;
use crate::dice::Dice;
use crate::request::{self, CheckIn, Event, Kind, Manner, Request};
use crate::run::Sim;
use crate::wire::{Owner, pause};

/// Acknowledgements in one request.
const EVENTS_MAX: usize = 10;
/// An agent of this age without an answer tries anew (the real one waits ten minutes).
const PATIENCE: Duration = Duration::from_secs(600);

/// One agent.
pub(crate) struct Agent {
    pub(crate) manner: Manner,
    /// Whether its check-ins say which revision it runs.
    pub(crate) reports: bool,
    /// It wants an id of its own, and can take it over.
    pub(crate) named: bool,
    /// It names its enrolment, so that another try replaces the first.
    enrolls_by_id: bool,
    /// Percent of its looks at which it does something rash.
    restless: u64,
    /// The policy it enrols into, by number.
    pub(crate) policy: usize,
    pub(crate) identity: Option<Identity>,
    /// The policy it runs: id, revision, marker.
    pub(crate) runs: Option<(String, i64, u64)>,
    pub(crate) ack_token: String,
    pub(crate) token_seq_no: i64,
    /// `_seq_no` of the actions it got.
    pub(crate) got: BTreeSet<i64>,
    pub(crate) to_ack: Vec<Event>,
    /// Where its check-in, or enrolment, is under way.
    pub(crate) main: Option<ConnectionId>,
    /// Its second connection, for acknowledgements.
    pub(crate) side: Option<ConnectionId>,
    pub(crate) checking_in: bool,
    /// Where acknowledgements are under way.
    pub(crate) acking: Option<ConnectionId>,
    /// It said that it has been unenrolled.
    pub(crate) leaving: bool,
    pub(crate) gone: bool,
    /// Check-ins it left behind: one that is served late dismisses a newer one.
    pub(crate) strays: u64,
    pub(crate) not_before: Duration,
    /// When it last began a check-in.
    pub(crate) checked_in_at: Duration,
    /// Enrolments tried.
    tries: u64,
    looks_at: Option<Duration>,
}

/// What an enrolment gives.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) key_id: String,
}

impl Agent {
    pub(crate) fn new(dice: &mut Dice, policies: usize) -> Self {
        Agent {
            manner: Manner::new(dice),
            reports: dice.percent(80),
            named: dice.percent(20),
            enrolls_by_id: dice.percent(40),
            restless: *dice.pick(&[0, 5, 25]),
            policy: dice.index(policies),
            identity: None,
            runs: None,
            ack_token: String::new(),
            token_seq_no: -1,
            got: BTreeSet::new(),
            to_ack: Vec::new(),
            main: None,
            side: None,
            checking_in: false,
            acking: None,
            leaving: false,
            gone: false,
            strays: 0,
            not_before: Duration::ZERO,
            checked_in_at: Duration::ZERO,
            tries: 0,
            looks_at: None,
        }
    }

    pub(crate) fn is_living(&self) -> bool {
        self.identity.is_some() && !self.leaving && !self.gone
    }
}

impl Sim {
    /// The agent looks at what there is to do at `at`, unless it does so earlier anyway.
    pub(crate) fn wake_agent(&mut self, index: usize, at: Duration) {
        let agent = &mut self.agents[index];
        if agent.looks_at.is_none_or(|planned| at < planned) {
            agent.looks_at = Some(at);
            self.agenda.plan(at, Happening::Agent(index));
        }
    }

    pub(crate) fn agent_looks(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        if agent.looks_at.is_none_or(|planned| planned > self.mono) {
            return;
        }
        agent.looks_at = None;
        if agent.gone {
            return;
        }
        if !self.quiet && self.mono >= agent.not_before {
            self.agent_acts(index);
        }
        let rest = self.dice.millis(500, if self.calm { 5_000 } else { 20_000 });
        let at = (self.mono + rest).max(self.agents[index].not_before);
        self.wake_agent(index, at);
    }

    fn agent_acts(&mut self, index: usize) {
        let agent = &self.agents[index];
        // an enrolment of its own that comes late would replace the agent itself
        let patient = self.calm || agent.named && agent.identity.is_none();
        let restless = if patient { 0 } else { agent.restless };
        let late = agent.checking_in && self.mono > agent.checked_in_at + PATIENCE;
        let busy = agent.main.filter(|_| agent.checking_in);
        match busy {
            Some(main) if late || self.dice.percent(restless) => self.give_up(index, main),
            Some(_) => {}
            None if self.agents[index].identity.is_none() => self.enroll(index),
            None => {
                // both in one go, or the acknowledgement first
                if self.wants_to_ack(index) && self.dice.percent(30) {
                    self.ack(index, true);
                }
                if !self.agents[index].leaving {
                    self.check_in(index);
                }
            }
        }
        if self.wants_to_ack(index) {
            self.ack(index, false);
        }
    }

    fn wants_to_ack(&self, index: usize) -> bool {
        let agent = &self.agents[index];
        agent.identity.is_some() && !agent.to_ack.is_empty() && agent.acking.is_none()
    }

    /// The agent does not wait for this answer any longer: it closes, or leaves the connection open and uses another.
    fn give_up(&mut self, index: usize, main: ConnectionId) {
        if self.dice.percent(50) {
            self.vanish(main);
        } else {
            self.tally.abandoned += 1;
            self.abandon(main);
            self.forget_connection(index, main);
            let agent = &mut self.agents[index];
            if agent.identity.is_some() {
                self.check_in(index);
            }
        }
    }

    fn main_wire(&mut self, index: usize) -> ConnectionId {
        let usable = |sim: &Sim, id: &ConnectionId| sim.wires.get(id).is_some_and(|wire| wire.is_usable());
        match self.agents[index].main.filter(|id| usable(self, id)) {
            Some(main) => main,
            None => {
                if let Some(old) = self.agents[index].main {
                    self.abandon(old);
                    self.forget_connection(index, old);
                }
                let main = self.connect(Owner::Agent(index));
                self.agents[index].main = Some(main);
                main
            }
        }
    }

    fn side_wire(&mut self, index: usize) -> ConnectionId {
        let side = self.agents[index].side;
        if let Some(side) = side.filter(|side| self.wires.get(side).is_some_and(|wire| wire.is_usable())) {
            return side;
        }
        if let Some(old) = side {
            self.abandon(old);
        }
        let side = self.connect(Owner::Agent(index));
        self.agents[index].side = Some(side);
        side
    }

    fn enroll(&mut self, index: usize) {
        let token_of = self.agents[index].policy;
        let Some(token) = self.ledger.policies[token_of].token.clone() else { return };
        let main = self.main_wire(index);
        let agent = &mut self.agents[index];
        agent.tries += 1;
        (agent.checking_in, agent.checked_in_at) = (true, self.mono);
        let mut body = json!({
            "type": "PERMANENT",
            "metadata": {"local": {"elastic": {"agent": {"id": ""}}}, "tags": [format!("try-{}", agent.tries)]},
        });
        if agent.named {
            body["id"] = format!("named-{index}").into();
            body["replace_token"] = format!("replace-{index}").into();
        }
        if agent.enrolls_by_id {
            body["enrollment_id"] = format!("enrolment-{index}").into();
        }
        let path = "/api/fleet/agents/enroll";
        let kind = Kind::Enroll { policy: token_of, token_round: self.ledger.policies[token_of].round };
        let bytes = request::post(path, &token, &body, agent.manner, false);
        self.tally.enrolments_tried += 1;
        self.ask(main, Request::new(kind, self.mono, bytes));
    }

    fn check_in(&mut self, index: usize) {
        let main = self.main_wire(index);
        let agent = &mut self.agents[index];
        let Some(identity) = agent.identity.clone() else { return };
        (agent.checking_in, agent.checked_in_at) = (true, self.mono);
        let mut body = json!({
            "status": *self.dice.pick(&["online", "online", "degraded"]),
            "message": "simulated",
            "ack_token": agent.ack_token,
            "components": components(&mut self.dice),
            "upgrade": {},
        });
        if self.dice.percent(10) {
            body["local_metadata"] = metadata(&mut self.dice);
        }
        if let Some((policy, revision_idx, _)) = agent.runs.as_ref().filter(|_| agent.reports) {
            body["agent_policy_id"] = policy.as_str().into();
            body["policy_revision_idx"] = (*revision_idx).into();
        }
        let mut shortest = self.settings.shortest_poll();
        if self.dice.percent(10) {
            body["poll_timeout"] = "3m".into();
            let jitter = self.settings.config.server.timeouts.checkin_jitter;
            shortest = Duration::from_secs(60).saturating_sub(jitter);
        }
        // the first news may come before it is parked, and then it is held for as long as it asked
        if !self.server.fleet().has_first_news() {
            let jitter = self.settings.config.server.timeouts.checkin_jitter;
            shortest = shortest.min(FIRST_NEWS_WAIT_MAX.saturating_sub(jitter));
        }
        let check_in = CheckIn {
            token_seq_no: agent.token_seq_no,
            reported: agent.runs.clone().map(|(policy, _, marker)| (policy, marker)),
            shortest,
            deletions: self.ledger.deletions,
        };
        let path = request::path(&identity.id, "checkin");
        let bytes = request::post(&path, &identity.token, &body, agent.manner, true);
        self.tally.check_ins += 1;
        self.ask(main, Request::new(Kind::CheckIn(check_in), self.mono, bytes));
    }

    /// Acknowledges on the connection of the check-in that follows at once, or on another.
    fn ack(&mut self, index: usize, pipelined: bool) {
        let wire = if pipelined { self.main_wire(index) } else { self.side_wire(index) };
        let agent = &mut self.agents[index];
        let Some(identity) = &agent.identity else { return };
        let events: Vec<Event> = agent.to_ack.iter().take(EVENTS_MAX).cloned().collect();
        agent.acking = Some(wire);
        agent.leaving |= events.iter().any(|event| event.is_end);
        let body = request::acks_body(&identity.id, &events);
        let path = request::path(&identity.id, "acks");
        let bytes = request::post(&path, &identity.token, &body, agent.manner, false);
        self.tally.acks += 1;
        self.ask(wire, Request::new(Kind::Acks { events }, self.mono, bytes));
    }

    /// One of the agent's connections is gone, whoever closed it.
    pub(crate) fn connection_lost(&mut self, index: usize, id: ConnectionId) {
        self.forget_connection(index, id);
        let pause = pause(&mut self.dice, self.calm);
        self.wake_agent(index, self.mono + pause);
    }
}

impl Sim {
    /// Turns away from connections on which it has stalled, or ended its side.
    pub(crate) fn leave_stuck(&mut self, index: usize) {
        let own = [self.agents[index].main, self.agents[index].side];
        for id in own.into_iter().flatten() {
            if self.wires.get(&id).is_some_and(|wire| wire.is_stuck()) {
                self.abandon(id);
                self.forget_connection(index, id);
            }
        }
    }

    fn forget_connection(&mut self, index: usize, id: ConnectionId) {
        let agent = &mut self.agents[index];
        if agent.main == Some(id) {
            agent.strays += u64::from(agent.checking_in);
            (agent.main, agent.checking_in) = (None, false);
        }
        agent.side = agent.side.filter(|side| *side != id);
        agent.acking = agent.acking.filter(|acking| *acking != id);
    }
}

fn components(dice: &mut Dice) -> Value {
    let status = *dice.pick(&["HEALTHY", "HEALTHY", "HEALTHY", "DEGRADED"]);
    json!([{"id": "log-default", "type": "log", "status": status, "message": "m",
            "units": [{"id": "u", "type": "input", "status": status, "message": ""}]}])
}

/// Now and then more than is inflated in one turn, and more than is read on the loop.
fn metadata(dice: &mut Dice) -> Value {
    let filler = if dice.percent(2) { "x".repeat(270 * 1024) } else { String::new() };
    json!({"host": {"name": format!("host-{}", dice.below(4))}, "filler": filler})
}
