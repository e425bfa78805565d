//! What differs from seed to seed: the configuration, the numbers, how much trouble there is.

use std::sync::Arc;
use std::time::Duration;

use fleet_server::config::{Config, Pace};
use fleet_server::store::Lanes;

use crate::dice::Dice;

/// How one run is set up.
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) agents: usize,
    pub(crate) policies: usize,
    /// How long trouble lasts, from the start on.
    pub(crate) trouble_for: Duration,
    /// How long it takes at most until everything has come right.
    pub(crate) calm_for: Duration,
    /// Whether deliveries are paced: then a parked agent may have to wait its turn.
    pub(crate) paced: bool,
    /// Percent of batches that fail while the store is in a bad mood.
    pub(crate) faults: u64,
    /// Percent of requests whose client misbehaves.
    pub(crate) misbehaviour: u64,
    /// Batches of the lanes other than the writes' that run at once.
    pub(crate) readers: usize,
    /// Whether the run ends with a stop of the server instead of its agents' leaving.
    pub(crate) stops: bool,
    /// Store operations from which on requests wait outside.
    pub(crate) busy_from: usize,
}

impl Settings {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let mut config = Config::default();
        let timeouts = &mut config.server.timeouts;
        let long_poll = *dice.pick(&[8, 45, 45, 300]);
        timeouts.checkin_long_poll = Duration::from_secs(long_poll);
        timeouts.checkin_jitter = Duration::from_secs(*dice.pick(&[0, 2, 30]));
        timeouts.write = Duration::from_secs(*dice.pick(&[20, 60]));
        timeouts.read = Duration::from_secs(*dice.pick(&[20, 60]));
        config.server.pdkdf2.iterations = 1;
        let paced = dice.percent(25);
        if paced {
            config.server.limits.policy = Pace { interval: dice.millis(1, 400), burst: 1 };
            config.server.limits.action = Pace { interval: dice.millis(1, 400), burst: 2 };
        }
        Settings {
            agents: dice.between(2, 7) as usize,
            policies: dice.between(1, 3) as usize,
            trouble_for: Duration::from_secs(dice.between(80, 380)),
            calm_for: Duration::from_secs(long_poll + 100),
            paced,
            faults: *dice.pick(&[0, 15, 40]),
            misbehaviour: *dice.pick(&[0, 10, 25]),
            readers: dice.between(1, 2) as usize,
            stops: dice.percent(50),
            busy_from: *dice.pick(&[1, 4, 1_024]),
            config: Arc::new(config),
        }
    }

    /// Agents' writes keep their order, which takes one worker.
    pub(crate) fn lanes(&self) -> Lanes {
        Lanes { workers: [self.readers, self.readers, 1, 0, 0, self.readers, 0, 0, 1, 0], ..Lanes::default() }
    }

    /// The shortest a check-in without a poll_timeout is held.
    pub(crate) fn shortest_poll(&self) -> Duration {
        let timeouts = &self.config.server.timeouts;
        let jitter = timeouts.checkin_jitter;
        // a jitter that is longer than the poll is none
        let jitter = if jitter < timeouts.checkin_long_poll { jitter } else { Duration::ZERO };
        timeouts.checkin_long_poll - jitter
    }
}
