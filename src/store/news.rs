//! What a store of ours tells its watch. Writers leave marks ("this policy changed", "actions up to here") and ring; the
//! follower reads what the marks mean from the store, page by page. So news of any size take a few bytes while they wait.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Changes;
use crate::model::{Action, Policy};

/// How long a follower waits before it tries a failing store again.
const RETRY: Duration = Duration::from_secs(1);

/// Marks left by writers; by policy, so their number is bounded by that of the policies.
#[derive(Default)]
pub(super) struct News {
    marks: Mutex<Marks>,
    bell: Condvar,
}

#[derive(Default)]
struct Marks {
    policies: BTreeMap<String, PolicyMark>,
    /// `_seq_no` of the newest write or delete of an action, plus one: zero before the first.
    actions: i64,
    /// What was last said of the store's health, if it is yet to be told.
    health: Option<Result<(), String>>,
    failing: bool,
    /// Why it fails for good.
    damage: Option<String>,
    closed: bool,
}

/// What happened to a policy since the follower last looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PolicyMark {
    /// It was deleted, before whatever it has now was written.
    pub(super) deleted: bool,
}

/// Where a follower reads what the marks mean.
pub(super) trait Source {
    /// The newest revision of every policy.
    fn newest_policies(&self) -> Result<Vec<Arc<Policy>>, String>;

    /// The newest revision of one.
    fn newest_policy(&self, policy_id: &str) -> Result<Option<Arc<Policy>>, String>;

    /// Actions with `after < _seq_no <= up_to` in that order, as many as make a page; and up to where that is all of them.
    fn actions(&self, after: i64, up_to: i64) -> Result<(Vec<Arc<Action>>, i64), String>;

    /// Whether writes work, asked while they are known to fail.
    fn probe(&self);
}

impl News {
    /// Marks left at the start: nothing but the `_seq_no` of the newest action (-1 for none).
    pub(super) fn new(checkpoint: i64) -> Self {
        let news = News::default();
        news.lock().actions = checkpoint + 1;
        news
    }

    /// A commit changed these policies, and actions up to `checkpoint` (-1 for none).
    pub(super) fn committed(&self, policies: BTreeMap<String, PolicyMark>, checkpoint: i64) {
        let mut marks = self.lock();
        if policies.is_empty() && marks.actions == checkpoint + 1 {
            return;
        }
        marks.actions = marks.actions.max(checkpoint + 1);
        for (policy, mark) in policies {
            marks.policies.entry(policy).or_default().deleted |= mark.deleted;
        }
        self.bell.notify_all();
    }

    /// Writing works, or does not; told when that changes.
    pub(super) fn health(&self, health: Result<(), &str>) {
        let mut marks = self.lock();
        if marks.failing != health.is_err() && marks.damage.is_none() {
            marks.failing = health.is_err();
            marks.health = Some(health.map_err(str::to_owned));
            self.bell.notify_all();
        }
    }

    /// Something that is kept cannot be read any more; told once. That other things work does not end it.
    pub(super) fn damaged(&self, reason: &str) {
        let mut marks = self.lock();
        if marks.damage.is_none() {
            marks.failing = false;
            marks.damage = Some(reason.to_owned());
            marks.health = Some(Err(reason.to_owned()));
            self.bell.notify_all();
        }
    }

    /// The store is closed: the follower's wait is over.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_all();
    }

    /// Waits until there are marks beyond `told`, or it is time to try again, or the store is closed (false).
    fn wait(&self, told: i64, trouble: bool) -> bool {
        let marks = self.lock();
        let quiet = |marks: &Marks| {
            let news = !marks.policies.is_empty() || marks.actions > told + 1 || marks.health.is_some();
            !marks.closed && (trouble || !news)
        };
        let marks = if trouble || marks.failing {
            let waited = self.bell.wait_timeout_while(marks, RETRY, |marks| quiet(marks));
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            let waited = self.bell.wait_while(marks, |marks| quiet(marks));
            waited.unwrap_or_else(PoisonError::into_inner)
        };
        !marks.closed
    }

    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far one watch has come.
pub(super) struct Follower {
    started: bool,
    /// `_seq_no` of the newest action told.
    told: i64,
    trouble: bool,
    ready: VecDeque<Changes>,
}

impl Default for Follower {
    fn default() -> Self {
        Follower { started: false, told: -1, trouble: false, ready: VecDeque::new() }
    }
}

impl Follower {
    /// Blocks until there is something to tell; `None` once the store is closed. `with_source` lends the store, or answers
    /// `None` when it is gone.
    pub(super) fn next<S: Source>(
        &mut self,
        news: &News,
        source: impl Fn() -> Option<Arc<S>>,
    ) -> Option<Changes> {
        loop {
            if let Some(changes) = self.ready.pop_front() {
                return Some(changes);
            }
            if (self.started || self.trouble) && !news.wait(self.told, self.trouble) {
                return None;
            }
            self.pull(news, &*source()?);
        }
    }

    /// Everything there is to tell, without waiting.
    pub(super) fn drain(&mut self, news: &News, source: &impl Source) -> Vec<Changes> {
        let mut changes = Vec::new();
        loop {
            self.pull(news, source);
            if self.ready.is_empty() {
                return changes;
            }
            let trouble = self.trouble;
            changes.extend(self.ready.drain(..));
            if trouble {
                return changes;
            }
        }
    }

    /// Makes ready what there is to tell: at most one page of actions.
    fn pull(&mut self, news: &News, source: &impl Source) {
        let (health, failing) = {
            let mut marks = news.lock();
            (marks.health.take(), marks.failing)
        };
        self.ready.extend(health.filter(|health| health.is_err() || !self.trouble).map(Changes::Health));
        if failing {
            source.probe();
        }
        let read = if self.started { self.changes(news, source) } else { self.first(news, source) };
        match read {
            Ok(()) if self.trouble => {
                self.trouble = false;
                // while writes fail, that they work again is news of its own
                self.ready.extend((!failing).then_some(Changes::Health(Ok(()))));
            }
            Err(reason) if !self.trouble => {
                self.trouble = true;
                self.ready.push_back(Changes::Health(Err(reason)));
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// All newest policies, and from where on actions will be told.
    fn first(&mut self, news: &News, source: &impl Source) -> Result<(), String> {
        let told = news.lock().actions - 1;
        self.ready.push_back(Changes::Policies(source.newest_policies()?));
        self.ready.push_back(Changes::Actions { actions: Vec::new(), checkpoint: told });
        self.told = told;
        self.started = true;
        Ok(())
    }

    fn changes(&mut self, news: &News, source: &impl Source) -> Result<(), String> {
        let (policies, checkpoint) = {
            let mut marks = news.lock();
            (mem::take(&mut marks.policies), marks.actions - 1)
        };
        if let Err(reason) = self.policies(&policies, source) {
            news.committed(policies, checkpoint);
            return Err(reason);
        }
        if checkpoint > self.told {
            let (actions, up_to) = source.actions(self.told, checkpoint)?;
            self.ready.push_back(Changes::Actions { actions, checkpoint: up_to });
            self.told = up_to;
        }
        Ok(())
    }

    fn policies(&mut self, marks: &BTreeMap<String, PolicyMark>, source: &impl Source) -> Result<(), String> {
        let mut newest = Vec::new();
        for policy_id in marks.keys() {
            newest.extend(source.newest_policy(policy_id)?);
        }
        let deleted = marks.iter().filter(|(_, mark)| mark.deleted);
        self.ready.extend(deleted.map(|(policy_id, _)| Changes::PolicyDeleted(policy_id.clone())));
        if !newest.is_empty() {
            self.ready.push_back(Changes::Policies(newest));
        }
        Ok(())
    }
}
