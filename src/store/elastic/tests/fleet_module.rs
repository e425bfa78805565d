//! A real cluster behind the stand-in of the fleet module: secrets are kept by its API.

use super::*;
use crate::config::Secret;
use crate::model::NewSecret;
use crate::store::elastic::watch::tests::stand_in::StandIn;
use crate::store::tests::cluster::Cluster;
use crate::store::tests::elastic::{behind, settings};
use crate::store::tests::{output_keys, secrets};

/// More than are read at once.
const SECRETS: usize = 40;

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
fn many_secrets_are_read_at_once_and_not_without_bound() {
    let Some(cluster) = Cluster::shared() else { return };
    let stand_in = StandIn::before(cluster.url());
    let settings = Elasticsearch { hosts: vec![stand_in.url().to_owned()], ..settings(cluster) };
    let store = Elastic::open(&settings, Indices::default(), std::time::Duration::ZERO).unwrap();
    let set = |number: usize| {
        let secret = NewSecret { id: None, value: Secret::new(number.to_string()) };
        match one(&store, Operation::SetSecret(secret)) {
            Ok(Answer::SecretId(id)) => id,
            other => panic!("{other:?}"),
        }
    };
    let mut ids: Vec<String> = (0..SECRETS).map(set).collect();
    ids.push("unknown".to_owned());
    let Ok(Answer::Secrets(found)) = one(&store, Operation::Secrets(ids.clone())) else {
        panic!("no secrets")
    };
    let values: Vec<Option<&str>> = ids.iter().map(|id| found.get(id)).collect();
    let expected: Vec<String> = (0..SECRETS).map(|number| number.to_string()).collect();
    let expected: Vec<Option<&str>> =
        expected.iter().map(|value| Some(value.as_str())).chain([None]).collect();
    assert_eq!(values, expected);
    assert!((2..=16).contains(&stand_in.secrets_read_at_once()), "{}", stand_in.secrets_read_at_once());
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
