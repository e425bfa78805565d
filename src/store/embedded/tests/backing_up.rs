//! Backups of a running store.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

fn back_up(store: &Embedded, target: &Path) -> StoreResult {
    ask(store, Operation::Backup(target.to_owned()))
}

/// A data directory with nothing but a backup in it.
fn restored(backup: &Path) -> (tempfile::TempDir, Embedded) {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(backup, directory.path().join("fleet.db")).unwrap();
    let store = open(directory.path());
    (directory, store)
}

#[test]
fn a_backup_is_a_whole_private_copy() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("backup.db");
    let store = open(directory.path());
    ask(&store, enroll("a")).unwrap();
    back_up(&store, &target).unwrap();
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    ask(&store, enroll("later")).unwrap();
    let (_directory, copy) = restored(&target);
    assert!(exists(&copy, "a") && !exists(&copy, "later"));
}

#[test]
fn an_existing_file_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("backup.db");
    fs::write(&target, "precious").unwrap();
    let store = open(directory.path());
    let error = back_up(&store, &target).unwrap_err();
    assert!(matches!(&error, StoreError::Failed { reason, .. } if reason.contains("backup.db")), "{error:?}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let error = back_up(&store, &directory.path().join("none/backup.db")).unwrap_err();
    assert!(
        matches!(&error, StoreError::Failed { reason, .. } if reason.contains("none/backup.db")),
        "{error:?}"
    );
}

#[test]
fn a_backup_ends_and_is_consistent_while_others_write() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("backup.db");
    let store = open(directory.path());
    store.run((0..2000).map(|number| enroll(&format!("before-{number}"))).collect());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                // two agents in one transaction: the copy has both or none
                store.run(vec![enroll(&format!("left-{number}")), enroll(&format!("right-{number}"))]);
            }
        });
        back_up(&store, &target).unwrap();
        done.store(true, Ordering::Relaxed);
    });
    drop(restored(&target));
    let copy = Connection::open(&target).unwrap();
    let count = |pattern: &str| -> i64 {
        copy.query_row("SELECT count(*) FROM agents WHERE id LIKE ?1", [pattern], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("before-%"), count("left-%")), (2000, count("right-%")));
}
