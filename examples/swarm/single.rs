//! One agent on a blocking connection of its own: its times are not mixed with a loop's.

use std::time::{Duration, Instant};

use crate::agent::{Agent, Answer, Call};
use crate::answer;
use crate::client::Client;
use crate::failure::Failure;
use crate::message::Messages;
use crate::tally::Tally;

/// An agent that never adopts the policy it is given: each of its check-ins is answered at once.
pub(crate) struct Single<'a> {
    client: Client,
    messages: &'a Messages,
    agent: Agent,
    /// Of its calls.
    pub(crate) tally: Tally,
}

impl<'a> Single<'a> {
    /// Enrols over a new connection; how long that took comes along.
    pub(crate) fn enroll(client: Client, messages: &'a Messages) -> Result<(Self, Duration), Failure> {
        let mut single = Self { client, messages, agent: Agent::new(0), tally: Tally::default() };
        let (answer, time) = single.call(&Call::Enroll)?;
        single.agent.absorb(&Call::Enroll, &answer);
        Ok((single, time))
    }

    /// A check-in without a policy, which the server answers with the newest one.
    pub(crate) fn check_in(&mut self) -> Result<(Answer, Duration), Failure> {
        let answered = self.call(&Call::CheckIn)?;
        self.agent.introduced = true;
        Ok(answered)
    }

    /// Acknowledges what `answer` brought.
    pub(crate) fn acknowledge(&mut self, answer: &Answer) -> Result<Duration, Failure> {
        match answer {
            Answer::Policy { action_id, .. } => {
                self.call(&Call::Acknowledge(vec![action_id.clone()])).map(|(_, time)| time)
            }
            _ => Err(Failure::answer("a check-in without a policy was not answered with one")),
        }
    }

    /// Ends the connection; its counts are left.
    pub(crate) fn leave(mut self) -> Tally {
        self.client.disconnect();
        self.tally
    }

    fn call(&mut self, call: &Call) -> Result<(Answer, Duration), Failure> {
        let request = self.messages.request(&self.agent, call)?;
        self.tally.calls += 1;
        self.tally.request_bytes += request.len() as u64;
        let started = Instant::now();
        let response = self.client.exchange(&request).map_err(|message| Failure::answer(&message))?;
        let time = started.elapsed();
        self.tally.answers += 1;
        self.tally.response_bytes += response.body.len() as u64;
        answer::read(&self.agent, call, &response).map(|answer| (answer, time))
    }
}
