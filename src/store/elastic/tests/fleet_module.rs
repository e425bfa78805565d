//! A real cluster behind the stand-in of the fleet module: secrets are kept by its API.

use super::*;
use crate::config::Secret;
use crate::model::NewSecret;
use crate::store::tests::cluster::Cluster;
use crate::store::tests::elastic::{behind, settings};
use crate::store::tests::stand_in::StandIn;
use crate::store::tests::{output_keys, secrets};

#[test]
fn secrets_and_output_keys_behave_as_where_we_keep_them() {
    let Some(cluster) = Cluster::shared() else { return };
    let stand_in = StandIn::before(cluster.url());
    behind(cluster, stand_in.url(), secrets::a_secret_is_found_by_its_id_and_others_are_left_out);
    behind(cluster, stand_in.url(), secrets::retired_keys_are_bad_and_their_secrets_gone);
    for behaviour in output_keys::BEHAVIOURS {
        behind(cluster, stand_in.url(), *behaviour);
    }
    assert!(stand_in.count("/_fleet/secret/") > 0);
}

#[test]
fn this_cluster_gives_secrets_their_ids_itself() {
    let Some(cluster) = Cluster::shared() else { return };
    let stand_in = StandIn::before(cluster.url());
    let settings = Elasticsearch { hosts: vec![stand_in.url().to_owned()], ..settings(cluster) };
    let store = Elastic::open(&settings, Indices::default(), std::time::Duration::ZERO).unwrap();
    let secret = NewSecret { id: Some("mine".to_owned()), value: Secret::new("x") };
    assert_eq!(status(&one(&store, Operation::SetSecret(secret))), 400);
}
