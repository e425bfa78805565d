//! The executor: request procedures as `async fn` without a runtime.
//!
//! A task asks for one thing at a time (a store operation, its body, pure work, the fate of its answer) and is polled again
//! when that has come. No waker, no spawn, no select. The fleet state is lent for one poll: [`Cx::fleet`] gives it to a
//! closure, so that no borrow crosses an `.await` and no `RefCell` exists.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::connection::{BodyBounds, BodyError};
use crate::fleet::collectors::{Told, Upgrade};
use crate::fleet::{Fleet, SeatId};
use crate::http::{Response, Segment};
use crate::metrics::Figures;
use crate::store::{Operation, StoreResult};
use crate::time::Now;

/// What a handler's future is, once boxed.
pub type Handler = Pin<Box<dyn Future<Output = Outcome>>>;

/// How a handler ends.
#[derive(Debug)]
pub enum Outcome {
    /// With an answer.
    Respond(Response),
    /// With a claimed seat that is now parked: someone else answers.
    Parked(SeatId),
    /// With a WebSocket that is made of the connection.
    Upgrade(Box<Upgrade>),
    /// With the answer to a message on a WebSocket.
    Told(Box<Told>),
    /// With nothing left to do (no client, or the answer was given by [`Cx::respond`]).
    Done,
}

/// What a task waits for.
pub enum Ask {
    /// Operations, placed in their lanes at once; answered when all are.
    Store(Vec<Operation>),
    /// One look-up that all who ask for the same share.
    Lookup(Operation),
    /// The request's body, up to these bounds.
    Body(BodyBounds),
    /// Pure work of more than about a millisecond.
    Work(Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>),
    /// What waits for the world outside, on a thread of its own; all who ask for the same `name` meanwhile share one.
    Errand {
        /// What tells one errand from another.
        name: &'static str,
        /// What is done if nobody is at it.
        run: Box<dyn FnOnce() -> Shared + Send>,
    },
    /// Give this answer, and say whether all of it was written; of one whose body follows, what there is of it.
    Respond(Response),
    /// What is known outside the fleet's state.
    Figures,
    /// Give more of the answer's body, and say whether it was written.
    Send(Segment),
    /// Whether what was given of the answer was written at last.
    Written,
    /// A place of this kind for this client, until the task ends or gives it back.
    Enter(Place, Arc<str>),
    /// The place is given back.
    Leave,
}

/// What only so many tasks may hold at once, for it is megabytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A chunk that an agent sends, until it is stored.
    Upload,
    /// A chunk on its way to a client.
    Delivery,
}

/// What became of what a task gave its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was written whole.
    Written,
    /// It was not; there is no client any more.
    Lost,
    /// It is still on its way, and others wait for the place that the task holds: it is to give it back. Nobody without a place
    /// is told this.
    Pending,
}

/// What an errand brings, for all who asked for it.
pub type Shared = Arc<dyn Any + Send + Sync>;

/// What came of an [`Ask`].
pub enum Reply {
    /// Of [`Ask::Store`] and [`Ask::Lookup`], in order.
    Store(Vec<StoreResult>),
    /// Of [`Ask::Body`].
    Body(Result<Vec<u8>, BodyError>),
    /// Of [`Ask::Work`]; `None` if it panicked.
    Work(Option<Box<dyn Any + Send>>),
    /// Of [`Ask::Errand`]; `None` if it panicked.
    Errand(Option<Shared>),
    /// Of [`Ask::Respond`], [`Ask::Send`] and [`Ask::Written`].
    Responded(Fate),
    /// Of [`Ask::Figures`].
    Figures(Box<Figures>),
    /// Of [`Ask::Enter`]: whether there was a place in time. Of [`Ask::Leave`], always.
    Entered(bool),
}

/// The fleet, on loan: in the cell while a task is polled, with the server otherwise.
#[derive(Default)]
pub struct Loan {
    fleet: Cell<Option<Box<Fleet>>>,
}

/// A handler's way to the rest of the server.
pub struct Cx {
    desk: Rc<Desk>,
}

/// Shared by a task and the executor: one question, one answer.
struct Desk {
    loan: Rc<Loan>,
    now: Cell<Now>,
    ask: Cell<Option<Ask>>,
    reply: Cell<Option<Reply>>,
}

impl Cx {
    /// The time of this poll.
    pub fn now(&self) -> Now {
        self.desk.now.get()
    }

    /// Looks at the fleet state or changes it. Facts read before an `.await` may be out of date after it.
    pub fn fleet<R>(&self, look: impl FnOnce(&mut Fleet) -> R) -> R {
        let mut fleet =
            self.desk.loan.fleet.take().expect("the fleet is lent while a task is polled, to one closure");
        let result = look(&mut fleet);
        self.desk.loan.fleet.set(Some(fleet));
        result
    }

    /// Runs one store operation.
    pub async fn store(&self, operation: Operation) -> StoreResult {
        let mut results = self.store_all(vec![operation]).await;
        results.pop().expect("an answer for each operation")
    }

    /// Runs store operations at once, answers in their order.
    pub async fn store_all(&self, operations: Vec<Operation>) -> Vec<StoreResult> {
        match self.ask(Ask::Store(operations)).await {
            Reply::Store(results) => results,
            _ => unreachable!("the executor answers what was asked"),
        }
    }

    /// Runs a look-up; all who ask for the same at the same time share one.
    pub async fn lookup(&self, operation: Operation) -> StoreResult {
        match self.ask(Ask::Lookup(operation)).await {
            Reply::Store(mut results) => results.pop().expect("an answer for the look-up"),
            _ => unreachable!("the executor answers what was asked"),
        }
    }

    /// Waits for the body of the request.
    pub async fn body(&self, bounds: BodyBounds) -> Result<Vec<u8>, BodyError> {
        match self.ask(Ask::Body(bounds)).await {
            Reply::Body(result) => result,
            _ => unreachable!("the executor answers what was asked"),
        }
    }

    /// Runs `work` on a worker thread; `None` if it panicked.
    pub async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        match self.ask(Ask::Work(Box::new(move || Box::new(work())))).await {
            Reply::Work(result) => result.and_then(|result| result.downcast().ok()).map(|result| *result),
            _ => unreachable!("the executor answers what was asked"),
        }
    }

    /// Runs `errand`, which waits for the world outside (a disk, another host) and ends by itself, on a thread of its own:
    /// neither computing nor a store's worker is behind it. All who ask for the same `name` meanwhile share what came of it.
    /// `None` if it panicked.
    pub async fn errand<T: Send + Sync + 'static>(
        &self,
        name: &'static str,
        errand: impl FnOnce() -> T + Send + 'static,
    ) -> Option<Arc<T>> {
        match self.ask(Ask::Errand { name, run: Box::new(move || Arc::new(errand())) }).await {
            Reply::Errand(result) => result.and_then(|result| result.downcast().ok()),
            _ => unreachable!("the executor answers what was asked"),
        }
    }

    /// Gives the answer; whether all of it was written.
    pub async fn respond(&self, response: Response) -> bool {
        self.fate(Ask::Respond(response)).await == Fate::Written
    }

    /// What the loop, the core and the process can say of themselves.
    pub async fn figures(&self) -> Box<Figures> {
        match self.ask(Ask::Figures).await {
            Reply::Figures(figures) => figures,
            _ => unreachable!("the executor answers what was asked"),
        }
    }

    /// Gives the head of an answer whose body follows in [`Cx::send`]; what became of it.
    pub async fn begin(&self, response: Response) -> Fate {
        self.fate(Ask::Respond(response)).await
    }

    /// Gives more of the answer's body, once the client has taken what came before; what became of it.
    pub async fn send(&self, segment: Segment) -> Fate {
        self.fate(Ask::Send(segment)).await
    }

    /// Waits for what was still on its way; whether it was written.
    pub async fn written(&self) -> bool {
        self.fate(Ask::Written).await == Fate::Written
    }

    async fn fate(&self, ask: Ask) -> Fate {
        match self.ask(ask).await {
            Reply::Responded(fate) => fate,
            _ => unreachable!("the executor answers what was asked"),
        }
    }

    /// Waits for a place for this client, of whom only some are let in at once; false if too many wait, or for too long.
    pub async fn enter(&self, place: Place, client: &str) -> bool {
        match self.ask(Ask::Enter(place, Arc::from(client))).await {
            Reply::Entered(entered) => entered,
            _ => unreachable!("the executor answers what was asked"),
        }
    }

    /// Gives the place back before the end.
    pub async fn leave(&self) {
        self.ask(Ask::Leave).await;
    }

    async fn ask(&self, ask: Ask) -> Reply {
        self.desk.ask.set(Some(ask));
        poll_fn(|_| match self.desk.reply.take() {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        })
        .await
    }
}

/// A handler under way.
pub struct Task {
    handler: Handler,
    desk: Rc<Desk>,
}

/// Where a task stands after a poll.
pub enum Progress {
    /// It waits for this.
    Asks(Ask),
    /// It is at its end.
    Ends(Outcome),
    /// It panicked, or waits for nothing: a bug, to be answered with 500. The text says which.
    Fails(&'static str),
}

impl Task {
    /// A task for the handler that `start` makes. Nothing runs before the first [`Task::resume`].
    pub fn new(loan: &Rc<Loan>, now: Now, start: impl FnOnce(Cx) -> Handler) -> Self {
        let desk = Rc::new(Desk {
            loan: loan.clone(),
            now: Cell::new(now),
            ask: Cell::new(None),
            reply: Cell::new(None),
        });
        Task { handler: start(Cx { desk: desk.clone() }), desk }
    }

    /// Polls the handler with the answer to its last question (`None` the first time) and the fleet on loan.
    ///
    /// # Panics
    /// When the handler panicked while it held the fleet: the state may be half changed, so the process has to end.
    pub fn resume(&mut self, fleet: &mut Option<Box<Fleet>>, now: Now, reply: Option<Reply>) -> Progress {
        self.desk.loan.fleet.set(fleet.take());
        self.desk.now.set(now);
        self.desk.reply.set(reply);
        let poll = catch_unwind(AssertUnwindSafe(|| {
            self.handler.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        }));
        *fleet = self.desk.loan.fleet.take();
        assert!(fleet.is_some(), "a handler panicked while it held the fleet state");
        match (poll, self.desk.ask.take()) {
            (Ok(Poll::Ready(outcome)), _) => Progress::Ends(outcome),
            (Ok(Poll::Pending), Some(ask)) => Progress::Asks(ask),
            (Ok(Poll::Pending), None) => {
                Progress::Fails("a handler waits for something that nobody will bring")
            }
            (Err(_), _) => Progress::Fails("a handler panicked"),
        }
    }
}
