//! The way to the end: requests are drained, the store is flushed, parked polls are answered last (mechanics.md, "Stopping").

use std::time::Duration;

use crate::fleet::report_unfinished;
use crate::handlers::deliver;

use super::connections::Stage;
use super::timing::Timer;
use super::{Effect, Server};

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    /// Requests under way get until then. Those that were not read yet have begun after `not_before`.
    Draining {
        not_before: Duration,
        until: Duration,
    },
    /// The store gets until then.
    Flushing {
        until: Duration,
    },
    /// Held polls are answered; their sockets get until then.
    Answering {
        until: Duration,
    },
    Done,
}

/// The last answers are small: whoever does not take them in this time does not get them.
const ANSWERING_MAX: Duration = Duration::from_secs(1);
/// The loop reads requests that waited outside in this time.
const BEGINNING_MAX: Duration = Duration::from_millis(500);
/// An agent ends the process 25 s after it has told it to end (agent-mode.md, "Process").
const DRAIN_UNDER_AGENT_MAX: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Server {
    pub(super) fn stop(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        ::log::info!("stopping: requests under way are finished, held polls are answered last");
        let fleet = self.fleet_mut();
        fleet.stopping = true;
        fleet.health.stop();
        let drain = self.config.server.timeouts.drain;
        let drain = if self.config.under_agent { drain.min(DRAIN_UNDER_AGENT_MAX) } else { drain };
        let until = self.now.mono + drain;
        let not_before = if self.let_all_in() { self.now.mono + BEGINNING_MAX } else { self.now.mono };
        self.stopping = Some(Stopping::Draining { not_before, until });
    }

    pub(super) fn go_on_stopping(&mut self) {
        while let Some(stage) = self.stopping {
            let now = self.now.mono;
            let next = match stage {
                Stopping::Draining { not_before, until }
                    if (self.is_drained() && not_before <= now) || until <= now =>
                {
                    self.write_last_beats();
                    Stopping::Flushing { until: until.max(now + ANSWERING_MAX) }
                }
                Stopping::Flushing { until } if self.is_written() || until <= now => {
                    self.answer_parked();
                    self.close_sockets();
                    Stopping::Answering { until: now + ANSWERING_MAX }
                }
                Stopping::Answering { until } if !self.is_answering() || until <= now => {
                    self.report_undone();
                    self.effects.push_back(Effect::Exit);
                    Stopping::Done
                }
                Stopping::Done => return,
                _ => {
                    self.set_timer(now + LOOK_EVERY, Timer::Stopping);
                    return;
                }
            };
            self.stopping = Some(next);
        }
    }

    fn is_drained(&self) -> bool {
        let at_work = |stage: Stage| matches!(stage, Stage::Working(_));
        self.tasks.is_empty()
            && !self.is_answering()
            && !self.connections.iter().any(|(_, connection)| at_work(connection.stage))
    }

    /// Whether nothing is left to be written: a look after outputs, which may wait for another cluster, writes nothing that
    /// has to be, and a migration is begun anew with the next start.
    fn is_written(&self) -> bool {
        self.batcher.operations() <= usize::from(self.minds_outputs) + usize::from(self.supervised.migrates)
    }

    fn is_answering(&self) -> bool {
        let closing = |socket: &super::sockets::Socket| socket.websocket.is_closing();
        self.connections.iter().any(|(_, connection)| {
            matches!(connection.stage, Stage::Answering(_))
                || connection.socket.as_ref().is_some_and(|socket| closing(socket))
        })
    }

    fn write_last_beats(&mut self) {
        let parked = self.fleet().lot.parked_seats();
        let now = self.now.mono;
        let fleet = self.fleet_mut();
        for seat in parked {
            if let Some(agent) = fleet.lot.get(seat).map(|seat| seat.agent.clone()) {
                fleet.beats.note(agent, now);
            }
        }
        self.note_last_beats();
        let left = self.fleet_mut().beats.take();
        self.write_beats(left);
    }

    fn answer_parked(&mut self) {
        for seat in self.fleet().lot.parked_seats() {
            let parked = self.fleet_mut().lot.leave(seat).and_then(|seat| seat.parked().copied());
            if let Some(parked) = parked {
                self.answer_now(parked.connection, deliver::empty());
            }
        }
    }

    fn report_undone(&self) {
        self.fleet().unfinished_undos.iter().for_each(report_unfinished);
        if !self.tasks.is_empty() {
            ::log::warn!("{} requests were not finished when the time to drain was over", self.tasks.len());
        }
    }
}
