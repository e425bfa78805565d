//! The watch over a real Elasticsearch: as it is, without the fleet module, and behind a stand-in that adds the module's
//! routes.

mod actions;
mod founder;
mod herald;
mod policies;
mod trouble;

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::config::{Elasticsearch, Secret};
use crate::store::Indices;
use crate::store::elastic::indices::definition;
use crate::store::tests::cluster::{self, Cluster, Options};
use crate::store::tests::stand_in::StandIn;

/// Nobody waits longer for something that does not come.
const PATIENCE: Duration = Duration::from_secs(90);
/// So that rounds of policies are short.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// So that polls end now and then.
const POLL: Duration = Duration::from_secs(2);

/// Makes two tests of each behaviour: without and with the module.
macro_rules! both_ways {
    ($($behaviour:ident),+ $(,)?) => {
        mod without_module {
            $(#[test] fn $behaviour() { super::on_shared_cluster(false, super::$behaviour) })+
        }
        mod with_module {
            $(#[test] fn $behaviour() { super::on_shared_cluster(true, super::$behaviour) })+
        }
    };
}
use both_ways;

/// Runs a behaviour on indices of its own; where there can be no cluster, that is said and nothing is run.
fn on_shared_cluster(module: bool, behaviour: fn(&mut Field)) {
    if let Some(cluster) = Cluster::shared() {
        behaviour(&mut Field::new(cluster, module));
    }
}

/// What a test works with.
struct Field<'a> {
    cluster: &'a Cluster,
    stand_in: Option<StandIn>,
    indices: Indices,
    store: Option<Elastic>,
    told: Option<Receiver<Changes>>,
}

impl Drop for Field<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            let path = format!("/{}?ignore_unavailable=true", self.indices.names().join(","));
            self.cluster.admin("DELETE", &path, &Value::Null);
        }
    }
}

impl<'a> Field<'a> {
    fn new(cluster: &'a Cluster, module: bool) -> Self {
        let stand_in = module.then(|| StandIn::before(cluster.url()));
        let url = stand_in.as_ref().map_or(cluster.url(), StandIn::url);
        let settings = Elasticsearch {
            hosts: vec![url.to_owned()],
            service_token: Some(Secret::new(cluster.service_token())),
            ..Elasticsearch::default()
        };
        let indices = Indices::with_suffix(&cluster::suffix()).unwrap();
        let store = Some(Elastic::open(&settings, indices.clone(), Duration::ZERO).unwrap());
        Field { cluster, stand_in, indices, store, told: None }
    }

    fn stand_in(&self) -> &StandIn {
        self.stand_in.as_ref().unwrap()
    }

    /// Starts to watch; what it tells goes to [`Field::next`].
    fn watch(&mut self, poll: Duration) {
        let mut watch = self.store.as_ref().unwrap().watch(DEBOUNCE, poll).unwrap();
        let (sender, receiver) = mpsc::channel();
        let follow = move || while watch.next().is_some_and(|changes| sender.send(changes).is_ok()) {};
        thread::Builder::new().spawn(follow).unwrap();
        self.told = Some(receiver);
    }

    /// Starts to watch and takes what is told at the start: ids and revisions of policies, the checkpoint.
    fn start(&mut self) -> (Vec<(String, i64)>, i64) {
        self.watch(POLL);
        let policies = self.policies();
        (policies, self.no_actions())
    }

    fn next(&self) -> Changes {
        self.told.as_ref().unwrap().recv_timeout(PATIENCE).expect("news")
    }

    /// The next news of documents. On a busy machine the shards of an index just made take so long to start that it is told.
    fn next_but_health(&self) -> Changes {
        loop {
            match self.next() {
                Changes::Health(_) | Changes::Cluster(_) => {}
                changes => return changes,
            }
        }
    }

    /// The next news must be that this policy is deleted.
    fn deleted(&self, deleted: &str) {
        let told = self.next_but_health();
        assert!(matches!(&told, Changes::PolicyDeleted(policy_id) if policy_id == deleted), "{told:?}");
    }

    /// The next news must be policies.
    fn policies(&self) -> Vec<(String, i64)> {
        match self.next_but_health() {
            Changes::Policies(policies) => {
                policies.iter().map(|policy| (policy.policy_id.clone(), policy.revision_idx)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next news must be actions: their ids and the checkpoint.
    fn actions(&self) -> (Vec<String>, i64) {
        match self.next_but_health() {
            Changes::Actions { actions, checkpoint } => {
                (actions.iter().map(|action| action.action_id.clone()).collect(), checkpoint)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next news must be a checkpoint alone.
    fn no_actions(&self) -> i64 {
        let (actions, checkpoint) = self.actions();
        assert!(actions.is_empty(), "{actions:?}");
        checkpoint
    }

    fn name(&self, index: Index) -> &str {
        self.indices.name(index)
    }

    /// Makes an index as it should be.
    fn make(&self, index: Index) {
        let (status, answer) =
            self.cluster.admin("PUT", &format!("/{}", self.name(index)), &definition(index));
        assert_eq!(status, 200, "{answer}");
    }

    fn remove(&self, index: Index) {
        assert_eq!(self.cluster.admin("DELETE", &format!("/{}", self.name(index)), &Value::Null).0, 200);
    }

    /// Writes documents in one request, in their order, without making them searchable.
    fn write(&self, index: Index, documents: &[(String, Value)]) {
        let lines =
            documents.iter().map(|(id, document)| format!("{}\n{document}\n", json!({"index": {"_id": id}})));
        let path = format!("/{}/_bulk", self.name(index));
        let (status, answer) = self.cluster.admin_lines("POST", &path, lines.collect());
        assert_eq!((status, &answer["errors"]), (200, &json!(false)), "{answer}");
    }

    fn delete(&self, index: Index, id: &str) {
        let path = format!("/{}/_doc/{id}", self.name(index));
        assert_eq!(self.cluster.admin("DELETE", &path, &Value::Null).0, 200);
    }

    fn write_revision(&self, policy_id: &str, revision_idx: i64) {
        let document =
            json!({"policy_id": policy_id, "revision_idx": revision_idx, "data": {"id": policy_id}});
        self.write(Index::Policies, &[(format!("{policy_id}:{revision_idx}"), document)]);
    }

    fn write_action(&self, action_id: &str) {
        self.write(Index::Actions, &[action(action_id, "2100-01-01T00:00:00Z")]);
    }
}

/// An action's document.
fn action(action_id: &str, expiration: &str) -> (String, Value) {
    let document =
        json!({"action_id": action_id, "type": "UPGRADE", "agents": ["b", "a"], "expiration": expiration});
    (format!("document of {action_id}").replace(' ', "-"), document)
}
