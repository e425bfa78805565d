//! Signals where an agent runs the server: caught from the first moment to the last, also while nothing is served.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::agent_mode::seam::Bell;
use crate::reactor::end_at_the_second;

/// It waits and rings.
const STACK_BYTES: usize = 64 * 1024;

/// Has `bell` ring for each signal; SIGHUP sets `read_again`, the others ask for the end. The thread lives as long as the
/// process.
pub(super) fn catch(bell: Bell, read_again: Arc<AtomicBool>) -> io::Result<()> {
    end_at_the_second()?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let listen = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                read_again.store(true, Ordering::Relaxed);
                bell.ring();
            } else {
                bell.ask_for_the_end();
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).stack_size(STACK_BYTES).spawn(listen).map(drop)
}
