//! The server's state as it reports it (http-api.md, "GET /api/status").

use std::time::Duration;

/// Trouble with the store for shorter than this is not shown to load balancers (interface.md): they would drop every
/// parked agent at once.
const TROUBLE_HIDDEN: Duration = Duration::from_secs(60);

/// A state by its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The policies have never been read.
    Starting,
    /// All is well.
    Healthy,
    /// The store fails.
    Degraded,
    /// The end is near.
    Stopping,
}

impl State {
    /// As clients see it.
    pub fn name(self) -> &'static str {
        match self {
            State::Starting => "STARTING",
            State::Healthy => "HEALTHY",
            State::Degraded => "DEGRADED",
            State::Stopping => "STOPPING",
        }
    }
}

/// Follows what the watch says of the store.
#[derive(Debug, Default)]
pub struct Health {
    ever_healthy: bool,
    trouble: Option<(Duration, String)>,
    stopping: bool,
}

impl Health {
    /// News of the store; true if the state changed.
    pub fn store(&mut self, health: Result<(), String>, now: Duration) -> bool {
        let before = self.state();
        match health {
            Ok(()) => {
                self.ever_healthy = true;
                self.trouble = None;
            }
            Err(reason) => match &mut self.trouble {
                Some((_, old)) => *old = reason,
                None => self.trouble = Some((now, reason)),
            },
        }
        before != self.state()
    }

    /// The server is going down.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The state at this moment, for metrics, `status` and the supervising agent.
    pub fn state(&self) -> State {
        match (self.stopping, self.ever_healthy, &self.trouble) {
            (true, _, _) => State::Stopping,
            (false, false, _) => State::Starting,
            (false, true, None) => State::Healthy,
            (false, true, Some(_)) => State::Degraded,
        }
    }

    /// The state for `/api/status`: short trouble is not shown.
    pub fn shown(&self, now: Duration) -> State {
        let short = self.trouble.as_ref().is_some_and(|(since, _)| now < *since + TROUBLE_HIDDEN);
        match self.state() {
            State::Degraded if short => State::Healthy,
            state => state,
        }
    }

    /// Why the state is not healthy.
    pub fn reason(&self) -> Option<&str> {
        self.trouble.as_ref().map(|(_, reason)| reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_shows_after_a_minute_and_goes_at_once() {
        let mut health = Health::default();
        let at = Duration::from_secs;
        assert_eq!(health.shown(at(0)), State::Starting);
        health.store(Ok(()), at(1));
        health.store(Err("down".into()), at(10));
        health.store(Err("still down".into()), at(50));
        assert_eq!((health.state(), health.shown(at(69))), (State::Degraded, State::Healthy));
        assert_eq!((health.shown(at(70)), health.reason()), (State::Degraded, Some("still down")));
        health.store(Ok(()), at(80));
        assert_eq!(health.shown(at(80)), State::Healthy);
    }

    #[test]
    fn a_store_that_never_worked_is_starting() {
        let mut health = Health::default();
        health.store(Err("down".into()), Duration::ZERO);
        assert_eq!(health.shown(Duration::from_secs(600)), State::Starting);
    }
}
