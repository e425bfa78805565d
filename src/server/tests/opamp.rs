//! Collectors on a core whose clock and store are in the test's hand.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use serde_json::json;

use super::world::World;
use crate::api::opamp::message::{
    AgentConfigFile, AgentConfigMap, AgentToServer, EffectiveConfig, RemoteConfigStatus, ServerToAgent,
};
use crate::connection::ConnectionId;
use crate::fleet::beats::BEATS_WAIT_MAX;
use crate::model::Policy;
use crate::model::raw::raw;
use crate::server::Event;
use crate::store::{Lane, Operation, StoreError};

const UID: [u8; 16] = [9; 16];
const ID: &str = "09090909-0909-0909-0909-090909090909";
const FINAL_BINARY: u8 = 0x82;

fn message() -> AgentToServer {
    AgentToServer { instance_uid: UID.to_vec(), capabilities: 3, ..AgentToServer::default() }
}

fn request(token: &str, message: &AgentToServer) -> Vec<u8> {
    let body = message.encode_to_vec();
    let head = format!(
        "POST /v1/opamp HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {token}\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// A frame without a mask worth the name.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![FINAL_BINARY, 0x80 | 126];
    bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

fn framed(message: &AgentToServer) -> Vec<u8> {
    frame(&[vec![0], message.encode_to_vec()].concat())
}

impl World {
    /// Status and body of the answer to a message over HTTP.
    fn tell_http(&mut self, token: &str, message: &AgentToServer) -> (u16, ServerToAgent) {
        let connection = self.open();
        self.send(connection, &request(token, message));
        let written = self.take_written(connection);
        let head_bytes = written.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer") + 4;
        let head = String::from_utf8(written[..head_bytes].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, ServerToAgent::decode(&written[head_bytes..]).unwrap_or_default())
    }

    /// A WebSocket.
    fn socket(&mut self, token: &str) -> ConnectionId {
        let connection = self.open();
        let request = format!(
            "GET /v1/opamp HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.send(connection, request.as_bytes());
        assert!(self.read_text(connection).starts_with("HTTP/1.1 101 "));
        connection
    }

    /// A message on a WebSocket; the only answer to it.
    fn tell_socket(&mut self, connection: ConnectionId, message: &AgentToServer) -> ServerToAgent {
        self.send(connection, &framed(message));
        let mut told = self.told(connection);
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    /// For how long a collector has been silent.
    fn silence(&mut self, id: &str) -> Duration {
        let agent = self.agent(id).unwrap();
        let last = crate::time::Timestamp::parse(&agent.last_checkin.unwrap()).unwrap();
        Duration::from_millis(u64::try_from(self.now.wall.0 - last.0).unwrap())
    }

    /// The messages written on a WebSocket since.
    fn told(&mut self, connection: ConnectionId) -> Vec<ServerToAgent> {
        let written = self.take_written(connection);
        let mut rest = written.as_slice();
        let mut messages = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<2>() {
            assert_eq!(head[0], FINAL_BINARY, "{rest:?}");
            let (length, after) = match head[1] {
                126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
                length => (usize::from(length), after),
            };
            let (payload, after) = after.split_at(length);
            messages.push(ServerToAgent::decode(&payload[1..]).unwrap());
            rest = after;
        }
        messages
    }

    fn offer(&mut self, revision_idx: i64, mark: u8) {
        let data = json!({"id": "p", "revision": revision_idx, "outputs": {"default": {"type": "elasticsearch"}},
            "otel": {"mark": mark}});
        self.ask(Operation::CreateRevision(Box::new(Policy {
            data: raw(&data),
            ..super::world::revision("p", revision_idx)
        })))
        .unwrap();
    }
}

fn error(answer: &ServerToAgent) -> &str {
    &answer.error_response.as_ref().expect("an error").error_message
}

#[test]
fn a_store_that_is_down_is_503_to_the_token_and_unavailable_after_it() {
    let (mut world, token) = World::with_policy();
    world.failing.insert(Lane::Read, StoreError::Unavailable("down".into()));
    assert_eq!(world.tell_http(&token, &message()).0, 503);
    world.failing.insert(Lane::Read, StoreError::AuthenticationLimited);
    assert_eq!(world.tell_http(&token, &message()).0, 429);
    world.failing.clear();
    assert_eq!(world.tell_http(&token, &message()).0, 200);
    // its token is known by now
    world.failing.insert(Lane::Read, StoreError::Unavailable("down".into()));
    let (status, answer) = world.tell_http(&token, &message());
    assert_eq!((status, error(&answer)), (200, "agent search failed"));
    world.failing.clear();
    world.failing.insert(Lane::Write, StoreError::Unavailable("down".into()));
    assert_eq!(error(&world.tell_http(&token, &message()).1), "failed to update agent");
    let other = AgentToServer { instance_uid: vec![8; 16], ..message() };
    assert_eq!(error(&world.tell_http(&token, &other).1), "failed to enroll agent");
}

#[test]
fn two_first_messages_at_once_make_one_collector() {
    let (mut world, token) = World::with_policy();
    world.tell_http(&token, &AgentToServer { instance_uid: vec![8; 16], ..message() });
    world.held.insert(Lane::Write);
    let connections = [world.open(), world.open()];
    for connection in connections {
        world.send(connection, &request(&token, &message()));
    }
    world.release();
    for connection in connections {
        let text = world.read_text(connection);
        assert!(text.starts_with("HTTP/1.1 200 ") && !text.contains("failed"), "{text}");
    }
    assert_eq!(world.agents().iter().filter(|agent| agent.id == ID).count(), 1);
}

#[test]
fn a_collector_that_is_connected_has_heartbeats() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    world.send(connection, &framed(&message()));
    assert_eq!(world.told(connection).len(), 1);
    world.pass(Duration::from_secs(600));
    assert!(world.silence(ID) < Duration::from_secs(60));
    assert!(world.told(connection).is_empty() && !world.closed.contains(&connection));
    // nothing of it is left when it goes
    world.tell(Event::Lost { connection });
    // but for what was noted before
    world.pass(BEATS_WAIT_MAX);
    let beats = world.count("Heartbeats");
    world.pass(Duration::from_secs(600));
    assert_eq!(world.count("Heartbeats"), beats);
}

#[test]
fn who_has_spoken_is_known_whatever_becomes_of_a_later_message() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    world.tell_socket(connection, &message());
    world.send(connection, &frame(b"garbage"));
    assert_eq!(error(&world.told(connection)[0]), "failed to decode message");
    world.failing.insert(Lane::Read, StoreError::Unavailable("down".into()));
    assert_eq!(error(&world.tell_socket(connection, &message())), "agent search failed");
    world.failing.clear();
    world.pass(Duration::from_secs(600));
    assert!(world.silence(ID) < Duration::from_secs(60));
    world.offer(2, 1);
    assert!(world.told(connection)[0].remote_config.is_some());
    // one that comes while a message is answered which then comes to nothing
    world.held.insert(Lane::Read);
    let file = AgentConfigFile { body: b"no map".to_vec(), ..AgentConfigFile::default() };
    let config_map = Some(AgentConfigMap { config_map: [(String::new(), file)].into() });
    let effective_config = Some(EffectiveConfig { config_map });
    world.send(connection, &framed(&AgentToServer { effective_config, ..message() }));
    world.offer(3, 2);
    world.release();
    let told = world.told(connection);
    assert!(
        told.len() == 2 && told[0].error_response.is_some() && told[1].remote_config.is_some(),
        "{told:?}"
    );
}

#[test]
fn all_who_share_a_socket_have_heartbeats_and_news_until_they_go() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    let other = AgentToServer { instance_uid: vec![8; 16], ..message() };
    let other_id = ID.replace('9', "8");
    world.tell_socket(connection, &message());
    world.tell_socket(connection, &other);
    world.pass(Duration::from_secs(600));
    assert!([ID, &other_id].map(|id| world.silence(id)).iter().all(|time| *time < Duration::from_secs(60)));
    world.offer(2, 1);
    let told = world.told(connection);
    assert!(told.iter().all(|told| told.remote_config.is_some()), "{told:?}");
    let uids: Vec<_> = told.into_iter().map(|told| told.instance_uid).collect();
    assert_eq!(uids, [message().instance_uid, other.instance_uid.clone()]);
    // while one of them is answered
    world.held.insert(Lane::Write);
    world.send(connection, &framed(&other));
    world.offer(3, 2);
    world.release();
    let told = world.told(connection);
    assert!(told.len() == 2 && told.iter().all(|told| told.remote_config.is_some()), "{told:?}");
    // and one goes
    world.tell_socket(connection, &AgentToServer { agent_disconnect: Some(Default::default()), ..message() });
    world.offer(4, 3);
    let told = world.told(connection);
    assert_eq!(told.iter().map(|told| &told.instance_uid).collect::<Vec<_>>(), [&other.instance_uid]);
    world.pass(Duration::from_secs(600));
    assert!(
        world.silence(ID) >= Duration::from_secs(600) && world.silence(&other_id) < Duration::from_secs(60)
    );
}

#[test]
fn a_first_offer_comes_with_what_the_server_can_do() {
    let (mut world, token) = World::with_policy();
    assert_eq!(world.tell_http(&token, &message()).1.capabilities, 5);
    assert_eq!(world.tell_http(&token, &message()).1.capabilities, 0);
    world.offer(2, 1);
    let told = world.tell_http(&token, &message()).1;
    assert_eq!((told.capabilities, told.remote_config.is_some()), (7, true));
}

#[test]
fn where_opamp_is_switched_off_sockets_end() {
    let (mut world, token) = World::with_policy();
    let (silent, speaking) = (world.socket(&token), world.socket(&token));
    world.held.insert(Lane::Read);
    world.send(speaking, &framed(&message()));
    let mut config = (*world.server.config).clone();
    config.server.feature_flags.enable_opamp = false;
    world.tell(Event::Configured(Arc::new(config)));
    world.release();
    for connection in [silent, speaking] {
        assert_eq!(world.take_written(connection), [0x88, 2, 3, 233]);
        assert!(world.closed.contains(&connection));
    }
    assert!(world.server.is_idle());
}

#[test]
fn a_request_for_a_socket_may_say_that_it_has_no_body() {
    let (mut world, token) = World::with_policy();
    let connection = world.open();
    let request = format!(
        "GET /v1/opamp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: ApiKey {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    world.send(connection, request.as_bytes());
    assert!(world.read_text(connection).starts_with("HTTP/1.1 101 "));
    assert!(world.tell_socket(connection, &message()).error_response.is_none());
}

#[test]
fn a_collector_that_said_goodbye_has_no_heartbeats() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    world.send(connection, &framed(&message()));
    let goodbye = AgentToServer { agent_disconnect: Some(Default::default()), ..message() };
    world.send(connection, &framed(&goodbye));
    assert_eq!(world.told(connection).len(), 2);
    world.pass(Duration::from_secs(600));
    assert_eq!(world.count("Heartbeats"), 0);
}

#[test]
fn a_message_that_never_ends_ends_its_socket() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    world.send(connection, &framed(&message())[..12]);
    world.pass(Duration::from_secs(55));
    assert!(!world.closed.contains(&connection));
    world.pass(Duration::from_secs(60));
    assert!(world.closed.contains(&connection));
    assert_eq!(world.take_written(connection), [0x88, 2, 3, 240]);
}

#[test]
fn what_messages_hold_counts_with_bodies_and_is_given_back() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    let bytes = framed(&AgentToServer { instance_uid: vec![1; 2_000], ..message() });
    world.send(connection, &bytes[..1_000]);
    assert!((900..1_000).contains(&world.server.bodies.bytes()), "{}", world.server.bodies.bytes());
    world.send(connection, &bytes[1_000..]);
    assert_eq!((world.server.bodies.bytes(), world.told(connection).len()), (0, 1));
}

#[test]
fn the_next_message_waits_for_the_answer_to_the_one_before() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    world.held.insert(Lane::Read);
    world.send(connection, &[framed(&message()), framed(&message())].concat());
    assert_eq!(world.waiting.len(), 1);
    assert!(!world.server.wants_input(connection, || 0));
    world.release();
    assert_eq!(world.told(connection).len(), 2);
    assert!(world.server.wants_input(connection, || 0) && world.server.is_idle());
}

#[test]
fn a_client_that_leaves_while_it_is_answered_leaves_nothing() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    world.held.insert(Lane::Read);
    world.send(connection, &framed(&message()));
    world.tell(Event::Ended { connection });
    assert!(!world.closed.contains(&connection));
    world.release();
    assert!(world.closed.contains(&connection) && world.server.is_idle());
    assert!(world.agent(ID).is_some());
}

#[test]
fn a_new_configuration_is_pushed_to_those_who_have_another() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    world.send(connection, &framed(&message()));
    assert!(world.told(connection)[0].remote_config.is_none());
    world.offer(2, 1);
    let config = world.told(connection)[0].remote_config.clone().unwrap();
    // the same again, under another revision
    world.offer(3, 1);
    assert!(world.told(connection).is_empty());
    let status = RemoteConfigStatus { last_remote_config_hash: config.config_hash, ..Default::default() };
    world.send(connection, &framed(&AgentToServer { remote_config_status: Some(status), ..message() }));
    assert!(world.told(connection)[0].remote_config.is_none());
    world.offer(4, 2);
    assert!(world.told(connection)[0].remote_config.is_some());
}

#[test]
fn a_configuration_that_comes_while_a_message_is_answered_is_in_the_answer() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    // one of which nobody knows yet that it takes a configuration, then one that is known
    for revision in 2..4 {
        world.held.insert(Lane::Write);
        world.send(connection, &framed(&message()));
        world.offer(i64::from(revision), revision);
        world.release();
        let told = world.told(connection);
        assert!(told.len() == 1 && told[0].remote_config.is_some(), "{revision}: {told:?}");
    }
}

#[test]
fn a_collector_that_takes_nothing_is_told_when_it_does_again() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    world.send(connection, &framed(&message()));
    world.told(connection);
    world.deaf.insert(connection);
    world.offer(2, 1);
    world.offer(3, 2);
    world.deaf.clear();
    world.take(connection);
    let told = world.told(connection);
    assert_eq!(told.len(), 2, "the first and the newest");
    world.offer(4, 2);
    assert!(world.told(connection).is_empty());
}

#[test]
fn a_message_over_a_socket_may_be_as_large_as_one_over_http() {
    let bytes = message().encoded_len();
    let mut world = World::with(|config| {
        config.server.limits.routes.opamp.body_bytes_max = bytes as u64;
    });
    world.revise("p", 1);
    let token = world.token("p");
    assert_eq!(world.tell_http(&token, &message()).0, 200);
    let connection = world.socket(&token);
    world.send(connection, &framed(&message()));
    assert_eq!(world.told(connection).len(), 1);
    let longer = AgentToServer { sequence_num: 1, ..message() };
    world.send(connection, &framed(&longer));
    assert_eq!(world.take_written(connection), [0x88, 2, 3, 241]);
}

#[test]
fn messages_over_a_socket_keep_to_the_rate_of_the_route() {
    let mut world = World::with(|config| {
        let limit = &mut config.server.limits.routes.opamp;
        (limit.interval, limit.burst) = (Duration::from_secs(60), 2);
    });
    world.revise("p", 1);
    let token = world.token("p");
    // the socket itself is one
    let connection = world.socket(&token);
    world.send(connection, &[framed(&message()), framed(&message())].concat());
    let told = world.told(connection);
    assert!(told[0].error_response.is_none());
    let error = told[1].error_response.clone().unwrap();
    assert_eq!((error.kind, error.retry_info.is_some()), (2, true));
    assert_eq!(world.count("CheckIn"), 1);
    assert_eq!(world.server.fleet().counters.routes["opAMP"].refused_rate, 1);
    // and it stays
    world.pass(Duration::from_secs(61));
    world.send(connection, &framed(&message()));
    assert!(world.told(connection)[0].error_response.is_none());
}

#[test]
fn messages_over_a_socket_are_counted_with_what_became_of_them() {
    let (mut world, token) = World::with_policy();
    let connection = world.socket(&token);
    let before = world.server.fleet().counters.clone();
    world.send(connection, &framed(&message()));
    world.send(connection, &frame(b"garbage"));
    let counters = world.server.fleet().counters.clone();
    assert_eq!((counters.succeeded, counters.failed), (before.succeeded + 1, before.failed + 1));
    let errors: Vec<_> = counters.errors.keys().map(|(_, error)| *error).collect();
    assert_eq!(errors, ["CollectorUnreadable"]);
    let written = world.take_written(connection).len() as u64;
    let sent = |world: &World| world.server.fleet().counters.routes["opAMP"].body_out_bytes;
    // without the two headers of two bytes each
    assert_eq!(sent(&world), written - 4);
    world.send(connection, &framed(&message()));
    world.take_written(connection);
    let before = sent(&world);
    world.offer(2, 1);
    let pushed = world.take_written(connection).len() as u64;
    assert!(pushed > 4 && sent(&world) == before + pushed - 2, "a push is counted");
    // over HTTP an error of that kind is a 200, and told by its name
    let odd = AgentToServer { instance_uid: vec![1], ..message() };
    assert_eq!(world.tell_http(&token, &odd).0, 200);
    assert!(world.server.fleet().counters.errors.keys().any(|(_, error)| *error == "CollectorInstanceUid"));
}

#[test]
fn a_stop_ends_sockets_when_all_else_is_done() {
    let (mut world, token) = World::with_policy();
    let (silent, speaking) = (world.socket(&token), world.socket(&token));
    world.held.insert(Lane::Read);
    world.send(speaking, &framed(&message()));
    world.tell(Event::Stop);
    assert!(world.closed.is_empty());
    world.release();
    world.pass(Duration::from_secs(2));
    assert!(world.exited);
    let away = [0x88, 2, 3, 233];
    assert_eq!(world.take_written(silent), away);
    let written = world.take_written(speaking);
    assert!(written.len() > away.len() && written.ends_with(&away), "{written:?}");
}

#[test]
fn while_the_store_is_busy_messages_wait_unread() {
    let (mut world, token) = World::with_policy();
    let sockets = [world.socket(&token), world.socket(&token)];
    world.busy_from(1);
    world.held.insert(Lane::Read);
    world.send(sockets[0], &framed(&message()));
    assert!(!world.server.wants_input(sockets[1], || 0));
    world.release();
    assert!(world.server.wants_input(sockets[1], || 0));
}
