//! The status of an agent in lists (interface.md, "Status of an agent in lists"). Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::model::{Agent, Policy};
use crate::time::Timestamp;

/// Without a check-in for so long an agent is offline. A parked one writes a heartbeat every half minute.
const OFFLINE_AFTER: Duration = Duration::from_secs(5 * 60);
/// Kibana's default of a policy's `inactivity_timeout`: two weeks.
const INACTIVITY_TIMEOUT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What an agent is doing, as a list says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentStatus {
    /// It checks in and is well.
    Online,
    /// It says that it has failed.
    Error,
    /// It says that something does not work.
    Degraded,
    /// No check-in for five minutes.
    Offline,
    /// An upgrade or a change of policy is under way.
    Updating,
    /// It was told to go.
    Unenrolling,
    /// No check-in for the policy's `inactivity_timeout`.
    Inactive,
    /// It is gone.
    Unenrolled,
}

impl AgentStatus {
    /// Every status.
    pub const ALL: [AgentStatus; 8] = [
        AgentStatus::Online,
        AgentStatus::Error,
        AgentStatus::Degraded,
        AgentStatus::Offline,
        AgentStatus::Updating,
        AgentStatus::Unenrolling,
        AgentStatus::Inactive,
        AgentStatus::Unenrolled,
    ];

    /// As it is written and searched for.
    pub fn name(self) -> &'static str {
        match self {
            AgentStatus::Online => "online",
            AgentStatus::Error => "error",
            AgentStatus::Degraded => "degraded",
            AgentStatus::Offline => "offline",
            AgentStatus::Updating => "updating",
            AgentStatus::Unenrolling => "unenrolling",
            AgentStatus::Inactive => "inactive",
            AgentStatus::Unenrolled => "unenrolled",
        }
    }

    /// The status of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// `inactivity_timeout` by policy; what a policy does not say is Kibana's default.
#[derive(Clone, Debug, Default)]
pub(super) struct InactivityTimeouts {
    by_policy: BTreeMap<String, Duration>,
}

impl InactivityTimeouts {
    /// Reads them from the newest revisions. Parses whole policies: worker's work.
    pub(super) fn read(policies: &[Arc<Policy>]) -> Self {
        #[derive(Deserialize)]
        struct Data {
            inactivity_timeout: Option<u64>,
        }
        let timeout = |policy: &Policy| {
            let data: Data = serde_json::from_str(policy.data.get()).ok()?;
            data.inactivity_timeout.map(Duration::from_secs)
        };
        let with_timeout = |policy: &Arc<Policy>| Some((policy.policy_id.clone(), timeout(policy)?));
        InactivityTimeouts { by_policy: policies.iter().filter_map(with_timeout).collect() }
    }

    fn of(&self, policy_id: &str) -> Option<Duration> {
        let timeout = self.by_policy.get(policy_id).copied().unwrap_or(INACTIVITY_TIMEOUT);
        // 0: never
        (!timeout.is_zero()).then_some(timeout)
    }
}

/// What the agent is doing at `now`.
pub(super) fn status(agent: &Agent, timeouts: &InactivityTimeouts, now: Timestamp) -> AgentStatus {
    let seen = agent.last_checkin.as_deref().or(agent.enrolled_at.as_deref()).and_then(Timestamp::parse);
    let silent_for = |limit: Duration| seen.is_some_and(|seen| seen.plus(limit) < now);
    let said = agent.last_checkin_status.as_deref().unwrap_or_default();
    if !agent.active {
        AgentStatus::Unenrolled
    } else if timeouts.of(&agent.policy_id).is_some_and(silent_for) {
        AgentStatus::Inactive
    } else if silent_for(OFFLINE_AFTER) || said.eq_ignore_ascii_case("disconnected") {
        AgentStatus::Offline
    } else if agent.unenrollment_started_at.is_some() {
        AgentStatus::Unenrolling
    } else if is_upgrading(agent) || changes_policy(agent) {
        AgentStatus::Updating
    } else if said.eq_ignore_ascii_case("error") {
        AgentStatus::Error
    } else if said.eq_ignore_ascii_case("degraded") {
        AgentStatus::Degraded
    } else {
        AgentStatus::Online
    }
}

/// From the action's writing until the agent acknowledged it or, where it tells more, is done with it.
fn is_upgrading(agent: &Agent) -> bool {
    #[derive(Deserialize)]
    struct Details {
        #[serde(default)]
        state: String,
    }
    let details =
        agent.upgrade_details.as_ref().and_then(|raw| serde_json::from_str::<Details>(raw.get()).ok());
    match details {
        Some(details) if details.state == "UPG_FAILED" => false,
        Some(details) if !details.state.is_empty() => true,
        _ => agent.upgrade_started_at.is_some() && agent.upgraded_at.is_none(),
    }
}

/// It has not said yet that it runs the policy it is assigned to.
fn changes_policy(agent: &Agent) -> bool {
    let runs_another = agent.agent_policy_id.as_ref().is_some_and(|runs| *runs != agent.policy_id);
    agent.policy_revision_idx == 0 || runs_another
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::raw;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn ago(seconds: u64) -> Option<String> {
        Some(NOW.minus(Duration::from_secs(seconds)).rfc3339())
    }

    fn agent() -> Agent {
        Agent {
            active: true,
            policy_id: "p".into(),
            policy_revision_idx: 3,
            last_checkin: ago(10),
            last_checkin_status: Some("online".into()),
            ..Agent::default()
        }
    }

    fn of(agent: Agent) -> AgentStatus {
        status(&agent, &InactivityTimeouts::default(), NOW)
    }

    fn details(state: &str) -> Option<raw::Raw> {
        Some(raw::raw(&serde_json::json!({ "state": state })))
    }

    #[test]
    fn a_well_agent_is_what_it_says() {
        for (said, shown) in [
            ("online", AgentStatus::Online),
            ("ERROR", AgentStatus::Error),
            ("Degraded", AgentStatus::Degraded),
        ] {
            assert_eq!(of(Agent { last_checkin_status: Some(said.into()), ..agent() }), shown);
        }
        assert_eq!(
            of(Agent { last_checkin_status: Some("starting".into()), ..agent() }),
            AgentStatus::Online
        );
        assert_eq!(
            of(Agent { last_checkin_status: Some("disconnected".into()), ..agent() }),
            AgentStatus::Offline
        );
    }

    #[test]
    fn five_minutes_of_silence_are_offline() {
        assert_eq!(of(Agent { last_checkin: ago(300), ..agent() }), AgentStatus::Online);
        assert_eq!(of(Agent { last_checkin: ago(301), ..agent() }), AgentStatus::Offline);
    }

    #[test]
    fn an_agent_that_never_checked_in_is_measured_from_its_enrolment() {
        let fresh = Agent { last_checkin: None, enrolled_at: ago(10), policy_revision_idx: 0, ..agent() };
        assert_eq!(of(fresh.clone()), AgentStatus::Updating);
        assert_eq!(of(Agent { enrolled_at: ago(301), ..fresh }), AgentStatus::Offline);
    }

    #[test]
    fn the_policy_decides_when_silence_becomes_inactivity() {
        let policy = |timeout: u64| {
            let data = raw::raw(&serde_json::json!({ "inactivity_timeout": timeout }));
            let policy = crate::store::default_policy(NOW);
            InactivityTimeouts::read(&[Arc::new(Policy { policy_id: "p".into(), data, ..policy })])
        };
        let silent = |seconds| Agent { last_checkin: ago(seconds), ..agent() };
        assert_eq!(status(&silent(1_001), &policy(1_000), NOW), AgentStatus::Inactive);
        assert_eq!(status(&silent(999), &policy(1_000), NOW), AgentStatus::Offline);
        assert_eq!(status(&silent(100_000_000), &policy(0), NOW), AgentStatus::Offline);
        assert_eq!(of(silent(14 * 86_400 + 1)), AgentStatus::Inactive);
    }

    #[test]
    fn an_upgrade_is_open_until_it_is_acknowledged_or_done() {
        let started = Agent { upgrade_started_at: ago(5), ..agent() };
        assert_eq!(of(started.clone()), AgentStatus::Updating);
        assert_eq!(of(Agent { upgraded_at: ago(1), ..started.clone() }), AgentStatus::Online);
        assert_eq!(
            of(Agent { upgrade_details: details("UPG_FAILED"), ..started.clone() }),
            AgentStatus::Online
        );
        assert_eq!(
            of(Agent { upgrade_details: details("UPG_WATCHING"), upgraded_at: ago(9), ..started }),
            AgentStatus::Updating
        );
    }

    #[test]
    fn a_change_of_policy_is_open_until_the_agent_runs_it() {
        assert_eq!(of(Agent { policy_revision_idx: 0, ..agent() }), AgentStatus::Updating);
        assert_eq!(of(Agent { agent_policy_id: Some("old".into()), ..agent() }), AgentStatus::Updating);
        assert_eq!(of(Agent { agent_policy_id: Some("p".into()), ..agent() }), AgentStatus::Online);
    }

    #[test]
    fn leaving_stands_above_updating_and_gone_above_all() {
        let leaving = Agent { unenrollment_started_at: ago(5), upgrade_started_at: ago(5), ..agent() };
        assert_eq!(of(leaving.clone()), AgentStatus::Unenrolling);
        assert_eq!(of(Agent { active: false, last_checkin: ago(9_999), ..leaving }), AgentStatus::Unenrolled);
    }

    #[test]
    fn names_are_read_back() {
        for status in AgentStatus::ALL {
            assert_eq!(AgentStatus::of_name(status.name()), Some(status));
        }
    }
}
