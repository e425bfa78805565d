//! The watch of the embedded store: marks from the writer, what they mean from the searching connection.

use std::sync::{Arc, Weak};

use super::fault::Fault;
use super::read::Reader;
use super::{Inner, lock};
use crate::model::{Action, Policy};
use crate::store::news::{Follower, News, Source};
use crate::store::{Changes, StoreError, Watch};

/// A page of news holds at most so many actions...
const PAGE_ACTIONS: usize = 100;
/// ...and ends with the action that brings it to so many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Tells what was committed. Over when the [`super::Embedded`] is dropped.
pub struct EmbeddedWatch {
    store: Weak<Inner>,
    news: Arc<News>,
    follower: Follower,
}

impl EmbeddedWatch {
    pub(super) fn new(inner: &Arc<Inner>) -> Self {
        EmbeddedWatch {
            store: Arc::downgrade(inner),
            news: Arc::clone(&inner.news),
            follower: Follower::default(),
        }
    }
}

impl Watch for EmbeddedWatch {
    fn next(&mut self) -> Option<Changes> {
        self.follower.next(&self.news, || self.store.upgrade())
    }
}

impl Source for Inner {
    fn newest_policies(&self) -> Result<Vec<Arc<Policy>>, String> {
        Reader::new(&lock(&self.searches)).newest_policies().map_err(reason)
    }

    fn newest_policy(&self, policy_id: &str) -> Result<Option<Arc<Policy>>, String> {
        Reader::new(&lock(&self.searches)).policy(policy_id, None).map_err(reason)
    }

    fn actions(&self, after: i64, up_to: i64) -> Result<(Vec<Arc<Action>>, i64), String> {
        let connection = lock(&self.searches);
        let page = (PAGE_ACTIONS, PAGE_BYTES);
        Reader::new(&connection).actions_between((after, up_to), page).map_err(reason)
    }

    fn probe(&self) {
        lock(&self.writer).probe(&self.news);
    }
}

fn reason(fault: Fault) -> String {
    StoreError::from(fault).to_string()
}
