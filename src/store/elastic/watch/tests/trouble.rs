//! What the cluster says in trouble, and the end of the watch.

use super::*;

/// What a search answers of which a part failed.
const PARTLY_FAILED: &str = r#"{"timed_out":false,"_shards":{"total":1,"failed":1},"hits":{"hits":[]}}"#;
const UNAVAILABLE: &str = r#"{"error":{"type":"unavailable_shards_exception","reason":"gone"},"status":503}"#;

both_ways! {
    the_watch_ends_with_its_store,
    an_index_of_two_shards_is_trouble,
}

fn the_watch_ends_with_its_store(field: &mut Field) {
    field.make(Index::Actions);
    // a poll is much longer than anybody waits here
    field.watch(Duration::from_secs(3600));
    assert!(field.policies().is_empty());
    assert_eq!(field.no_actions(), -1);
    field.store = None;
    let told = field.told.as_ref().unwrap().recv_timeout(PATIENCE);
    assert_eq!(told.err(), Some(mpsc::RecvTimeoutError::Disconnected));
}

fn an_index_of_two_shards_is_trouble(field: &mut Field) {
    let mut definition = definition(Index::Actions);
    definition["settings"]["index"]["number_of_shards"] = 2.into();
    assert_eq!(field.cluster.admin("PUT", &format!("/{}", field.name(Index::Actions)), &definition).0, 200);
    // with more than one the module refuses, which the stand-in does not know of
    if let Some(stand_in) = &field.stand_in {
        let refusal = r#"{"error":{"type":"status_exception","reason":"more than one shard"},"status":400}"#;
        stand_in.fail(
            &format!("{}/_fleet/global_checkpoints", field.name(Index::Actions)),
            1000,
            400,
            refusal,
        );
    }
    field.watch(POLL);
    assert!(field.policies().is_empty());
    let told = field.next();
    assert!(
        matches!(&told, Changes::Health(Err(reason)) if reason.contains("more than one shard")),
        "{told:?}"
    );
}

#[test]
fn a_search_that_partly_failed_loses_nothing() {
    search_fails(200, PARTLY_FAILED);
}

#[test]
fn a_search_that_failed_loses_nothing() {
    search_fails(503, UNAVAILABLE);
}

fn search_fails(status: u16, body: &str) {
    let Some(cluster) = Cluster::shared() else { return };
    let mut field = Field::new(cluster, true);
    field.make(Index::Actions);
    field.start();
    let searches = format!("{}/_fleet/_fleet_search", field.name(Index::Actions));
    field.stand_in().fail(&searches, 2, status, body);
    field.write_action("x");
    let told = field.next();
    assert!(matches!(told, Changes::Health(Err(_))), "{told:?}");
    assert_eq!(field.stand_in().count(&searches), 2, "the second failure is told");
    assert_eq!(field.actions(), (vec!["x".to_owned()], 0));
    let told = field.next();
    assert!(matches!(told, Changes::Health(_)), "{told:?}");
}

#[test]
fn polls_that_fail_are_told_once_and_their_end_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut field = Field::new(cluster, true);
    field.make(Index::Actions);
    field.start();
    let polls = format!("{}/_fleet/global_checkpoints", field.name(Index::Actions));
    field.stand_in().fail(&polls, 3, 503, UNAVAILABLE);
    let told = field.next();
    assert!(matches!(&told, Changes::Health(Err(reason)) if reason.contains("503")), "{told:?}");
    let told = field.next();
    assert!(matches!(told, Changes::Health(Ok(()))), "{told:?}");
    field.write_action("x");
    assert_eq!(field.actions(), (vec!["x".to_owned()], 0));
}

#[test]
fn a_cluster_that_crashes_and_comes_back_is_followed_further() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let mut field = Field::new(&cluster, false);
    field.make(Index::Actions);
    field.write_action("before");
    assert_eq!(field.start(), (vec![], 0));
    cluster.kill();
    let told = field.next();
    assert!(matches!(told, Changes::Health(Err(_))), "{told:?}");
    cluster.start_again();
    field.write_action("after");
    // the two indices need not come back together
    let (mut is_well, mut is_told) = (false, false);
    while !(is_well && is_told) {
        match field.next() {
            Changes::Actions { actions, checkpoint } => {
                assert_eq!((actions.len(), checkpoint), (1, 1));
                is_told = true;
            }
            Changes::Health(health) => is_well = health.is_ok(),
            other => panic!("{other:?}"),
        }
    }
}
