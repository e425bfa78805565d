//! Enrolment: each agent over a connection of its own, some at a time.

use std::time::Instant;

use serde_json::json;

use crate::agent::{Agent, Answer, Call};
use crate::args::Options;
use crate::proc::Process;
use crate::report::Section;
use crate::run::{Run, pace};
use crate::script::{Exchange, Next, Script, acknowledge};
use crate::tally::Times;

const AT_ONCE_DEFAULT: u64 = 200;

/// Enrols; with `adopt`, goes on until the first policy is acknowledged.
pub(crate) struct Join {
    adopt: bool,
    /// From the start of the connection to the complete response.
    enrolments: Times,
}

impl Join {
    pub(crate) fn new(adopt: bool) -> Self {
        Self { adopt, enrolments: Times::default() }
    }
}

impl Script for Join {
    fn begin(&mut self, agent: &Agent) -> Next {
        match (&agent.identity, agent.revision) {
            (None, _) => Next::Call(Call::Enroll),
            (Some(_), 0) if self.adopt => Next::Call(Call::CheckIn),
            _ => Next::Settle,
        }
    }

    fn answered(&mut self, exchange: &Exchange) -> Next {
        if let Answer::Enrolled(_) = exchange.answer {
            self.enrolments.note(exchange.now - exchange.since);
        }
        match &exchange.answer {
            Answer::Acknowledged => Next::HangUp,
            Answer::Enrolled(_) if !self.adopt => Next::HangUp,
            // A poll that ended before there was a policy is begun again.
            answer => Next::Call(acknowledge(answer).unwrap_or(Call::CheckIn)),
        }
    }
}

/// Enrols all agents anew.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let mut run = Run::new("enroll", options)?;
    if run.crew.agents().any(|agent| agent.identity.is_some()) {
        return Err("--state holds agents already: enroll makes new ones, give it a new file".to_owned());
    }
    let mut section = Section::new("enrolment");
    section.memory("before", run.server.memory());
    let pace = pace(options, AT_ONCE_DEFAULT, 0, "enrolling");
    section.set("at_once", json!(pace.at_once_max));
    let mut scripts = run.crew.begin(&pace, || Join::new(false));
    let (cpu, own_cpu) = (run.server.cpu_seconds(), Process::own().cpu_seconds());
    run.server.reset_peak();
    let started = Instant::now();
    run.finish_phase(&mut scripts, options)?;
    let seconds = started.elapsed().as_secs_f64();
    pace.progress.finish_and_clear();
    let mut times = Times::default();
    scripts.into_iter().for_each(|script| times.append(script.enrolments));
    let enrolled = times.count() as f64;
    section.number("seconds", seconds);
    section.set("enrolled", json!(times.count()));
    section.number("per_second", enrolled / seconds);
    section.times("latency", &mut times);
    section.cpu("server_cpu", cpu, run.server, enrolled);
    section.cpu("client_cpu", own_cpu, Process::own(), enrolled);
    section.memory("after", run.server.memory());
    section.peak(run.server.memory());
    run.report.add(section);
    run.end(options, options.concurrency.unwrap_or(AT_ONCE_DEFAULT))
}
