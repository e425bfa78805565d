//! Agents, policies and what was delivered.

use super::Moment;
use crate::fleet::Fleet;
use crate::fleet::health::State;
use crate::metrics::Family;

/// Policies whose agents are counted; of further ones nothing is shown but how many there are.
const POLICIES_SHOWN_MAX: usize = 1_000;

const STATES: [State; 4] = [State::Starting, State::Healthy, State::Degraded, State::Stopping];

pub(super) fn families(moment: &Moment<'_>) -> Vec<Family> {
    let fleet = moment.fleet;
    let counters = &fleet.counters;
    let state = fleet.health.state();
    let states = STATES.map(|each| (each.name(), each == state));
    let mut families = vec![
        Family::gauge("fleet_server_state", "1 for the state that the server is in.").each("state", states),
        Family::gauge("fleet_server_agents_seated", "Agents that are checking in or parked.")
            .only(fleet.lot.len()),
        Family::gauge("fleet_server_agents_parked", "Agents whose check-in waits for news.")
            .only(fleet.lot.parked()),
        Family::gauge("fleet_server_deliveries_in_flight", "Answers to check-ins on their way.")
            .only(moment.figures.deliveries),
        Family::counter("fleet_server_enrolments_total", "Agents enrolled.").only(counters.enrolments),
        Family::counter("fleet_server_acks_total", "Events acknowledged.").only(counters.acks),
        Family::counter("fleet_server_action_deliveries_total", "Actions given to agents.")
            .only(counters.actions_delivered),
        Family::counter("fleet_server_policy_deliveries_total", "Policy revisions given to agents.")
            .only(counters.policies_delivered),
        Family::gauge("fleet_server_policies", "Policies with a revision that can be delivered.")
            .only(fleet.policies.iter().count()),
    ];
    families.extend(rollouts(fleet));
    families
}

/// How far the newest revision of each policy has come among the agents that are here.
fn rollouts(fleet: &Fleet) -> [Family; 4] {
    let mut revision = Family::gauge("fleet_server_policy_revision", "The newest revision.");
    let mut agents = Family::gauge("fleet_server_policy_agents", "Agents on the policy that are here.");
    let mut outdated =
        Family::gauge("fleet_server_policy_agents_outdated", "Those of them that have an older revision.");
    let mut delivered = Family::counter(
        "fleet_server_policy_revisions_delivered_total",
        "Revisions of the policy given to agents.",
    );
    for newest in fleet.policies.iter().take(POLICIES_SHOWN_MAX) {
        let policy = || [("policy", newest.policy_id.to_string().into())];
        let (mut here, mut older) = (0_u64, 0_u64);
        for seat in fleet.lot.seats_of(&newest.policy_id) {
            here += 1;
            older += u64::from(seat.revision_idx < newest.revision_idx);
        }
        revision = revision.with(policy(), u64::try_from(newest.revision_idx).unwrap_or(0));
        agents = agents.with(policy(), here);
        outdated = outdated.with(policy(), older);
        delivered = delivered.with(policy(), fleet.policies.delivered(&newest.policy_id));
    }
    [revision, agents, outdated, delivered]
}
