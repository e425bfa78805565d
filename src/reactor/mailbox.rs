//! How other threads reach the loop: they post events, the loop takes them in batches.
//!
//! Bounded by construction: each batch and each piece of work that the core handed out comes back as one event, and
//! a watch posts its next news only from its own thread, one at a time.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use crate::server::Event;

/// What lies in the mailbox for the core.
type Events = Vec<Event<'static>>;

/// The loop's end.
#[derive(Default)]
pub(super) struct Mailbox {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    events: Events,
    /// The process is to look at what has come for it.
    called: bool,
}

/// The end of a worker or a watcher.
#[derive(Clone)]
pub struct Sender {
    queue: Arc<Mutex<Queue>>,
    waker: Arc<mio::Waker>,
}

impl Mailbox {
    /// A sender that wakes the loop by `waker`.
    pub(super) fn sender(&self, waker: Arc<mio::Waker>) -> Sender {
        Sender { queue: Arc::clone(&self.queue), waker }
    }

    /// Takes all that was posted; the memory of `into` serves the next posts. Whether somebody has called.
    pub(super) fn take(&self, into: &mut Events) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        mem::swap(into, &mut queue.events);
        mem::take(&mut queue.called)
    }
}

impl Sender {
    /// Posts an event ([`Event::Answered`], [`Event::Worked`], [`Event::Changed`], [`Event::Stop`]).
    pub fn post(&self, event: Event<'static>) {
        self.put(|queue| queue.events.push(event));
    }

    /// Has the loop ask the process what has come for it (`Hooks::called`).
    pub fn call(&self) {
        self.put(|queue| queue.called = true);
    }

    fn put(&self, put: impl FnOnce(&mut Queue)) {
        let was_empty = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let was_empty = queue.events.is_empty() && !queue.called;
            put(&mut queue);
            was_empty
        };
        // whoever finds others' mail before his own knows that the loop has been woken
        if was_empty && let Err(error) = self.waker.wake() {
            log::error!("the loop cannot be woken: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll, Token, Waker};

    use super::*;

    #[test]
    fn a_batch_of_posts_wakes_once_and_arrives_in_order() {
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(7)).unwrap());
        let mailbox = Mailbox::default();
        let sender = mailbox.sender(waker);
        for work in 0..3 {
            sender.post(Event::Worked { work, result: None });
        }
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, None).unwrap();
        assert_eq!(events.iter().count(), 1);
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        let ids: Vec<u64> = taken
            .iter()
            .filter_map(|event| if let Event::Worked { work, .. } = event { Some(*work) } else { None })
            .collect();
        assert_eq!(ids, [0, 1, 2]);
    }

    #[test]
    fn a_call_wakes_and_is_taken_once() {
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(7)).unwrap());
        let mailbox = Mailbox::default();
        let sender = mailbox.sender(waker);
        sender.call();
        sender.call();
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, None).unwrap();
        assert_eq!(events.iter().count(), 1);
        assert!(mailbox.take(&mut Vec::new()) && !mailbox.take(&mut Vec::new()));
    }

    #[test]
    fn posts_after_a_take_wake_again() {
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(7)).unwrap());
        let mailbox = Mailbox::default();
        let sender = mailbox.sender(waker);
        let mut events = Events::with_capacity(8);
        let mut taken = Vec::new();
        for _ in 0..2 {
            std::thread::scope(|scope| {
                scope.spawn(|| sender.post(Event::Stop));
                poll.poll(&mut events, None).unwrap();
            });
            taken.clear();
            mailbox.take(&mut taken);
            assert_eq!(taken.len(), 1);
        }
    }
}
