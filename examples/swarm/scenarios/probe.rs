//! Another agent that goes on checking in while the swarm gets its policy: does it have to wait?

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::single::Single;
use crate::tally::{Tally, Times};

/// Between two rounds, so that the probe is no load.
const PAUSE: Duration = Duration::from_millis(20);

/// What the probe saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) check_ins: Times,
    pub(crate) acks: Times,
    pub(crate) tally: Tally,
}

/// Checks in and acknowledges until `stop`. It reports revision 0 each time, so that an answer is always due.
#[expect(clippy::disallowed_methods, reason = "a thread of its own that has nothing else to do")]
pub(crate) fn watch(single: &mut Single<'_>, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let round = single.check_in().and_then(|(answer, time)| {
            seen.check_ins.note(time);
            seen.acks.note(single.acknowledge(&answer)?);
            Ok(())
        });
        if let Err(failure) = round {
            seen.tally.failed(&failure);
        }
        std::thread::sleep(PAUSE);
    }
    seen
}
