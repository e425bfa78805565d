//! What is there after the store was closed, or was not.

use std::fs;

use super::*;
use crate::model::{Action, ApiKey};
use crate::store::tests::{action, create_revision, seconds_later};
use crate::store::{ActionLookup, Changes, Watch};

/// One of everything, answered; the agent's key.
fn fill(store: &Embedded) -> ApiKey {
    let key = ask(store, enroll("a"));
    let heartbeat = Operation::Heartbeats { agents: vec!["a".to_owned()], at: seconds_later(30) };
    ask(store, heartbeat).unwrap();
    ask(store, create_revision("p", 3)).unwrap();
    ask(store, Operation::CreateAction(Box::new(action("x", &["a", "b"])))).unwrap();
    let old = Action { expiration: NOW.rfc3339(), ..action("old", &["a"]) };
    ask(store, Operation::CreateAction(Box::new(old))).unwrap();
    let result = crate::model::ActionResult {
        action_id: "x".to_owned(),
        agent_id: "a".to_owned(),
        ..Default::default()
    };
    ask(store, Operation::CreateResult(Box::new(result))).unwrap();
    ask(store, Operation::Cleanup { now: seconds_later(4000), serving: std::time::Duration::MAX }).unwrap();
    match key {
        Ok(Answer::Key(key)) => key,
        other => panic!("{other:?}"),
    }
}

fn assert_filled(store: &Embedded, key: ApiKey) {
    assert!(matches!(ask(store, Operation::Authenticate(key)), Ok(Answer::Authenticated { enabled: true })));
    let Ok(Answer::Agent(Some(agent))) = ask(store, Operation::AgentById("a".into())) else {
        panic!("no agent")
    };
    assert_eq!(agent.last_checkin, Some(seconds_later(30).rfc3339()));
    let newest = Operation::PolicyRevision { policy_id: "p".into(), revision_idx: None };
    assert!(matches!(ask(store, newest), Ok(Answer::Policy(Some(policy))) if policy.revision_idx == 3));
    let search = Operation::PendingActions { agent: "b".into(), after: -1, up_to: 9, now: NOW };
    assert!(matches!(ask(store, search), Ok(Answer::Actions(found)) if found.len() == 1));
    let gone = ask(store, Operation::ActionById("old".into()));
    assert!(matches!(gone, Ok(Answer::Action(ActionLookup::Gone))));
    let results = ask(store, Operation::ResultsOfAction("x".into()));
    assert!(matches!(results, Ok(Answer::Results(results)) if results.len() == 1));
}

#[test]
fn a_closed_store_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let key = fill(&store);
    drop(store);
    assert!(!directory.path().join("fleet.db-wal").exists());
    assert_filled(&open(directory.path()), key);
}

#[test]
fn files_as_a_crash_leaves_them_hold_everything_answered() {
    let (running, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(running.path());
    let key = fill(&store);
    copy_files(running.path(), crashed.path());
    assert_filled(&open(crashed.path()), key);
}

#[test]
fn a_torn_last_commit_takes_nothing_else_along() {
    let (running, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(running.path());
    let key = fill(&store);
    let before = fs::metadata(running.path().join("fleet.db-wal")).unwrap().len();
    ask(&store, enroll("last")).unwrap();
    let after = fs::metadata(running.path().join("fleet.db-wal")).unwrap().len();
    copy_files(running.path(), crashed.path());
    // housekeeping cut the log to nothing, so this commit made it longer instead of starting over
    assert!(after > before, "{before} {after}");
    let log = fs::OpenOptions::new().write(true).open(crashed.path().join("fleet.db-wal")).unwrap();
    log.set_len(after - 100).unwrap();
    let store = open(crashed.path());
    assert_filled(&store, key);
    assert!(!exists(&store, "last"));
}

#[test]
fn sequence_numbers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let create = || Operation::CreateAction(Box::new(action("x", &["a"])));
    let store = open(directory.path());
    fill(&store);
    drop(store);
    let (store, mut watch, _) = Embedded::open(directory.path(), RETENTION, NOW).unwrap();
    // two creations and one removal so far
    assert!(matches!(watch.next(), Some(Changes::Policies(_))));
    assert!(matches!(watch.next(), Some(Changes::Actions { checkpoint: 2, .. })));
    assert!(matches!(ask(&store, create()), Ok(Answer::SeqNo(Some(3)))));
}

#[test]
fn every_write_and_delete_counts() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    fill(&store);
    let last = |name: &str| -> i64 {
        look(directory.path())
            .query_row("SELECT last FROM sequences WHERE name = ?1", [name], |row| row.get(0))
            .unwrap()
    };
    // an enrolment and a heartbeat; two actions and a removal; the default policy and a revision
    assert_eq!((last("agents"), last("actions"), last("policies")), (1, 2, 1));
}

#[test]
fn no_secret_of_an_agent_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let key = fill(&store);
    drop(store);
    let bytes = fs::read(directory.path().join("fleet.db")).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&key.id) && !holds(&key.secret) && !holds(&key.token()));
}

/// All files of a running store, as a crash of the process would leave them.
fn copy_files(from: &Path, to: &Path) {
    for name in ["fleet.db", "fleet.db-wal"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}
