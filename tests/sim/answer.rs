//! What agents make of answers, and what an answer promises.

use std::time::Duration;

use serde_json::Value;

use crate::agent::Identity;
use crate::request::{CheckIn, Event, Kind, Request};
use crate::response::Response;
use crate::run::Sim;
use crate::wire::{Owner, pause, text};

/// An agent that got actions comes back so soon.
const BACK_AFTER_MS: (u64, u64) = (100, 1_500);

impl Sim {
    /// An answer is there. `dies`: the client is gone before it reads.
    pub(crate) fn answered(&mut self, owner: Owner, request: Request, response: &Response, dies: bool) {
        self.tally.answers += 1;
        if let Kind::Enroll { .. } = request.kind
            && response.status == 200
        {
            // whatever becomes of it: it was written, so somebody may have the key
            let key_id = self.field(response, "/item/access_api_key_id");
            self.ledger.key_given(&key_id);
        }
        if let Kind::Other { statuses } = request.kind {
            if !statuses.is_empty() && !statuses.contains(&response.status) {
                self.broken(
                    "a stranger gets what it deserves",
                    &format!("{response:?}, not one of {statuses:?}"),
                );
            }
            return;
        }
        let Owner::Agent(index) = owner else { return };
        if dies {
            return;
        }
        self.check_status(index, &request, response);
        match request.kind {
            Kind::Enroll { .. } => self.enrolled(index, response),
            Kind::CheckIn(check_in) => self.checked_in(index, &check_in, request.since, response),
            Kind::Acks { events } => self.acknowledged(index, &events, response),
            Kind::Other { .. } => {}
        }
    }

    fn field(&self, response: &Response, pointer: &str) -> String {
        let value = self.json(response);
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn json(&self, response: &Response) -> Value {
        text(response).unwrap_or_else(|reason| self.broken("every answer's body is sound", &reason))
    }

    /// Trouble of the store is 503 or 429 and nothing else; nobody who is good is refused.
    fn check_status(&self, index: usize, request: &Request, response: &Response) {
        let agent = &self.agents[index];
        let revoked = match request.kind {
            Kind::Enroll { policy, token_round } => self.ledger.policies[policy].round != token_round,
            _ => false,
        };
        if agent.leaving || revoked || matches!(response.status, 200 | 429 | 503) {
            return;
        }
        let slowly = |given_at| given_at >= request.since + self.settings.config.server.timeouts.read_header;
        if request.given_at.is_none_or(slowly) && matches!(response.status, 400 | 408 | 499) {
            return;
        }
        let text = String::from_utf8_lossy(&response.body).into_owned();
        // it has nothing to run on, and of its policy there is only what an operator has got wrong
        if response.status == 500 && text.contains("policy cannot be delivered") {
            return;
        }
        let name = match response.status {
            401 | 403 | 404 => "a failing store never refuses a good key and agent",
            _ => "a good request gets 200, 429 or 503",
        };
        self.broken(name, &format!("agent {index}, {request:?}: {} {text}", response.status));
    }

    fn back_off(&mut self, index: usize) {
        let pause = pause(&mut self.dice, self.calm);
        self.agents[index].not_before = self.mono + pause;
        self.wake_agent(index, self.mono + pause);
    }

    fn come_back(&mut self, index: usize) {
        let soon = self.dice.millis(BACK_AFTER_MS.0, BACK_AFTER_MS.1);
        self.agents[index].not_before = self.mono + soon;
        self.wake_agent(index, self.mono + soon);
    }

    fn enrolled(&mut self, index: usize, response: &Response) {
        self.agents[index].checking_in = false;
        if response.status != 200 {
            // the token of a deleted policy: another policy's may do
            if response.status == 401 && !self.agents[index].named {
                self.agents[index].policy = self.dice.index(self.settings.policies);
            }
            return self.back_off(index);
        }
        let identity = Identity {
            id: self.field(response, "/item/id"),
            token: self.field(response, "/item/access_api_key"),
            key_id: self.field(response, "/item/access_api_key_id"),
        };
        let stored = self.store.agent(&identity.id);
        let is_there = stored.is_some_and(|agent| agent.active && agent.access_api_key_id == identity.key_id);
        if !is_there || !self.store.is_good(&identity.token) {
            self.broken("no acknowledged enrolment is lost", &format!("{identity:?}"));
        }
        self.tally.enrolled += 1;
        self.ledger.enrolled(&identity.id);
        self.agents[index].identity = Some(identity);
        self.come_back(index);
    }

    fn acknowledged(&mut self, index: usize, events: &[Event], response: &Response) {
        self.agents[index].acking = None;
        let answer = if matches!(response.status, 200 | 503) { self.json(response) } else { Value::Null };
        if answer["action"] != "acks" {
            if self.agents[index].leaving && matches!(response.status, 401 | 403) {
                self.leave(index);
            }
            return self.back_off(index);
        }
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.len() != events.len() {
            self.broken("an acknowledgement has an item for each event", &format!("{answer} for {events:?}"));
        }
        for (event, item) in events.iter().zip(items) {
            match item["status"].as_u64() {
                Some(200) => self.event_acknowledged(index, event),
                Some(429 | 503) => {}
                _ => self.broken(
                    "an action of the agent's own can be acknowledged",
                    &format!("{event:?}: {item}"),
                ),
            }
        }
        if response.status != 200 {
            return self.back_off(index);
        }
        self.tally.acknowledged += 1;
        if self.agents[index].leaving && events.iter().any(|event| event.is_end) {
            self.leave(index);
        }
        self.wake_agent(index, self.mono + Duration::from_millis(100));
    }

    fn event_acknowledged(&mut self, index: usize, event: &Event) {
        let id = self.agents[index].identity.as_ref().map(|identity| identity.id.clone()).unwrap_or_default();
        let is_written = match &event.policy {
            Some((policy, revision_idx)) => self.store.has_recorded(&id, policy, *revision_idx),
            None => self.store.has_result(&event.action_id, &id),
        };
        if !is_written {
            self.broken("no acknowledged write is lost", &format!("agent {id}, {event:?}"));
        }
        if !event.is_end {
            self.agents[index].to_ack.retain(|waiting| waiting.action_id != event.action_id);
        }
    }

    fn leave(&mut self, index: usize) {
        let agent = &mut self.agents[index];
        agent.gone = true;
        agent.to_ack.clear();
        for wire in [agent.main.take(), agent.side.take()].into_iter().flatten() {
            self.abandon(wire);
        }
        self.tally.left += 1;
    }

    fn checked_in(&mut self, index: usize, asked: &CheckIn, since: Duration, response: &Response) {
        self.agents[index].checking_in = false;
        if response.status != 200 {
            return self.back_off(index);
        }
        let answer = self.json(response);
        if answer["action"] != "checkin" || !answer["ack_token"].is_string() {
            self.broken("an answer to a check-in has its form", &answer.to_string());
        }
        let actions = answer["actions"].as_array().cloned().unwrap_or_default();
        let is_policy = actions.first().is_some_and(|action| action["type"] == "POLICY_CHANGE");
        match answer["ack_token"].as_str().unwrap_or_default() {
            "" if is_policy => self.take_policy(index, asked, &actions[0]),
            "" => self.check_empty(index, asked, since, &actions),
            token => self.take_actions(index, asked, token, &actions),
        }
        self.come_back(index);
    }

    /// An empty answer before the poll's end needs a reason.
    fn check_empty(&mut self, index: usize, asked: &CheckIn, since: Duration, actions: &[Value]) {
        self.tally.empty += 1;
        let agent = &self.agents[index];
        let id = agent.identity.as_ref().map(|identity| identity.id.as_str()).unwrap_or_default();
        let held_long_enough = self.mono + Duration::from_millis(20) >= since + asked.shortest;
        let newer_check_in = agent.checked_in_at > since;
        let nothing_for_agents =
            self.ledger.actions.iter().any(|action| !action.is_delivered() && action.is_for(id));
        let policy_deleted = self.ledger.deletions != asked.deletions;
        let stray = agent.strays > 0;
        let reason =
            held_long_enough || newer_check_in || nothing_for_agents || policy_deleted || self.stopping;
        if !reason && stray {
            self.agents[index].strays -= 1;
        }
        let reason = reason || stray;
        if !actions.is_empty() || !reason {
            let text = format!("agent {index} asked {asked:?} at {since:?}, answered {actions:?}");
            self.broken("a parked agent stays parked until something comes for it", &text);
        }
    }

    fn take_policy(&mut self, index: usize, asked: &CheckIn, action: &Value) {
        self.tally.policies += 1;
        let id = action["id"].as_str().unwrap_or_default().to_owned();
        let policy = &action["data"]["policy"];
        let marker = policy["agent"]["marker"].as_u64().unwrap_or_default();
        let Some((policy_id, revision_idx)) =
            id.strip_prefix("policy:").and_then(|rest| rest.rsplit_once(':'))
        else {
            self.broken("a policy's action has its form", &action.to_string());
        };
        let (policy_id, revision_idx): (String, i64) =
            (policy_id.to_owned(), revision_idx.parse().unwrap_or(-1));
        let agent = &self.agents[index];
        let own = agent.identity.as_ref().map(|identity| identity.id.as_str());
        if action["agent_id"].as_str() != own || policy["id"] != policy_id.as_str() {
            self.broken("an agent gets its own answer", &action.to_string());
        }
        if let Some((_, _, old)) = agent.runs.as_ref().filter(|(running, _, _)| *running == policy_id)
            && marker < *old
        {
            self.broken(
                "no older revision after a newer one",
                &format!("agent {index}: {marker} after {old}"),
            );
        }
        let again =
            asked.reported.as_ref().is_some_and(|(running, old)| *running == policy_id && marker == *old);
        if again && agent.reports {
            self.broken(
                "a revision that the agent has is not delivered again",
                &format!("agent {index}: {id}"),
            );
        }
        let event = Event { action_id: id, policy: Some((policy_id.clone(), revision_idx)), is_end: false };
        let agent = &mut self.agents[index];
        agent.runs = Some((policy_id, revision_idx, marker));
        agent.to_ack.push(event);
    }

    fn take_actions(&mut self, index: usize, asked: &CheckIn, token: &str, actions: &[Value]) {
        let Some(token_seq_no) = self.ledger.seq_no_of_token(token) else {
            self.broken("an ack token is that of an action", token);
        };
        let own =
            self.agents[index].identity.as_ref().map(|identity| identity.id.clone()).unwrap_or_default();
        let mut last = asked.token_seq_no;
        let mut new = Vec::new();
        for action in actions {
            let Some(facts) = self.ledger.action(action["id"].as_str().unwrap_or_default()) else {
                self.broken("an agent gets actions that exist", &action.to_string());
            };
            let is_own = facts.is_for(&own) && action["agent_id"] == own.as_str();
            if !is_own || action["type"] != facts.kind || !facts.is_delivered() {
                self.broken("an agent gets its own answer", &action.to_string());
            }
            if facts.seq_no <= last || facts.seq_no > token_seq_no {
                let text = format!("agent {index}: {} after {last}, token {token_seq_no}", facts.seq_no);
                self.broken("actions come in order, and none that was acknowledged by token", &text);
            }
            last = facts.seq_no;
            new.push((facts.seq_no, facts.event()));
        }
        let got = &mut self.agents[index].got;
        got.extend(new.iter().map(|(seq_no, _)| *seq_no));
        let passed = |seq_no: i64| seq_no > asked.token_seq_no && seq_no <= token_seq_no;
        let missing = self.ledger.actions.iter().find(|action| {
            action.must_arrive
                && action.is_for(&own)
                && passed(action.seq_no)
                && !got.contains(&action.seq_no)
        });
        if let Some(missing) = missing {
            self.broken(
                "no action is passed over",
                &format!("agent {index} ({own}), token {token}: {missing:?}"),
            );
        }
        self.tally.actions += new.len() as u64;
        let agent = &mut self.agents[index];
        agent.ack_token = token.to_owned();
        agent.token_seq_no = token_seq_no;
        for (_, event) in new {
            if !agent.to_ack.iter().any(|waiting| waiting.action_id == event.action_id) {
                agent.to_ack.push(event);
            }
        }
    }
}
