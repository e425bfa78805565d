//! What is told of the cluster itself.

use super::*;
use crate::store::ClusterFacts;
use crate::store::tests::elastic::settings;

both_ways! { the_cluster_is_told_before_its_policies }

fn version(cluster: &Cluster) -> String {
    cluster.admin("GET", "/", &Value::Null).1["version"]["number"].as_str().unwrap().to_owned()
}

fn the_cluster_is_told_before_its_policies(field: &mut Field) {
    field.watch(POLL);
    let told = std::iter::repeat_with(|| field.next()).find(|changes| !matches!(changes, Changes::Health(_)));
    let Some(Changes::Cluster(facts)) = told else { panic!("{told:?}") };
    let fleet_module = field.stand_in.is_some();
    assert_eq!(
        facts,
        ClusterFacts { version: version(field.cluster), fleet_module, holds_kibana: Some(false) }
    );
}

/// What a herald tells now that was not told before.
fn told(herald: &mut Herald) -> Option<ClusterFacts> {
    let queue = Queue::default();
    herald.due = Duration::ZERO;
    assert!(herald.tell(false, &queue));
    // it has not told anything else
    queue.put(Changes::PolicyDeleted("end".to_owned()));
    match queue.take() {
        Some(Changes::Cluster(facts)) => Some(facts),
        _ => None,
    }
}

#[test]
fn kibana_is_seen_by_its_indices_where_the_names_are_the_ones_it_writes_to() {
    let Some(cluster) = Cluster::shared() else { return };
    let client = Arc::new(Client::new(&settings(cluster)).unwrap());
    let mut heralds = [true, false].map(|is_kibanas| Herald::new(Arc::clone(&client), is_kibanas));
    let holds_kibana = |facts: Option<ClusterFacts>| facts.and_then(|facts| facts.holds_kibana);
    assert_eq!(heralds.each_mut().map(|herald| holds_kibana(told(herald))), [Some(false), Some(false)]);
    let index = format!("/.kibana_ingest_{}", cluster::suffix());
    let (status, answer) = cluster.admin("PUT", &index, &Value::Null);
    assert_eq!(status, 200, "{answer}");
    let seen = heralds.each_mut().map(|herald| holds_kibana(told(herald)));
    cluster.admin("DELETE", &index, &Value::Null);
    assert_eq!(seen, [Some(true), None]);
    assert_eq!(heralds.each_mut().map(|herald| holds_kibana(told(herald))), [Some(false), None]);
}
