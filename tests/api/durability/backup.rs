//! A backup taken while the server runs is a whole store.

use serde_json::json;

use crate::support::{Agent, Installation, Options, Server, event};

#[test]
fn a_backup_of_a_running_server_holds_what_was_acknowledged() {
    let server = Server::with(Options::plain());
    let agents: Vec<Agent> = (0..20).map(|_| server.settled()).collect();
    let action = server.order_settings(&agents[0].id, "debug");
    server.ask(&agents[0].acks(&[event(&action, &agents[0])])).ok();
    let file = server.installation.directory.path().join("backup.db");
    let said = server.operate(&["backup", &file.display().to_string()]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    // the server goes on, and what comes later is not in the backup
    server.enrol_saying(&json!({ "type": "PERMANENT", "id": "later" }));
    let mut restored = Installation::new(Options::plain());
    std::fs::create_dir(restored.path()).unwrap();
    std::fs::copy(&file, restored.path().join("fleet.db")).unwrap();
    let opened = restored.open();
    assert_eq!(opened.agents().len(), agents.len());
    assert_eq!(opened.results(&action).len(), 1);
    drop(opened);
    restored.token.get_or_insert_with(|| server.token().to_owned());
    let restored = restored.start();
    restored.enrol();
    restored.ask(&agents[1].acks(&[])).ok();
}

#[test]
fn a_backup_replaces_no_file() {
    let server = Server::with(Options::plain());
    let file = server.installation.directory.path().join("precious");
    std::fs::write(&file, "precious").unwrap();
    let said = server.operate(&["backup", &file.display().to_string()]);
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}
