//! The table of units: what the agent wants of each, and what it is told of each. Pure: takes what came and what the server
//! says, and gives what is to be sent and what is wished for.
//!
//! The order in which things came decides nothing but which of two units of one type is the newer: the table always stands
//! for the last message.

use log::LevelFilter;

use super::messages::{
    CheckinExpected, CheckinObserved, ElasticApm, INPUT, OUTPUT, UnitConfig, UnitExpected, UnitObserved,
};
use super::seam::{Agent, Apm, Report, State, UnitKind, Units, Wish};
use super::values;

/// Units that are kept of a message; an agent sends two.
pub(super) const UNITS_MAX: usize = 256;
/// Of a type that is not ours so much is told.
const TYPE_CHARS_MAX: usize = 100;

/// What the agent wants, and how it does.
pub struct Table {
    /// In the order in which they came.
    units: Vec<Unit>,
    agent: Option<Agent>,
    apm: Option<Apm>,
    features_index: u64,
    component_index: u64,
    /// What the server was told last.
    wished: Wish,
    /// What the server said last: of the input, of the output.
    said: [Option<Said>; 2],
    /// The server may still run what it was given.
    serving: bool,
    /// Nothing follows.
    ended: bool,
}

/// The state of a unit, and why.
#[derive(Clone, PartialEq)]
struct Said {
    state: State,
    message: String,
    payload: Option<serde_json::Value>,
}

/// A unit as the agent wants it.
struct Unit {
    id: String,
    /// [`INPUT`] or [`OUTPUT`], or what is not known here.
    kind: i32,
    stops: bool,
    level: LevelFilter,
    index: u64,
    config: Option<Config>,
}

struct Config {
    name: String,
    /// Null where the type is not ours.
    source: serde_json::Value,
}

impl Table {
    /// A table without units; `agent` as it was said at the start.
    pub fn new(agent: Option<Agent>) -> Self {
        Table {
            units: Vec::new(),
            wished: Wish { agent: agent.clone(), units: None },
            agent,
            apm: None,
            features_index: 0,
            component_index: 0,
            said: [None, None],
            serving: false,
            ended: false,
        }
    }

    /// A whole message came; what is wished for now, if that is something else.
    pub fn expected(&mut self, expected: CheckinExpected) -> Option<Wish> {
        self.features_index = expected.features_idx;
        if expected.component.is_some() || expected.component_idx != self.component_index {
            let apm = expected.component.and_then(|component| component.apm_config);
            self.apm = apm.and_then(|apm| apm.elastic).map(Apm::from);
        }
        self.component_index = expected.component_idx;
        if let Some(agent) = expected.agent_info {
            self.agent = Some(Agent::from(agent));
        }
        self.replace_units(expected.units);
        self.changed_wish()
    }

    /// The server says how the units do.
    pub fn report(&mut self, report: Report) {
        match report {
            // that was the pair before, which was taken back: by now another one is wanted, or the same again
            Report::Both(State::Stopped, ..) if self.wished.units.is_some() => {}
            Report::Both(state, message, payload) => {
                self.serving &= state != State::Stopped;
                let said = Said { state, message, payload };
                self.said = [Some(said.clone()), Some(said)];
            }
            Report::One(kind, state, message, payload) => {
                let said = Said { state, message, payload };
                if state == State::Failed && self.said[place(kind)].as_ref() != Some(&said) {
                    // the agent keeps such a line, or does not, by the level of its unit
                    let id = self.in_use(kind).map_or("", |unit| &unit.id);
                    log::error!("unit.id" = id; "the unit failed: {}", said.message);
                }
                self.said[place(kind)] = Some(said);
            }
        }
    }

    /// Nothing follows: all units are told to have stopped.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the agent has named this unit, and not taken it back.
    pub fn has(&self, id: &str, kind: i32) -> bool {
        self.units.iter().any(|unit| unit.is(id, kind))
    }

    /// All units as they are at this moment, without what the stream adds.
    pub fn observed(&self) -> CheckinObserved {
        CheckinObserved {
            units: self.units.iter().map(|unit| self.observed_unit(unit)).collect(),
            features_idx: self.features_index,
            component_idx: self.component_index,
            ..CheckinObserved::default()
        }
    }

    fn replace_units(&mut self, wanted: Vec<UnitExpected>) {
        if wanted.len() > UNITS_MAX {
            log::warn!("the agent wants {} units: only the first {UNITS_MAX} are looked at", wanted.len());
        }
        let is_wanted = |unit: &Unit| wanted.iter().any(|wanted| unit.is(&wanted.id, wanted.r#type));
        self.units.retain(is_wanted);
        for wanted in wanted.into_iter().take(UNITS_MAX) {
            match self.units.iter_mut().find(|unit| unit.is(&wanted.id, wanted.r#type)) {
                Some(unit) => unit.change(&wanted),
                None => self.units.push(Unit::new(wanted)),
            }
        }
    }

    fn changed_wish(&mut self) -> Option<Wish> {
        let wish = Wish { agent: self.agent.clone(), units: self.wanted_units() };
        if wish == self.wished {
            return None;
        }
        if wish.units.is_some() && self.wished.units.is_none() {
            // what was said was of something else
            self.said = [None, None];
        }
        self.serving |= wish.units.is_some();
        self.wished = wish.clone();
        Some(wish)
    }

    fn wanted_units(&self) -> Option<Units> {
        let (input, output) = (self.in_use(UnitKind::Input)?, self.in_use(UnitKind::Output)?);
        let source = |unit: &Unit| unit.config.as_ref().map(|config| config.source.clone());
        Some(Units {
            input: source(input)?,
            output: source(output)?,
            level: input.level.max(output.level),
            apm: self.apm.clone(),
            revisions: (input.index, output.index),
        })
    }

    /// Of several units of a type the newest counts.
    fn in_use(&self, kind: UnitKind) -> Option<&Unit> {
        self.units.iter().rev().find(|unit| unit.usable() == Some(kind) && !unit.stops)
    }

    fn observed_unit(&self, unit: &Unit) -> UnitObserved {
        let Said { state, message, payload } = self.state_of(unit);
        UnitObserved {
            id: unit.id.clone(),
            r#type: unit.kind,
            config_state_idx: unit.index,
            state: state as i32,
            message,
            payload: payload.as_ref().map(values::fields),
        }
    }

    fn state_of(&self, unit: &Unit) -> Said {
        if self.ended {
            return told(State::Stopped, "the server has ended");
        }
        if unit.stops {
            let stopping = self.serving && self.wished.units.is_none();
            let state = if stopping { State::Stopping } else { State::Stopped };
            return told(state, if stopping { "stopping" } else { "stopped" });
        }
        let Some(config) = &unit.config else {
            return told(State::Starting, "waiting for its configuration");
        };
        let Some(kind) = unit.usable() else { return foreign(unit.kind, &config.name) };
        if self.in_use(kind).is_none_or(|newest| !newest.is(&unit.id, unit.kind)) {
            return told(State::Stopped, "another unit of its type has taken its place");
        }
        if self.wished.units.is_none() {
            let missing = if kind == UnitKind::Input { "output" } else { "input" };
            return told(State::Starting, &format!("waiting for the {missing} unit"));
        }
        self.said[place(kind)].clone().unwrap_or_else(|| told(State::Starting, "starting"))
    }
}

impl Unit {
    fn new(wanted: UnitExpected) -> Self {
        let mut unit = Unit {
            id: wanted.id.clone(),
            kind: wanted.r#type,
            stops: false,
            level: LevelFilter::Info,
            index: 0,
            config: None,
        };
        unit.change(&wanted);
        unit
    }

    /// A configuration that is there changes with its index only.
    fn change(&mut self, wanted: &UnitExpected) {
        self.stops = wanted.state == State::Stopped as i32;
        self.level = level(wanted.log_level);
        let is_another = wanted.config_state_idx != self.index || self.config.is_none();
        self.index = wanted.config_state_idx;
        if let (true, Some(config)) = (is_another, &wanted.config) {
            self.config = Some(Config::of(config, self.kind));
        }
    }

    fn is(&self, id: &str, kind: i32) -> bool {
        self.id == id && self.kind == kind
    }

    /// As what a server can be made of it.
    fn usable(&self) -> Option<UnitKind> {
        usable(self.kind, &self.config.as_ref()?.name)
    }
}

impl Config {
    fn of(config: &UnitConfig, kind: i32) -> Self {
        let source = config.source.as_ref().map_or_else(|| serde_json::json!({}), values::json);
        let name = match config.r#type.as_str() {
            "" => source["type"].as_str().unwrap_or_default(),
            name => name,
        };
        let name = name.to_owned();
        let source = if usable(kind, &name).is_some() { source } else { serde_json::Value::Null };
        Config { name, source }
    }
}

fn usable(kind: i32, name: &str) -> Option<UnitKind> {
    match (kind, name) {
        (INPUT, "fleet-server") => Some(UnitKind::Input),
        (OUTPUT, "elasticsearch") => Some(UnitKind::Output),
        _ => None,
    }
}

fn foreign(kind: i32, name: &str) -> Said {
    let what = match kind {
        INPUT => "an input",
        OUTPUT => "an output",
        _ => "a unit",
    };
    let name: String = name.chars().take(TYPE_CHARS_MAX).collect();
    told(State::Failed, &format!("{what} of type {name:?} is nothing for this server"))
}

fn told(state: State, message: &str) -> Said {
    Said { state, message: message.to_owned(), payload: None }
}

fn place(kind: UnitKind) -> usize {
    match kind {
        UnitKind::Input => 0,
        UnitKind::Output => 1,
    }
}

/// `UnitLogLevel`; one that is not known says most.
fn level(number: i32) -> LevelFilter {
    match number {
        0 => LevelFilter::Error,
        1 => LevelFilter::Warn,
        2 => LevelFilter::Info,
        3 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

impl From<ElasticApm> for Apm {
    fn from(apm: ElasticApm) -> Self {
        let tls = apm.tls.unwrap_or_default();
        Apm {
            environment: apm.environment,
            api_key: apm.api_key,
            secret_token: apm.secret_token,
            hosts: apm.hosts,
            global_labels: apm.global_labels,
            sampling_rate: apm.sampling_rate,
            skip_verify: tls.skip_verify,
            server_certificate: tls.server_cert,
            server_ca: tls.server_ca,
        }
    }
}

#[cfg(test)]
mod tests;
