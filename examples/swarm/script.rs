//! What agents do in a scenario. A script answers "what now?" and keeps the times that its scenario reports.

use std::time::Instant;

use crate::agent::{Agent, Answer, Call};

/// The behaviour of a shard's agents during one phase.
pub(crate) trait Script: Send {
    /// An agent's first step.
    fn begin(&mut self, agent: &Agent) -> Next;

    /// The last byte of a request went out.
    fn sent(&mut self, agent: &Agent, call: &Call, now: Instant) -> Next {
        let _ = (agent, call, now);
        Next::Keep
    }

    /// A good answer came; the agent has taken over what it says.
    fn answered(&mut self, exchange: &Exchange) -> Next;
}

/// An answered call.
pub(crate) struct Exchange {
    pub(crate) answer: Answer,
    /// Start of the connection or of the request, as [`crate::session::InFlight`] says.
    pub(crate) since: Instant,
    /// When the response was complete.
    pub(crate) now: Instant,
}

/// An agent's next step.
pub(crate) enum Next {
    /// Nothing new: it waits for what it waits for.
    Keep,
    /// A call, on the agent's connection or a new one.
    Call(Call),
    /// A call after the pause that a real agent makes, 1 to 1.5 s.
    CallAfterPause(Call),
    /// Done as far as the phase is concerned; the connection stays.
    Settle,
    /// Done, and the connection is closed.
    HangUp,
}

/// What a real agent does with an answer: it acknowledges whatever it was given, then checks in again.
/// `None` when the poll only ended.
pub(crate) fn acknowledge(answer: &Answer) -> Option<Call> {
    match answer {
        Answer::Policy { action_id, .. } => Some(Call::Acknowledge(vec![action_id.clone()])),
        Answer::Actions { action_ids, .. } => Some(Call::Acknowledge(action_ids.clone())),
        Answer::Acknowledged | Answer::Enrolled(_) => Some(Call::CheckIn),
        Answer::Nothing => None,
    }
}
