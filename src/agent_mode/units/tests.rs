//! What the agent wants, one message after the other.

use serde_json::json;

use super::super::messages::{AgentInfo, ApmConfig, Component};
use super::*;

const HEALTHY: i32 = State::Healthy as i32;
const STOPPED: i32 = State::Stopped as i32;

fn unit(id: &str, kind: i32, index: u64, name: &str, source: &serde_json::Value) -> UnitExpected {
    let config = UnitConfig { source: Some(values::fields(source)), r#type: name.into() };
    UnitExpected {
        id: id.into(),
        r#type: kind,
        state: HEALTHY,
        config_state_idx: index,
        config: Some(config),
        log_level: 2,
    }
}

fn input(index: u64) -> UnitExpected {
    unit("i", INPUT, index, "fleet-server", &json!({"server": {"port": 8220}, "index": index}))
}

fn output(index: u64) -> UnitExpected {
    unit("o", OUTPUT, index, "elasticsearch", &json!({"hosts": ["h"], "index": index}))
}

fn of(units: Vec<UnitExpected>) -> CheckinExpected {
    CheckinExpected { units, ..CheckinExpected::default() }
}

/// Gives the table a message; the units that are wished for by it, if the wish changed.
fn send(table: &mut Table, units: Vec<UnitExpected>) -> Option<Option<Units>> {
    table.expected(of(units)).map(|wish| wish.units)
}

/// The state and the message of a unit.
fn state(table: &Table, id: &str) -> (i32, String) {
    let unit = table.observed().units.into_iter().find(|unit| unit.id == id).expect("the unit is told of");
    (unit.state, unit.message)
}

fn report(table: &mut Table, state: State) {
    table.report(Report::Both(state, "said".into(), None));
}

/// A table whose units run.
fn running() -> Table {
    let mut table = Table::new(None);
    send(&mut table, vec![input(1), output(1)]).flatten().expect("both are there");
    report(&mut table, State::Healthy);
    table
}

#[test]
fn nothing_starts_before_both_are_there_and_then_once() {
    for (first, second) in [(input(1), output(1)), (output(1), input(1))] {
        let mut table = Table::new(None);
        let first_id = first.id.clone();
        assert!(send(&mut table, vec![first.clone()]).is_none());
        let missing = if first_id == "i" { "the output unit" } else { "the input unit" };
        let (number, message) = state(&table, &first_id);
        assert_eq!(number, State::Starting as i32);
        assert!(message.contains(missing), "{message}");
        let units = send(&mut table, vec![first.clone(), second.clone()]).flatten().expect("both are there");
        assert_eq!(units.input, json!({"server": {"port": 8220}, "index": 1}));
        assert_eq!(units.revisions, (1, 1));
        assert!(send(&mut table, vec![first, second]).is_none());
    }
}

#[test]
fn what_the_server_says_goes_to_both_units_with_its_payload() {
    let mut table = running();
    assert_eq!(state(&table, "i"), (HEALTHY, "said".into()));
    table.report(Report::Both(State::Degraded, "m".into(), Some(json!({"enrollment_token": "t"}))));
    for unit in table.observed().units {
        assert_eq!(unit.state, State::Degraded as i32);
        assert_eq!(
            unit.payload.map(|payload| values::json(&payload)),
            Some(json!({"enrollment_token": "t"}))
        );
    }
    table.report(Report::One(UnitKind::Output, State::Failed, "bad".into(), None));
    assert_eq!(state(&table, "o"), (State::Failed as i32, "bad".into()));
    assert_eq!(state(&table, "i").0, State::Degraded as i32);
}

#[test]
fn a_known_configuration_is_kept_and_one_of_the_same_index_ignored() {
    let mut table = running();
    let without = UnitExpected { config: None, ..input(1) };
    assert!(send(&mut table, vec![without, output(1)]).is_none());
    let another = UnitExpected { config: input(7).config, ..input(1) };
    assert!(send(&mut table, vec![another, output(1)]).is_none());
    let units = send(&mut table, vec![input(2), output(1)]).flatten().expect("another");
    assert_eq!((units.input["index"].as_i64(), units.revisions), (Some(2), (2, 1)));
    assert!(send(&mut table, vec![input(2), output(1)]).is_none());
}

#[test]
fn indices_are_echoed_on_receipt() {
    let mut table = running();
    let message = CheckinExpected { features_idx: 4, component_idx: 5, ..of(vec![input(9), output(8)]) };
    table.expected(message);
    let observed = table.observed();
    assert_eq!((observed.features_idx, observed.component_idx), (4, 5));
    assert_eq!(observed.units.iter().map(|unit| unit.config_state_idx).collect::<Vec<_>>(), [9, 8]);
}

#[test]
fn a_configuration_that_comes_later_than_its_unit_is_taken() {
    let mut table = Table::new(None);
    let without = UnitExpected { config: None, ..input(1) };
    assert!(send(&mut table, vec![without, output(1)]).is_none());
    assert!(state(&table, "i").1.contains("configuration"));
    assert!(send(&mut table, vec![input(1), output(1)]).flatten().is_some());
}

#[test]
fn the_more_verbose_level_counts_and_no_index_changes_with_it() {
    let mut table = running();
    let units =
        send(&mut table, vec![UnitExpected { log_level: 3, ..input(1) }, output(1)]).flatten().unwrap();
    assert_eq!((units.level, units.revisions), (LevelFilter::Debug, (1, 1)));
    let levels = [0, 1, 2, 3, 4].map(level);
    assert!(levels.is_sorted() && levels[0] == LevelFilter::Error && levels[4] == LevelFilter::Trace);
}

#[test]
fn units_that_are_to_stop_are_stopping_until_the_server_has_ended() {
    let mut table = running();
    let stop = |unit| UnitExpected { state: STOPPED, ..unit };
    let wish = send(&mut table, vec![stop(input(1)), stop(output(1))]).expect("another wish");
    assert!(wish.is_none());
    assert_eq!(
        (state(&table, "i").0, state(&table, "o").0),
        (State::Stopping as i32, State::Stopping as i32)
    );
    report(&mut table, State::Stopped);
    assert_eq!((state(&table, "i").0, state(&table, "o").0), (STOPPED, STOPPED));
    assert!(send(&mut table, vec![]).is_none());
    assert!(table.observed().units.is_empty());
}

#[test]
fn of_a_unit_that_stops_the_other_waits() {
    let mut table = running();
    let wish =
        send(&mut table, vec![UnitExpected { state: STOPPED, ..input(1) }, output(1)]).expect("another wish");
    assert!(wish.is_none());
    report(&mut table, State::Stopped);
    assert_eq!((state(&table, "i").0, state(&table, "o").0), (STOPPED, State::Starting as i32));
}

#[test]
fn a_pair_that_comes_again_has_nothing_of_what_was_said_of_the_last() {
    let mut table = running();
    send(&mut table, vec![]);
    report(&mut table, State::Stopped);
    assert!(send(&mut table, vec![input(1), output(1)]).flatten().is_some());
    assert_eq!(state(&table, "i").0, State::Starting as i32);
}

#[test]
fn a_pair_that_comes_again_at_once_is_not_said_to_have_stopped() {
    let mut table = running();
    send(&mut table, vec![]);
    assert!(send(&mut table, vec![input(1), output(1)]).flatten().is_some());
    // the server has ended what it served for the first
    report(&mut table, State::Stopped);
    assert_eq!((state(&table, "i").0, state(&table, "o").0), (0, 0));
    report(&mut table, State::Healthy);
    assert_eq!(state(&table, "i").0, State::Healthy as i32);
    table.end();
    assert_eq!(state(&table, "i").0, STOPPED);
}

#[test]
fn a_second_unit_of_a_type_takes_the_place_of_the_first() {
    let mut table = running();
    let second = unit("second", OUTPUT, 1, "elasticsearch", &json!({"hosts": ["other"]}));
    let units =
        send(&mut table, vec![input(1), output(1), second.clone()]).flatten().expect("another output");
    assert_eq!(units.output["hosts"][0], "other");
    assert_eq!((state(&table, "o").0, state(&table, "second").0), (STOPPED, HEALTHY));
    // the first again, once the second goes
    let second = UnitExpected { state: STOPPED, ..second };
    let units = send(&mut table, vec![input(1), output(1), second]).flatten().expect("the first output");
    assert_eq!(units.output["hosts"][0], "h");
    assert_eq!((state(&table, "o").0, state(&table, "second").0), (HEALTHY, STOPPED));
}

#[test]
fn a_unit_of_another_type_fails_and_its_type_is_named() {
    let mut table = running();
    let kafka = unit("k", OUTPUT, 3, "kafka", &json!({}));
    let strange = unit("s", 7, 1, "fleet-server", &json!({}));
    assert!(send(&mut table, vec![input(1), output(1), kafka, strange]).is_none());
    let (number, message) = state(&table, "k");
    assert_eq!(number, State::Failed as i32);
    assert!(message.contains("\"kafka\""), "{message}");
    assert_eq!((state(&table, "s").0, state(&table, "o").0), (State::Failed as i32, HEALTHY));
}

#[test]
fn an_id_may_be_that_of_an_input_and_of_an_output() {
    let mut table = Table::new(None);
    let same = |unit| UnitExpected { id: "same".into(), ..unit };
    assert!(send(&mut table, vec![same(input(1)), same(output(1))]).flatten().is_some());
    assert!(table.has("same", INPUT) && table.has("same", OUTPUT) && !table.has("i", INPUT));
}

#[test]
fn who_the_agent_is_stays_known_and_a_new_id_is_a_new_wish() {
    let mut table = Table::new(Some(Agent { id: String::new(), version: "9.6.0".into() }));
    send(&mut table, vec![input(1), output(1)]);
    let info = AgentInfo { id: "a".into(), version: "9.6.0".into() };
    let message = CheckinExpected { agent_info: Some(info), ..of(vec![input(1), output(1)]) };
    let wish = table.expected(message).expect("a new wish");
    assert_eq!(wish.agent.map(|agent| agent.id), Some("a".into()));
    assert!(wish.units.is_some());
    assert!(send(&mut table, vec![input(1), output(1)]).is_none());
}

#[test]
fn tracing_changes_with_the_index_of_the_component() {
    let mut table = running();
    let apm =
        ElasticApm { hosts: vec!["http://apm".into()], sampling_rate: Some(0.5), ..ElasticApm::default() };
    let component = Component { apm_config: Some(ApmConfig { elastic: Some(apm) }) };
    let send = |table: &mut Table, component: Option<Component>, component_idx| {
        let message = CheckinExpected { component, component_idx, ..of(vec![input(1), output(1)]) };
        table.expected(message).map(|wish| wish.units.unwrap().apm)
    };
    let apm = send(&mut table, Some(component), 1).flatten().expect("tracing");
    assert_eq!((apm.hosts, apm.sampling_rate), (vec!["http://apm".to_owned()], Some(0.5)));
    // not told again: as it was
    assert!(send(&mut table, None, 1).is_none());
    assert!(send(&mut table, None, 2).expect("another wish").is_none());
}

#[test]
fn at_the_end_all_have_stopped() {
    let mut table = running();
    table.end();
    assert_eq!((state(&table, "i").0, state(&table, "o").0), (STOPPED, STOPPED));
}

#[test]
fn only_so_many_units_are_looked_at() {
    let mut table = Table::new(None);
    let many = (0..1_000).map(|id| unit(&id.to_string(), INPUT, 1, "x", &json!({}))).collect();
    send(&mut table, many);
    assert_eq!(table.observed().units.len(), UNITS_MAX);
}
