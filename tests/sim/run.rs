//! The loop of virtual time, and what the core's effects cause.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_server::connection::ConnectionId;
use fleet_server::server::{Effect, Event, Server, WorkId};
use fleet_server::slots::SlotId;
use fleet_server::time::{Now, Timestamp};

use crate::agenda::{Agenda, Happening};
use crate::agent::Agent;
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::news::News;
use crate::settings::Settings;
use crate::store::StoreSim;
use crate::tally::Tally;
use crate::wire::Wire;

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp(1_767_225_600_000);
/// Ticks in a row at one moment: more is a loop that spins.
const TICKS_MAX: u32 = 200;

type Work = Box<dyn FnOnce() -> Box<dyn std::any::Any + Send> + Send>;

/// One run.
pub(crate) struct Sim {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    trace: bool,
    pub(crate) dice: Dice,
    pub(crate) settings: Settings,
    pub(crate) mono: Duration,
    wall_offset_millis: i64,
    pub(crate) server: Server,
    pub(crate) agenda: Agenda,
    pub(crate) store: StoreSim,
    pub(crate) news: News,
    pub(crate) ledger: Ledger,
    pub(crate) agents: Vec<Agent>,
    pub(crate) wires: BTreeMap<ConnectionId, Wire>,
    free_indices: Vec<u32>,
    generation: u32,
    work: BTreeMap<WorkId, Work>,
    /// Nobody makes trouble any more.
    pub(crate) calm: bool,
    /// Agents do nothing more.
    pub(crate) quiet: bool,
    pub(crate) stopping: bool,
    pub(crate) exited: bool,
    pub(crate) tally: Tally,
}

impl Sim {
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut dice = Dice::new(seed);
        let settings = Settings::new(&mut dice);
        let now = Now { mono: Duration::ZERO, wall: START };
        let server = Server::with_lanes(settings.config.clone(), settings.lanes(), [seed as u8; 32], now)
            .busy_from(settings.busy_from);
        let agents = (0..settings.agents).map(|_| Agent::new(&mut dice, settings.policies)).collect();
        Sim {
            seed,
            step: 0,
            trace,
            server,
            store: StoreSim::new(seed),
            mono: Duration::ZERO,
            wall_offset_millis: 0,
            agenda: Agenda::default(),
            news: News::default(),
            ledger: Ledger::default(),
            agents,
            wires: BTreeMap::new(),
            free_indices: Vec::new(),
            generation: 0,
            work: BTreeMap::new(),
            calm: false,
            quiet: false,
            stopping: false,
            exited: false,
            tally: Tally::default(),
            dice,
            settings,
        }
    }

    /// From the first connection to the last; what happened.
    pub(crate) fn run(mut self) -> Tally {
        self.set_up();
        self.gather_news();
        for index in 0..self.agents.len() {
            let at = self.dice.millis(0, 20_000);
            self.wake_agent(index, at);
        }
        let kinds =
            [Happening::Operator, Happening::Stranger, Happening::Mood, Happening::Clock, Happening::Leap];
        for kind in kinds {
            let at = self.dice.millis(0, 60_000);
            self.agenda.plan(at, kind);
        }
        self.go_until(self.settings.trouble_for);
        self.calm_down();
        self.go_until(self.mono + self.settings.calm_for);
        self.check_at_rest();
        if self.settings.stops {
            self.stop()
        } else {
            self.fall_silent()
        }
        self.tally.steps = self.step;
        self.tally
    }

    pub(crate) fn now(&self) -> Now {
        let passed = i64::try_from(self.mono.as_millis()).unwrap_or(0);
        Now { mono: self.mono, wall: Timestamp(START.0 + passed + self.wall_offset_millis) }
    }

    /// Lets happen what happens until then.
    pub(crate) fn go_until(&mut self, end: Duration) {
        let mut ticks = 0;
        while !self.exited {
            let planned = self.agenda.next_at();
            let rings = self.server.wake_at();
            let Some(at) = planned.into_iter().chain(rings).min().filter(|at| *at <= end) else { break };
            if at > self.mono {
                // a loop that is busy comes late to its timers
                let late = if self.dice.percent(5) { self.dice.millis(0, 40) } else { Duration::ZERO };
                self.mono = at + late;
                ticks = 0;
            }
            let rings = rings.is_some_and(|at| at <= self.mono);
            let happens = planned.is_some_and(|at| at <= self.mono);
            if rings && (!happens || self.dice.percent(50)) {
                ticks += 1;
                self.tick();
                if ticks > TICKS_MAX {
                    self.broken(
                        "the loop does not spin",
                        &format!("{:?} at {:?}", self.server.wake_at(), self.mono),
                    );
                }
            } else if let Some(happening) = self.agenda.next() {
                self.happen(happening);
            }
        }
        if !self.exited {
            self.mono = self.mono.max(end);
        }
    }

    fn happen(&mut self, happening: Happening) {
        self.say(|| format!("{happening:?}"));
        match happening {
            Happening::Agent(index) => self.agent_looks(index),
            Happening::Send(id) => self.send(id),
            Happening::Take(id) => self.take(id),
            Happening::Run(batch) => self.run_batch(batch),
            Happening::Answer(batch) => self.answer_batch(batch),
            Happening::Work(work) => self.do_work(work),
            Happening::News(number) => self.tell_news(number),
            Happening::Operator => self.operator_acts(),
            Happening::Stranger => self.stranger_comes(),
            Happening::Mood => self.change_mood(),
            Happening::Clock => self.set_clock(),
            Happening::Leap => self.leap(),
        }
        self.check_after_step();
    }

    /// The wall clock is set, forth or back.
    fn set_clock(&mut self) {
        let by = self.dice.between(0, 4 * 3_600_000) as i64;
        self.wall_offset_millis += if self.dice.percent(50) { by } else { -by };
        self.tally.clock_set += 1;
        let next = self.dice.millis(20_000, 300_000);
        self.agenda.plan(self.mono + next, Happening::Clock);
    }

    /// The process did not run for a while: all that was due meanwhile happens late.
    fn leap(&mut self) {
        let longest = *self.dice.pick(&[2_000, 100_000, 900_000]);
        self.mono += self.dice.millis(500, longest);
        self.tally.leaps += 1;
        let next = self.dice.millis(60_000, 400_000);
        self.agenda.plan(self.mono + next, Happening::Leap);
    }

    fn do_work(&mut self, id: WorkId) {
        if let Some(work) = self.work.remove(&id) {
            self.tell(Event::Worked { work: id, result: Some(work()) });
        }
    }

    fn tick(&mut self) {
        self.say(|| "tick".to_owned());
        self.step += 1;
        self.server.tick(self.now());
        self.drain_effects();
        self.check_after_tick();
        self.check_after_step();
    }

    /// Tells the core what happened, and does what it says.
    pub(crate) fn tell(&mut self, event: Event<'_>) {
        self.step += 1;
        if self.exited {
            return;
        }
        self.server.handle(self.now(), event);
        self.drain_effects();
    }

    fn drain_effects(&mut self) {
        while let Some(effect) = self.server.poll() {
            self.show(&effect);
            match effect {
                Effect::Write(id) => self.plan_take(id),
                Effect::Read(id) => self.plan_send(id),
                Effect::Close { connection, .. } => self.closed(connection),
                Effect::Store { lane, batch, operations } => self.begin_batch(batch, lane, operations),
                Effect::Work { work, run } | Effect::Errand { work, run } => {
                    let longest = if self.calm { 5 } else { *self.dice.pick(&[2, 2, 500, 20_000]) };
                    let after = self.dice.millis(0, longest);
                    self.work.insert(work, run);
                    self.agenda.plan(self.mono + after, Happening::Work(work));
                }
                Effect::Measure => self.server.handle(self.now(), Event::Measured(Box::default())),
                // no agent runs it
                Effect::Stands(_) => {}
                Effect::Exit => self.exited = true,
            }
        }
    }

    /// A line of the trace.
    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>12?} {:>6} {}", self.mono, self.step, what());
        }
    }

    fn show(&self, effect: &Effect) {
        match effect {
            Effect::Store { batch, operations, .. } => {
                for operation in operations {
                    self.say(|| format!("  batch {batch}: {operation:.150?}"));
                }
            }
            Effect::Close { connection, .. } => self.say(|| format!("  closes {connection:?}")),
            Effect::Work { work, .. } | Effect::Errand { work, .. } => self.say(|| format!("  work {work}")),
            Effect::Exit => self.say(|| "  exits".to_owned()),
            Effect::Write(_) | Effect::Read(_) | Effect::Measure | Effect::Stands(_) => {}
        }
    }

    /// Positions are used again, as by the reactor's table.
    pub(crate) fn new_connection_id(&mut self) -> ConnectionId {
        self.generation += 1;
        let index = self.free_indices.pop().unwrap_or(self.wires.len() as u32);
        SlotId { index, generation: self.generation }
    }

    pub(crate) fn free_connection_id(&mut self, id: ConnectionId) {
        self.free_indices.push(id.index);
    }
}
