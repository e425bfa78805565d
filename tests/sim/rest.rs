//! The end: trouble ceases, everything has to come right, then everybody leaves or the server stops.

use std::time::Duration;

use fleet_server::connection::Listener;
use fleet_server::server::Event;

use crate::agenda::Happening;
use crate::run::Sim;
use crate::wire::{Owner, Wire};

/// A handler that is at work for longer, with a store that is well, never ends.
const WORK_FOR_MAX: Duration = Duration::from_secs(20);

impl Sim {
    /// From now on nobody makes trouble.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.agenda.cancel(|happening| {
            matches!(
                happening,
                Happening::Operator | Happening::Stranger | Happening::Clock | Happening::Leap
            )
        });
        self.heal_store();
        self.mend_policies();
        for index in 0..self.agents.len() {
            self.leave_stuck(index);
            let soon = self.mono + self.dice.millis(0, 1_000);
            self.agents[index].not_before = soon;
            self.wake_agent(index, soon);
        }
    }

    /// Waits for a moment at which the core has nothing to do.
    pub(crate) fn come_to_rest(&mut self) {
        let until = self.mono + WORK_FOR_MAX;
        while !self.server.is_idle() {
            if self.mono >= until {
                let asked: Vec<_> = self.wires.iter().map(|(id, wire)| (id, wire.asked.front())).collect();
                self.broken(
                    "every handler ends",
                    &format!("the core is at work without an end, for some of {asked:?}"),
                );
            }
            self.go_until(self.mono + Duration::from_millis(3));
        }
    }

    pub(crate) fn check_at_rest(&mut self) {
        self.come_to_rest();
        let fleet = self.server.fleet();
        let parked = fleet.lot.parked();
        if fleet.lot.len() != parked {
            self.broken("no seat is left behind", &format!("{} seats, {parked} parked", fleet.lot.len()));
        }
        let in_flight = fleet.admission.in_flight(Listener::External) as usize;
        if in_flight != parked {
            self.broken("requests are counted out", &format!("{in_flight} requests, {parked} parked"));
        }
        if !fleet.rollout.is_empty() || !fleet.action_queue.is_empty() {
            self.broken(
                "queues run empty",
                &format!("{} and {}", fleet.rollout.len(), fleet.action_queue.len()),
            );
        }
        for index in 0..self.agents.len() {
            self.check_agent(index);
        }
        self.check_documents();
    }

    fn check_agent(&self, index: usize) {
        let agent = &self.agents[index];
        let Some(identity) = agent.identity.as_ref().filter(|_| agent.is_living()) else {
            let may_enroll = self.ledger.policies[agent.policy].token.is_some();
            if agent.identity.is_none() && may_enroll {
                self.broken("an agent can enrol", &format!("agent {index}"));
            }
            return;
        };
        let stored = self.store.agent(&identity.id);
        let Some(stored) =
            stored.filter(|stored| stored.active && stored.access_api_key_id == identity.key_id)
        else {
            self.broken("no acknowledged enrolment is lost", &format!("agent {index}, {identity:?}"));
        };
        let due =
            self.ledger.actions.iter().filter(|action| action.must_arrive && action.is_for(&identity.id));
        if let Some(lost) = due.into_iter().find(|action| !agent.got.contains(&action.seq_no)) {
            self.broken("no lost action", &format!("agent {index} ({}): {lost:?}", identity.id));
        }
        if !agent.to_ack.is_empty() {
            self.broken("acknowledgements come through", &format!("agent {index}: {:?}", agent.to_ack));
        }
        let Some(policy) = self.ledger.policy(&stored.policy_id) else { return };
        let Some(newest) = policy.newest.filter(|newest| newest.sound) else { return };
        // a document that holds a higher revision of what was deleted is believed
        if policy.went_back && !agent.reports {
            return;
        }
        let runs = agent.runs.as_ref().filter(|(id, _, _)| *id == policy.id).is_some_and(
            |(_, revision_idx, marker)| {
                // one number twice cannot be told apart
                *marker == newest.marker || policy.went_back && *revision_idx == newest.revision_idx
            },
        );
        if !runs {
            self.broken(
                "every agent ends on the newest revision",
                &format!("agent {index}: {:?}, not {policy:?}", agent.runs),
            );
        }
        if stored.policy_revision_idx != newest.revision_idx && !policy.went_back {
            let text = format!("agent {index}: {}, not {newest:?}", stored.policy_revision_idx);
            self.broken("the revision an agent runs is recorded", &text);
        }
    }

    /// No document of an agent that nobody can be.
    fn check_documents(&self) {
        let documents = self.store.agents().into_iter().filter(|agent| agent.active);
        for stored in documents {
            let key = &stored.access_api_key_id;
            if !self.ledger.may_be_known(key) && !self.store.excused_keys.contains(key) {
                self.broken("an enrolment whose client is gone is taken back", &format!("{stored:?}"));
            }
        }
    }

    /// Agents do nothing more: what they wait for is answered, then their connections are closed for being idle.
    pub(crate) fn fall_silent(&mut self) {
        self.quiet = true;
        let timeouts = self.settings.config.server.timeouts.clone();
        let slowest = Duration::from_secs(180) + timeouts.checkin_long_poll + timeouts.write + timeouts.read;
        self.go_until(self.mono + slowest);
        let fleet = self.server.fleet();
        let left = (self.wires.len(), fleet.lot.len(), fleet.admission.in_flight(Listener::External));
        if left != (0, 0, 0) || !self.server.is_idle() {
            self.broken("nothing is left of who is gone", &format!("connections, seats, requests: {left:?}"));
        }
    }

    /// The server stops: who is parked is answered, last, and told to come back on another connection.
    pub(crate) fn stop(&mut self) {
        (self.quiet, self.stopping) = (true, true);
        self.tell(Event::Stop);
        let drain = self.settings.config.server.timeouts.drain;
        self.go_until(self.mono + drain + Duration::from_secs(5));
        if !self.exited {
            self.broken("a stop comes to its end", "no Exit");
        }
        // who takes its answer slowly is not waited for
        let is_quick = |wire: &&Wire| matches!(wire.owner, Owner::Agent(_)) && !wire.is_taking();
        if let Some(wire) = self.wires.values().filter(is_quick).find(|wire| wire.waits_for_an_answer()) {
            self.broken(
                "every request gets exactly one answer",
                &format!("at the stop: {:?}", wire.asked.front()),
            );
        }
    }
}
