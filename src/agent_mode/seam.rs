//! What the wire to the agent and the server know of each other. Plain data and a lock that nobody holds while waiting for
//! anything: neither side ever waits for the other, but for the end ([`Control::stop`]).
//!
//! [`link`] makes the two ends: [`Wire`] for whoever talks to the agent, [`Control`] for the server.

use std::collections::VecDeque;
use std::mem;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// Reports that the wire has not taken yet; beyond, the oldest goes. Only the newest for each unit matters.
const REPORTS_QUEUED_MAX: usize = 16;
/// Questions that the server has not taken yet; beyond, the oldest stays unanswered.
const QUESTIONS_QUEUED_MAX: usize = 4;

/// What the agent wants, complete: made by the unit table. The newest replaces one that was not taken yet.
#[derive(Clone, Default, PartialEq)]
pub struct Wish {
    /// Who the agent is; before its enrolment it has no id.
    pub agent: Option<Agent>,
    /// What is to run; `None`: one is missing, or both are to stop.
    pub units: Option<Units>,
}

/// `agent_info` (agent-mode.md, "Service").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Empty before the enrolment.
    pub id: String,
    /// The agent's version.
    pub version: String,
}

/// The two units that a server is made of. Holds secrets, so it is not shown.
#[derive(Clone, PartialEq)]
pub struct Units {
    /// The source of the input; doubles that are whole are integers.
    pub input: Value,
    /// The source of the output, likewise.
    pub output: Value,
    /// The more verbose of the two levels.
    pub level: log::LevelFilter,
    /// `component.apm_config.elastic`
    pub apm: Option<Apm>,
    /// `config_state_idx` of input and output: tells one wish from another.
    pub revisions: (u64, u64),
}

/// `ElasticAPM` (agent-mode.md, "Service"). Empty texts are absent.
#[derive(Clone, Default, PartialEq)]
pub struct Apm {
    /// `environment`
    pub environment: String,
    /// `api_key`
    pub api_key: String,
    /// `secret_token`
    pub secret_token: String,
    /// `hosts`
    pub hosts: Vec<String>,
    /// `global_labels`
    pub global_labels: String,
    /// `sampling_rate`
    pub sampling_rate: Option<f32>,
    /// `tls.skip_verify`
    pub skip_verify: bool,
    /// `tls.server_cert`
    pub server_certificate: String,
    /// `tls.server_ca`
    pub server_ca: String,
}

/// State of a unit, with its number on the wire (agent-mode.md, "Service").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum State {
    /// It begins.
    Starting = 0,
    /// Another configuration is being put in force.
    Configuring = 1,
    /// All is well.
    Healthy = 2,
    /// It works, but not as it should.
    Degraded = 3,
    /// It does not work.
    Failed = 4,
    /// The end is near.
    Stopping = 5,
    /// It is over.
    Stopped = 6,
}

/// Which of the two units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// `fleet-server`
    Input,
    /// `elasticsearch`
    Output,
}

/// What the server says of its units.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Of both, with a payload or without.
    Both(State, String, Option<Value>),
    /// Of the one whose configuration is bad, or of the other one; with a payload or without.
    One(UnitKind, State, String, Option<Value>),
}

/// A question of the agent for the server's diagnostics.
pub struct Question {
    /// Whether requests to the output are to be tried (`CONN`).
    pub connection: bool,
    /// Where the answer goes; whoever asked waits for it within a bound of his own.
    pub answer: SyncSender<Vec<DiagnosticFile>>,
}

/// `ActionDiagnosticUnitResult` (agent-mode.md, "Service").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagnosticFile {
    /// `name`
    pub name: &'static str,
    /// `filename`
    pub filename: &'static str,
    /// `description`
    pub description: &'static str,
    /// `content_type`
    pub content_type: &'static str,
    /// `content`, without secrets.
    pub content: Vec<u8>,
}

/// Makes the two ends. `on_report` tells the wire that there is something to take from [`Wire::reports`], or that
/// [`Wire::is_stopping`]; it is called by any thread and must not block.
pub fn link(on_report: impl Fn() + Send + Sync + 'static) -> (Control, Wire) {
    let shared =
        Arc::new(Shared { inner: Mutex::default(), changed: Condvar::new(), on_report: Box::new(on_report) });
    (Control { shared: Arc::clone(&shared) }, Wire { shared })
}

struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
    on_report: Box<dyn Fn() + Send + Sync>,
}

/// How the server's loop is woken.
type Wake = Box<dyn Fn() + Send>;

#[derive(Default)]
struct Inner {
    wish: Option<Wish>,
    questions: VecDeque<Question>,
    reports: VecDeque<Report>,
    /// Something came for the server since it last listened.
    rung: bool,
    /// Set while the loop runs.
    wake: Option<Wake>,
    /// The process is asked to end.
    end_asked: bool,
    /// The server has ended: STOPPED is to be told, then the wire closes.
    stopping: bool,
    /// The wire is at its end.
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something that the server has to look at.
    fn ring(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        change(&mut inner);
        inner.rung = true;
        if let Some(wake) = &inner.wake {
            wake();
        }
        self.changed.notify_all();
    }
}

/// The server's end.
pub struct Control {
    shared: Arc<Shared>,
}

/// Rings for the server from other threads of its own.
#[derive(Clone)]
pub struct Bell {
    shared: Arc<Shared>,
}

impl Bell {
    /// The server looks at what it is about.
    pub fn ring(&self) {
        self.shared.ring(|_| {});
    }

    /// The process is to end.
    pub fn ask_for_the_end(&self) {
        self.shared.ring(|inner| inner.end_asked = true);
    }
}

impl Control {
    /// The newest wish, if there is one that was not taken yet.
    pub fn newest(&self) -> Option<Wish> {
        self.shared.lock().wish.take()
    }

    /// A question that was not taken yet.
    pub fn question(&self) -> Option<Question> {
        self.shared.lock().questions.pop_front()
    }

    /// Whether the process is to end.
    pub fn is_end_asked(&self) -> bool {
        self.shared.lock().end_asked
    }

    /// Waits until something came since the last such wait, at most for `wait_max` if that is given.
    pub fn listen(&self, wait_max: Option<Duration>) {
        let mut inner = self.shared.lock();
        match wait_max {
            None => {
                while !inner.rung {
                    inner = self.shared.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
                }
            }
            Some(wait_max) => {
                let waited = self.shared.changed.wait_timeout_while(inner, wait_max, |inner| !inner.rung);
                inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        inner.rung = false;
    }

    /// Has `wake` called whenever something comes, from any thread: it must not block. `None`: nobody is to be woken.
    pub fn wake_by(&self, wake: Option<Wake>) {
        self.shared.lock().wake = wake;
    }

    /// For threads that have something to tell the server.
    pub fn bell(&self) -> Bell {
        Bell { shared: Arc::clone(&self.shared) }
    }

    /// Says how the units do.
    pub fn report(&self, report: Report) {
        let mut inner = self.shared.lock();
        if matches!(report, Report::Both(..)) {
            // that the end is near is told, however near it is
            inner.reports.retain(|report| matches!(report, Report::Both(State::Stopping, ..)));
        }
        if inner.reports.len() == REPORTS_QUEUED_MAX {
            inner.reports.pop_front();
        }
        inner.reports.push_back(report);
        drop(inner);
        (self.shared.on_report)();
    }

    /// The end: what was reported is told to the agent, the streams are closed. Waits for that, at most for `wait_max`.
    pub fn stop(self, wait_max: Duration) {
        self.shared.lock().stopping = true;
        (self.shared.on_report)();
        let open = |inner: &mut Inner| !inner.closed;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), wait_max, open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The end of whoever talks to the agent. Dropped, it is closed.
pub struct Wire {
    shared: Arc<Shared>,
}

impl Wire {
    /// This is what the agent wants now.
    pub fn wish(&self, wish: Wish) {
        self.shared.ring(|inner| inner.wish = Some(wish));
    }

    /// The agent asks.
    pub fn ask(&self, question: Question) {
        self.shared.ring(|inner| {
            if inner.questions.len() == QUESTIONS_QUEUED_MAX {
                inner.questions.pop_front();
            }
            inner.questions.push_back(question);
        });
    }

    /// What the server has said since the last call, oldest first.
    pub fn reports(&self) -> Vec<Report> {
        mem::take(&mut self.shared.lock().reports).into()
    }

    /// Whether the server has ended: what is in [`Wire::reports`] is to be told, then the streams are closed.
    pub fn is_stopping(&self) -> bool {
        self.shared.lock().stopping
    }

    /// Nothing is told any more.
    pub fn close(&self) {
        self.shared.ring(|inner| inner.closed = true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn wish(id: &str) -> Wish {
        Wish { agent: Some(Agent { id: id.to_owned(), version: String::new() }), units: None }
    }

    #[test]
    fn the_newest_wish_wins_and_is_taken_once() {
        let (control, wire) = link(|| {});
        wire.wish(wish("a"));
        wire.wish(wish("b"));
        assert!(control.newest() == Some(wish("b")));
        assert!(control.newest().is_none());
    }

    #[test]
    fn who_listens_hears_of_a_wish_that_came_before_and_of_one_that_comes_after() {
        let (control, wire) = link(|| {});
        wire.wish(wish("a"));
        control.listen(None);
        assert!(control.newest().is_some());
        thread::scope(|scope| {
            scope.spawn(|| wire.wish(wish("b")));
            control.listen(None);
        });
        assert!(control.newest() == Some(wish("b")));
    }

    #[test]
    fn listening_ends_by_itself_when_it_is_told_so() {
        let (control, _wire) = link(|| {});
        control.listen(Some(Duration::from_millis(1)));
        assert!(control.newest().is_none() && !control.is_end_asked());
    }

    #[test]
    fn a_loop_that_runs_is_woken_for_all_that_comes() {
        let (control, wire) = link(|| {});
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        control.wake_by(Some(Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })));
        wire.wish(wish("a"));
        control.bell().ask_for_the_end();
        control.wake_by(None);
        control.bell().ring();
        assert_eq!(woken.load(Ordering::Relaxed), 2);
        assert!(control.is_end_asked());
    }

    #[test]
    fn reports_wait_within_a_bound_and_one_of_both_units_replaces_what_came_before() {
        let (control, wire) = link(|| {});
        for _ in 0..100 {
            control.report(Report::One(UnitKind::Input, State::Failed, String::new(), None));
        }
        assert_eq!(wire.reports().len(), REPORTS_QUEUED_MAX);
        control.report(Report::One(UnitKind::Input, State::Failed, String::new(), None));
        let both = Report::Both(State::Healthy, String::new(), None);
        control.report(both.clone());
        assert_eq!(wire.reports(), [both]);
        let [stopping, stopped] =
            [State::Stopping, State::Stopped].map(|state| Report::Both(state, String::new(), None));
        control.report(stopping.clone());
        control.report(stopped.clone());
        assert_eq!(wire.reports(), [stopping, stopped]);
    }

    #[test]
    fn questions_wait_within_a_bound() {
        let (control, wire) = link(|| {});
        let (answer, _answers) = std::sync::mpsc::sync_channel(1);
        for _ in 0..100 {
            wire.ask(Question { connection: false, answer: answer.clone() });
        }
        assert_eq!(std::iter::from_fn(|| control.question()).count(), QUESTIONS_QUEUED_MAX);
    }

    #[test]
    fn the_end_waits_for_the_wire_and_not_for_one_that_is_gone() {
        let (control, wire) = link(|| {});
        thread::scope(|scope| {
            scope.spawn(|| {
                // an hour: it ends because the wire closes
                control.stop(Duration::from_secs(3_600));
            });
            drop(wire);
        });
    }
}
