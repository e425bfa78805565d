//! A new policy revision on its way to every parked agent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::agent::{Agent, Answer, Call};
use crate::args::RolloutOptions;
use crate::message::Messages;
use crate::proc::Process;
use crate::report::Section;
use crate::run::{Run, pace};
use crate::scenarios::park::{Manner, park};
use crate::scenarios::probe::{self, Seen};
use crate::scenarios::trigger::Trigger;
use crate::script::{Exchange, Next, Script, acknowledge};
use crate::settle::until_quiet;
use crate::single::Single;
use crate::tally::Times;

const PARK_AT_ONCE_DEFAULT: u64 = 200;
/// The probe's figures without a rollout are gathered for so long.
const CALM: Duration = Duration::from_secs(2);
/// The loop runs so long before the trigger is looked at again.
const SLICE: Duration = Duration::from_millis(250);

/// Waits for the new revision, acknowledges it, returns as a real agent does, parks.
struct Rollout {
    base: i64,
    received: Vec<Instant>,
    acknowledged: Vec<Instant>,
    revisions: BTreeMap<i64, u64>,
    /// Policies that were not newer.
    stale: u64,
}

impl Script for Rollout {
    fn begin(&mut self, _: &Agent) -> Next {
        Next::Keep
    }

    fn sent(&mut self, agent: &Agent, call: &Call, _: Instant) -> Next {
        if *call == Call::CheckIn && agent.revision > self.base { Next::Settle } else { Next::Keep }
    }

    fn answered(&mut self, exchange: &Exchange) -> Next {
        match &exchange.answer {
            Answer::Policy { revision, .. } => {
                *self.revisions.entry(*revision).or_default() += 1;
                if *revision > self.base {
                    self.received.push(exchange.now);
                } else {
                    self.stale += 1;
                }
            }
            Answer::Acknowledged => {
                self.acknowledged.push(exchange.now);
                return Next::CallAfterPause(Call::CheckIn);
            }
            // A poll that ended is begun again, and the revision comes with the next one.
            Answer::Nothing => return Next::CallAfterPause(Call::CheckIn),
            Answer::Actions { .. } | Answer::Enrolled(_) => {}
        }
        acknowledge(&exchange.answer).map_or(Next::Keep, Next::Call)
    }
}

/// Parks, triggers, follows.
pub(crate) fn run(options: &RolloutOptions) -> Result<bool, String> {
    let common = &options.common;
    let token = options.probe_token.clone().or_else(|| common.token.clone());
    if token.is_none() {
        return Err("the probe needs --probe-token or --token to enrol".to_owned());
    }
    let mut run = Run::new("rollout", common)?;
    run.prepare(common)?;
    let manner = Manner {
        section: "connect",
        behave: true,
        at_once_default: PARK_AT_ONCE_DEFAULT,
        retries_default: 0,
    };
    let mut parked = park(&mut run, common, &manner)?;
    if !run.is_good() {
        return run.end(common, PARK_AT_ONCE_DEFAULT);
    }
    let client = run.client();
    let messages = Messages::new(client.authority(), token, common.gzip_requests);
    let (mut single, _) = Single::enroll(client, &messages).map_err(|failure| failure.detail)?;
    let (ended, calm) = with_probe(&mut single, || run.run_for(&mut parked.scripts, CALM))?;
    ended?;
    let (section, seen) = with_probe(&mut single, || roll_out(&mut run, options))?;
    run.report.add(section?);
    single.leave();
    let mut section = Section::new("probe");
    for (name, mut seen) in [("calm", calm), ("rollout", seen)] {
        section.times(&format!("{name}_check_in"), &mut seen.check_ins);
        section.times(&format!("{name}_ack"), &mut seen.acks);
        section.set(&format!("{name}_check_ins"), json!(seen.check_ins.count()));
        section.set(
            &format!("{name}_failures"),
            json!(seen.tally.failures.values().map(|(count, _)| count).sum::<u64>()),
        );
        run.tally.add(&seen.tally);
    }
    run.report.add(section);
    run.end(common, PARK_AT_ONCE_DEFAULT)
}

/// Runs `phase` with the probe beside it.
fn with_probe<T>(single: &mut Single<'_>, phase: impl FnOnce() -> T) -> Result<(T, Seen), String> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let probe = scope.spawn(|| probe::watch(single, &stop));
        let ended = phase();
        stop.store(true, Ordering::Relaxed);
        probe.join().map(|seen| (ended, seen)).map_err(|_| "the probe panicked".to_owned())
    })
}

fn roll_out(run: &mut Run, options: &RolloutOptions) -> Result<Section, String> {
    let common = &options.common;
    let base = run.crew.agents().map(|agent| agent.revision).max().unwrap_or_default();
    let mut pace = pace(common, common.agents, 0, "rollout");
    // Everybody waits from the beginning, whatever --concurrency says of connecting.
    pace.at_once_max = usize::MAX / 2;
    let rollout = || Rollout {
        base,
        received: Vec::new(),
        acknowledged: Vec::new(),
        revisions: BTreeMap::new(),
        stale: 0,
    };
    let mut scripts = run.crew.begin(&pace, rollout);
    let refusals_before = run.tally.refusals();
    let (cpu, own_cpu) = (run.server.cpu_seconds(), Process::own().cpu_seconds());
    run.server.reset_peak();
    let mut trigger = Trigger::start(&options.trigger)?;
    let started = trigger.started;
    let deadline = started + Duration::from_secs(common.deadline_seconds);
    while run.settled_within(&mut scripts, SLICE)? > 0 && Instant::now() < deadline && !trigger.has_failed() {
    }
    trigger.finish()?;
    pace.progress.finish_and_clear();
    until_quiet(run, &mut scripts)?;
    let agents = run.crew.size();
    let mut section = Section::new("rollout");
    figures(&mut section, scripts, started, agents);
    section.set("refusals", json!(run.tally.refusals() - refusals_before));
    section.cpu("server_cpu", cpu, run.server, agents as f64);
    section.cpu("client_cpu", own_cpu, Process::own(), agents as f64);
    let memory = run.server.memory();
    section.memory("parked_again", memory);
    section.peak(memory);
    Ok(section)
}

fn figures(section: &mut Section, scripts: Vec<Rollout>, started: Instant, agents: usize) {
    let (mut received, mut acknowledged) = (Times::default(), Times::default());
    let mut revisions = BTreeMap::new();
    let mut stale = 0;
    for script in scripts {
        script.received.iter().for_each(|moment| received.note(*moment - started));
        script.acknowledged.iter().for_each(|moment| acknowledged.note(*moment - started));
        for (revision, count) in script.revisions {
            *revisions.entry(revision.to_string()).or_insert(0) += count;
        }
        stale += script.stale;
    }
    section.set("agents_with_new_revision", json!(received.count().min(agents as u64)));
    section.number("first_received_ms", received.percentile(0.0));
    section.times("received", &mut received);
    section.times("acknowledged", &mut acknowledged);
    section.set("revisions", json!(revisions));
    section.set("stale_policies", json!(stale));
}
