//! The threads that may block: workers of the store's lanes, of pure work and of errands. They post what came of it and know nothing
//! of where it goes.
//!
//! Each lane has as many threads as its store takes batches at once. Pure work has a thread of its own and those of
//! [`Lane::Operator`], which are idle nearly always. Errands wait for the world outside, one after another, and nothing else
//! waits for their thread, not even the end of the process.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::{Lane, Operation, Store, StoreError, StoreResult};

#[cfg(test)]
mod tests;

/// SQLite and serde_json need a fraction of it; only what is touched takes memory.
const STACK_BYTES: usize = 512 << 10;

/// Pure work: something to compute.
pub type Work = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;

/// Takes what came of a job; called on the pool's threads.
pub type Post = Arc<dyn Fn(PoolEvent) + Send + Sync>;

/// What came of a job.
pub enum PoolEvent {
    /// A batch is done.
    Answered {
        /// Which one.
        batch: u64,
        /// An answer for each of its operations.
        answers: Vec<StoreResult>,
    },
    /// Pure work or an errand is done; `None` if it panicked.
    Worked {
        /// Which one.
        work: u64,
        /// What it made.
        result: Option<Box<dyn Any + Send>>,
    },
}

/// The threads. They end when this is closed or dropped.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    post: Post,
    queues: Mutex<Queues>,
    /// One for each kind of thread, in the order of [`Kind`].
    bells: [Condvar; Kind::COUNT],
}

/// Bounded by who submits: at most [`super::Lanes::workers`] batches of a lane, and the core's work in flight.
#[derive(Default)]
struct Queues {
    batches: [VecDeque<(u64, Vec<Operation>)>; Lane::ALL.len()],
    work: VecDeque<(u64, Work)>,
    errands: VecDeque<(u64, Work)>,
    closed: bool,
}

/// What a thread is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lane(Lane),
    Work,
    Errand,
}

enum Job {
    Batch(u64, Vec<Operation>),
    Work(u64, Work),
}

impl Pool {
    /// Starts the threads for `store`; what they did goes to `post`.
    pub fn start(store: Arc<dyn Store>, post: Post) -> io::Result<Pool> {
        let workers = store.lanes().workers;
        let lanes = Lane::ALL.map(|lane| (Kind::Lane(lane), workers[lane.index()]));
        let shared = Arc::new(Shared {
            post,
            queues: Mutex::default(),
            bells: std::array::from_fn(|_| Condvar::new()),
        });
        // on an error the threads already started are ended by Drop
        let mut pool = Pool { shared, threads: Vec::new() };
        for (kind, count) in lanes.into_iter().chain([(Kind::Work, 1)]) {
            for number in 0..count {
                let (shared, store) = (Arc::clone(&pool.shared), Arc::clone(&store));
                let serve = move || shared.serve(kind, |operations| store.run(operations));
                let thread = Builder::new().name(kind.name(number)).stack_size(STACK_BYTES);
                pool.threads.push(thread.spawn(serve)?);
            }
        }
        pool.start_errands()?;
        Ok(pool)
    }

    /// Runs `operations`, all of `lane`, in the store.
    pub fn submit(&self, lane: Lane, batch: u64, operations: Vec<Operation>) {
        self.shared.lock().batches[lane.index()].push_back((batch, operations));
        self.shared.ring(Kind::Lane(lane));
    }

    /// Runs `run`.
    pub fn work(&self, work: u64, run: Work) {
        self.shared.lock().work.push_back((work, run));
        self.shared.ring(Kind::Work);
        self.shared.ring(Kind::Lane(Lane::Operator));
    }

    /// Runs `run`, which may wait for long and is not waited for at the end.
    pub fn errand(&self, work: u64, run: Work) {
        self.shared.lock().errands.push_back((work, run));
        self.shared.ring(Kind::Errand);
    }

    /// The thread of errands is never joined: what it waits for may take its time. It has no store, which would be open as long.
    fn start_errands(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = Builder::new().name(Kind::Errand.name(0)).stack_size(STACK_BYTES);
        thread.spawn(move || shared.serve(Kind::Errand, |_| Vec::new())).map(drop)
    }

    /// Finishes everything queued but errands, then ends the threads.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.bells.iter().for_each(Condvar::notify_all);
        for thread in self.threads.drain(..) {
            // a job's panic is caught; what else could panic is the post, and then there is nobody left to tell
            let _ = thread.join();
        }
    }
}

impl Kind {
    const COUNT: usize = Lane::ALL.len() + 2;

    fn name(self, number: usize) -> String {
        match self {
            Kind::Lane(lane) => format!("store-{}-{number}", format!("{lane:?}").to_lowercase()),
            Kind::Work => format!("work-{number}"),
            Kind::Errand => "errands".to_owned(),
        }
    }

    fn index(self) -> usize {
        match self {
            Kind::Lane(lane) => lane.index(),
            Kind::Work => Lane::ALL.len(),
            Kind::Errand => Lane::ALL.len() + 1,
        }
    }
}

impl Shared {
    fn serve(&self, kind: Kind, store: impl Fn(Vec<Operation>) -> Vec<StoreResult>) {
        while let Some(job) = self.next(kind) {
            (self.post)(run(job, &store));
        }
    }

    /// Waits for a job; `None` once the pool is closed and nothing is left to do.
    fn next(&self, kind: Kind) -> Option<Job> {
        let mut queues = self.lock();
        loop {
            if let Some(job) = queues.take(kind) {
                return Some(job);
            }
            if queues.closed {
                return None;
            }
            queues = self.bells[kind.index()].wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ring(&self, kind: Kind) {
        self.bells[kind.index()].notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(job: Job, store: impl Fn(Vec<Operation>) -> Vec<StoreResult>) -> PoolEvent {
    match job {
        Job::Batch(batch, operations) => {
            let count = operations.len();
            let answers = catch_unwind(AssertUnwindSafe(|| store(operations)));
            let panicked = || Err(StoreError::Unavailable("the store panicked".to_owned()));
            PoolEvent::Answered { batch, answers: answers.unwrap_or_else(|_| vec![panicked(); count]) }
        }
        Job::Work(work, run) => PoolEvent::Worked { work, result: catch_unwind(AssertUnwindSafe(run)).ok() },
    }
}

impl Queues {
    fn take(&mut self, kind: Kind) -> Option<Job> {
        if let Kind::Lane(lane) = kind
            && let Some((batch, operations)) = self.batches[lane.index()].pop_front()
        {
            return Some(Job::Batch(batch, operations));
        }
        match kind {
            Kind::Work | Kind::Lane(Lane::Operator) => {
                self.work.pop_front().map(|(work, run)| Job::Work(work, run))
            }
            Kind::Errand => self.errands.pop_front().map(|(work, run)| Job::Work(work, run)),
            Kind::Lane(_) => None,
        }
    }
}
