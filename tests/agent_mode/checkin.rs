//! The check-in stream: what is said, and when, and what becomes of it when it ends.

use fleet_server::agent_mode::seam::{Report, State, UnitKind};
use serde_json::json;
use tonic::Code;

use crate::controller::Options;
use crate::wire::{Pair, are, both, expected, of, output, stopped, wish, wished_units};

/// Reports of both units.
fn report(pair: &Pair, state: State, message: &str) {
    pair.control.report(Report::Both(state, message.into(), None));
}

#[test]
fn the_first_word_says_who_we_are_and_none_of_the_later_does() {
    let pair = Pair::start();
    let stream = pair.agent.check_in();
    let first = stream.hear();
    assert_eq!((first.token.as_str(), first.supports.as_slice()), ("its-token", &[0][..]));
    assert_eq!(first.version_info.as_ref().map(|info| info.name.as_str()), Some("fleet-server"));
    assert!(first.units.is_empty());
    stream.say(both(1, 1));
    let second = stream.hear();
    assert!(second.version_info.is_none() && second.supports.is_empty());
    assert_eq!((second.token.as_str(), second.units.len()), ("its-token", 2));
}

#[test]
fn an_agent_that_knows_no_pieces_is_offered_none() {
    let pair = Pair::with(Options { message_bytes_max: 600, ..Options::default() });
    let stream = pair.agent.check_in();
    assert!(stream.hear().supports.is_empty());
    stream.say(both(1, 1));
    stream.hear();
    report(&pair, State::Healthy, &"m".repeat(1_000));
    let whole = stream.hear();
    assert!(whole.units_timestamp.is_none() && are(&whole, State::Healthy));
}

#[test]
fn what_is_too_large_is_said_in_pieces_to_an_agent_that_knows_them() {
    let pair = Pair::with(Options { message_bytes_max: 600, chunks: true, ..Options::default() });
    let stream = pair.greeted();
    stream.say(both(1, 1));
    stream.hear();
    report(&pair, State::Healthy, &"m".repeat(400));
    let pieces = [stream.hear(), stream.hear(), stream.hear()];
    assert_eq!(pieces.each_ref().map(|piece| piece.units.len()), [1, 1, 0]);
    assert!(pieces.iter().all(|piece| piece.units_timestamp == pieces[0].units_timestamp));
    assert!(pieces[0].units_timestamp.is_some());
}

#[test]
fn every_change_of_state_is_said_of_all_units() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(1, 1));
    stream.hear_when(|observed| are(observed, State::Starting));
    report(&pair, State::Healthy, "well");
    let observed = stream.hear();
    assert!(are(&observed, State::Healthy));
    pair.control.report(Report::One(UnitKind::Output, State::Failed, "no such host".into(), None));
    let observed = stream.hear();
    assert_eq!(of(&observed, "output-1").state, State::Failed as i32);
    assert_eq!(of(&observed, "output-1").message, "no such host");
    assert_eq!(of(&observed, "input-1").state, State::Healthy as i32);
}

#[test]
fn a_payload_comes_and_goes_with_the_report_that_has_it() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(1, 1));
    wished_units(&pair.control);
    pair.control.report(Report::Both(
        State::Degraded,
        "no id".into(),
        Some(json!({"enrollment_token": "e"})),
    ));
    let observed = stream.hear_when(|observed| are(observed, State::Degraded));
    for unit in &observed.units {
        let payload = fleet_server::agent_mode::values::json(unit.payload.as_ref().unwrap());
        assert_eq!(payload, json!({"enrollment_token": "e"}));
    }
    report(&pair, State::Healthy, "well");
    let observed = stream.hear_when(|observed| are(observed, State::Healthy));
    assert!(observed.units.iter().all(|unit| unit.payload.is_none()));
}

#[test]
fn a_server_that_is_busy_with_a_configuration_holds_up_no_word() {
    let pair = Pair::start();
    let stream = pair.greeted();
    // nobody takes the wishes: each is echoed all the same
    for index in 1..=5 {
        stream.say(both(index, index));
        let observed = stream.hear();
        assert!(observed.units.iter().all(|unit| unit.config_state_idx == index));
    }
    assert_eq!(wished_units(&pair.control).revisions, (5, 5));
    assert!(pair.control.newest().is_none());
}

#[test]
fn a_stream_that_the_agent_closes_is_opened_again_with_all_that_is_known() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(3, 4));
    wished_units(&pair.control);
    report(&pair, State::Healthy, "well");
    stream.hear_when(|observed| are(observed, State::Healthy));
    drop(stream);
    let first = pair.agent.check_in().hear();
    assert!(first.version_info.is_some() && first.supports == [0]);
    assert!(are(&first, State::Healthy));
    assert_eq!((of(&first, "input-1").config_state_idx, of(&first, "output-1").config_state_idx), (3, 4));
    assert!(pair.control.newest().is_none(), "a stream is no reason for another configuration");
}

#[test]
fn what_happens_while_no_stream_is_open_is_said_on_the_next() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(1, 1));
    wished_units(&pair.control);
    stream.fail(Code::Unavailable);
    report(&pair, State::Degraded, "meanwhile");
    let stream = pair.agent.check_in();
    stream.hear_when(|observed| are(observed, State::Degraded));
}

#[test]
fn who_is_refused_tries_again_and_again() {
    let pair = Pair::with(Options { denials: 2, ..Options::default() });
    pair.agent.refuses();
    pair.agent.refuses();
    let first = pair.agent.check_in().hear();
    assert!(first.version_info.is_some());
}

#[test]
fn an_agent_may_listen_on_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = Some(directory.path().join("agent.sock"));
    let pair = Pair::with(Options { socket, ..Options::default() });
    let stream = pair.greeted();
    stream.say(both(1, 1));
    wished_units(&pair.control);
}

#[test]
fn at_the_end_it_says_stopping_then_stopped_and_closes() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(1, 1));
    wished_units(&pair.control);
    report(&pair, State::Healthy, "well");
    stream.hear_when(|observed| are(observed, State::Healthy));
    report(&pair, State::Stopping, "asked to");
    pair.control.stop(crate::support::PATIENCE);
    let heard = stream.hear_all();
    assert_eq!(heard.len(), 2);
    assert!(are(&heard[0], State::Stopping) && are(&heard[1], State::Stopped));
}

#[test]
fn the_end_does_not_wait_for_an_agent_that_is_gone() {
    let Pair { agent, control } = Pair::start();
    agent.check_in().hear();
    drop(agent);
    control.report(Report::Both(State::Stopping, String::new(), None));
    // it comes back long before this
    control.stop(std::time::Duration::from_secs(3_600));
}

#[test]
fn units_that_are_to_stop_are_stopped_when_the_server_says_so() {
    let pair = Pair::start();
    let stream = pair.greeted();
    stream.say(both(1, 1));
    wished_units(&pair.control);
    report(&pair, State::Healthy, "well");
    let units = both(1, 1).units.into_iter().map(stopped).collect();
    stream.say(expected(units));
    stream.hear_when(|observed| are(observed, State::Stopping));
    assert!(wish(&pair.control).units.is_none());
    report(&pair, State::Stopped, "all polls were answered");
    stream.hear_when(|observed| are(observed, State::Stopped));
    stream.say(expected(vec![]));
    stream.hear_when(|observed| observed.units.is_empty());
    // the next ones find it as it was
    stream.say(expected(vec![crate::wire::input(9, &json!({})), output(9)]));
    assert_eq!(wished_units(&pair.control).revisions, (9, 9));
}
