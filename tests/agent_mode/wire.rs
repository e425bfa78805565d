//! The thread that talks to the agent, with the test in the place of the server; and what agents say.

use std::time::Duration;

use fleet_server::agent_mode::messages::{
    CheckinExpected, CheckinObserved, INPUT, OUTPUT, UnitConfig, UnitExpected, UnitObserved,
};
use fleet_server::agent_mode::seam::{Control, State, Units, Wish};
use fleet_server::agent_mode::{StartUp, start, values};
use serde_json::{Value, json};

use crate::controller::{CheckIn, Controller, Options};
use crate::support::PATIENCE;

/// An agent, and the thread that talks to it.
pub(crate) struct Pair {
    pub(crate) agent: Controller,
    pub(crate) control: Control,
}

impl Pair {
    pub(crate) fn start() -> Self {
        Pair::of(Controller::start())
    }

    pub(crate) fn with(options: Options) -> Self {
        Pair::of(Controller::with(options))
    }

    fn of(agent: Controller) -> Self {
        let startup = StartUp::read(&*agent.startup()).map_err(|error| error.to_string()).unwrap();
        Pair { control: start(startup).unwrap(), agent }
    }

    /// The check-in stream after its first word.
    pub(crate) fn greeted(&self) -> CheckIn {
        let stream = self.agent.check_in();
        stream.hear();
        stream
    }
}

/// Waits for the next wish.
pub(crate) fn wish(control: &Control) -> Wish {
    for _ in 0..PATIENCE.as_secs() {
        if let Some(wish) = control.newest() {
            return wish;
        }
        control.listen(Some(Duration::from_secs(1)));
    }
    panic!("no wish in {PATIENCE:?}");
}

/// Waits for the next wish, which has both units.
pub(crate) fn wished_units(control: &Control) -> Units {
    wish(control).units.expect("both units")
}

/// A unit that is to run.
pub(crate) fn unit(id: &str, kind: i32, index: u64, name: &str, source: &Value) -> UnitExpected {
    let config = UnitConfig { source: Some(values::fields(source)), r#type: name.into() };
    UnitExpected {
        id: id.into(),
        r#type: kind,
        state: State::Healthy as i32,
        config_state_idx: index,
        config: Some(config),
        log_level: 2,
    }
}

pub(crate) fn input(index: u64, source: &Value) -> UnitExpected {
    unit("input-1", INPUT, index, "fleet-server", source)
}

pub(crate) fn output(index: u64) -> UnitExpected {
    unit(
        "output-1",
        OUTPUT,
        index,
        "elasticsearch",
        &json!({"type": "elasticsearch", "hosts": ["http://h:9200"]}),
    )
}

/// The same unit, to be stopped.
pub(crate) fn stopped(unit: UnitExpected) -> UnitExpected {
    UnitExpected { state: State::Stopped as i32, ..unit }
}

/// The same unit, of which the agent thinks that its configuration is known.
pub(crate) fn known(unit: UnitExpected) -> UnitExpected {
    UnitExpected { config: None, ..unit }
}

pub(crate) fn expected(units: Vec<UnitExpected>) -> CheckinExpected {
    CheckinExpected { units, ..CheckinExpected::default() }
}

/// Both units with these indices.
pub(crate) fn both(input_index: u64, output_index: u64) -> CheckinExpected {
    expected(vec![input(input_index, &json!({"index": input_index})), output(output_index)])
}

/// What is said of a unit.
pub(crate) fn of<'a>(observed: &'a CheckinObserved, id: &str) -> &'a UnitObserved {
    observed.units.iter().find(|unit| unit.id == id).unwrap_or_else(|| panic!("{id} is left out"))
}

/// Whether all units are in this state.
pub(crate) fn are(observed: &CheckinObserved, state: State) -> bool {
    !observed.units.is_empty() && observed.units.iter().all(|unit| unit.state == state as i32)
}
