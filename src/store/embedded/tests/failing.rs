//! Trouble below: a full disk, a disk that refuses to write, a database that others hold.

use std::env;
use std::process::Command;

use super::*;
use crate::model::Patch;
use crate::store::tests::{action, create_revision};
use crate::store::{Changes, EmbeddedWatch, Watch};

fn opened() -> (tempfile::TempDir, Embedded, EmbeddedWatch) {
    let directory = tempfile::tempdir().unwrap();
    let (store, watch, _) = Embedded::open(directory.path(), RETENTION, NOW).unwrap();
    (directory, store, watch)
}

/// Lets the database grow by at most `pages` pages.
fn leave_room(store: &Embedded, pages: i64) {
    let writer = lock(&store.inner.writer);
    let sql = writer.connection();
    let used: i64 = sql.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    sql.pragma_update_and_check(None, "max_page_count", used + pages, |_| Ok(())).unwrap();
}

/// An agent that takes more than any room left.
fn large(id: &str) -> Operation {
    let mut document = document(id);
    document["local_metadata"] = "x".repeat(200_000).into();
    Operation::Enroll(Box::new(enrollment(id, &document)))
}

fn is_unavailable(answer: &StoreResult) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

#[test]
fn a_full_disk_fails_everyone_in_the_batch_and_keeps_nothing_of_it() {
    let (_directory, store, _watch) = opened();
    ask(&store, enroll("before")).unwrap();
    leave_room(&store, 10);
    let answers = store.run(vec![enroll("a"), create_revision("p", 1), large("b"), enroll("c")]);
    assert_eq!(answers.len(), 4);
    assert!(answers.iter().all(is_unavailable), "{answers:?}");
    assert!(exists(&store, "before") && !exists(&store, "a") && !exists(&store, "c"));
    assert!(answers[0].as_ref().unwrap_err().to_string().contains("full"), "{answers:?}");
}

#[test]
fn a_store_with_room_again_goes_on_where_it_was() {
    let (directory, store, _watch) = opened();
    let create = || Operation::CreateAction(Box::new(action("x", &["a"])));
    ask(&store, create()).unwrap();
    leave_room(&store, 10);
    assert!(store.run(vec![create(), large("a")]).iter().all(is_unavailable));
    leave_room(&store, 10_000);
    // the number of the action that was rolled back is not lost
    assert!(matches!(ask(&store, create()), Ok(Answer::SeqNo(Some(1)))));
    ask(&store, large("a")).unwrap();
    drop((store, _watch));
    assert!(exists(&open(directory.path()), "a"));
}

#[test]
fn trouble_and_its_end_are_told() {
    let (_directory, store, mut watch) = opened();
    assert!(matches!(watch.next(), Some(Changes::Policies(_))));
    assert!(matches!(watch.next(), Some(Changes::Actions { .. })));
    leave_room(&store, 10);
    assert!(is_unavailable(&ask(&store, large("a"))));
    let told = watch.next();
    assert!(matches!(&told, Some(Changes::Health(Err(reason))) if reason.contains("full")), "{told:?}");
    // nobody writes: the watch itself finds out that writing works
    let told = watch.next();
    assert!(matches!(told, Some(Changes::Health(Ok(())))), "{told:?}");
}

#[test]
fn what_was_rolled_back_is_not_told() {
    let (_directory, store, mut watch) = opened();
    assert!(matches!(watch.next(), Some(Changes::Policies(_))));
    assert!(matches!(watch.next(), Some(Changes::Actions { .. })));
    leave_room(&store, 10);
    store.run(vec![create_revision("lost", 1), large("a")]);
    leave_room(&store, 10_000);
    ask(&store, create_revision("kept", 1)).unwrap();
    let told = loop {
        match watch.next() {
            Some(Changes::Health(_)) => {}
            other => break other,
        }
    };
    let Some(Changes::Policies(policies)) = told else { panic!("{told:?}") };
    assert_eq!(policies.iter().map(|policy| policy.policy_id.as_str()).collect::<Vec<_>>(), ["kept"]);
}

#[test]
fn an_operation_that_sqlite_refuses_fails_alone() {
    let (_directory, store, _watch) = opened();
    let trigger = "CREATE TRIGGER refusal AFTER INSERT ON agents WHEN new.id = 'refused'
                   BEGIN SELECT raise(ABORT, 'no'); END";
    lock(&store.inner.writer).connection().execute_batch(trigger).unwrap();
    ask(&store, enroll("before")).unwrap();
    let mut refused = enrollment("refused", &document("refused"));
    refused.delete_agents = vec!["before".to_owned()];
    let answers = store.run(vec![Operation::Enroll(Box::new(refused)), enroll("c")]);
    assert!(matches!(answers[0], Err(StoreError::Failed { status: 500, .. })), "{answers:?}");
    assert!(answers[1].is_ok());
    // nothing of the failed one is left, its deletion neither
    assert!(exists(&store, "before") && !exists(&store, "refused") && exists(&store, "c"));
}

#[test]
fn a_transaction_left_open_by_a_panic_is_rolled_back() {
    let (_directory, store, _watch) = opened();
    lock(&store.inner.writer).connection().execute_batch("BEGIN IMMEDIATE; DELETE FROM policies").unwrap();
    ask(&store, enroll("a")).unwrap();
    assert!(matches!(ask(&store, Operation::LatestPolicies), Ok(Answer::Policies(kept)) if kept.len() == 1));
}

#[test]
fn an_operation_in_the_wrong_lane_is_refused() {
    let (_directory, store, _watch) = opened();
    let answers = store.run(vec![Operation::AgentById("a".into()), enroll("a")]);
    assert!(matches!(answers[1], Err(StoreError::Failed { .. })), "{answers:?}");
    assert!(!exists(&store, "a"));
}

/// Set in the process that [`a_disk_that_refuses_to_write_is_survived`] starts.
const LIMITED: &str = "FLEET_SERVER_TEST_LIMITED";

/// Writes beyond a size limit of the process fail as those to a broken disk do: in the middle of the log.
#[test]
fn a_disk_that_refuses_to_write_is_survived() {
    let name = "store::embedded::tests::failing::with_a_file_size_limit";
    // an ignored signal stays ignored in the program started, so its writes fail instead
    let status = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" --exact "$1" --ignored"#])
        .args([env::current_exe().unwrap().as_os_str(), name.as_ref()])
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && output.contains("1 passed"), "{output}");
}

#[test]
#[ignore = "runs in a process of its own, started by another test"]
fn with_a_file_size_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if env::var_os(LIMITED).is_none() {
        return;
    }
    let (_directory, store, _watch) = opened();
    ask(&store, enroll("before")).unwrap();
    let free = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(400_000), ..free }).unwrap();
    let batches =
        (0..50).map(|batch| store.run((0..20).map(|number| enroll(&format!("{batch}-{number}"))).collect()));
    let batches: Vec<_> = batches.collect();
    assert!(batches.iter().any(|answers| answers.iter().all(is_unavailable)), "the limit should be met");
    assert!(is_unavailable(&ask(&store, large("large"))));
    setrlimit(Resource::Fsize, free).unwrap();
    ask(&store, enroll("after")).unwrap();
    let patch = Patch::new().set("tags", ["t"]);
    ask(&store, Operation::UpdateAgent { agent: "before".into(), patch }).unwrap();
    for (batch, answers) in batches.iter().enumerate() {
        let kept = answers.iter().all(Result::is_ok);
        assert!(kept || answers.iter().all(is_unavailable), "{answers:?}");
        (0..20).for_each(|number| assert_eq!(exists(&store, &format!("{batch}-{number}")), kept));
    }
}
