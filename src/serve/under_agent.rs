//! The life of a server that an agent runs: it waits for what the agent wants, serves that, begins anew where something is
//! changed that cannot be changed in place, and ends when the process is asked to.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::json;

use super::diagnostics::Subject;
use super::reload::warn;
use super::supervised::{Ended, Supervised};
use super::told::Told;
use super::wishes::{Load, Next, Wanted, Wishes};
use super::{LOG_FLUSH_MAX, Parts, ServeError, diagnostics, is_alone, signals, start_log};
use crate::agent_mode::seam::{Control, State};
use crate::config::{Loaded, Logging};
use crate::log::{LogHandle, Output};
use crate::reactor::Clock;

/// A server that failed is tried again after this (agent-mode.md, "States reported").
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(2);
/// The server's state where there is none.
const NOTHING_SERVED: &str = r#"{"server": null}"#;
/// For the last words to the agent.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// Serves what the agent behind `control` wants until the process is told to end. `load` reads what the agent sent over what
/// the command line says, which alone is enough for the log.
pub fn serve_under_agent(control: Control, load: Load<'_>) -> Result<(), ServeError> {
    let first = load(&json!({}))?;
    let log = Arc::new(start_log(&first)?);
    warn(&first);
    let read_again = Arc::new(AtomicBool::new(false));
    signals::catch(control.bell(), Arc::clone(&read_again))
        .map_err(|source| ServeError::System { what: "signals cannot be caught", source })?;
    Life {
        control: &control,
        load,
        wishes: Wishes::new(load, control.bell()),
        told: Told::new(&control),
        log: Arc::clone(&log),
        logging: first.config.logging,
        clock: Clock::start(),
        read_again,
        diagnoses: Arc::default(),
    }
    .live();
    control.stop(LAST_WORDS_MAX);
    ::log::info!("stopped");
    log.flush(LOG_FLUSH_MAX);
    Ok(())
}

/// What outlives any one server.
pub(super) struct Life<'a> {
    pub(super) control: &'a Control,
    pub(super) load: Load<'a>,
    pub(super) wishes: Wishes<'a>,
    pub(super) told: Told<'a>,
    pub(super) log: Arc<LogHandle>,
    /// How the log is written.
    logging: Logging,
    clock: Clock,
    /// SIGHUP came.
    pub(super) read_again: Arc<AtomicBool>,
    /// Held by each answer to a question that is being made.
    pub(super) diagnoses: Arc<()>,
}

impl<'a> Life<'a> {
    fn live(&mut self) {
        let mut wanted: Option<Box<Wanted>> = None;
        while !self.control.is_end_asked() {
            match self.next() {
                Next::Serve(newer) => {
                    self.told.say(State::Starting, "starting");
                    wanted = Some(newer);
                }
                Next::Gone => {
                    wanted = None;
                    self.told.say(State::Stopped, "stopped");
                }
                // what was to be served is, all the same
                Next::Bad(kind, text) => self.told.bad(kind, text),
                Next::Testing => self.told.say(State::Starting, "the policy's output is tested"),
                Next::Nothing => {}
            }
            let Some(this) = wanted.take() else {
                self.wait(self.wishes.wait(self.clock.now().mono), None);
                continue;
            };
            match self.serve(&this) {
                Ok(Ended::Asked) => {}
                Ok(Ended::Gone) => self.told.say(State::Stopped, "stopped"),
                Ok(Ended::Anew(newer)) => wanted = Some(newer),
                Err(error) => {
                    ::log::error!("{error}");
                    self.told.fails(&error.to_string());
                    self.wait(Some(TRY_AGAIN), Some(&this.loaded));
                    wanted = Some(self.read_again(this));
                }
            }
        }
        self.told.say(State::Stopping, "stopping");
        self.told.say(State::Stopped, "stopped");
    }

    /// What follows from what the agent wants now, and from what was found out for it.
    pub(super) fn next(&mut self) -> Next {
        match self.control.newest() {
            Some(wish) => self.wishes.take(wish),
            None => self.wishes.go_on(self.clock.now().mono),
        }
    }

    /// Serves until something ends it.
    fn serve(&mut self, wanted: &Wanted) -> Result<Ended, ServeError> {
        self.write_as(&wanted.loaded)?;
        warn(&wanted.loaded);
        let (load, sent) = (self.load, wanted.sent.clone());
        let (parts, close) = Parts::build(&wanted.loaded, Box::new(move || load(&sent)), &self.log)?;
        let Parts { reactor, mut server, mut workers, process } = parts;
        let (sender, control) = (reactor.sender(), self.control);
        let first_call = reactor.sender();
        control.wake_by(Some(Box::new(move || sender.call())));
        // what came meanwhile woke nobody
        first_call.call();
        let mut hooks = Supervised::new(self, process, wanted.loaded.clone());
        let result = reactor.run(&mut server, &mut workers, &mut hooks);
        let (ended, logging) = hooks.end();
        control.wake_by(None);
        close();
        self.logging = logging;
        result?;
        Ok(ended)
    }

    /// The same with what its files say by now; as it is where they cannot be read.
    fn read_again(&self, wanted: Box<Wanted>) -> Box<Wanted> {
        match (self.load)(&wanted.sent) {
            Ok(loaded) => Box::new(Wanted { loaded, ..*wanted }),
            Err(_) => wanted,
        }
    }

    /// Has the log written as this configuration says.
    fn write_as(&mut self, loaded: &Loaded) -> Result<(), ServeError> {
        let logging = &loaded.config.logging;
        if *logging != self.logging {
            let terminal = io::stderr().is_terminal();
            let output = Output::open(logging, terminal, is_alone(loaded))
                .map_err(|source| ServeError::System { what: "the log cannot be written", source })?;
            crate::log::set_level(logging.level);
            self.log.switch_to(output);
            self.logging = logging.clone();
        }
        Ok(())
    }

    /// Waits while nothing is served, and answers questions; `tried` could not be served.
    fn wait(&self, wait_max: Option<Duration>, tried: Option<&Loaded>) {
        self.control.listen(wait_max);
        while let Some(question) = self.control.question() {
            let subject = tried.map(|loaded| Subject::of(loaded, super::tls(&loaded.config, None)));
            diagnostics::answer(question, subject, NOTHING_SERVED.to_owned(), &self.diagnoses);
        }
    }
}
