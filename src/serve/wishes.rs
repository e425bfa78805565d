//! From what the agent wants to what is to be served: which output is used, and whether the configuration can be read. Blocks on
//! nothing; at most one wish is under way, and the newest wins.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use super::output_test::{self, Tested, Verdict};
use crate::agent_mode::configuration::{self, Outputs};
use crate::agent_mode::seam::{Agent, Bell, UnitKind, Units, Wish};
use crate::config::{Elasticsearch, Errors, Loaded, Store};

/// Between two tests of an output that could not be reached (agent-mode.md, "From units to configuration").
const TEST_EVERY: Duration = Duration::from_secs(60);

/// Reads a configuration from what an agent sent.
pub type Load<'a> = &'a dyn Fn(&Value) -> Result<Loaded, Errors>;

/// The newest wish, and how far it has come.
pub(super) struct Wishes<'a> {
    load: Load<'a>,
    bell: Bell,
    results: (Sender<Tested>, Receiver<Tested>),
    /// Of the test that was begun last; what others find out is of no interest.
    test: u64,
    current: Option<Current>,
}

struct Current {
    agent: Option<Agent>,
    units: Units,
    outputs: Outputs,
    choice: Choice,
}

/// Which output is used.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    /// None yet: a test is under way.
    Open,
    /// That of the policy.
    Wanted,
    /// Bootstrap alone, for good.
    Fallback,
    /// Bootstrap alone, until a test that begins then goes well.
    Until(Duration),
    /// Bootstrap alone, and a test is under way.
    Testing,
}

/// A configuration to be served.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) loaded: Loaded,
    /// What it was read from.
    pub(super) sent: Value,
}

/// What is to be done.
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// An output is tested before anything else happens.
    Testing,
    /// Nothing is to be served.
    Gone,
    /// This is to be served.
    Serve(Box<Wanted>),
    /// This unit's configuration is bad; what is served stays.
    Bad(UnitKind, String),
}

impl<'a> Wishes<'a> {
    pub(super) fn new(load: Load<'a>, bell: Bell) -> Self {
        Wishes { load, bell, results: channel(), test: 0, current: None }
    }

    /// Takes in a wish.
    pub(super) fn take(&mut self, wish: Wish) -> Next {
        let Some(units) = wish.units else {
            self.current = None;
            // a test that is under way is of no interest any more
            self.test += 1;
            return Next::Gone;
        };
        let outputs = configuration::outputs(&units);
        let before = self.current.take();
        // who the agent is, or a limit, has changed: what is known of the output is known still
        let known = before.filter(|before| before.outputs == outputs).map(|before| before.choice);
        let choice = match (&outputs.fallback, known) {
            (None, _) => Choice::Wanted,
            (Some(_), Some(known)) => known,
            (Some(_), None) => Choice::Open,
        };
        let begins = known.is_none();
        if begins {
            self.test += 1;
        }
        self.current = Some(Current { agent: wish.agent, units, outputs, choice });
        match choice {
            Choice::Open if begins => self.begin_test(Choice::Open),
            Choice::Open => Next::Testing,
            _ => self.read(),
        }
    }

    /// Takes in what tests have found out, and begins one that is due at `now`.
    pub(super) fn go_on(&mut self, now: Duration) -> Next {
        let mut verdict = None;
        while let Ok(tested) = self.results.1.try_recv() {
            if tested.number == self.test {
                verdict = Some(tested.verdict);
            }
        }
        if let Some(verdict) = verdict {
            return self.judged(verdict, now);
        }
        match self.current.as_ref().map(|current| current.choice) {
            Some(Choice::Until(due)) if due <= now => {
                self.choose(Choice::Until(now + TEST_EVERY));
                self.begin_test(Choice::Testing)
            }
            _ => Next::Nothing,
        }
    }

    fn judged(&mut self, verdict: Verdict, now: Duration) -> Next {
        let Some(current) = &mut self.current else { return Next::Nothing };
        let before = current.choice;
        current.choice = match verdict {
            Verdict::Works => Choice::Wanted,
            Verdict::TooOld(version) => {
                ::log::warn!(
                    "the policy's output is Elasticsearch {version}, which is too old: that of the installation stays in use"
                );
                Choice::Fallback
            }
            Verdict::Fails(reason) => {
                ::log::warn!(
                    "the policy's output cannot be used, that of the installation is until it can: {reason}"
                );
                Choice::Until(now + TEST_EVERY)
            }
        };
        // what is in use already stays
        if before == Choice::Testing && current.choice != Choice::Wanted {
            Next::Nothing
        } else {
            self.read()
        }
    }

    /// The configuration by the output that is chosen.
    fn read(&self) -> Next {
        let Some(current) = &self.current else { return Next::Nothing };
        let output = match (current.choice, &current.outputs.fallback) {
            (Choice::Wanted, _) | (_, None) => &current.outputs.wanted,
            (_, Some(fallback)) => fallback,
        };
        self.read_with(current, output)
    }

    fn read_with(&self, current: &Current, output: &Value) -> Next {
        let sent = configuration::tree(current.agent.as_ref(), &current.units, output);
        match (self.load)(&sent) {
            Ok(loaded) => Next::Serve(Box::new(Wanted { loaded, sent })),
            Err(errors) => {
                let (kind, text) = configuration::fault(&errors);
                Next::Bad(kind, text)
            }
        }
    }

    /// Begins a test of the policy's output; `meanwhile` stands for its choice.
    fn begin_test(&mut self, meanwhile: Choice) -> Next {
        let is_first = meanwhile == Choice::Open;
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(bad) if is_first => {
                self.current = None;
                return bad;
            }
            Err(_) => return Next::Nothing,
        };
        self.test += 1;
        self.choose(meanwhile);
        let begun = output_test::begin(self.test, settings, self.results.0.clone(), self.bell.clone());
        match begun {
            Ok(()) if is_first => Next::Testing,
            Ok(()) => Next::Nothing,
            Err(error) => {
                ::log::error!("the policy's output is used without a test, for want of a thread: {error}");
                self.choose(Choice::Wanted);
                self.read()
            }
        }
    }

    fn choose(&mut self, choice: Choice) {
        if let Some(current) = &mut self.current {
            current.choice = choice;
        }
    }

    /// The settings of the policy's output, if the whole can be read with it.
    fn settings(&self) -> Result<Elasticsearch, Next> {
        let Some(current) = &self.current else { return Err(Next::Nothing) };
        match self.read_with(current, &current.outputs.wanted) {
            Next::Serve(wanted) => match wanted.loaded.config.store {
                Store::Elasticsearch(settings) => Ok(*settings),
                Store::Embedded(_) => Err(Next::Nothing),
            },
            bad => Err(bad),
        }
    }
}

#[cfg(test)]
mod tests;
