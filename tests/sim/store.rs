//! The world's truth: a store in memory behind workers that are slow, fail, or lose their answers.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_server::api::authorization;
use fleet_server::model::Agent;
use fleet_server::server::{BatchId, Event};
use fleet_server::store::{Answer, Lane, Memory, Operation, Store, StoreError, StoreResult};

use crate::agenda::Happening;
use crate::run::Sim;

/// How the store is at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    Slow,
    Failing,
    /// What begins now ends after the core has lost patience.
    Hanging,
}

/// What becomes of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    /// Nothing is done.
    Fails,
    /// Nothing is done, for too much waits.
    Busy,
    /// All is done, and nobody is told.
    LosesAnswers,
    /// Part of it is done, and nobody is told.
    Breaks(usize),
    /// All is done, and only part of it told.
    AnswersShort,
    /// One operation fails.
    OneFails(usize),
}

struct Batch {
    operations: Vec<Operation>,
    answers: Vec<StoreResult>,
    fate: Fate,
    run: bool,
}

/// The store and what is under way in it.
pub(crate) struct StoreSim {
    memory: Memory,
    pub(crate) mood: Mood,
    under_way: BTreeMap<BatchId, Batch>,
    /// The highest revision that was recorded, or read as recorded, by agent and policy.
    recorded: BTreeMap<(String, String), i64>,
    /// Access keys whose enrolment the core may not have heard of, or cannot undo.
    pub(crate) excused_keys: Vec<String>,
}

impl StoreSim {
    pub(crate) fn new(seed: u64) -> Self {
        StoreSim {
            memory: Memory::new(seed).0,
            mood: Mood::Good,
            under_way: BTreeMap::new(),
            recorded: BTreeMap::new(),
            excused_keys: Vec::new(),
        }
    }

    /// As an operator, who asks the store without detours.
    pub(crate) fn run(&self, operation: Operation) -> StoreResult {
        self.memory.run(vec![operation]).remove(0)
    }

    pub(crate) fn changes(&self) -> Vec<fleet_server::store::Changes> {
        self.memory.changes()
    }

    pub(crate) fn agent(&self, id: &str) -> Option<Agent> {
        match self.run(Operation::AgentWhole(id.to_owned())) {
            Ok(Answer::Agent(agent)) => agent.map(|agent| *agent),
            _ => None,
        }
    }

    pub(crate) fn agents(&self) -> Vec<Agent> {
        match self.run(Operation::Agents {
            policy_id: None,
            from: String::new(),
            limit: 10_000,
            with_metadata: false,
        }) {
            Ok(Answer::Agents(agents)) => agents,
            _ => Vec::new(),
        }
    }

    pub(crate) fn is_good(&self, token: &str) -> bool {
        let key = authorization::parse(token).unwrap();
        matches!(self.run(Operation::Authenticate(key)), Ok(Answer::Authenticated { enabled: true }))
    }

    pub(crate) fn has_result(&self, action_id: &str, agent: &str) -> bool {
        match self.run(Operation::ResultsOfAction(action_id.to_owned())) {
            Ok(Answer::Results(results)) => results.iter().any(|result| result.agent_id == agent),
            _ => false,
        }
    }

    /// Whether this revision, or a higher one, was ever recorded, or the agent is on another policy.
    pub(crate) fn has_recorded(&self, agent: &str, policy: &str, revision_idx: i64) -> bool {
        let recorded = self.recorded.get(&(agent.to_owned(), policy.to_owned()));
        recorded.is_some_and(|recorded| *recorded >= revision_idx)
            || self.agent(agent).is_none_or(|agent| agent.policy_id != policy)
    }

    fn record(&mut self, agent: &str, policy: &str, revision_idx: i64) {
        let recorded = self.recorded.entry((agent.to_owned(), policy.to_owned())).or_insert(revision_idx);
        *recorded = (*recorded).max(revision_idx);
    }

    /// Does what the batch says, as its fate wills.
    fn work(&mut self, mut batch: Batch) -> Batch {
        let unavailable = || Err(StoreError::Unavailable("simulated".into()));
        let count = batch.operations.len();
        let done = match batch.fate {
            Fate::Works | Fate::LosesAnswers | Fate::AnswersShort => count,
            Fate::Fails | Fate::Busy => 0,
            Fate::Breaks(place) | Fate::OneFails(place) => place,
        };
        let mut answers = self.do_them(&batch.operations[..done], batch.fate);
        match batch.fate {
            Fate::Works => {}
            Fate::Busy => answers = vec![Err(StoreError::Busy); count],
            Fate::AnswersShort => answers.truncate(count / 2),
            Fate::OneFails(place) => {
                answers.push(Err(StoreError::Failed { status: 500, reason: "simulated".into() }));
                answers.extend(self.do_them(&batch.operations[place + 1..], batch.fate));
            }
            Fate::Fails | Fate::LosesAnswers | Fate::Breaks(_) => {
                answers = batch.operations.iter().map(|_| unavailable()).collect()
            }
        }
        batch.answers = answers;
        batch.run = true;
        batch
    }

    fn do_them(&mut self, operations: &[Operation], fate: Fate) -> Vec<StoreResult> {
        let answers = self.memory.run(operations.to_vec());
        for (operation, answer) in operations.iter().zip(&answers) {
            match (operation, answer) {
                (Operation::AgentCheckingIn(_) | Operation::AgentById(_), Ok(Answer::Agent(Some(agent)))) => {
                    self.record(&agent.id, &agent.policy_id, agent.policy_revision_idx);
                }
                (Operation::PolicyAcknowledged { agent, policy_id, revision_idx, .. }, Ok(_)) => {
                    self.record(agent, policy_id, *revision_idx);
                }
                // told to nobody: nobody can take it back
                (Operation::Enroll(_), Ok(Answer::Key(key)))
                    if !matches!(fate, Fate::Works | Fate::OneFails(_)) =>
                {
                    self.excused_keys.push(key.id.clone());
                }
                // the document stays, without a key that is any good
                (Operation::UndoEnrollment { access_key, created: false, .. }, _) => {
                    self.excused_keys.push(access_key.clone());
                }
                _ => {}
            }
        }
        answers
    }
}

impl Sim {
    /// A batch comes from the core.
    pub(crate) fn begin_batch(&mut self, id: BatchId, lane: Lane, operations: Vec<Operation>) {
        let count = operations.len();
        self.tally.batches += 1;
        if operations.iter().any(|operation| operation.lane() != lane) {
            self.broken("a batch is of one lane", &format!("{lane:?}: {operations:?}"));
        }
        let fate = self.fate_of(count);
        if fate != Fate::Works {
            self.tally.faults += 1;
        }
        let (until_run, until_answer) = self.delays();
        self.store.under_way.insert(id, Batch { operations, answers: Vec::new(), fate, run: false });
        self.agenda.plan(self.mono + until_run, Happening::Run(id));
        self.agenda.plan(self.mono + until_run + until_answer, Happening::Answer(id));
    }

    fn fate_of(&mut self, count: usize) -> Fate {
        let chance = match self.store.mood {
            _ if self.calm => 0,
            Mood::Good => 0,
            Mood::Slow | Mood::Hanging => self.settings.faults / 4,
            Mood::Failing => self.settings.faults * 2,
        };
        if !self.dice.percent(chance) {
            return Fate::Works;
        }
        match self.dice.below(8) {
            0 => Fate::Busy,
            1 | 2 => Fate::LosesAnswers,
            3 => Fate::Breaks(self.dice.index(count)),
            4 => Fate::AnswersShort,
            5 => Fate::OneFails(self.dice.index(count)),
            _ => Fate::Fails,
        }
    }

    /// Until the batch is run, and from then until it is answered.
    fn delays(&mut self) -> (Duration, Duration) {
        let dice = &mut self.dice;
        match self.store.mood {
            _ if self.calm => (dice.millis(0, 2), dice.millis(0, 2)),
            Mood::Good | Mood::Failing => (dice.millis(0, 5), dice.millis(0, 20)),
            Mood::Slow => (dice.millis(0, 3_000), dice.millis(0, 3_000)),
            Mood::Hanging => {
                self.tally.hangs += 1;
                let whole = dice.between(30_000, 200_000);
                let first = dice.below(whole);
                (Duration::from_millis(first), Duration::from_millis(whole - first))
            }
        }
    }

    pub(crate) fn run_batch(&mut self, id: BatchId) {
        let Some(batch) = self.store.under_way.remove(&id) else { return };
        let batch = self.store.work(batch);
        self.store.under_way.insert(id, batch);
        self.gather_news();
    }

    pub(crate) fn answer_batch(&mut self, id: BatchId) {
        let Some(batch) = self.store.under_way.remove(&id) else { return };
        self.tell(Event::Answered { batch: id, answers: batch.answers });
    }

    pub(crate) fn change_mood(&mut self) {
        self.store.mood = match self.dice.below(10) {
            0..5 => Mood::Good,
            5 | 6 => Mood::Slow,
            7 | 8 => Mood::Failing,
            _ => Mood::Hanging,
        };
        let health = match self.store.mood {
            Mood::Failing | Mood::Hanging => Err("simulated".to_owned()),
            Mood::Good | Mood::Slow => Ok(()),
        };
        self.tell(Event::Changed(fleet_server::store::Changes::Health(health)));
        let longest = if self.store.mood == Mood::Good { 120_000 } else { 30_000 };
        let next = self.dice.millis(2_000, longest);
        self.agenda.plan(self.mono + next, Happening::Mood);
    }

    /// The store is well from now on: what is under way is run and answered soon.
    pub(crate) fn heal_store(&mut self) {
        self.store.mood = Mood::Good;
        self.agenda.cancel(|happening| {
            matches!(happening, Happening::Mood | Happening::Run(_) | Happening::Answer(_))
        });
        let ids: Vec<BatchId> = self.store.under_way.keys().copied().collect();
        for id in ids {
            if !self.store.under_way[&id].run {
                self.agenda.plan(self.mono, Happening::Run(id));
            }
            self.agenda.plan(self.mono + Duration::from_millis(5), Happening::Answer(id));
        }
        self.tell(Event::Changed(fleet_server::store::Changes::Health(Ok(()))));
    }
}
