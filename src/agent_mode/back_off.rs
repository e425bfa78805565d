//! How long to wait before a stream is opened again (agent-mode.md, "Check-in stream").

use std::time::Duration;

/// After a stream that lived.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The waits double up to this.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A stream that ended earlier is no sign that the next will live.
const LIVED: Duration = Duration::from_secs(1);

/// The waits of one kind of stream.
#[derive(Default)]
pub(super) struct BackOff {
    last: Option<Duration>,
}

impl BackOff {
    /// A stream has ended that was open for so long; the wait until the next.
    pub(super) fn after(&mut self, open: Duration) -> Duration {
        let wait = match self.last {
            Some(last) if open < LIVED => (last * 2).min(WAIT_MAX),
            _ => FIRST_WAIT,
        };
        self.last = Some(wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_while_streams_do_not_live_and_begin_anew_with_one_that_does() {
        let mut back_off = BackOff::default();
        let mut after = |millis| back_off.after(Duration::from_millis(millis)).as_secs();
        assert_eq!([0; 7].map(&mut after), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!((after(1_000), after(999), after(60_000)), (1, 2, 1));
    }
}
