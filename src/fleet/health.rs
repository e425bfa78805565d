//! The server's state as it reports it: to whoever asks (http-api.md, "GET /api/status"), and to the agent that runs it
//! (agent-mode.md, "States reported").

use std::time::Duration;

use crate::config::Secret;

/// Trouble with the store for shorter than this is not shown to load balancers (interface.md): they would drop every
/// parked agent at once.
const TROUBLE_HIDDEN: Duration = Duration::from_secs(60);

/// A state by its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The policies have never been read, or something is waited for without which the server is of no use.
    Starting,
    /// All is well.
    Healthy,
    /// The store fails, or the agent that runs the server is yet to enrol.
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

/// What a server that an agent runs is waiting for.
#[derive(Clone, PartialEq)]
pub enum Lack {
    /// A look at the policies.
    Knowledge,
    /// The policy of this id; without one any that is a Fleet Server's by default.
    Policy(Option<String>),
    /// An input of type fleet-server in the newest revision of this policy.
    Input(String),
    /// An enrollment token of this policy, by which the agent could enrol.
    Token(String),
    /// The agent's id, which it has once it is enrolled.
    Agent {
        /// The policy it is to get.
        policy_id: String,
        /// By this token.
        token: Secret,
    },
}

/// What the agent that runs the server is told.
#[derive(Clone, PartialEq)]
pub struct Standing {
    /// In one word.
    pub state: State,
    /// For people.
    pub message: String,
    /// By what the agent is to enrol.
    pub enrollment_token: Option<Secret>,
}

/// Follows what the watch says of the store, and what is found out of the policy that the server runs under.
#[derive(Default)]
pub struct Health {
    ever_healthy: bool,
    trouble: Option<(Duration, String)>,
    stopping: bool,
    /// Only where an agent runs the server.
    lack: Option<Lack>,
    /// The policy that the server runs under.
    policy_id: String,
    /// Something that an agent is told has changed since it was.
    changed: bool,
}

impl Health {
    /// At the start of a server that an agent runs.
    pub fn under_agent() -> Self {
        Health { lack: Some(Lack::Knowledge), changed: true, ..Health::default() }
    }

    /// What is found out of the policy that the server runs under.
    pub fn runs_under(&mut self, policy_id: &str, lack: Option<Lack>) {
        if self.lack != lack || self.policy_id != policy_id {
            self.lack = lack;
            self.policy_id = policy_id.to_owned();
            self.changed = true;
        }
    }

    /// What the agent is to be told now, if that is something else than before.
    pub fn take_news(&mut self) -> Option<Standing> {
        std::mem::take(&mut self.changed).then(|| self.standing())
    }

    /// What the agent is told.
    fn standing(&self) -> Standing {
        let enrollment_token = match &self.lack {
            Some(Lack::Agent { token, .. }) if !self.stopping => Some(token.clone()),
            _ => None,
        };
        Standing { state: self.state(), message: self.message(), enrollment_token }
    }

    fn message(&self) -> String {
        if self.stopping {
            return "requests under way are finished".to_owned();
        }
        if let Some((_, reason)) = &self.trouble {
            return format!("the store fails: {reason}");
        }
        match &self.lack {
            None => format!("serving agents, on policy {}", self.policy_id),
            Some(lack) => lack.text(),
        }
    }

    /// News of the store; true if the state changed.
    pub fn store(&mut self, health: Result<(), String>, now: Duration) -> bool {
        let (before, was_healthy) = (self.state(), self.ever_healthy);
        match health {
            Ok(()) => {
                self.ever_healthy = true;
                let had_trouble = self.trouble.take().is_some();
                self.changed |= had_trouble || !was_healthy;
            }
            Err(reason) => match &mut self.trouble {
                Some((_, old)) => {
                    self.changed |= *old != reason;
                    *old = reason;
                }
                None => {
                    self.trouble = Some((now, reason));
                    self.changed = true;
                }
            },
        }
        before != self.state()
    }

    /// The server is going down.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.changed = true;
    }

    /// The state at this moment, for metrics, `status` and the supervising agent.
    pub fn state(&self) -> State {
        self.state_with(self.trouble.is_some())
    }

    /// The state for `/api/status`: short trouble is not shown.
    pub fn shown(&self, now: Duration) -> State {
        let is_long = |since: Duration| now >= since + TROUBLE_HIDDEN;
        self.state_with(self.trouble.as_ref().is_some_and(|(since, _)| is_long(*since)))
    }

    fn state_with(&self, trouble: bool) -> State {
        match &self.lack {
            _ if self.stopping => State::Stopping,
            _ if !self.ever_healthy => State::Starting,
            Some(Lack::Agent { .. }) => State::Degraded,
            Some(_) => State::Starting,
            None if trouble => State::Degraded,
            None => State::Healthy,
        }
    }

    /// Why the state is not healthy.
    pub fn reason(&self) -> Option<String> {
        let trouble = self.trouble.as_ref().map(|(_, reason)| reason.clone());
        trouble.or_else(|| self.lack.as_ref().map(Lack::text))
    }
}

impl Lack {
    fn text(&self) -> String {
        match self {
            Lack::Knowledge => "the policies are being read".to_owned(),
            Lack::Policy(Some(policy_id)) => format!("waiting for policy {policy_id}"),
            Lack::Policy(None) => "waiting for a policy that is a Fleet Server's by default".to_owned(),
            Lack::Input(policy_id) => {
                format!("waiting for an input of type fleet-server in policy {policy_id}")
            }
            Lack::Token(policy_id) => format!("waiting for an enrollment token of policy {policy_id}"),
            Lack::Agent { policy_id, .. } => {
                format!("on policy {policy_id}; the agent has no id yet, which is normal before it enrols")
            }
        }
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
        assert_eq!((health.shown(at(70)), health.reason()), (State::Degraded, Some("still down".to_owned())));
        health.store(Ok(()), at(80));
        assert_eq!(health.shown(at(80)), State::Healthy);
    }

    #[test]
    fn a_store_that_never_worked_is_starting() {
        let mut health = Health::default();
        health.store(Err("down".into()), Duration::ZERO);
        assert_eq!(health.shown(Duration::from_secs(600)), State::Starting);
    }

    /// A server under an agent whose store works.
    fn under_agent() -> Health {
        let mut health = Health::under_agent();
        health.store(Ok(()), Duration::ZERO);
        health
    }

    fn told(health: &mut Health) -> (State, String, Option<Secret>) {
        let standing = health.take_news().expect("there is news");
        (standing.state, standing.message, standing.enrollment_token)
    }

    fn agent() -> Option<Lack> {
        Some(Lack::Agent { policy_id: "p".to_owned(), token: Secret::new("t") })
    }

    #[test]
    fn under_an_agent_nothing_is_healthy_before_the_policy_is_known() {
        let mut health = under_agent();
        assert_eq!((health.state(), health.shown(Duration::MAX)), (State::Starting, State::Starting));
        assert_eq!(told(&mut health).0, State::Starting);
        health.runs_under("p", None);
        assert_eq!(told(&mut health).0, State::Healthy);
    }

    #[test]
    fn what_is_waited_for_is_said_and_is_no_health() {
        let mut health = under_agent();
        for (lack, said) in [
            (Lack::Policy(Some("p".to_owned())), "policy p"),
            (Lack::Policy(None), "by default"),
            (Lack::Input("p".to_owned()), "an input of type fleet-server in policy p"),
            (Lack::Token("p".to_owned()), "an enrollment token of policy p"),
        ] {
            health.runs_under("p", Some(lack));
            let (state, message, token) = told(&mut health);
            assert_eq!((state, health.shown(Duration::ZERO)), (State::Starting, State::Starting));
            assert!(message.contains(said) && token.is_none(), "{message}");
        }
    }

    #[test]
    fn an_agent_without_an_id_is_told_how_to_enrol_and_then_no_more() {
        let mut health = under_agent();
        health.runs_under("p", agent());
        let (state, _, token) = told(&mut health);
        assert!(state == State::Degraded && token == Some(Secret::new("t")));
        assert_eq!(health.shown(Duration::ZERO), State::Degraded);
        health.runs_under("p", None);
        let (state, _, token) = told(&mut health);
        assert!(state == State::Healthy && token.is_none());
    }

    #[test]
    fn trouble_is_told_at_once_with_its_reason_and_goes_by_itself() {
        let mut health = under_agent();
        health.runs_under("p", None);
        told(&mut health);
        health.store(Err("down".into()), Duration::ZERO);
        let (state, message, _) = told(&mut health);
        assert!(state == State::Degraded && message.contains("down"));
        assert_eq!(health.shown(Duration::ZERO), State::Healthy);
        health.store(Ok(()), Duration::ZERO);
        assert_eq!(told(&mut health).0, State::Healthy);
    }

    #[test]
    fn trouble_before_the_first_good_news_is_over_with_it() {
        let mut health = Health::default();
        health.store(Err("down".into()), Duration::ZERO);
        assert!(health.store(Ok(()), Duration::from_secs(100)));
        assert_eq!((health.state(), health.reason()), (State::Healthy, None));
    }

    #[test]
    fn what_has_been_told_is_not_told_again() {
        let mut health = under_agent();
        health.runs_under("p", None);
        told(&mut health);
        health.store(Ok(()), Duration::ZERO);
        health.runs_under("p", None);
        assert!(health.take_news().is_none());
    }
}
