//! Parked agents: what one costs in memory, what connecting and staying cost in CPU.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::agent::{Agent, Answer, Call};
use crate::args::ParkOptions;
use crate::proc::{Memory, Process};
use crate::report::Section;
use crate::run::{Run, pace};
use crate::script::{Exchange, Next, Script, acknowledge};
use crate::settle::until_quiet;

const AT_ONCE_DEFAULT: u64 = 200;

/// Connects, checks in, stays; a poll that ended is begun again only with `behave`.
pub(crate) struct Park {
    behave: bool,
    /// When the last check-in went out.
    last_sent: Option<Instant>,
    polls_ended: u64,
    policies: u64,
}

impl Park {
    pub(crate) fn new(behave: bool) -> Self {
        Self { behave, last_sent: None, polls_ended: 0, policies: 0 }
    }
}

impl Script for Park {
    fn begin(&mut self, _: &Agent) -> Next {
        Next::Call(Call::CheckIn)
    }

    fn sent(&mut self, _: &Agent, call: &Call, now: Instant) -> Next {
        if *call != Call::CheckIn {
            return Next::Keep;
        }
        self.last_sent = Some(now);
        Next::Settle
    }

    fn answered(&mut self, exchange: &Exchange) -> Next {
        match (&exchange.answer, acknowledge(&exchange.answer)) {
            (Answer::Acknowledged, _) if self.behave => Next::CallAfterPause(Call::CheckIn),
            (answer, Some(call)) => {
                self.policies += u64::from(matches!(answer, Answer::Policy { .. }));
                Next::Call(call)
            }
            (_, None) => {
                self.polls_ended += 1;
                if self.behave { Next::CallAfterPause(Call::CheckIn) } else { Next::Settle }
            }
        }
    }
}

/// What parking left behind, for the scenarios that go on from there.
pub(crate) struct Parked {
    pub(crate) scripts: Vec<Park>,
    /// Of the server before anybody was connected.
    pub(crate) before: Option<Memory>,
    pub(crate) memory: Option<Memory>,
}

/// How agents are to be parked.
pub(crate) struct Manner {
    pub(crate) section: &'static str,
    pub(crate) behave: bool,
    pub(crate) at_once_default: u64,
    pub(crate) retries_default: u32,
}

/// Connects and parks all agents; reports it as a section.
pub(crate) fn park(run: &mut Run, options: &crate::args::Options, manner: &Manner) -> Result<Parked, String> {
    let mut section = Section::new(manner.section);
    let before = run.server.memory();
    section.memory("before", before);
    let pace = pace(options, manner.at_once_default, manner.retries_default, manner.section);
    let mut scripts = run.crew.begin(&pace, || Park::new(manner.behave));
    let (cpu, own_cpu) = (run.server.cpu_seconds(), Process::own().cpu_seconds());
    run.server.reset_peak();
    let started = Instant::now();
    run.finish_phase(&mut scripts, options)?;
    pace.progress.finish_and_clear();
    let quiet = until_quiet(run, &mut scripts)?;
    let agents = run.crew.size();
    let last_sent = scripts.iter().filter_map(|script| script.last_sent).max();
    let since_start = |moment: Option<Instant>| moment.map(|moment| (moment - started).as_secs_f64());
    section.number("last_check_in_sent_s", since_start(last_sent));
    section.number("server_quiet_s", since_start(quiet.max(last_sent).filter(|_| quiet.is_some())));
    section.set("policies_on_the_way", json!(scripts.iter().map(|script| script.policies).sum::<u64>()));
    section.cpu("server_cpu", cpu, run.server, agents as f64);
    section.cpu("client_cpu", own_cpu, Process::own(), agents as f64);
    let memory = run.server.memory();
    section.memory("parked", memory);
    section.peak(memory);
    section.per_agent(before, memory, agents);
    run.report.add(section);
    Ok(Parked { scripts, before, memory })
}

/// Parks and stays for `--seconds`.
pub(crate) fn run(options: &ParkOptions) -> Result<bool, String> {
    let common = &options.common;
    let mut run = Run::new("park", common)?;
    run.prepare(common)?;
    let manner = Manner {
        section: "connect",
        behave: options.behave,
        at_once_default: AT_ONCE_DEFAULT,
        retries_default: 0,
    };
    let mut parked = park(&mut run, common, &manner)?;
    let mut section = Section::new("stay");
    let ended_before: u64 = parked.scripts.iter().map(|script| script.polls_ended).sum();
    let (cpu, own_cpu) = (run.server.cpu_seconds(), Process::own().cpu_seconds());
    run.server.reset_peak();
    let started = Instant::now();
    run.run_for(&mut parked.scripts, Duration::from_secs(common.seconds))?;
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    section.number("seconds", minutes * 60.0);
    let used = run.server.cpu_seconds().zip(cpu).map(|(now, before)| now - before);
    section.number("server_cpu_s_per_minute", used.map(|used| used / minutes));
    let own_used = Process::own().cpu_seconds().zip(own_cpu).map(|(now, before)| now - before);
    section.number("client_cpu_s_per_minute", own_used.map(|used| used / minutes));
    let ended: u64 = parked.scripts.iter().map(|script| script.polls_ended).sum();
    section.set("polls_ended", json!(ended - ended_before));
    let memory = run.server.memory();
    section.memory("end", memory);
    section.peak(memory);
    section.per_agent(parked.before, memory, run.crew.size());
    run.report.add(section);
    run.end(common, common.concurrency.unwrap_or(AT_ONCE_DEFAULT))
}
