//! What comes on standard input.

use fleet_server::agent_mode::messages::StartUpInfo;
use prost::Message;

use crate::controller::Controller;
use crate::program::Program;

/// What the program says when it ends with 1 because of what it was told.
fn refusal(input: &[u8]) -> String {
    let mut program = Program::start(&[]);
    program.say(input);
    program.close();
    let status = program.wait();
    let said = program.stderr.whole();
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "one message: {said}");
    said
}

/// The same of what an agent says, with a change.
fn refusal_of(change: impl FnOnce(&mut StartUpInfo)) -> String {
    let mut info = Controller::start().info;
    change(&mut info);
    refusal(&info.encode_to_vec())
}

#[test]
fn an_empty_standard_input_ends_it_with_a_message() {
    assert!(refusal(b"").contains("nothing came on standard input"));
}

#[test]
fn connection_information_that_is_cut_off_ends_it_with_a_message() {
    let whole = Controller::start().startup();
    assert!(refusal(&whole[..whole.len() / 2]).contains("no connection information"));
}

#[test]
fn what_is_no_message_at_all_ends_it_with_a_message() {
    assert!(refusal(b"\xff\xffhello").contains("no connection information"));
}

#[test]
fn an_agent_without_services_is_too_old() {
    assert!(refusal_of(|info| info.services.clear()).contains("too old"));
}

#[test]
fn a_key_that_is_no_pem_ends_it_with_a_message() {
    assert!(refusal_of(|info| info.peer_key = b"no key".to_vec()).contains("peer_key"));
}

#[test]
fn an_agent_that_closes_standard_input_late_is_waited_for() {
    let agent = Controller::start();
    let mut program = Program::start(&[]);
    let bytes = agent.startup();
    let (first, rest) = bytes.split_at(10);
    program.say(first);
    program.say(rest);
    // all was said, and still it may go on: nothing is decided before the end
    assert!(agent.check_ins_untaken() == 0 && program.ended().is_none());
    program.close();
    let observed = agent.check_in().hear();
    assert_eq!((observed.token.as_str(), observed.pid), (agent.info.token.as_str(), u64::from(program.id())));
}

#[test]
fn a_configuration_file_is_not_read() {
    let agent = Controller::start();
    let mut program = Program::start(&[]);
    std::fs::write(program.directory.path().join("fleet-server.yml"), "output: {logstash: {}}").unwrap();
    program.say(&agent.startup());
    program.close();
    agent.check_in().hear();
}
