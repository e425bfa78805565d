//! Agents that change their minds, cut streams and send in pieces, by a seed: whatever came before, all ends in what the last
//! message asks for. Against the pure machine, and over the wire. A failure prints its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use fleet_server::agent_mode::chunks::Sets;
use fleet_server::agent_mode::messages::{
    AgentInfo, CheckinExpected, CheckinObserved, INPUT, OUTPUT, Timestamp, UnitExpected,
};
use fleet_server::agent_mode::seam::{Agent, Report, State, Units, Wish};
use fleet_server::agent_mode::units::Table;
use log::LevelFilter;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::controller::CheckIn;
use crate::support::eventually;
use crate::wire::{Pair, unit};

const SEEDS: u64 = 500;
const SEEDS_OVER_THE_WIRE: u64 = 24;
/// Messages of a sequence before the last.
const STEPS_MAX: u64 = 12;
/// Streams that are cut over the wire: each costs a second.
const CUTS_MAX: u64 = 1;
const IDS: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 3] = ["fleet-server", "elasticsearch", "kafka"];

/// What the agent has in mind.
struct Mind {
    dice: StdRng,
    units: Vec<Unit>,
    agent: String,
    features_idx: u64,
    component_idx: u64,
    seconds: i64,
    /// No two configurations have the same.
    last_index: u64,
    /// Units in the order in which the program came to know them.
    known: Vec<(String, i32)>,
}

#[derive(Clone)]
struct Unit {
    id: String,
    kind: i32,
    index: u64,
    name: &'static str,
    source: Value,
    stops: bool,
    level: i32,
}

/// What goes over a stream for a message: it, or its pieces with some of an older set among them.
type Pieces = Vec<CheckinExpected>;

impl Mind {
    fn new(seed: u64) -> Self {
        Mind {
            dice: StdRng::seed_from_u64(seed),
            units: Vec::new(),
            agent: String::new(),
            features_idx: 0,
            component_idx: 0,
            seconds: 100,
            last_index: 0,
            known: Vec::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.dice.random_range(0..bound)
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.dice.random_range(0..choices.len());
        choices[index]
    }

    fn change(&mut self) {
        match self.below(8) {
            0..=2 => self.add(),
            3 if !self.units.is_empty() => {
                let index = self.dice.random_range(0..self.units.len());
                self.units.remove(index);
            }
            4 if !self.units.is_empty() => {
                let index = self.dice.random_range(0..self.units.len());
                self.units[index].stops ^= true;
            }
            5 if !self.units.is_empty() => {
                let index = self.dice.random_range(0..self.units.len());
                let number = self.below(1_000);
                self.last_index += 1;
                self.units[index].index = self.last_index;
                self.units[index].source = json!({"n": number});
            }
            6 => self.agent = self.pick(&IDS).to_owned(),
            _ if !self.units.is_empty() => {
                let index = self.dice.random_range(0..self.units.len());
                let level = self.below(5);
                self.units[index].level = i32::try_from(level).unwrap();
            }
            _ => self.component_idx += 1,
        }
        self.features_idx += 1;
    }

    fn add(&mut self) {
        let (id, kind) = (self.pick(&IDS).to_owned(), self.pick(&[INPUT, OUTPUT]));
        if self.units.iter().any(|unit| unit.id == id && unit.kind == kind) {
            return;
        }
        // mostly what belongs there
        let name = if self.below(5) == 0 { self.pick(&NAMES) } else { NAMES[usize::from(kind == OUTPUT)] };
        let source = json!({"n": self.below(1_000)});
        self.last_index += 1;
        let index = self.last_index;
        self.units.push(Unit { id, kind, index, name, source, stops: false, level: 2 });
    }

    /// The message for what is in mind now; configurations that were echoed are left out, or not.
    fn message(&mut self, echoed: Option<&CheckinObserved>) -> CheckinExpected {
        let units = self.units.clone();
        let units = units.iter().map(|unit| self.expected(unit, echoed)).collect();
        CheckinExpected {
            units,
            agent_info: Some(AgentInfo { id: self.agent.clone(), version: "9.6.0".into() }),
            features_idx: self.features_idx,
            component_idx: self.component_idx,
            ..CheckinExpected::default()
        }
    }

    fn expected(&mut self, of: &Unit, echoed: Option<&CheckinObserved>) -> UnitExpected {
        let state = if of.stops { State::Stopped } else { State::Healthy };
        let is_it = |told: &&fleet_server::agent_mode::messages::UnitObserved| {
            told.id == of.id && told.r#type == of.kind && told.config_state_idx == of.index
        };
        let is_echoed = echoed.is_some_and(|echoed| echoed.units.iter().any(|told| is_it(&told)));
        let mut expected = unit(&of.id, of.kind, of.index, of.name, &of.source);
        if is_echoed && self.below(2) == 0 {
            expected.config = None;
        }
        UnitExpected { state: state as i32, log_level: of.level, ..expected }
    }

    /// How a message goes over the stream; its units in any order.
    fn pieces(&mut self, mut message: CheckinExpected) -> Pieces {
        if self.below(2) == 0 {
            return vec![message];
        }
        self.seconds += 10;
        let (now, before) = (self.seconds, self.seconds - 5);
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let mut units = std::mem::take(&mut message.units);
        for index in (1..units.len()).rev() {
            units.swap(index, self.dice.random_range(0..=index));
        }
        message.units_timestamp = at(now);
        message.units = units.drain(..units.len().min(1)).collect();
        let is_empty = message.units.is_empty();
        let mut pieces = vec![message];
        for unit in units {
            if self.below(3) == 0 {
                let old = unit.clone();
                let old = UnitExpected { id: "old".into(), ..old };
                pieces.push(CheckinExpected {
                    units: vec![old],
                    units_timestamp: at(before),
                    ..CheckinExpected::default()
                });
            }
            pieces.push(CheckinExpected {
                units: vec![unit],
                units_timestamp: at(now),
                ..CheckinExpected::default()
            });
        }
        if !is_empty {
            pieces.push(CheckinExpected { units_timestamp: at(now), ..CheckinExpected::default() });
        }
        pieces
    }

    /// All of these have come.
    fn delivered(&mut self, pieces: &[CheckinExpected]) {
        let newest = pieces.iter().filter_map(|piece| piece.units_timestamp).max();
        let came =
            pieces.iter().filter(|piece| piece.units_timestamp == newest).flat_map(|piece| &piece.units);
        let came: Vec<(String, i32)> = came.map(|unit| (unit.id.clone(), unit.r#type)).collect();
        self.known.retain(|known| came.contains(known));
        for unit in came {
            if !self.known.contains(&unit) {
                self.known.push(unit);
            }
        }
    }

    /// What is to be wished for.
    fn wish(&self) -> Wish {
        let newest = |kind: i32, name: &str| {
            let of = |(id, kind): &(String, i32)| {
                self.units.iter().find(|unit| unit.id == *id && unit.kind == *kind)
            };
            self.known
                .iter()
                .rev()
                .filter_map(of)
                .find(|unit| unit.kind == kind && unit.name == name && !unit.stops)
        };
        let units =
            newest(INPUT, "fleet-server").zip(newest(OUTPUT, "elasticsearch")).map(|(input, output)| {
                let levels = [
                    LevelFilter::Error,
                    LevelFilter::Warn,
                    LevelFilter::Info,
                    LevelFilter::Debug,
                    LevelFilter::Trace,
                ];
                Units {
                    input: input.source.clone(),
                    output: output.source.clone(),
                    level: levels[usize::try_from(input.level.max(output.level)).unwrap()],
                    apm: None,
                    revisions: (input.index, output.index),
                }
            });
        Wish { agent: Some(Agent { id: self.agent.clone(), version: "9.6.0".into() }), units }
    }

    /// Whether this is what is to be said in the end, where the server says that all is well.
    fn is_said(&self, observed: &CheckinObserved) -> bool {
        observed.features_idx == self.features_idx
            && observed.component_idx == self.component_idx
            && observed.units.len() == self.units.len()
            && self.units.iter().all(|unit| observed.units.iter().any(|told| self.is_told(unit, told)))
    }

    fn is_told(&self, unit: &Unit, told: &fleet_server::agent_mode::messages::UnitObserved) -> bool {
        told.id == unit.id
            && told.r#type == unit.kind
            && told.config_state_idx == unit.index
            && told.state == self.state(unit) as i32
    }

    fn state(&self, unit: &Unit) -> State {
        let name = NAMES[usize::from(unit.kind == OUTPUT)];
        let of = |known: &&(String, i32)| {
            let found = self.units.iter().find(|unit| unit.id == known.0 && unit.kind == known.1);
            found.is_some_and(|found| found.kind == unit.kind && found.name == name && !found.stops)
        };
        let newest = self.known.iter().rev().find(of);
        if unit.stops {
            State::Stopped
        } else if unit.name != name {
            State::Failed
        } else if newest.is_some_and(|newest| newest.0 != unit.id) {
            State::Stopped
        } else if self.wish().units.is_none() {
            State::Starting
        } else {
            State::Healthy
        }
    }
}

/// Prints the seed of a sequence that fails.
fn seeded(seed: u64, run: impl FnOnce(Mind)) {
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| run(Mind::new(seed)))) {
        eprintln!("the seed that failed: {seed}");
        resume_unwind(failure);
    }
}

/// The server: what it was told, and what it says to it.
fn serve(table: &mut Table, wish: Option<Wish>, wished: &mut Wish) {
    if let Some(wish) = wish {
        *wished = wish;
        let state = if wished.units.is_some() { State::Healthy } else { State::Stopped };
        table.report(Report::Both(state, String::new(), None));
    }
}

fn pure(mut mind: Mind) {
    let (mut table, mut sets, mut wished) = (Table::new(None), Sets::default(), Wish::default());
    for _ in 0..mind.below(STEPS_MAX) {
        mind.change();
        let observed = table.observed();
        let message = mind.message(Some(&observed));
        let pieces = mind.pieces(message);
        // a stream that is cut has brought a part
        let come = if mind.below(4) == 0 { mind.below(pieces.len() as u64) as usize } else { pieces.len() };
        for piece in &pieces[..come] {
            let wish = sets.take(piece.clone()).and_then(|whole| table.expected(whole));
            serve(&mut table, wish, &mut wished);
        }
        if come == pieces.len() {
            mind.delivered(&pieces);
        } else {
            sets = Sets::default();
        }
    }
    mind.change();
    let observed = table.observed();
    let message = mind.message(Some(&observed));
    let pieces = mind.pieces(message);
    mind.delivered(&pieces);
    for piece in pieces {
        let wish = sets.take(piece).and_then(|whole| table.expected(whole));
        serve(&mut table, wish, &mut wished);
    }
    assert!(wished == mind.wish(), "something else is wished for");
    assert!(mind.is_said(&table.observed()), "something else is said");
}

#[test]
fn whatever_came_before_the_machine_ends_in_what_the_last_message_asks_for() {
    for seed in 0..SEEDS {
        seeded(seed, pure);
    }
}

/// The place of the server, over the wire.
fn take_wishes(pair: &Pair, wished: &mut Wish) {
    while let Some(wish) = pair.control.newest() {
        *wished = wish;
        let state = if wished.units.is_some() { State::Healthy } else { State::Stopped };
        pair.control.report(Report::Both(state, String::new(), None));
    }
}

fn say(stream: &CheckIn, pieces: Pieces) {
    pieces.into_iter().for_each(|piece| stream.say(piece));
}

fn over_the_wire(mut mind: Mind) {
    let pair = Pair::start();
    let mut stream = pair.agent.check_in();
    let mut echoed = stream.hear();
    let agent = Agent { id: String::new(), version: "9.6.0".into() };
    let mut wished = Wish { agent: Some(agent), units: None };
    let mut cuts = 0;
    for _ in 0..mind.below(STEPS_MAX) {
        mind.change();
        let message = mind.message(Some(&echoed));
        let mut pieces = mind.pieces(message);
        if cuts < CUTS_MAX && mind.below(4) == 0 {
            cuts += 1;
            let come = mind.below(pieces.len() as u64) as usize;
            pieces.truncate(come);
            say(&stream, pieces);
            drop(stream);
            stream = pair.agent.check_in();
            echoed = stream.hear();
        } else {
            mind.delivered(&pieces);
            say(&stream, pieces);
            echoed = stream.heard_so_far().pop().unwrap_or(echoed);
        }
        take_wishes(&pair, &mut wished);
    }
    mind.change();
    let message = mind.message(Some(&echoed));
    let pieces = mind.pieces(message);
    mind.delivered(&pieces);
    say(&stream, pieces);
    let end = || {
        take_wishes(&pair, &mut wished);
        echoed = stream.heard_so_far().pop().unwrap_or_else(|| echoed.clone());
        (mind.is_said(&echoed) && wished == mind.wish()).then_some(())
    };
    eventually("what the last message asks for", end);
}

#[test]
fn whatever_came_before_the_wire_ends_in_what_the_last_message_asks_for() {
    thread::scope(|scope| {
        for seed in 0..SEEDS_OVER_THE_WIRE {
            scope.spawn(move || seeded(seed, over_the_wire));
        }
    });
}
