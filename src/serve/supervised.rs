//! What happens beside serving where an agent runs the server: wishes are put in force, questions are answered, and the agent is
//! told how it does. On the loop, so nothing here waits.

use std::sync::atomic::Ordering;

use super::diagnostics::{self, Subject};
use super::reload::{self, Process, Taken, Unusable};
use super::under_agent::{Life, TRY_AGAIN};
use super::wishes::{Next, Wanted};
use crate::agent_mode::seam::{State, UnitKind};
use crate::config::{Loaded, Logging};
use crate::fleet::health::{Standing, State as Health};
use crate::reactor::{Called, Hooks, Reload};
use crate::time::Now;

/// Why a server has ended.
pub(super) enum Ended {
    /// The process is to end.
    Asked,
    /// The agent wants nothing any more.
    Gone,
    /// It begins anew with this.
    Anew(Box<Wanted>),
}

/// The hooks of a server that an agent runs.
pub(super) struct Supervised<'l, 'a> {
    life: &'l mut Life<'a>,
    process: Process<'a>,
    /// What is in force.
    loaded: Loaded,
    ended: Option<Ended>,
}

impl<'l, 'a> Supervised<'l, 'a> {
    /// `loaded` is what `process` has been made from.
    pub(super) fn new(life: &'l mut Life<'a>, process: Process<'a>, loaded: Loaded) -> Self {
        Supervised { life, process, loaded, ended: None }
    }

    /// Why it has ended, and how the log is written by now.
    pub(super) fn end(self) -> (Ended, Logging) {
        (self.ended.unwrap_or(Ended::Asked), self.process.in_force().logging.clone())
    }

    fn answer_questions(&self, called: &mut Called) {
        let Some(question) = self.life.control.question() else { return };
        let subject = Subject::of(&self.loaded, self.process.certificate());
        let diagnoses = self.life.diagnoses.clone();
        let bell = self.life.control.bell();
        called.describe = Some(Box::new(move |state| {
            diagnostics::answer(question, Some(subject), state, &diagnoses);
            // there may be another one
            bell.ring();
        }));
    }

    fn obey(&mut self, next: Next, now: Now, called: &mut Called) {
        match next {
            Next::Nothing => {}
            Next::Testing => self.life.told.configuring("the policy's output is tested"),
            Next::Gone => self.stop(Ended::Gone, called),
            Next::Bad(kind, text) => self.life.told.bad(kind, text),
            Next::Serve(wanted) => self.serve(wanted, now, called),
        }
    }

    fn serve(&mut self, wanted: Box<Wanted>, now: Now, called: &mut Called) {
        let (load, sent) = (self.life.load, wanted.sent.clone());
        match self.process.take_over(&wanted.loaded, Box::new(move || load(&sent)), now) {
            Taken::Same => self.is_in_force(wanted.loaded),
            Taken::InPlace(reload) => {
                self.is_in_force(wanted.loaded);
                called.reload = Some(reload);
            }
            Taken::AtStart(keys) => {
                ::log::info!("the server begins anew, because of {}", keys.join(", "));
                self.life.told.say(State::Configuring, "the server begins anew with another configuration");
                self.stop(Ended::Anew(wanted), called);
            }
            Taken::Unusable(unusable) => {
                let named = reload::files(&wanted.loaded.config);
                // a port may be free again one day
                let again_at = matches!(unusable, Unusable::Listening(_)).then_some(now.mono + TRY_AGAIN);
                self.life.wishes.wait_for([named, wanted.loaded.files].concat(), again_at);
                let kind = match &unusable {
                    Unusable::Elasticsearch(_) => UnitKind::Output,
                    _ => UnitKind::Input,
                };
                self.life.told.bad(kind, unusable.to_string());
            }
        }
    }

    fn is_in_force(&mut self, loaded: Loaded) {
        self.loaded = loaded;
        // it may have been told that an output is tested
        self.life.told.good();
    }

    fn stop(&mut self, ended: Ended, called: &mut Called) {
        self.ended = Some(ended);
        called.stop = true;
    }

    fn ends_for_good(&self) -> bool {
        matches!(self.ended, Some(Ended::Asked | Ended::Gone))
    }
}

impl Hooks for Supervised<'_, '_> {
    fn called(&mut self, now: Now) -> Called {
        let mut called = Called::default();
        self.answer_questions(&mut called);
        if self.life.control.is_end_asked() {
            if !matches!(self.ended, Some(Ended::Asked)) {
                self.stop(Ended::Asked, &mut called);
                self.life.told.say(State::Stopping, "requests under way are finished");
            }
        } else if self.ended.is_none() {
            if self.life.read_again.swap(false, Ordering::Relaxed) {
                called.reload = self.process.reload(now);
                called.certificates = true;
            }
            let next = self.life.next();
            self.obey(next, now, &mut called);
        }
        called
    }

    fn stands(&mut self, standing: Standing) {
        // of a server that begins anew the end is no end
        if standing.state != Health::Stopping || self.ends_for_good() {
            self.life.told.stands(standing);
        }
    }

    fn look_at_files(&mut self, now: Now) -> Option<Reload> {
        // an output may have to be tested again
        self.life.control.bell().ring();
        self.process.look_at_files(now)
    }

    fn hourly(&mut self, now: Now) {
        self.process.hourly(now);
    }
}
