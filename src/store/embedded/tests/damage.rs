//! Databases that cannot be opened: each is refused with its name and what to do.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::*;
use crate::model::Policy;
use crate::store::embedded::schema::STEPS;
use crate::store::{Changes, Watch, default_policy};

/// A directory with a database of some hundred agents in it.
fn filled() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.run((0..300).map(|number| enroll(&number.to_string())).collect());
    drop(store);
    let file = directory.path().join("fleet.db");
    (directory, file)
}

fn assert_damaged(directory: &Path) {
    let error = refusal(directory);
    assert!(matches!(&error, OpenError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(directory.join("fleet.db").to_str().unwrap()) && text.contains("backup"), "{text}");
}

#[test]
fn something_else_than_a_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("fleet.db"),
        "this is not a database, whatever its name says ".repeat(200),
    )
    .unwrap();
    assert_damaged(directory.path());
}

#[test]
fn a_damaged_header_is_refused() {
    let (directory, file) = filled();
    let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all(&[0xff; 100]).unwrap();
    assert_damaged(directory.path());
}

#[test]
fn a_damaged_schema_is_refused() {
    let (directory, file) = filled();
    let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(100)).unwrap();
    file.write_all(&[0xff; 3996]).unwrap();
    assert_damaged(directory.path());
}

#[test]
fn a_damaged_table_is_refused() {
    let (directory, file) = filled();
    let pages = fs::metadata(&file).unwrap().len() / 4096;
    let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
    for page in 1..pages {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0x5a; 64]).unwrap();
    }
    assert_damaged(directory.path());
}

#[test]
fn a_file_cut_short_is_refused() {
    let (directory, file) = filled();
    let length = fs::metadata(&file).unwrap().len();
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length / 2).unwrap();
    assert_damaged(directory.path());
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    look(directory.path()).execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert_damaged(directory.path());
    let theirs = look(directory.path());
    let tables: i64 = theirs.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    let journal: String = theirs.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!((tables, journal.as_str()), (1, "delete"));
}

#[test]
fn a_missing_table_is_refused() {
    let (directory, _) = filled();
    look(directory.path()).execute_batch("DROP TABLE action_agents").unwrap();
    assert_damaged(directory.path());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (directory, _) = filled();
    look(directory.path()).pragma_update(None, "user_version", 99).unwrap();
    let error = refusal(directory.path());
    let newer = matches!(error, OpenError::Newer { found: 99, known, .. } if known == STEPS.len());
    assert!(newer, "{error:?}");
    assert!(error.to_string().contains("fleet.db"), "{error}");
    let version: i64 =
        look(directory.path()).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_database_that_is_a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("fleet.db")).unwrap();
    let error = refusal(directory.path());
    assert!(matches!(&error, OpenError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("fleet.db"), "{error}");
}

#[test]
fn damage_that_a_read_meets_is_trouble_that_stays() {
    let (directory, file) = filled();
    let store = open(directory.path());
    let mut watch = EmbeddedWatch::new(&store.inner);
    for _ in 0..2 {
        // what there is at the start
        watch.next().unwrap();
    }
    let pages = fs::metadata(&file).unwrap().len() / 4096;
    let mut file = fs::OpenOptions::new().write(true).open(file).unwrap();
    for page in 1..pages {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xff; 4096]).unwrap();
    }
    let answers = store.run((0..300).map(|number| Operation::AgentById(number.to_string())).collect());
    assert!(answers.iter().any(|answer| matches!(answer, Err(StoreError::Unavailable(_)))));
    let told = watch.next();
    assert!(matches!(&told, Some(Changes::Health(Err(reason))) if reason.contains("damaged")), "{told:?}");
    // no commit ends it: what is told next is something else
    let revision = Policy { revision_idx: 2, ..default_policy(NOW) };
    assert!(ask(&store, Operation::CreateRevision(Box::new(revision))).is_ok());
    let told = watch.next();
    assert!(matches!(&told, Some(Changes::Policies(_))), "{told:?}");
}
