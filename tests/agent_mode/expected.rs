//! What the agent wants, and what is wished for by it.

use fleet_server::agent_mode::messages::{AgentInfo, CheckinExpected, Timestamp, UnitExpected};
use fleet_server::agent_mode::seam::State;
use log::LevelFilter;
use serde_json::{Value, json};

use crate::controller::CheckIn;
use crate::wire::{Pair, both, expected, input, known, of, output, unit, wish, wished_units};

/// Says it, and waits for an echo that is so; what was said before has been looked at then.
fn say(stream: &CheckIn, features_idx: u64, message: CheckinExpected) {
    stream.say(CheckinExpected { features_idx, ..message });
    stream.hear_when(|observed| observed.features_idx == features_idx);
}

/// Part of a set.
fn piece(seconds: i64, units: Vec<UnitExpected>) -> CheckinExpected {
    CheckinExpected { units_timestamp: Some(Timestamp { seconds, nanos: 0 }), ..expected(units) }
}

#[test]
fn a_configuration_that_is_known_is_kept() {
    let pair = Pair::start();
    let stream = pair.greeted();
    say(&stream, 1, both(1, 1));
    let units = wished_units(&pair.control);
    say(&stream, 2, expected(vec![known(input(1, &Value::Null)), known(output(1))]));
    assert!(pair.control.newest().is_none());
    say(&stream, 3, expected(vec![known(input(1, &Value::Null)), output(2)]));
    assert!(wished_units(&pair.control).input == units.input);
}

#[test]
fn another_configuration_of_the_same_index_is_ignored() {
    let pair = Pair::start();
    let stream = pair.greeted();
    say(&stream, 1, both(1, 1));
    wished_units(&pair.control);
    say(&stream, 2, expected(vec![input(1, &json!({"another": true})), output(1)]));
    assert!(pair.control.newest().is_none());
}

#[test]
fn the_next_index_is_applied_once() {
    let pair = Pair::start();
    let stream = pair.greeted();
    say(&stream, 1, both(1, 1));
    wished_units(&pair.control);
    say(&stream, 2, both(2, 1));
    assert_eq!(wished_units(&pair.control).input, json!({"index": 2}));
    // as long as the states are not what it wants the agent says the same again
    say(&stream, 3, both(2, 1));
    assert!(pair.control.newest().is_none());
}

#[test]
fn the_output_first_and_then_the_input_is_one_start() {
    let pair = Pair::start();
    let stream = pair.greeted();
    say(&stream, 1, expected(vec![output(1)]));
    assert!(pair.control.newest().is_none());
    stream.say(both(1, 1));
    wished_units(&pair.control);
    assert!(pair.control.newest().is_none());
}

#[test]
fn the_input_first_and_then_the_output_is_one_start() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(expected(vec![input(1, &json!({}))]));
    let observed = stream.hear_when(|observed| !observed.units.is_empty());
    let waiting = of(&observed, "input-1");
    assert_eq!(waiting.state, State::Starting as i32);
    assert!(waiting.message.contains("output"), "{}", waiting.message);
    stream.say(both(1, 1));
    wished_units(&pair.control);
    assert!(pair.control.newest().is_none());
}

#[test]
fn both_in_one_message_is_one_start() {
    let pair = Pair::start();
    let stream = pair.greeted();
    say(&stream, 1, both(1, 1));
    wished_units(&pair.control);
    assert!(pair.control.newest().is_none());
}

#[test]
fn the_input_in_one_piece_and_the_output_in_the_next_is_one_change() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(piece(5, vec![input(1, &json!({}))]));
    stream.say(piece(5, vec![output(1)]));
    stream.say(piece(5, vec![]));
    wished_units(&pair.control);
    let observed = stream.hear();
    assert_eq!(observed.units.len(), 2, "nothing is said of a set that is not whole");
    assert!(pair.control.newest().is_none());
}

#[test]
fn an_older_piece_in_between_is_ignored() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(piece(5, vec![input(1, &json!({}))]));
    stream.say(piece(4, vec![unit("old", 1, 7, "kafka", &json!({}))]));
    stream.say(piece(4, vec![]));
    stream.say(piece(5, vec![output(1)]));
    stream.say(piece(5, vec![]));
    wished_units(&pair.control);
    let observed = stream.hear();
    assert_eq!(observed.units.len(), 2);
}

#[test]
fn a_set_that_a_stream_did_not_end_is_forgotten_with_it() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(piece(5, vec![unit("old", 1, 7, "kafka", &json!({}))]));
    drop(stream);
    let stream = pair.greeted();
    stream.say(piece(5, vec![input(1, &json!({}))]));
    stream.say(piece(5, vec![output(1)]));
    stream.say(piece(5, vec![]));
    wished_units(&pair.control);
    assert_eq!(stream.hear().units.len(), 2);
}

#[test]
fn whole_numbers_are_integers_and_others_are_not() {
    let pair = Pair::start();
    let stream = pair.greeted();
    let source = json!({"server": {"port": 8220.0, "rate": 0.5}, "server.limits.max_agents": 7.0});
    stream.say(expected(vec![input(1, &source), output(1)]));
    let input = wished_units(&pair.control).input;
    assert_eq!(input.to_string(), r#"{"server":{"port":8220,"rate":0.5},"server.limits.max_agents":7}"#);
}

#[test]
fn the_level_of_one_unit_changes_the_level_and_nothing_else() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(1, 1));
    let before = wished_units(&pair.control);
    assert_eq!(before.level, LevelFilter::Info);
    let mut message = both(1, 1);
    message.units[1].log_level = 3;
    stream.say(message);
    let after = wished_units(&pair.control);
    assert_eq!(after.level, LevelFilter::Debug);
    assert!(
        after.input == before.input && after.output == before.output && after.revisions == before.revisions
    );
}

#[test]
fn an_agent_that_has_enrolled_has_another_id_and_one_that_is_not_told_of_stays() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(1, 1));
    let agent = wish(&pair.control).agent.expect("as it was said at the start");
    assert_eq!((agent.id.as_str(), agent.version.as_str()), ("", "9.6.0"));
    let info = AgentInfo { id: "a".into(), version: "9.6.0".into() };
    stream.say(CheckinExpected { agent_info: Some(info), ..both(1, 1) });
    assert_eq!(wish(&pair.control).agent.map(|agent| agent.id), Some("a".into()));
    say(&stream, 9, both(1, 1));
    assert!(pair.control.newest().is_none());
}

#[test]
fn a_unit_of_another_type_fails_and_its_type_is_named() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(expected(vec![input(1, &json!({})), unit("k", 1, 1, "logstash", &json!({}))]));
    let observed = stream.hear_when(|observed| !observed.units.is_empty());
    let failed = of(&observed, "k");
    assert_eq!(failed.state, State::Failed as i32);
    assert!(failed.message.contains("logstash"), "{}", failed.message);
    assert!(pair.control.newest().is_none());
}

#[test]
fn a_second_output_takes_the_place_of_the_first_which_is_stopped() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(1, 1));
    wished_units(&pair.control);
    stream.hear();
    let mut message = both(1, 1);
    message.units.push(unit("second", 1, 1, "elasticsearch", &json!({"hosts": ["http://second"]})));
    stream.say(message);
    assert_eq!(wished_units(&pair.control).output, json!({"hosts": ["http://second"]}));
    let observed = stream.hear();
    assert_eq!(of(&observed, "output-1").state, State::Stopped as i32);
    assert_eq!(of(&observed, "second").state, State::Starting as i32);
}
