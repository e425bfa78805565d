//! The watch: two followers, each of one index, each on a thread of its own, that ask the cluster where the index stands and
//! read what is new; and a queue from which [`ElasticWatch::next`] takes what they found.
//!
//! A follower blocks in requests that nothing interrupts, so it is never waited for: once the watch is over, what it still
//! brings is dropped, and it ends.

mod actions;
mod answers;
mod feed;
mod founder;
mod herald;
mod looks;
mod policies;
mod progress;
mod queue;
mod requests;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use self::actions::Actions;
use self::feed::{Feed, Source, Unread};
use self::founder::Founder;
use self::herald::Herald;
use self::looks::Looks;
use self::policies::Policies;
use self::progress::{Progress, Reading, Standing, Step};
use self::queue::{Queue, Woken};
use self::requests::Asks;
use super::client::Client;
use super::indices::Index;
use super::{Elastic, milliseconds};
use crate::store::{Answer, Changes, StoreError, StoreResult, Watch};

/// How long the cluster waits for news before it answers that there are none.
const POLL_WAIT_MAX: Duration = Duration::from_secs(240);
/// Each by a follower of its own.
const FOLLOWED: [Index; 2] = [Index::Policies, Index::Actions];
/// It asks, decodes JSON and little else.
const STACK_BYTES: usize = 1024 * 1024;

/// Tells what changed in the cluster. Over when its [`Elastic`] is closed or dropped, or it itself.
pub struct ElasticWatch {
    queue: Arc<Queue>,
}

/// Ends the watch of a store when the store is dropped.
#[derive(Default)]
pub(super) struct WatchEnd(Arc<Queue>);

impl WatchEnd {
    /// Ends it now.
    pub(super) fn close(&self) {
        self.0.close();
    }

    /// We have written to an index: its news are looked for at once.
    pub(super) fn wrote(&self, index: Index) {
        self.0.look_at(index);
    }
}

/// How often the watch asks; in milliseconds, and from the next round on if it changes.
#[derive(Default)]
pub(super) struct Pace {
    policy_debounce_ms: AtomicU64,
    poll_ms: AtomicU64,
}

impl Pace {
    fn policy_debounce(&self) -> Duration {
        Duration::from_millis(self.policy_debounce_ms.load(Ordering::Relaxed))
    }

    fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms.load(Ordering::Relaxed)).min(POLL_WAIT_MAX)
    }
}

impl Drop for WatchEnd {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for ElasticWatch {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Elastic {
    /// From now on changes of policies within `policy_debounce` are one; a long poll lasts for `poll`, within a bound.
    pub fn follow_at(&self, policy_debounce: Duration, poll: Duration) {
        self.pace.policy_debounce_ms.store(milliseconds(policy_debounce), Ordering::Relaxed);
        self.pace.poll_ms.store(milliseconds(poll), Ordering::Relaxed);
    }

    /// Starts to follow at this pace ([`Elastic::follow_at`]); to be called once, since each change is told once.
    pub fn watch(&self, policy_debounce: Duration, poll: Duration) -> io::Result<ElasticWatch> {
        self.follow_at(policy_debounce, poll);
        let queue = &self.watch_end.0;
        let looks = Looks::new(Arc::clone(&self.client), &self.indices, Arc::clone(&self.seen));
        let looks = Arc::new(looks);
        let follower = |index| Follower {
            pace: Arc::clone(&self.pace),
            client: Arc::clone(&self.client),
            looks: Arc::clone(&looks),
            asks: Asks { index: self.indices.name(index).to_owned(), poll: self.pace.poll() },
            index,
            progress: Progress::new(Duration::ZERO),
            queue: Arc::clone(queue),
            herald: None,
            founder: None,
        };
        let herald = Some(Herald::new(Arc::clone(&self.client), !self.indices.are_own()));
        let founder = Some(Founder::new(Arc::clone(&self.client), self.indices.clone()));
        let policies = Follower { herald, founder, ..follower(Index::Policies) };
        policies.start("watch-policies", Policies::default())?;
        follower(Index::Actions).start("watch-actions", Actions::default())?;
        Ok(ElasticWatch { queue: Arc::clone(queue) })
    }
}

impl Elastic {
    /// The checkpoint of the actions' index as it is, without waiting.
    pub(super) fn actions_checkpoint(&self) -> StoreResult {
        let asks = Asks { index: self.indices.name(Index::Actions).to_owned(), poll: Duration::ZERO };
        match answers::statistics(self.client.send(&asks.statistics())) {
            Standing::At { checkpoint, .. } => Ok(Answer::SeqNo(Some(checkpoint))),
            Standing::Failed(reason) => Err(StoreError::Unavailable(reason)),
            standing => Err(StoreError::Unavailable(format!("the checkpoint of actions: {standing:?}"))),
        }
    }
}

impl Watch for ElasticWatch {
    fn next(&mut self) -> Option<Changes> {
        self.queue.take()
    }
}

/// Follows one index.
struct Follower {
    pace: Arc<Pace>,
    client: Arc<Client>,
    /// Shared by all followers.
    looks: Arc<Looks>,
    asks: Asks,
    index: Index,
    progress: Progress,
    queue: Arc<Queue>,
    /// What one of the followers tells of the cluster beside its index.
    herald: Option<Herald>,
    /// What makes the indices that others write to, beside one of the followers.
    founder: Option<Founder>,
}

impl Follower {
    fn start(mut self, name: &str, mut feed: impl Feed + Send + 'static) -> io::Result<()> {
        let follow = move || while self.go_on(&mut feed) {};
        thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(follow).map(drop)
    }

    /// Takes one step; false when the watch is over.
    fn go_on(&mut self, feed: &mut impl Feed) -> bool {
        self.asks.poll = self.pace.poll();
        if self.index == Index::Policies {
            self.progress.pause_between_rounds(self.pace.policy_debounce());
        }
        let step = self.progress.step();
        match step {
            Step::Pause(pause) => return self.queue.pause(pause),
            Step::Probe => {
                let standing = answers::checkpoints(self.client.send(&self.asks.checkpoint()));
                if standing == Standing::NoModule {
                    let index = &self.asks.index;
                    ::log::info!(
                        "this Elasticsearch has no fleet module: {index} is looked at every now and then"
                    );
                }
                self.progress.stands(standing);
            }
            Step::Wait { after } => {
                let standing = answers::checkpoints(self.client.send(&self.asks.advance(after)));
                self.progress.stands(standing);
            }
            Step::Until { apart } => {
                let woken = self.queue.pause_before_look(self.index, self.looks.next(apart));
                if woken == Woken::ToLook {
                    self.looks.forget();
                    self.progress.has_news_near();
                }
                return woken != Woken::ByTheEnd;
            }
            Step::Look => self.progress.stands(self.looks.standing(&self.asks)),
            Step::Begin { up_to } => {
                let read = feed.begin(&self.source(), up_to);
                if !self.has_read(read) {
                    return false;
                }
            }
            // it fails only when nobody listens any more
            Step::StartOver => return feed.start_over(&self.source()).is_ok(),
            Step::Read { after, up_to } => {
                self.tell_of_news();
                let read = feed.read(&self.source(), after, up_to);
                if !self.has_read(read) {
                    return false;
                }
            }
        }
        self.queue.health(self.index, self.progress.trouble());
        if let (Some(founder), Some(module)) = (&mut self.founder, self.progress.module_found()) {
            founder.go_on(module);
        }
        if let (Some(herald), Some(module)) = (&mut self.herald, self.progress.module_found())
            && !herald.tell(module, &self.queue)
        {
            return false;
        }
        // a step that only waited must not go on after the end
        self.queue.pause(Duration::ZERO)
    }

    /// Where one index changes another may, too: its follower looks at once.
    fn tell_of_news(&self) {
        for other in FOLLOWED.into_iter().filter(|other| *other != self.index) {
            self.queue.look_at(other);
        }
    }

    fn source(&self) -> Source<'_> {
        let Follower { client, asks, queue, progress, .. } = self;
        Source { client, asks, queue, module: progress.has_module() }
    }

    fn has_read(&mut self, read: Result<i64, Unread>) -> bool {
        let reading = match read {
            Ok(up_to) => Reading::UpTo(up_to),
            Err(Unread::Not(reading)) => reading,
            Err(Unread::Closed) => return false,
        };
        self.progress.has_read(reading);
        true
    }
}
