//! Check-ins that return at once, over connections that stay: what one costs the server.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::agent::{Agent, Call};
use crate::args::Options;
use crate::proc::Process;
use crate::report::Section;
use crate::run::{Run, pace};
use crate::script::{Exchange, Next, Script};
use crate::tally::Times;

/// Before the measurement begins: connections and caches are warm then.
const WARM_UP: Duration = Duration::from_secs(2);

/// Checks in over and over.
struct Storm {
    check_ins: Times,
}

impl Script for Storm {
    fn begin(&mut self, _: &Agent) -> Next {
        Next::Call(Call::CheckIn)
    }

    fn answered(&mut self, exchange: &Exchange) -> Next {
        self.check_ins.note(exchange.now - exchange.since);
        Next::Call(Call::CheckIn)
    }
}

/// Storms for `--seconds` with all agents at a time.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let mut run = Run::new("storm", options)?;
    run.prepare(options)?;
    let pace = pace(options, options.agents, 0, "storm");
    pace.progress.finish_and_clear();
    let mut scripts = run.crew.begin(&pace, || Storm { check_ins: Times::default() });
    run.run_for(&mut scripts, WARM_UP)?;
    scripts.iter_mut().for_each(|script| script.check_ins = Times::default());
    let (cpu, own_cpu) = (run.server.cpu_seconds(), Process::own().cpu_seconds());
    let started = Instant::now();
    run.run_for(&mut scripts, Duration::from_secs(options.seconds))?;
    let seconds = started.elapsed().as_secs_f64();
    let mut times = Times::default();
    scripts.into_iter().for_each(|script| times.append(script.check_ins));
    let count = times.count() as f64;
    let mut section = Section::new("storm");
    section.number("seconds", seconds);
    section.set("check_ins", json!(times.count()));
    section.number("per_second", count / seconds);
    section.times("latency", &mut times);
    section.cpu("server_cpu", cpu, run.server, count);
    section.cpu("client_cpu", own_cpu, Process::own(), count);
    section.memory("end", run.server.memory());
    run.report.add(section);
    let at_once = u64::try_from(pace.at_once_max).unwrap_or(options.agents);
    run.end(options, at_once)
}
