//! From what the agent wants to what is to be served: which output is used, and whether the configuration can be read. Blocks on
//! nothing; at most one wish is under way, and the newest wins.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use super::output_test::{self, Tested, Verdict};
use crate::agent_mode::configuration::{self, Outputs};
use crate::agent_mode::seam::{Agent, Bell, UnitKind, Units, Wish};
use crate::config::{Errors, Loaded, Store};
use crate::tls::Stamps;

/// Between two tests of an output that could not be reached (agent-mode.md, "From units to configuration").
const TEST_EVERY: Duration = Duration::from_secs(60);
/// Tests that are under way, those of earlier wishes included; a further one waits until one of them has ended.
const TESTS_MAX: usize = 4;
/// Between two looks at files that may mend a configuration, while nothing is served.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads a configuration from what an agent sent.
pub type Load<'a> = &'a dyn Fn(&Value) -> Result<Loaded, Errors>;

/// The newest wish, and how far it has come.
pub(super) struct Wishes<'a> {
    load: Load<'a>,
    bell: Bell,
    results: (Sender<Tested>, Receiver<Tested>),
    /// Of the test that was begun last; what others find out is of no interest.
    test: u64,
    /// Held by each test that is under way.
    tests: Arc<()>,
    current: Option<Current>,
    awaited: Option<Awaited>,
}

struct Current {
    agent: Option<Agent>,
    units: Units,
    outputs: Outputs,
    choice: Choice,
}

/// The wish cannot be put in force; a change in one of these files may mend it.
struct Awaited {
    files: Vec<PathBuf>,
    stamps: Stamps,
    /// And from then on so may what else there is in the world.
    again_at: Option<Duration>,
}

/// Which output is used.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    /// None yet: its test is yet to begin.
    Untested,
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
        let (results, tests) = (channel(), Arc::default());
        Wishes { load, bell, results, test: 0, tests, current: None, awaited: None }
    }

    /// Takes in a wish.
    pub(super) fn take(&mut self, wish: Wish) -> Next {
        self.awaited = None;
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
            (Some(_), known) => known.unwrap_or(Choice::Untested),
        };
        if known.is_none() {
            self.test += 1;
        }
        self.current = Some(Current { agent: wish.agent, units, outputs, choice });
        self.go_on_with(choice)
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
        let Some(choice) = self.current.as_ref().map(|current| current.choice) else { return Next::Nothing };
        if self.awaited.as_ref().is_some_and(|awaited| awaited.may_do(now)) {
            self.awaited = None;
            return self.go_on_with(choice);
        }
        match choice {
            Choice::Untested if self.awaited.is_none() && self.has_room() => self.begin_test(Choice::Open),
            Choice::Until(due) if due <= now => {
                self.choose(Choice::Until(now + TEST_EVERY));
                self.begin_test(Choice::Testing)
            }
            _ => Next::Nothing,
        }
    }

    /// The newest wish cannot be put in force as long as these files are as they are, or until it is tried again.
    pub(super) fn wait_for(&mut self, files: Vec<PathBuf>, again_at: Option<Duration>) {
        self.awaited = Some(Awaited { stamps: stamps(&files), files, again_at });
    }

    /// In how long [`Wishes::go_on`] is to be asked at `now` even if nothing comes.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let look = self.awaited.as_ref().filter(|awaited| !awaited.files.is_empty()).map(|_| LOOK_EVERY);
        let test = match self.current.as_ref().map(|current| current.choice) {
            Some(Choice::Until(due)) => Some(due.saturating_sub(now)),
            _ => None,
        };
        look.into_iter().chain(test).min()
    }

    /// What follows from a wish, or from files that have changed.
    fn go_on_with(&mut self, choice: Choice) -> Next {
        match choice {
            Choice::Untested => self.begin_test(Choice::Open),
            Choice::Open => Next::Testing,
            _ => self.read(),
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
    fn read(&mut self) -> Next {
        let Some(current) = &self.current else { return Next::Nothing };
        let output = match (current.choice, &current.outputs.fallback) {
            (Choice::Wanted, _) | (_, None) => &current.outputs.wanted,
            (_, Some(fallback)) => fallback,
        };
        match self.read_with(current, output) {
            Ok(wanted) => Next::Serve(Box::new(wanted)),
            Err(errors) => self.bad(&errors),
        }
    }

    fn read_with(&self, current: &Current, output: &Value) -> Result<Wanted, Errors> {
        let read = |units: &Units| {
            let sent = configuration::tree(current.agent.as_ref(), units, output);
            (self.load)(&sent).map(|loaded| Wanted { loaded, sent })
        };
        match read(&current.units) {
            // nothing here traces: that is no reason not to serve
            Err(errors) if current.units.apm.is_some() && configuration::is_of_apm(&errors) => {
                ::log::warn!("what the agent says of APM is left out: {}", configuration::fault(&errors).1);
                read(&Units { apm: None, ..current.units.clone() })
            }
            read => read,
        }
    }

    fn bad(&mut self, errors: &Errors) -> Next {
        self.wait_for(errors.files.clone(), None);
        let (kind, text) = configuration::fault(errors);
        Next::Bad(kind, text)
    }

    /// Begins a test of the policy's output, if the whole can be read with it, and as soon as there is room for it;
    /// `meanwhile` stands for its choice.
    fn begin_test(&mut self, meanwhile: Choice) -> Next {
        let Some(current) = &self.current else { return Next::Nothing };
        let is_first = meanwhile == Choice::Open;
        let store = match self.read_with(current, &current.outputs.wanted) {
            Ok(wanted) => wanted.loaded.config.store,
            Err(errors) if is_first => return self.bad(&errors),
            Err(_) => return Next::Nothing,
        };
        let Store::Elasticsearch(settings) = store else { return Next::Nothing };
        let next = if is_first { Next::Testing } else { Next::Nothing };
        if !self.has_room() {
            return next;
        }
        self.test += 1;
        self.choose(meanwhile);
        let (results, held) = (self.results.0.clone(), Arc::clone(&self.tests));
        match output_test::begin(self.test, *settings, results, held, self.bell.clone()) {
            Ok(()) => next,
            Err(error) => {
                ::log::error!("the policy's output is used without a test, for want of a thread: {error}");
                self.choose(Choice::Wanted);
                self.read()
            }
        }
    }

    fn has_room(&self) -> bool {
        // one is our own
        Arc::strong_count(&self.tests) <= TESTS_MAX
    }

    fn choose(&mut self, choice: Choice) {
        if let Some(current) = &mut self.current {
            current.choice = choice;
        }
    }
}

impl Awaited {
    fn may_do(&self, now: Duration) -> bool {
        stamps(&self.files) != self.stamps || self.again_at.is_some_and(|at| at <= now)
    }
}

fn stamps(files: &[PathBuf]) -> Stamps {
    Stamps::take(files.iter().map(PathBuf::as_path))
}

#[cfg(test)]
mod tests;
