use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::store::{Answer, Lanes, Memory};

/// Panics when it is asked for an agent named `panic`; counts its workers by lane.
struct Strange(Memory);

impl Store for Strange {
    fn run(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        let strange = |operation: &Operation| matches!(operation, Operation::AgentById(id) if id == "panic");
        assert!(!batch.iter().any(strange), "as asked");
        self.0.run(batch)
    }

    fn lanes(&self) -> Lanes {
        Lanes { workers: [3, 1, 1, 1, 1, 1, 1, 1, 1, 1], ..Lanes::default() }
    }
}

fn pool() -> (Pool, Receiver<PoolEvent>) {
    let (sender, receiver): (Sender<PoolEvent>, _) = channel();
    let post: Post = Arc::new(move |event| drop(sender.send(event)));
    (Pool::start(Arc::new(Strange(Memory::new(1).0)), post).unwrap(), receiver)
}

fn look_up(id: &str) -> Vec<Operation> {
    vec![Operation::AgentById(id.to_owned())]
}

fn answered(event: PoolEvent) -> (u64, Vec<StoreResult>) {
    match event {
        PoolEvent::Answered { batch, answers } => (batch, answers),
        PoolEvent::Worked { work, .. } => panic!("work {work}"),
    }
}

fn worked(event: PoolEvent) -> (u64, Option<Box<dyn Any + Send>>) {
    match event {
        PoolEvent::Worked { work, result } => (work, result),
        PoolEvent::Answered { batch, .. } => panic!("batch {batch}"),
    }
}

#[test]
fn every_lane_answers() {
    let (pool, events) = pool();
    for (number, lane) in (1..).zip(Lane::ALL) {
        pool.submit(lane, number, look_up("a"));
        let (batch, answers) = answered(events.recv().unwrap());
        assert_eq!(batch, number);
        assert!(matches!(answers[..], [Ok(Answer::Agent(None))]));
    }
}

#[test]
fn work_is_done_on_a_named_thread() {
    let (pool, events) = pool();
    pool.work(7, Box::new(|| Box::new(std::thread::current().name().unwrap_or_default().to_owned())));
    let (work, result) = worked(events.recv().unwrap());
    let name = *result.unwrap().downcast::<String>().unwrap();
    assert_eq!(work, 7);
    assert!(name == "work-0" || name == "store-operator-0", "{name}");
}

#[test]
fn a_panic_of_the_store_is_answered_for_each_operation() {
    let (pool, events) = pool();
    pool.submit(Lane::Search, 1, vec![Operation::AgentById("panic".into()), Operation::Tokens]);
    let (_, answers) = answered(events.recv().unwrap());
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))));
    // the lane's only thread is still there
    pool.submit(Lane::Search, 2, look_up("a"));
    assert!(answered(events.recv().unwrap()).1[0].is_ok());
}

#[test]
fn a_panic_of_work_is_told() {
    let (pool, events) = pool();
    pool.work(1, Box::new(|| panic!("as asked")));
    assert!(worked(events.recv().unwrap()).1.is_none());
    pool.work(2, Box::new(|| Box::new(())));
    assert!(worked(events.recv().unwrap()).1.is_some());
}

#[test]
fn closing_finishes_what_is_queued() {
    let (pool, events) = pool();
    let (release, held) = channel::<()>();
    pool.work(
        0,
        Box::new(move || {
            // until everything else is queued
            let _ = held.recv();
            Box::new(())
        }),
    );
    for number in 1..=20 {
        pool.submit(Lane::Write, number, look_up("a"));
        pool.work(number, Box::new(|| Box::new(())));
    }
    drop(release);
    pool.close();
    assert_eq!(events.iter().count(), 41);
}

#[test]
fn two_pieces_of_work_run_at_once() {
    let (pool, events) = pool();
    let (to_second, from_first) = channel();
    let (to_first, from_second) = channel();
    // each ends only if the other has begun
    let meet = |sender: Sender<()>, receiver: Receiver<()>| -> Work {
        Box::new(move || {
            sender.send(()).unwrap();
            receiver.recv().unwrap();
            Box::new(())
        })
    };
    pool.work(1, meet(to_second, from_second));
    pool.work(2, meet(to_first, from_first));
    assert!((0..2).all(|_| worked(events.recv().unwrap()).1.is_some()));
}

#[test]
fn an_idle_lane_is_not_held_up_by_work() {
    let (pool, events) = pool();
    let (release, held) = channel::<()>();
    let held = Arc::new(Mutex::new(held));
    for number in 0..2 {
        let held = Arc::clone(&held);
        pool.work(
            number,
            Box::new(move || {
                let _ = held.lock().map(|held| held.recv());
                Box::new(())
            }),
        );
    }
    for lane in [Lane::Read, Lane::Search, Lane::Write] {
        pool.submit(lane, 9, look_up("a"));
        assert_eq!(answered(events.recv().unwrap()).0, 9);
    }
    drop(release);
}

#[test]
fn an_errand_that_takes_its_time_does_not_keep_the_store_open() {
    let store: Arc<dyn Store> = Arc::new(Strange(Memory::new(1).0));
    let pool = Pool::start(Arc::clone(&store), Arc::new(|_| {})).unwrap();
    let (begun, begins) = channel();
    let (release, held) = channel::<()>();
    let wait = move || {
        begun.send(()).unwrap();
        let _ = held.recv();
        Box::new(()) as Box<dyn Any + Send>
    };
    pool.errand(1, Box::new(wait));
    begins.recv().unwrap();
    pool.close();
    assert_eq!(Arc::strong_count(&store), 1);
    drop(release);
}
