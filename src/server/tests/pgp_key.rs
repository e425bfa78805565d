//! The key that agents check upgrades with: who may have it, and how often it is looked for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use super::world::{Reply, World};
use crate::config::Config;
use crate::connection::{ConnectionId, Listener};
use crate::server::Event;
use crate::slots::SlotId;

/// A world whose key is in a file.
fn with_key(text: &str) -> (World, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("default.pgp");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let world = World::with(|config| config.server.pgp.dir = directory.path().to_owned());
    (world, directory)
}

fn ask(world: &mut World, number: u32, version: &str, tls: bool) -> ConnectionId {
    let connection = SlotId { index: 1_000 + number, generation: 1 };
    world.tell(Event::Opened { connection, listener: Listener::External, tls, peer: None });
    let line = format!("GET /api/agents/upgrades/{version}/pgp-public-key HTTP/1.1\r\nHost: x\r\n\r\n");
    world.send(connection, line.as_bytes());
    connection
}

fn status(world: &mut World, number: u32, version: &str, tls: bool) -> (u16, String) {
    let connection = ask(world, number, version, tls);
    let text = world.read_text(connection);
    let (reply, _) = Reply::read(text.as_bytes());
    (reply.status, reply.error().to_owned())
}

#[test]
fn the_key_goes_over_tls_only_and_to_anybody() {
    let (mut world, _directory) = with_key("the key");
    assert_eq!(status(&mut world, 1, "9.6.0", false), (501, "ErrTLSRequired".into()));
    let connection = ask(&mut world, 2, "9.6.0", true);
    let text = world.read_text(connection);
    assert!(
        text.ends_with("\r\n\r\nthe key") && text.contains("Content-Type: text/plain; charset=utf-8\r\n")
    );
    assert!(world.operations.is_empty());
}

#[test]
fn a_version_is_three_numbers() {
    let (mut world, _directory) = with_key("the key");
    for (number, version) in
        (1..).zip(["a.b.c", "9.6.x", "1.2.3.4", "-1.0.0", "99999999999999999999.0.0", "9.6.0%20"])
    {
        assert_eq!(status(&mut world, number, version, true), (400, "BadRequest".into()), "{version}");
    }
    for (number, version) in (10..).zip(["9.6", "9", "9.6.0/x"]) {
        assert_eq!(status(&mut world, number, version, true).0, 404, "{version}");
    }
    assert_eq!(status(&mut world, 20, "0.0.18446744073709551615", true).0, 200);
}

#[test]
fn all_who_ask_at_once_wait_for_one_look_and_it_is_good_for_half_an_hour() {
    let (mut world, directory) = with_key("the key");
    world.holds_work = true;
    let asked: Vec<ConnectionId> = (0..5).map(|number| ask(&mut world, number, "9.6.0", true)).collect();
    assert_eq!(world.work.len(), 1);
    world.release();
    for connection in asked {
        assert!(world.read_text(connection).ends_with("the key"));
    }
    fs::set_permissions(directory.path().join("default.pgp"), Permissions::from_mode(0o644)).unwrap();
    world.pass(Duration::from_secs(29 * 60));
    assert_eq!(status(&mut world, 10, "8.0.0", true).0, 200);
    world.pass(Duration::from_secs(2 * 60));
    for number in 11..13 {
        assert_eq!(status(&mut world, number, "8.0.0", true), (500, "InternalServerError".into()));
    }
}

#[test]
fn a_key_of_another_directory_is_looked_for_when_the_configuration_names_it() {
    let (mut world, _directory) = with_key("the key");
    assert_eq!(status(&mut world, 1, "9.6.0", true).0, 200);
    let (_, other) = with_key("another key");
    let mut config = Config::clone(&world.server.fleet().config);
    config.server.pgp.dir = other.path().to_owned();
    world.tell(Event::Configured(Arc::new(config)));
    let connection = ask(&mut world, 2, "9.6.0", true);
    assert!(world.read_text(connection).ends_with("another key"));
}

#[test]
fn an_errand_that_panics_is_an_error_for_all_who_wait_and_the_next_is_run() {
    let (mut world, _directory) = with_key("the key");
    world.holds_work = true;
    let asked: Vec<ConnectionId> = (0..2).map(|number| ask(&mut world, number, "9.6.0", true)).collect();
    let (work, _) = world.work.pop().unwrap();
    world.tell(Event::Worked { work, result: None });
    for connection in asked {
        assert_eq!(world.answer(connection).status, 500);
    }
    world.release();
    assert_eq!(status(&mut world, 5, "9.6.0", true).0, 200);
}
