//! How far one index has been followed and what to do next, given what came of the last step. Pure: no I/O, no clock.
//!
//! The checkpoint is the `_seq_no` up to which everything has been told. It moves only when something was truly read; what is
//! not known leaves it where it is.

use std::time::Duration;

/// Before anything that failed is tried again; each further failure in a row doubles it.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// No wait is longer, so that a cluster that is back is noticed within 5 s.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// So many failures in a row are trouble. One is not: a long poll that a proxy cuts short is no news.
const FAILURES_TROUBLE: u32 = 2;
/// So many 504 in a row are asked again at once: they end long polls. More, and somebody answers them without waiting.
const GATEWAY_TIMEOUTS_MAX: u32 = 3;
/// Without the module: between two looks just after news...
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(200);
/// ...and once nothing has happened for 7.5 minutes, or since a start that is half a minute ago.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(2);
/// After so many looks without news the pause grows by the shortest, since somebody who works on the fleet makes the next
/// change soon: it is 0.4 s after 20 s of silence, 0.8 s after a minute, 1.6 s after five.
const LOOKS_BEFORE_LONGER: u32 = 50;
/// Between two looks just after the start: who starts a server may be about to change something...
const LOOK_PAUSE_AT_START: Duration = Duration::from_millis(500);
/// ...but a server that starts anew has had no news.
const LOOKS_AT_START: u32 = 60;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the module for the checkpoint, without waiting: [`Progress::stands`].
    Probe,
    /// Wait until the checkpoint is above this: [`Progress::stands`].
    Wait { after: i64 },
    /// Look at the statistics of the index: [`Progress::stands`].
    Look,
    /// Tell what there is at the start, up to this: [`Progress::has_read`].
    Begin { up_to: i64 },
    /// Tell that what was told was of another index. Then go on.
    StartOver,
    /// Tell what has changed: [`Progress::has_read`].
    Read { after: i64, up_to: i64 },
    /// Wait. Then go on.
    Pause(Duration),
    /// Wait for the next of the moments that are this far apart, which are the same for all who look. Then go on.
    Until { apart: Duration },
}

/// Where the index stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Everything up to this has been written.
    At {
        /// The global checkpoint: -1 for an index in which nothing was ever written.
        checkpoint: i64,
        /// Which index this is of those that had its name, where that is told.
        incarnation: Option<String>,
        /// The cluster has waited as long as it was asked to.
        waited: bool,
    },
    /// There is no such index (yet).
    Missing,
    /// Nobody has answered in time: a proxy ended the wait.
    GatewayTimeout,
    /// The cluster has no fleet module.
    NoModule,
    /// It is not known.
    Failed(String),
}

/// What came of [`Step::Begin`] and [`Step::Read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Everything up to this has been told: what was asked for, or less if there is more than a page of it.
    UpTo(i64),
    /// There is no such index any more.
    Missing,
    /// It is not known what there is.
    Failed(String),
}

/// One index.
#[derive(Debug)]
pub(super) struct Progress {
    /// Between two rounds of reading.
    round_pause: Duration,
    /// Whether the cluster has the fleet module; unknown at first.
    module: Option<bool>,
    begun: bool,
    /// The index is not the one that was read, or was away meanwhile: all it holds is to be read.
    anew: bool,
    /// It is certainly another index, and that was not told yet.
    starts_over: bool,
    checkpoint: i64,
    incarnation: Option<String>,
    next: Next,
    failures: u32,
    misses: u32,
    gateway_timeouts: u32,
    quiet_looks: u32,
    has_had_news: bool,
    trouble: Option<String>,
}

/// What is due.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// To ask where the index stands.
    Ask,
    /// To read up to here.
    Read { up_to: i64 },
    /// To wait before asking.
    Pause(Duration),
    /// To wait before looking.
    Until { apart: Duration },
}

impl Progress {
    /// At the start: nothing is known.
    pub(super) fn new(round_pause: Duration) -> Self {
        Progress {
            round_pause,
            module: None,
            begun: false,
            anew: false,
            starts_over: false,
            checkpoint: -1,
            incarnation: None,
            next: Next::Ask,
            failures: 0,
            misses: 0,
            gateway_timeouts: 0,
            quiet_looks: 0,
            has_had_news: false,
            trouble: None,
        }
    }

    /// What to do next.
    pub(super) fn step(&mut self) -> Step {
        match (self.next, self.module) {
            (Next::Pause(pause), _) => {
                self.next = Next::Ask;
                Step::Pause(pause)
            }
            (Next::Until { apart }, _) => {
                self.next = Next::Ask;
                Step::Until { apart }
            }
            (Next::Read { up_to }, _) if !self.begun => Step::Begin { up_to },
            (Next::Read { .. }, _) if self.starts_over => {
                self.starts_over = false;
                Step::StartOver
            }
            (Next::Read { up_to }, _) => Step::Read { after: self.checkpoint, up_to },
            (Next::Ask, Some(false)) => Step::Look,
            (Next::Ask, Some(true)) if self.begun && self.failures == 0 => {
                Step::Wait { after: self.checkpoint }
            }
            // after trouble the index may be another one, which would be waited for until the poll is over
            (Next::Ask, _) => Step::Probe,
        }
    }

    /// Whether reading goes through the fleet module.
    pub(super) fn has_module(&self) -> bool {
        self.module == Some(true)
    }

    /// Whether the cluster has the fleet module, once that is known and as long as the cluster answers.
    pub(super) fn module_found(&self) -> Option<bool> {
        self.module.filter(|_| self.failures == 0)
    }

    /// Why nothing is known for a while now; None while all is well.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Takes where the index stands.
    pub(super) fn stands(&mut self, standing: Standing) {
        if matches!(standing, Standing::At { .. } | Standing::Missing) {
            self.module.get_or_insert(true);
        }
        if standing != Standing::GatewayTimeout {
            self.gateway_timeouts = 0;
        }
        match standing {
            Standing::At { checkpoint, incarnation, waited } => {
                self.misses = 0;
                self.is_at(checkpoint, incarnation, waited);
            }
            Standing::Missing => self.is_missing(),
            Standing::GatewayTimeout => {
                self.gateway_timeouts += 1;
                let quick = self.gateway_timeouts <= GATEWAY_TIMEOUTS_MAX;
                self.next = if quick { Next::Ask } else { Next::Pause(BACK_OFF_MIN) };
            }
            Standing::NoModule => {
                self.module = Some(false);
                self.next = Next::Ask;
            }
            Standing::Failed(reason) => self.has_failed(reason),
        }
    }

    /// Something has changed here, or in what changes at the same times.
    pub(super) fn has_news_near(&mut self) {
        self.quiet_looks = 0;
        self.has_had_news = true;
    }

    /// So long it waits between two rounds of reading, from the next on.
    pub(super) fn pause_between_rounds(&mut self, round_pause: Duration) {
        self.round_pause = round_pause;
    }

    /// Takes what came of reading.
    pub(super) fn has_read(&mut self, reading: Reading) {
        let Next::Read { up_to } = self.next else { return };
        match reading {
            Reading::UpTo(told) if told >= up_to => {
                self.begun = true;
                self.anew = false;
                self.checkpoint = up_to;
                self.is_well();
                let at_once = self.round_pause.is_zero();
                self.next = if at_once { self.ask_again() } else { Next::Pause(self.round_pause) };
            }
            Reading::UpTo(told) if told > self.checkpoint => {
                self.anew = false;
                self.checkpoint = told;
            }
            Reading::UpTo(_) => self.has_failed("a full page of documents without a _seq_no".to_owned()),
            Reading::Missing => self.is_missing(),
            Reading::Failed(reason) => self.has_failed(reason),
        }
    }

    fn is_at(&mut self, current: i64, incarnation: Option<String>, waited: bool) {
        let other = self.incarnation.is_some() && incarnation.is_some() && self.incarnation != incarnation;
        if incarnation.is_some() {
            self.incarnation = incarnation;
        }
        if self.begun && (other || current < self.checkpoint) {
            // made anew or restored
            self.anew = true;
            self.starts_over = true;
        }
        if self.anew {
            self.checkpoint = -1;
        }
        if !self.begun || self.anew || current > self.checkpoint {
            if self.begun {
                self.has_news_near();
            }
            self.next = Next::Read { up_to: current };
        } else {
            self.is_well();
            self.quiet_looks = self.quiet_looks.saturating_add(1);
            // an answer that neither waited nor brings news would come again at once
            let idle = self.has_module() && !waited;
            self.next = if idle { Next::Pause(BACK_OFF_MIN) } else { self.ask_again() };
        }
    }

    /// What it held is unknown, not gone: nothing is told. When it comes again, all it holds is read.
    fn is_missing(&mut self) {
        self.is_well();
        self.anew = self.begun;
        // the module does not say which index it is: one that was away for as long as it waits is taken for another
        self.starts_over |= self.has_module() && self.checkpoint >= 0;
        self.checkpoint = -1;
        self.misses = self.misses.saturating_add(u32::from(self.begun));
        self.quiet_looks = self.quiet_looks.saturating_add(1);
        self.next = match (self.begun, self.has_module()) {
            (false, _) => Next::Read { up_to: -1 },
            // it was to wait for the index
            (true, true) => Next::Pause(back_off(self.misses)),
            (true, false) => self.ask_again(),
        };
    }

    fn has_failed(&mut self, reason: String) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_TROUBLE {
            self.trouble = Some(reason);
        }
        self.next = Next::Pause(back_off(self.failures));
    }

    fn is_well(&mut self) {
        self.failures = 0;
        self.trouble = None;
    }

    /// At once where the cluster waits for us, else after a pause.
    fn ask_again(&self) -> Next {
        if self.has_module() { Next::Ask } else { Next::Until { apart: self.look_pause() } }
    }

    /// The wait before the next look.
    fn look_pause(&self) -> Duration {
        match (self.has_had_news, self.quiet_looks) {
            (false, 0..LOOKS_AT_START) => LOOK_PAUSE_AT_START,
            (false, _) => LOOK_PAUSE_MAX,
            (true, looks) => {
                LOOK_PAUSE_MIN.saturating_mul(1 + looks / LOOKS_BEFORE_LONGER).min(LOOK_PAUSE_MAX)
            }
        }
    }
}

/// The wait before the next try after so many in a row that came to nothing.
fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    BACK_OFF_MIN.saturating_mul(1 << doublings).min(BACK_OFF_MAX)
}

#[cfg(test)]
mod tests;
