//! Without the module: where both indices stand, in one request. Both followers look at the same moments, and the second one
//! of a moment takes what the first was answered. The index of agents is looked at with them, so that those who write to it
//! all the time need not ask whether it is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::answers;
use super::progress::Standing;
use super::requests::{self, Asks};
use crate::store::elastic::client::{Client, Response};
use crate::store::elastic::indices::{Index, Indices};
use crate::store::elastic::seen::Seen;

/// An answer to a request that began so long ago, at most, is as good as one of our own.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// The looks of all followers.
pub(super) struct Looks {
    client: Arc<Client>,
    /// The names of the indices: those that are followed, and that of agents.
    names: Vec<String>,
    agents: String,
    seen: Arc<Seen>,
    last: Mutex<Option<Look>>,
}

struct Look {
    /// When it was asked, by the client's clock.
    began: Duration,
    /// None: nothing was answered that says something of all.
    answer: Option<Response>,
}

impl Looks {
    /// Nothing was looked at yet.
    pub(super) fn new(client: Arc<Client>, indices: &Indices, seen: Arc<Seen>) -> Self {
        let names =
            [Index::Policies, Index::Actions, Index::Agents].map(|index| indices.name(index).to_owned());
        let agents = indices.name(Index::Agents).to_owned();
        Looks { client, names: names.into(), agents, seen, last: Mutex::new(None) }
    }

    /// How long it is until the next moment to look, of those that are this far apart.
    pub(super) fn next(&self, apart: Duration) -> Duration {
        let since = self.client.now().as_nanos() % apart.as_nanos().max(1);
        apart.saturating_sub(Duration::from_nanos(u64::try_from(since).unwrap_or_default()))
    }

    /// What was answered last says nothing of what was written since.
    pub(super) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Where an index stands now.
    pub(super) fn standing(&self, asks: &Asks) -> Standing {
        // what is not known of all together is asked of each: only that says why
        self.shared(&asks.index).unwrap_or_else(|| answers::statistics(self.client.send(&asks.statistics())))
    }

    fn shared(&self, index: &str) -> Option<Standing> {
        let now = self.client.now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|look| look.began + SHARED_FOR < now) {
            let began = self.client.now();
            let answer = self.client.send(&requests::statistics_of_all(&self.names)).ok();
            if answer.as_ref().is_some_and(|answer| answers::tells_of(answer, &self.agents)) {
                self.seen.renew(Index::Agents, began);
            }
            *last = Some(Look { began, answer });
        }
        answers::statistics_of(last.as_ref()?.answer.as_ref()?, index)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Elasticsearch;
    use crate::store::elastic::tests::scripted::Scripted;

    fn index(checkpoint: i64) -> Value {
        let seq_no = json!({"global_checkpoint": checkpoint});
        json!({"uuid": "u", "shards": {"0": [{"routing": {"primary": true}, "seq_no": seq_no}]}})
    }

    fn looks(cluster: &Scripted) -> Looks {
        let settings = Elasticsearch { hosts: vec![cluster.url()], ..Elasticsearch::default() };
        Looks::new(Arc::new(Client::new(&settings).unwrap()), &Indices::default(), Arc::default())
    }

    fn at(standing: &Standing) -> Option<i64> {
        match standing {
            Standing::At { checkpoint, .. } => Some(*checkpoint),
            _ => None,
        }
    }

    fn standing(looks: &Looks, index: &str) -> Standing {
        looks.standing(&Asks { index: index.to_owned(), poll: Duration::ZERO })
    }

    #[test]
    fn one_answer_tells_where_both_indices_stand() {
        let cluster = Scripted::json(|_| {
            (200, json!({"indices": {".fleet-policies-7": index(3), ".fleet-actions-7": index(5)}}))
        });
        let looks = looks(&cluster);
        let policies = looks.shared(".fleet-policies").unwrap();
        let mut last = looks.last.lock().unwrap();
        // however slow the machine is
        last.as_mut().unwrap().began = looks.client.now();
        drop(last);
        let actions = looks.shared(".fleet-actions").unwrap();
        assert_eq!((at(&policies), at(&actions)), (Some(3), Some(5)));
    }

    #[test]
    fn the_index_of_agents_is_seen_with_them_where_it_was_before() {
        let agents = json!({"uuid": "u", "shards": {"0": [], "1": []}});
        let cluster = Scripted::json(move |_| {
            (200, json!({"indices": {".fleet-policies-7": index(3), ".fleet-agents-7": agents.clone()}}))
        });
        let looks = looks(&cluster);
        looks.shared(".fleet-policies").unwrap();
        assert_eq!(looks.seen.last(Index::Agents), None, "nobody has made it yet");
        looks.seen.note(Index::Agents, Duration::ZERO);
        looks.forget();
        looks.shared(".fleet-policies").unwrap();
        assert!(looks.seen.last(Index::Agents).is_some_and(|seen| seen > Duration::ZERO));
    }

    #[test]
    fn an_index_that_is_not_among_them_is_asked_for_alone() {
        let cluster = Scripted::json(|asked| match asked.path.starts_with("/.fleet-policies,") {
            true => (200, json!({"indices": {".fleet-policies-7": index(3)}})),
            false => (404, json!({"error": {"type": "index_not_found_exception"}, "status": 404})),
        });
        let looks = looks(&cluster);
        assert_eq!(standing(&looks, ".fleet-actions"), Standing::Missing);
        assert_eq!(at(&standing(&looks, ".fleet-policies")), Some(3));
    }

    #[test]
    fn what_is_refused_for_all_is_asked_for_each() {
        let cluster = Scripted::json(|asked| match asked.path.starts_with("/.fleet-policies,") {
            true => (403, json!({})),
            false => (200, json!({"indices": {".fleet-actions-7": index(5)}})),
        });
        assert_eq!(at(&standing(&looks(&cluster), ".fleet-actions")), Some(5));
    }

    #[test]
    fn a_look_that_is_forgotten_is_not_shared() {
        let cluster = Scripted::json(|_| (200, json!({"indices": {".fleet-policies-7": index(3)}})));
        let looks = looks(&cluster);
        assert_eq!(at(&standing(&looks, ".fleet-policies")), Some(3));
        looks.forget();
        assert!(looks.last.lock().unwrap().is_none());
    }

    #[test]
    fn moments_to_look_are_the_same_for_all() {
        let cluster = Scripted::json(|_| (500, json!({})));
        let looks = looks(&cluster);
        let apart = Duration::from_secs(1_000_000);
        let until = looks.next(apart);
        assert!(until <= apart && until + looks.client.now() >= apart);
    }
}
