//! What has to hold after every step, and how a broken promise is reported.

use std::time::Duration;

use fleet_server::connection::Listener;
use fleet_server::fleet::Fleet;
use fleet_server::fleet::lot::Seat;

use crate::run::Sim;

/// The timer wheel may be late by a tick, and a ring by another.
const TIMERS_LATE_MAX: Duration = Duration::from_millis(30);

impl Sim {
    /// Ends the run: the promise called `name` is broken.
    pub(crate) fn broken(&self, name: &str, what: &str) -> ! {
        panic!("seed {}, step {}: {name}: {what:.1500} (at {:?})", self.seed, self.step, self.mono);
    }

    fn hold(&self, name: &str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken(name, &what());
        }
    }

    pub(crate) fn check_after_step(&self) {
        let fleet = self.server.fleet();
        let seats = fleet.lot.len();
        self.hold("a seat is an agent's", seats <= self.store_agents_max(), || format!("{seats} seats"));
        self.hold("who was dismissed is answered at once", fleet.dismissed.is_empty(), String::new);
        self.hold("no handler fails", fleet.counters.handler_bugs == 0, String::new);
        let in_flight = fleet.admission.in_flight(Listener::External) as usize;
        self.hold("requests are counted out", in_flight <= self.wires.len(), || {
            format!("{in_flight} requests on {} connections", self.wires.len())
        });
        for (id, wire) in &self.wires {
            self.hold("who can go on is told so", !self.is_forgotten(*id, wire), || format!("{id:?}"));
        }
        let at_work = self.server.wake_at().is_some_and(|at| at <= self.mono);
        for seat in fleet.lot.parked_seats() {
            let Some(seat) = fleet.lot.get(seat) else { continue };
            self.check_parked(fleet, seat, at_work);
        }
    }

    fn check_parked(&self, fleet: &Fleet, seat: &Seat, at_work: bool) {
        let Some(parked) = seat.parked() else { return };
        let shown = || format!("{seat:?}");
        self.hold("a parked agent's connection is open", self.wires.contains_key(&parked.connection), shown);
        let told = fleet.search_bound();
        let known = |seq_no: i64| seq_no > seat.seq_no && seq_no <= told && told < i64::MAX;
        let mut pending = self
            .ledger
            .actions
            .iter()
            .filter(|action| action.must_arrive && known(action.seq_no) && action.is_for(&seat.agent));
        let is_due = |seq_no: i64| seat.actions().iter().any(|due| due.seq_no == seq_no);
        let none_left = pending.all(|action| is_due(action.seq_no));
        self.hold("nobody is parked with an action pending that the core knows of", none_left, shown);
        let newest = fleet.policies.newest(&seat.policy_id).map_or(0, |revision| revision.revision_idx);
        if !at_work && !self.settings.paced {
            self.hold("no lost wake-up by an action", seat.actions().is_empty(), shown);
            self.hold("no lost wake-up by a revision", newest <= seat.revision_idx, shown);
        }
    }

    /// After timers have rung: nobody is held beyond the end of the poll.
    pub(crate) fn check_after_tick(&self) {
        let lot = &self.server.fleet().lot;
        for seat in lot.parked_seats().into_iter().filter_map(|id| lot.get(id)) {
            let late = seat.parked().is_some_and(|parked| parked.ends_at + TIMERS_LATE_MAX < self.mono);
            self.hold("a poll ends in time", !late, || format!("{seat:?}"));
        }
    }

    /// Agents that the core may know of: ours, and those of enrolments that were taken back.
    fn store_agents_max(&self) -> usize {
        self.agents.len() + self.tally.enrolments_tried as usize
    }
}
