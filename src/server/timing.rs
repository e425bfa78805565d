//! Timers: deadlines of connections, ends of polls, heartbeats, and the sweeps of housekeeping.

use std::time::Duration;

use crate::api::ApiError;
use crate::connection::{BodyError, ConnectionId};
use crate::fleet::SeatId;
use crate::handlers::{deliver, enroll, policy};
use crate::http::Phase;
use crate::store::{Operation, StoreResult};
use crate::time::{NEVER, Now};

use super::connections::Stage;
use super::exchange::Exchange;
use super::tasks::Owner;
use super::{Effect, Server};

/// What a ring of the timer wheel is about.
#[derive(Debug)]
pub(super) enum Timer {
    Connection(ConnectionId),
    Seat(SeatId),
    /// Looks for tasks that wait too long, and for what is to be tried again.
    Sweep,
    /// Removes what outlived its time.
    Cleanup,
    /// Looks after outputs.
    Outputs,
    /// Writes heartbeats that found no commit to ride on.
    Beats,
    /// Brings old documents up to date.
    Migration,
    /// Looks whether stopping can go on.
    Stopping,
}

/// A task waits no longer than this for the store.
const ASK_WAIT_MAX: Duration = Duration::from_secs(90);
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const FIRST_CLEANUP: Duration = Duration::from_secs(10);
/// Between the end of one look after outputs and the next.
const OUTPUTS_EVERY: Duration = Duration::from_secs(30);
const BEATS_EVERY: Duration = Duration::from_secs(1);
/// A wall clock that goes ahead of the monotonic one by more has made a step: the machine slept, or its clock was put right.
const CLOCK_STEP: Duration = Duration::from_secs(10);
/// A wait that is shorter than a timer is exact is no wait.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

impl Server {
    pub(super) fn start_housekeeping(&mut self) {
        let now = self.now.mono;
        self.timers.set(now + SWEEP_EVERY, Timer::Sweep);
        self.timers.set(now + FIRST_CLEANUP, Timer::Cleanup);
        self.timers.set(now + BEATS_EVERY, Timer::Beats);
        self.outputs_are_minded();
    }

    /// Takes in what time it is. After a step ahead all agents seem to have been silent for as long: they get time to come.
    pub(super) fn note_time(&mut self, now: Now) {
        let gone = now.mono.saturating_sub(self.now.mono);
        if now.wall > self.now.wall.plus(gone + CLOCK_STEP) {
            self.steady_since = now.mono;
        }
        self.now = now;
    }

    /// When a wait that begins now has lasted long enough; zero in the configuration means that it never has.
    pub(super) fn end_of(&self, timeout: Duration) -> Duration {
        if timeout.is_zero() { NEVER } else { self.now.mono + timeout }
    }

    pub(super) fn set_timer(&mut self, at: Duration, timer: Timer) {
        self.timers.set(at, timer);
    }

    /// Moves the deadline of a connection. A timer that rings too early is set anew then: one for each connection, nearly always.
    pub(super) fn set_deadline(&mut self, id: ConnectionId, deadline: Duration) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.deadline = deadline;
        if deadline < connection.timer_at {
            connection.timer_at = deadline;
            self.timers.set(deadline, Timer::Connection(id));
        }
    }

    pub(super) fn ring(&mut self) {
        let mut due = Vec::new();
        self.timers.advance(self.now.mono, &mut due);
        for timer in due {
            match timer {
                Timer::Connection(id) => self.connection_rings(id),
                Timer::Seat(seat) => self.seat_rings(seat),
                Timer::Sweep => self.sweep(),
                Timer::Cleanup => self.clean_up(),
                Timer::Outputs => self.mind_outputs(),
                Timer::Beats => self.timers.set(self.now.mono + BEATS_EVERY, Timer::Beats),
                Timer::Migration => self.migrate(),
                Timer::Stopping => {}
            }
        }
    }

    fn connection_rings(&mut self, id: ConnectionId) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.timer_at > now.mono {
            return;
        }
        let deadline = connection.deadline;
        connection.timer_at = NEVER;
        if deadline == NEVER {
            return;
        }
        if deadline > now.mono {
            self.set_deadline(id, deadline);
            return;
        }
        if connection.socket.is_some() {
            return self.socket_rings(id);
        }
        match (connection.stage, connection.http.phase()) {
            (Stage::Idle, Phase::Head) => {
                let unreadable = Exchange::unreadable(connection.http.request_id(), now);
                connection.exchange = Some(Box::new(unreadable));
                self.answer_now(id, ApiError::RequestTimeout.response().closing());
            }
            (Stage::Working(task), Phase::Body) => self.body_failed(task, BodyError::TimedOut),
            (Stage::Working(_) | Stage::Parked(_) | Stage::Socket, _) => {}
            // it waits for us, not we for it
            (Stage::Idle, _) if connection.outside => {
                self.set_deadline(id, self.end_of(self.config.server.timeouts.read_header));
            }
            (Stage::Idle | Stage::Answering(_), _) => self.drop_connection(id),
        }
    }

    /// An agent has just been parked.
    pub(super) fn parked(&mut self, connection: ConnectionId, seat: SeatId) {
        self.serve_queues();
        let fleet = self.fleet();
        let Some(parked) = fleet.lot.get(seat).and_then(|seat| seat.parked()).copied() else { return };
        if parked.ends_at < self.now.mono + SHORTEST_WAIT {
            self.fleet_mut().lot.leave(seat);
            self.answer_now(connection, deliver::empty());
            return;
        }
        if self.connections.get(connection).is_some_and(|connection| connection.stage == Stage::Parked(seat))
        {
            self.fleet_mut().lot.rest(seat);
        }
        self.watch_seat(seat, parked.ends_at);
    }

    /// Its next ring: the end of the poll, or a heartbeat. Those of a second ring together: ten thousand parked agents would
    /// wake the loop a hundred times a second else.
    fn watch_seat(&mut self, seat: SeatId, ends_at: Duration) {
        let beat = self.now.mono + self.config.server.timeouts.checkin_timestamp.max(Duration::from_secs(1));
        let beat = Duration::from_secs(beat.as_secs() + 1);
        self.timers.set(ends_at.min(beat), Timer::Seat(seat));
    }

    /// The end of a poll, or time for a heartbeat.
    fn seat_rings(&mut self, id: SeatId) {
        let now = self.now.mono;
        let fleet = self.fleet_mut();
        let Some(seat) = fleet.lot.get(id) else { return };
        let (Some(parked), agent) = (seat.parked().copied(), seat.agent.clone()) else { return };
        if parked.ends_at <= now {
            fleet.lot.leave(id);
            self.answer_now(parked.connection, deliver::empty());
        } else {
            fleet.beats.note(agent, now);
            self.watch_seat(id, parked.ends_at);
        }
    }

    fn sweep(&mut self) {
        let now = self.now.mono;
        let waited_too_long = self.tasks.iter().filter(|(_, task)| task.since + ASK_WAIT_MAX <= now);
        let late: Vec<_> =
            waited_too_long.filter_map(|(id, task)| task.expired().map(|reply| (id, reply))).collect();
        for (id, reply) in late {
            self.resume(id, reply);
        }
        self.take_places_from_the_slow();
        for undo in std::mem::take(&mut self.fleet_mut().unfinished_undos) {
            self.spawn(None, |cx| Box::pin(enroll::undo_again(cx, undo)));
        }
        self.fleet_mut().try_late_seats_again();
        self.fleet_mut().artifacts.forget_returned();
        for policy in self.fleet_mut().policies.take_late(now) {
            self.spawn(None, |cx| Box::pin(policy::publish(cx, policy)));
        }
        self.look_at_standing();
        // rates are looked at
        self.effects.push_back(Effect::Measure);
        self.timers.set(now + SWEEP_EVERY, Timer::Sweep);
    }

    fn clean_up(&mut self) {
        let now = self.now;
        let serving = now.mono.saturating_sub(self.steady_since);
        let cleanup = Operation::Cleanup { now: now.wall, serving };
        if self.put(Owner::Housekeeping, cleanup).is_err() {
            ::log::warn!("too many operations wait for the store: nothing is cleaned up this time");
        }
        let every = self.config.server.gc.schedule_interval;
        let tenth = every / 10;
        let next = every - tenth + self.fleet_mut().random_below(tenth * 2);
        self.timers.set(now.mono + next, Timer::Cleanup);
    }

    /// Has the store look after outputs, if it makes keys for them; one look at a time.
    fn mind_outputs(&mut self) {
        let at = self.now.wall;
        if self.stopping.is_some() {
            return;
        }
        let outputs = self.fleet().policies.far_outputs();
        self.minds_outputs = self.put(Owner::Outputs, Operation::MindOutputs { at, outputs }).is_ok();
        if !self.minds_outputs {
            self.outputs_are_minded();
        }
    }

    /// The next look, a while after the last.
    pub(super) fn outputs_are_minded(&mut self) {
        self.minds_outputs = false;
        if self.fleet().makes_output_keys() {
            self.timers.set(self.now.mono + OUTPUTS_EVERY, Timer::Outputs);
        }
    }

    /// Writes heartbeats when they have waited long enough, or when a commit is about to go anyway.
    pub(super) fn flush_beats(&mut self) {
        if self.beats_under_way > 0 || self.fleet().beats.is_empty() {
            return;
        }
        let now = self.now.mono;
        let rides = self.batcher.heartbeats_may_ride();
        let beats = &mut self.fleet_mut().beats;
        let writes = if rides { beats.take() } else { beats.take_due(now) };
        self.write_beats(writes);
    }

    /// Writes heartbeats.
    pub(super) fn write_beats(&mut self, writes: Vec<Vec<String>>) {
        let now = self.now;
        for agents in writes {
            if self.put(Owner::Beats, Operation::Heartbeats { agents, at: now.wall }).is_ok() {
                self.beats_under_way += 1;
            }
        }
    }

    pub(super) fn beats_written(&mut self, answer: &StoreResult) {
        self.beats_under_way = self.beats_under_way.saturating_sub(1);
        if let Err(error) = answer {
            // the next beat of each agent comes within half a minute
            ::log::warn!("heartbeats could not be written: {error}");
        }
    }
}
