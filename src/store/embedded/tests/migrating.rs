//! Schema steps.

use super::*;
use crate::store::embedded::fault::Fault;
use crate::store::embedded::schema::{STEPS, migrate, version};

const FIRST: &str = "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);";
const SECOND: &str = "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;";

fn connection() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// Applies `steps`; from which version.
fn apply(connection: &mut Connection, steps: &[&str]) -> Result<usize, Fault> {
    let mut before = None;
    migrate(connection, steps, |_, found| {
        before = Some(found);
        Ok::<(), Fault>(())
    })?;
    Ok(before.unwrap())
}

#[test]
fn a_new_database_gets_all_steps() {
    let mut connection = connection();
    assert_eq!(apply(&mut connection, &[FIRST, SECOND]).unwrap(), 0);
    assert_eq!(version(&connection).unwrap(), 2);
    let y: i64 = connection.query_row("SELECT y FROM a", [], |row| row.get(0)).unwrap();
    assert_eq!(y, 2);
}

#[test]
fn an_older_database_gets_the_steps_it_lacks() {
    let mut connection = connection();
    apply(&mut connection, &[FIRST]).unwrap();
    connection.execute_batch("UPDATE a SET x = 41").unwrap();
    assert_eq!(apply(&mut connection, &[FIRST, SECOND]).unwrap(), 1);
    let y: i64 = connection.query_row("SELECT y FROM a", [], |row| row.get(0)).unwrap();
    assert_eq!((y, version(&connection).unwrap()), (42, 2));
}

#[test]
fn a_current_database_is_left_alone() {
    let mut connection = connection();
    apply(&mut connection, &[FIRST, SECOND]).unwrap();
    assert_eq!(apply(&mut connection, &[FIRST, SECOND]).unwrap(), 2);
}

#[test]
fn a_step_that_fails_leaves_the_older_database() {
    let mut connection = connection();
    apply(&mut connection, &[FIRST]).unwrap();
    assert!(apply(&mut connection, &[FIRST, SECOND, "CREATE TABLE a (twice)"]).is_err());
    assert_eq!(version(&connection).unwrap(), 1);
    assert!(connection.prepare("SELECT y FROM a").is_err());
    assert!(connection.is_autocommit());
}

#[test]
fn every_table_is_strict() {
    let mut connection = connection();
    apply(&mut connection, STEPS).unwrap();
    let loose = "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite%' AND strict = 0";
    let loose: i64 = connection.query_row(loose, [], |row| row.get(0)).unwrap();
    assert_eq!(loose, 0);
}

#[test]
fn an_agent_stored_before_fingerprints_were_has_none_until_it_says_its_details_again() {
    let mut connection = connection();
    apply(&mut connection, &STEPS[..1]).unwrap();
    let insert =
        "INSERT INTO agents (number, id, active, policy_id, policy_revision_idx, access_api_key_id, document)
                  VALUES (1, 'a', 1, 'p', 1, 'k', '{}'); INSERT INTO agent_details VALUES (1, '{}', '[]');";
    connection.execute_batch(insert).unwrap();
    assert_eq!(apply(&mut connection, STEPS).unwrap(), 1);
    let none = "SELECT count(*) FROM agents WHERE local_metadata_fingerprint IS NULL AND components_fingerprint IS NULL";
    let none: i64 = connection.query_row(none, [], |row| row.get(0)).unwrap();
    assert_eq!(none, 1);
}
