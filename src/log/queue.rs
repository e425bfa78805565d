//! The bounded queue between the callers of the log and its thread.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Output;
use super::sink::Sink;

/// Lines that may wait for the log thread.
pub const LOG_LINES_QUEUED_MAX: usize = 8192;

/// Bytes of the lines that may wait.
const LOG_BYTES_QUEUED_MAX: usize = 4 * 1024 * 1024;

/// Bytes that are written at once.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// Formatted lines on their way to the log thread.
pub(super) struct Queue {
    /// Lines are text for people.
    pretty: AtomicBool,
    state: Mutex<State>,
    /// A line came, or the queue was closed.
    filled: Condvar,
    /// Everything was written.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// A batch is being written.
    writing: bool,
    closed: bool,
    dropped: u64,
    /// Where lines are to go from now on.
    next_sink: Option<Sink>,
}

impl Queue {
    /// An empty queue, of lines for people or of JSON.
    pub(super) fn new(pretty: bool) -> Self {
        let (filled, drained) = (Condvar::new(), Condvar::new());
        Queue { pretty: AtomicBool::new(pretty), state: Mutex::default(), filled, drained }
    }

    /// Lines that wait.
    pub(super) fn len(&self) -> usize {
        self.state().lines.len()
    }

    /// Whether lines are text for people.
    pub(super) fn is_pretty(&self) -> bool {
        self.pretty.load(Ordering::Relaxed)
    }

    /// What is taken from now on goes there.
    pub(super) fn switch_to(&self, output: Output) {
        self.pretty.store(output.pretty, Ordering::Relaxed);
        self.state().next_sink = Some(output.sink);
    }

    /// Where the batch just taken is to go, if that is news.
    pub(super) fn take_sink(&self) -> Option<Sink> {
        self.state().next_sink.take()
    }

    /// Adds a line, or drops and counts it when there is no room. Never waits for the writer.
    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        let full =
            state.lines.len() >= LOG_LINES_QUEUED_MAX || state.bytes + line.len() > LOG_BYTES_QUEUED_MAX;
        if full || state.closed {
            state.dropped += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        self.filled.notify_one();
    }

    /// Waits for lines and moves some into the batch; their number, or `None` once the queue is
    /// closed and empty. [`Queue::written`] must follow.
    pub(super) fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        batch.clear();
        let waiting = |state: &mut State| state.lines.is_empty() && !state.closed;
        let mut state = self.filled.wait_while(self.state(), waiting).unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        while batch.len() < BATCH_BYTES_MAX {
            let Some(line) = state.lines.pop_front() else { break };
            state.bytes -= line.len();
            batch.extend_from_slice(&line);
            count += 1;
        }
        if state.lines.is_empty() {
            // The room that a burst took is given back.
            state.lines.shrink_to(64);
        }
        state.writing = count > 0;
        (count > 0).then_some(count)
    }

    /// The batch taken last is dealt with.
    pub(super) fn written(&self) {
        let mut state = self.state();
        state.writing = false;
        if state.lines.is_empty() {
            self.drained.notify_all();
        }
    }

    /// Lines that were taken but could not be written.
    pub(super) fn count_dropped(&self, lines: u64) {
        self.state().dropped += lines;
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// No further lines; the thread ends when it has written those that are queued.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    /// Waits until nothing is queued or being written, at most so long; whether that came.
    pub(super) fn wait_until_written(&self, wait_max: Duration) -> bool {
        let busy = |state: &mut State| state.writing || !state.lines.is_empty();
        let waited = self.drained.wait_timeout_while(self.state(), wait_max, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue that env_logger writes to: it hands over one whole line at a time.
pub(super) struct QueueWriter(pub(super) Arc<Queue>);

impl io::Write for QueueWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
