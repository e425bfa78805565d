//! A cluster whose security is off: keys are ours.

use super::*;
use crate::store::tests::cluster::{Cluster, Options};
use crate::store::tests::elastic::on_cluster;
use crate::store::tests::{
    acknowledging, actions, agents, artifacts, checking_in, cleanup, enrolling, files, keys, policies,
    secrets, watching,
};

#[test]
fn the_suite_holds_where_keys_are_our_own() {
    let Some(cluster) = Cluster::start(Options { security: false }) else { return };
    let behaviours = [
        acknowledging::BEHAVIOURS,
        actions::BEHAVIOURS,
        agents::BEHAVIOURS,
        artifacts::BEHAVIOURS,
        checking_in::BEHAVIOURS,
        cleanup::BEHAVIOURS,
        enrolling::BEHAVIOURS,
        files::BEHAVIOURS,
        keys::BEHAVIOURS,
        policies::BEHAVIOURS,
        secrets::BEHAVIOURS,
        watching::BEHAVIOURS,
    ]
    .concat();
    assert!(behaviours.len() > 80, "{}", behaviours.len());
    for behaviour in behaviours {
        on_cluster(&cluster, behaviour);
    }
}

#[test]
fn what_is_kept_of_a_key_is_not_the_key() {
    let cluster = Scripted::json(|asked| match asked.method.as_str() {
        "PUT" => (200, json!({})),
        _ => all_written(asked),
    });
    let store = store_that_asks(&cluster);
    store.facts.set(Facts { fleet_module: false, has_keys: false, has_secrets: false }).unwrap();
    let key = store.make_own_key().unwrap();
    let asked = &cluster.asked_of("POST", "/_bulk")[0];
    assert!(asked.body.contains(&key.id) && !asked.body.contains(&key.secret));
    assert_eq!(asked.lines()[0]["create"]["_index"], ".fleet-servers-keys");
}
