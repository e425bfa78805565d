//! All connections are dropped at once, and everybody comes back.

use std::time::Duration;

use crate::args::Options;
use crate::report::Section;
use crate::run::Run;
use crate::scenarios::park::{Manner, park};

const PARK_AT_ONCE_DEFAULT: u64 = 200;
const RETRIES_DEFAULT: u32 = 10;
/// How long after the return the memory is looked at once more.
const REST: Duration = Duration::from_secs(5);

/// Parks, drops, parks again.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let mut run = Run::new("reconnect", options)?;
    run.prepare(options)?;
    let first = Manner {
        section: "connect",
        behave: false,
        at_once_default: PARK_AT_ONCE_DEFAULT,
        retries_default: RETRIES_DEFAULT,
    };
    let parked = park(&mut run, options, &first)?;
    run.crew.drop_connections();
    let again = Manner { section: "reconnect", at_once_default: options.agents, ..first };
    let mut returned = park(&mut run, options, &again)?;
    run.run_for(&mut returned.scripts, REST)?;
    let mut section = Section::new("rest");
    let memory = run.server.memory();
    section.memory("rest", memory);
    section.per_agent(parked.before, memory, run.crew.size());
    let growth = parked.memory.zip(memory).map(|(was, is)| is.resident as f64 / was.resident as f64 - 1.0);
    section.number("growth_over_parked_percent", growth.map(|growth| growth * 100.0));
    run.report.add(section);
    run.end(options, options.concurrency.unwrap_or(options.agents))
}
