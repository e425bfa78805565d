//! One agent alone on an idle server: how long each kind of request takes.

use serde_json::json;

use crate::args::LatencyOptions;
use crate::failure::Failure;
use crate::report::Section;
use crate::run::Run;
use crate::single::Single;
use crate::tally::{Tally, Times};

#[derive(Default)]
struct Kinds {
    enrolments: Times,
    check_ins: Times,
    acks: Times,
}

/// Measures `--rounds` enrolments (a connection each), check-ins that return at once and acks.
pub(crate) fn run(options: &LatencyOptions) -> Result<bool, String> {
    let common = &options.common;
    let mut run = Run::new("latency", common)?;
    let mut kinds = Kinds::default();
    let mut tally = Tally::default();
    if let Err(failure) = measure(&run, options.rounds, &mut kinds, &mut tally) {
        tally.lost = 1;
        tally.failed(&failure);
    }
    run.tally.add(&tally);
    let mut section = Section::new("latency");
    section.set("rounds", json!(options.rounds));
    section.times("enroll", &mut kinds.enrolments);
    section.times("check_in", &mut kinds.check_ins);
    section.times("ack", &mut kinds.acks);
    run.report.add(section);
    run.end(common, 1)
}

fn measure(run: &Run, rounds: u32, kinds: &mut Kinds, tally: &mut Tally) -> Result<(), Failure> {
    for _ in 0..rounds {
        let (single, time) = Single::enroll(run.client(), &run.world.messages)?;
        tally.add(&single.leave());
        kinds.enrolments.note(time);
    }
    let (mut single, _) = Single::enroll(run.client(), &run.world.messages)?;
    for _ in 0..rounds {
        let (answer, time) = single.check_in()?;
        kinds.check_ins.note(time);
        kinds.acks.note(single.acknowledge(&answer)?);
    }
    tally.add(&single.leave());
    Ok(())
}
