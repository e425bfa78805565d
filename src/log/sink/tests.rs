//! Rotation of log files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::RotatingFile;
use crate::config::LogFiles;

fn files(directory: &TempDir) -> LogFiles {
    LogFiles { path: directory.path().join("logs"), rotate_bytes: 10, keep_files: 2, ..LogFiles::default() }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn content(directory: &TempDir, name: &str) -> Option<String> {
    fs::read_to_string(Path::new(directory.path()).join("logs").join(name)).ok()
}

#[test]
fn a_file_does_not_grow_beyond_its_size_and_no_line_is_cut() {
    let directory = TempDir::new().unwrap();
    let mut file = RotatingFile::open(&files(&directory), at(0)).unwrap();
    file.write(b"one\ntwo\nthree\n", at(0)).unwrap();
    assert_eq!(content(&directory, "fleet-server.log").unwrap(), "three\n");
    assert_eq!(content(&directory, "fleet-server.log.1").unwrap(), "one\ntwo\n");
}

#[test]
fn a_line_longer_than_a_file_is_written_whole() {
    let directory = TempDir::new().unwrap();
    let mut file = RotatingFile::open(&files(&directory), at(0)).unwrap();
    file.write(b"a line of many bytes\nnext\n", at(0)).unwrap();
    assert_eq!(content(&directory, "fleet-server.log.1").unwrap(), "a line of many bytes\n");
    assert_eq!(content(&directory, "fleet-server.log").unwrap(), "next\n");
}

#[test]
fn only_so_many_older_files_stay() {
    let directory = TempDir::new().unwrap();
    let mut file = RotatingFile::open(&files(&directory), at(0)).unwrap();
    for line in ["111111111\n", "222222222\n", "333333333\n", "444444444\n"] {
        file.write(line.as_bytes(), at(0)).unwrap();
    }
    assert_eq!(content(&directory, "fleet-server.log").unwrap(), "444444444\n");
    assert_eq!(content(&directory, "fleet-server.log.2").unwrap(), "222222222\n");
    assert_eq!(content(&directory, "fleet-server.log.3"), None);
}

#[test]
fn a_start_rotates_what_is_there_unless_told_not_to() {
    let directory = TempDir::new().unwrap();
    let mut files = files(&directory);
    RotatingFile::open(&files, at(0)).unwrap().write(b"one\n", at(0)).unwrap();
    RotatingFile::open(&files, at(0)).unwrap().write(b"two\n", at(0)).unwrap();
    assert_eq!(content(&directory, "fleet-server.log.1").unwrap(), "one\n");
    files.rotate_on_startup = false;
    RotatingFile::open(&files, at(0)).unwrap().write(b"three\n", at(0)).unwrap();
    assert_eq!(content(&directory, "fleet-server.log").unwrap(), "two\nthree\n");
}

#[test]
fn an_empty_file_is_not_rotated_at_start() {
    let directory = TempDir::new().unwrap();
    drop(RotatingFile::open(&files(&directory), at(0)).unwrap());
    drop(RotatingFile::open(&files(&directory), at(0)).unwrap());
    assert_eq!(content(&directory, "fleet-server.log.1"), None);
}

#[test]
fn a_new_interval_begins_a_new_file() {
    let directory = TempDir::new().unwrap();
    let files = LogFiles { interval: Duration::from_secs(60), rotate_bytes: 1000, ..files(&directory) };
    let mut file = RotatingFile::open(&files, at(0)).unwrap();
    file.write(b"one\n", at(59)).unwrap();
    file.write(b"two\n", at(60)).unwrap();
    file.write(b"three\n", at(119)).unwrap();
    assert_eq!(content(&directory, "fleet-server.log.1").unwrap(), "one\n");
    assert_eq!(content(&directory, "fleet-server.log").unwrap(), "two\nthree\n");
}

#[test]
fn files_have_the_configured_permissions() {
    let directory = TempDir::new().unwrap();
    drop(RotatingFile::open(&files(&directory), at(0)).unwrap());
    let metadata = fs::metadata(directory.path().join("logs/fleet-server.log")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_removed_by_somebody_else_does_not_break_rotation() {
    let directory = TempDir::new().unwrap();
    let mut file = RotatingFile::open(&files(&directory), at(0)).unwrap();
    file.write(b"111111111\n", at(0)).unwrap();
    fs::remove_file(directory.path().join("logs/fleet-server.log")).unwrap();
    file.write(b"222222222\n", at(0)).unwrap();
    assert_eq!(content(&directory, "fleet-server.log").unwrap(), "222222222\n");
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("logs"), "").unwrap();
    assert!(RotatingFile::open(&files(&directory), at(0)).is_err());
}
