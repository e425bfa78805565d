//! The data directory and the first start.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::{DEFAULT_POLICY_ID, DirectoryError, DirectoryLock};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_directory_and_its_files_are_private() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    let store = open(&directory);
    ask(&store, enroll("a")).unwrap();
    assert_eq!((mode(&directory), mode(&parent.path().join("a"))), (0o700, 0o700));
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["fleet.db", "fleet.db-shm", "fleet.db-wal", "lock"]);
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let file = directory.path().join("fleet.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let _store = open(directory.path());
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_second_store_on_the_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let error = refusal(directory.path());
    assert!(matches!(&error, OpenError::Directory(DirectoryError::InUse(_))), "{error}");
    assert!(error.to_string().contains(directory.path().to_str().unwrap()), "{error}");
    drop(first);
    drop(open(directory.path()));
}

#[test]
fn the_lock_is_held_without_a_store_too() {
    let directory = tempfile::tempdir().unwrap();
    let lock = DirectoryLock::take(directory.path()).unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::Directory(DirectoryError::InUse(_))));
    drop(lock);
    drop(open(directory.path()));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refusal(&file.join("data"));
    assert!(matches!(&error, OpenError::Directory(DirectoryError::Unusable { .. })), "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn the_first_start_makes_the_default_policy_and_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let (store, watch, token) = Embedded::open(directory.path(), RETENTION, NOW).unwrap();
    drop(watch);
    let token = token.expect("the first start makes a token");
    assert_eq!((token.policy_id.as_str(), token.active), (DEFAULT_POLICY_ID, true));
    let Ok(Answer::Policies(policies)) = ask(&store, Operation::LatestPolicies) else { panic!("none") };
    assert_eq!((policies.len(), policies[0].revision_idx), (1, 1));
    let data: serde_json::Value = serde_json::from_str(policies[0].data.get()).unwrap();
    assert_eq!(data["id"], DEFAULT_POLICY_ID);
    assert_eq!(data["outputs"]["default"]["type"], "elasticsearch");
    assert_eq!(data["outputs"]["default"]["hosts"], serde_json::json!(["http://localhost:9200"]));
    assert_eq!(data["inputs"], serde_json::json!([]));
    assert_eq!(data["agent"]["monitoring"]["enabled"], false);
}

#[test]
fn a_second_start_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, token) = try_open(directory.path()).unwrap();
    let made = token.unwrap();
    ask(&store, Operation::DeletePolicy(DEFAULT_POLICY_ID.to_owned())).unwrap();
    drop(store);
    let (store, token) = try_open(directory.path()).unwrap();
    assert!(token.is_none());
    let Ok(Answer::Tokens(tokens)) = ask(&store, Operation::Tokens) else { panic!("none") };
    assert_eq!((tokens.len(), &tokens[0].api_key_id), (1, &made.api_key_id));
    assert!(matches!(ask(&store, Operation::LatestPolicies), Ok(Answer::Policies(left)) if left.is_empty()));
}
