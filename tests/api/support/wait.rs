//! Waits for what has no event of its own. Bounded, so that a hang fails with a message.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// No test waits longer for something that does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `probe` finds something.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let (_sender, never) = mpsc::channel::<()>();
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        if let Some(found) = probe() {
            return found;
        }
        let _ = never.recv_timeout(LOOK_EVERY);
    }
    panic!("in vain for {PATIENCE:?}: {what}");
}

/// Runs `work` on a thread of its own; what it gives is waited for.
pub(crate) fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    let told = move || {
        // nobody may be waiting any more
        let _ = sender.send(work());
    };
    thread::Builder::new().name("client".into()).spawn(told).unwrap();
    receiver
}
