//! Operators: they write revisions and actions, reassign agents, delete policies and make them anew, with the store itself.

use std::time::Duration;

use fleet_server::model::raw::raw;
use fleet_server::model::{Action, Patch, Policy};
use fleet_server::store::{Answer, Operation};
use serde_json::{Value, json};

use crate::agenda::Happening;
use crate::ledger::{ActionFacts, PolicyFacts, RevisionFacts};
use crate::run::Sim;

const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Sim {
    /// The policies there are at the start.
    pub(crate) fn set_up(&mut self) {
        for number in 0..self.settings.policies {
            let id = format!("policy-{number}");
            self.ledger.policies.push(PolicyFacts {
                id,
                newest: None,
                token: None,
                round: 0,
                went_back: false,
            });
            self.write_revision(number, 1, true);
            self.make_token(number);
        }
    }

    pub(crate) fn operator_acts(&mut self) {
        let policy = self.dice.index(self.settings.policies);
        match self.dice.below(20) {
            0..8 => self.revise(policy),
            8..17 => self.act(),
            17 | 18 => self.reassign(),
            _ => self.delete_policy(policy),
        }
        self.gather_news();
        let next = self.dice.millis(200, 40_000);
        self.agenda.plan(self.mono + next, Happening::Operator);
    }

    fn revise(&mut self, number: usize) {
        let facts = &self.ledger.policies[number];
        match facts.newest {
            Some(newest) => {
                let revision_idx = newest.revision_idx + self.dice.between(1, 2) as i64;
                let sound = self.dice.percent(90);
                self.write_revision(number, revision_idx, sound);
            }
            None => self.make_anew(number),
        }
    }

    /// Leaves every policy with a revision that can be delivered.
    pub(crate) fn mend_policies(&mut self) {
        for number in 0..self.settings.policies {
            if self.dice.percent(70) {
                match self.ledger.policies[number].newest {
                    Some(newest) => self.write_revision(number, newest.revision_idx + 1, true),
                    None => self.make_anew(number),
                }
            }
        }
        self.gather_news();
    }

    fn make_anew(&mut self, number: usize) {
        let back = self.dice.percent(50);
        self.ledger.policies[number].went_back |= back;
        let revision_idx = if back { 1 } else { 1_000 + self.mono.as_secs() as i64 };
        self.write_revision(number, revision_idx, true);
        self.make_token(number);
    }

    fn write_revision(&mut self, number: usize, revision_idx: i64, sound: bool) {
        let marker = self.ledger.next_marker();
        let id = self.ledger.policies[number].id.clone();
        let outputs = if sound { json!({"default": {"type": "elasticsearch"}}) } else { json!({}) };
        let filler = "input ".repeat(self.dice.between(1, 400) as usize);
        let data = json!({
            "id": id, "revision": revision_idx, "outputs": outputs, "agent": {"marker": marker},
            "inputs": [{"id": filler}], "secret_references": [{"id": "never sent"}],
        });
        let policy = Policy {
            policy_id: id,
            revision_idx,
            timestamp: self.now().wall.rfc3339(),
            data: raw(&data),
            unenroll_timeout_seconds: 0,
            namespaces: Vec::new(),
            default_fleet_server: false,
        };
        self.store.run(Operation::CreateRevision(Box::new(policy))).unwrap();
        self.ledger.policies[number].newest = Some(RevisionFacts { revision_idx, marker, sound });
        self.tally.revisions += 1;
    }

    fn make_token(&mut self, number: usize) {
        let policy_id = self.ledger.policies[number].id.clone();
        let create = Operation::CreateToken { policy_id, name: "simulated".into(), at: self.now().wall };
        let Ok(Answer::Token(Some(token))) = self.store.run(create) else { return };
        self.ledger.policies[number].token = Some(token.api_key);
    }

    fn delete_policy(&mut self, number: usize) {
        let facts = &mut self.ledger.policies[number];
        if facts.newest.take().is_none() {
            return;
        }
        facts.token = None;
        facts.round += 1;
        self.ledger.deletions += 1;
        let id = self.ledger.policies[number].id.clone();
        self.store.run(Operation::DeletePolicy(id)).unwrap();
        self.tally.deleted += 1;
    }

    fn living(&self) -> Vec<String> {
        let living = self.agents.iter().filter(|agent| agent.is_living());
        living.filter_map(|agent| agent.identity.as_ref()).map(|identity| identity.id.clone()).collect()
    }

    fn act(&mut self) {
        let (kind, data, sound) = match self.dice.below(12) {
            0 => ("UPDATE_TAGS", json!({"tags": []}), true),
            1 => ("UPGRADE", json!({"version": 5}), false),
            2 | 3 => ("UPGRADE", json!({"version": "9.6.1"}), true),
            4 => ("CANCEL", json!({"target_id": "x"}), true),
            5 => ("REQUEST_DIAGNOSTICS", Value::Null, true),
            6 => ("INPUT_ACTION", json!({"any": ["thing"]}), true),
            7 if self.dice.percent(60) => ("UNENROLL", json!({}), true),
            _ => ("SETTINGS", json!({"log_level": "debug", "x": 1}), true),
        };
        let living = self.living();
        let mut agents: Vec<String> = living.iter().filter(|_| self.dice.percent(60)).cloned().collect();
        if kind == "UNENROLL" {
            agents.truncate(1);
        }
        if !agents.is_empty() {
            self.write_action(kind, data, sound, agents);
        }
    }

    fn write_action(&mut self, kind: &str, data: Value, sound: bool, agents: Vec<String>) {
        let wall = self.now().wall;
        let expiration = match self.dice.below(8) {
            0 => wall.minus(DAY * 10).rfc3339(),
            1 => String::new(),
            _ => wall.plus(DAY * 20).rfc3339(),
        };
        let lives = expiration > wall.rfc3339();
        let rollout = self.dice.percent(20);
        let action_id = format!("action-{}", self.ledger.actions.len());
        let action = Action {
            action_id: action_id.clone(),
            kind: kind.to_owned(),
            agents: agents.clone(),
            data: Some(raw(&data)),
            expiration,
            start_time: if rollout { wall.rfc3339() } else { String::new() },
            rollout_duration_seconds: if rollout { 3_600 } else { 0 },
            timestamp: wall.rfc3339(),
            ..Action::default()
        };
        let Ok(Answer::SeqNo(Some(seq_no))) = self.store.run(Operation::CreateAction(Box::new(action)))
        else {
            return;
        };
        let Ok(Answer::Actions(newest)) = self.store.run(Operation::Actions { limit: 1 }) else { return };
        let must_arrive = lives && sound && kind != "UPDATE_TAGS";
        self.ledger.actions.push(ActionFacts {
            seq_no,
            action_id,
            document_id: newest[0].document_id.clone(),
            kind: kind.to_owned(),
            agents,
            must_arrive,
            sound,
        });
        self.tally.actions_written += 1;
    }

    /// As Kibana does it: the document first, then the action that makes the agent look.
    fn reassign(&mut self) {
        let living = self.living();
        if living.is_empty() {
            return;
        }
        let agent = self.dice.pick(&living).clone();
        let policy = self.dice.index(self.settings.policies);
        let policy_id = self.ledger.policies[policy].id.clone();
        let patch = Patch::new().set("policy_id", &policy_id).set("policy_revision_idx", 0);
        // it may have gone in this very moment
        let _ = self.store.run(Operation::UpdateAgent { agent: agent.clone(), patch });
        self.write_action("POLICY_REASSIGN", json!({ "policy_id": policy_id }), true, vec![agent]);
        self.tally.reassigned += 1;
    }
}
