//! What the watch tells of the cluster that is the store.

use serde_json::json;

use super::world::{World, path, post};
use crate::store::{Changes, ClusterFacts};

fn cluster(version: &str) -> Changes {
    Changes::Cluster(ClusterFacts {
        version: version.to_owned(),
        fleet_module: true,
        holds_kibana: Some(false),
    })
}

/// What a check-in of a new agent of this version comes to.
fn checked_in(world: &mut World, version: &str) -> u16 {
    let token = world.token("p");
    let agent = world.enroll(&token);
    let body = json!({"status": "online", "message": ""}).to_string();
    let request = String::from_utf8(post(&path(&agent.id, "checkin"), &agent.token, &body)).unwrap();
    let connection = world.open();
    world.send(
        connection,
        request.replace("elastic agent 9.6.0", &format!("elastic agent {version}")).as_bytes(),
    );
    world.answer(connection).status
}

#[test]
fn agents_may_be_as_new_as_the_cluster_and_never_older_than_we_are() {
    let (mut world, _) = World::with_policy();
    assert_eq!((checked_in(&mut world, "9.6.3"), checked_in(&mut world, "9.8.0")), (200, 400));
    world.tell_news(cluster("9.8.1-SNAPSHOT"));
    assert_eq!((checked_in(&mut world, "9.8.2"), checked_in(&mut world, "9.9.0")), (200, 400));
    // the cluster went back, or another one took its place
    for version in ["9.4.3", "9.6.0", "of our own making", ""] {
        world.tell_news(cluster(version));
        assert_eq!(
            (checked_in(&mut world, "9.6.0"), checked_in(&mut world, "9.7.0")),
            (200, 400),
            "{version}"
        );
    }
}
