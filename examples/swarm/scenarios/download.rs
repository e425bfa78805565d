//! All agents fetch one file at once: how fast that is in sum, and what it costs the server in memory and CPU.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::DownloadOptions;
use crate::fetch::{self, Bodies, Fetched, Source};
use crate::proc::Process;
use crate::report::Section;
use crate::run::Run;

const MEGABYTE: f64 = 1_000_000.0;

/// Enrols, then lets each agent fetch `--path` over a connection of its own, `--rounds` times.
pub(crate) fn run(options: &DownloadOptions) -> Result<bool, String> {
    let common = &options.common;
    let mut run = Run::new("download", common)?;
    run.prepare(common)?;
    let source = Source {
        address: run.world.address,
        tls: run.world.tls.as_ref().map(|(c, n)| (Arc::clone(c), n.clone())),
    };
    for round in 1..=options.rounds {
        let requests = requests(&run, &options.path)?;
        let count = requests.len();
        let before = run.server.memory();
        run.server.reset_peak();
        let (cpu, own_cpu) = (run.server.cpu_seconds(), Process::own().cpu_seconds());
        let started = Instant::now();
        let threads = usize::try_from(common.threads).unwrap_or(1);
        let deadline = started + Duration::from_secs(common.deadline_seconds);
        let bodies = if options.drop_bodies { Bodies::Dropped } else { Bodies::Received };
        let mut fetched = fetch_all(&source, requests, threads, bodies, deadline)?;
        let seconds = started.elapsed().as_secs_f64();
        let mut section = Section::new("download");
        section.set("round", json!(round));
        section.number("seconds", seconds);
        section.set("files", json!(fetched.times.count()));
        let megabytes = fetched.body_bytes as f64 / MEGABYTE;
        section.number("megabytes", megabytes);
        section.number("megabytes_per_second", megabytes / seconds);
        section.times("file", &mut fetched.times);
        section.cpu("server_cpu", cpu, run.server, count as f64);
        let used = run.server.cpu_seconds().zip(cpu).map(|(now, before)| now - before);
        section.number("megabytes_per_server_cpu_second", used.map(|used| megabytes / used));
        section.cpu("client_cpu", own_cpu, Process::own(), count as f64);
        section.memory("before", before);
        let after = run.server.memory();
        section.memory("after", after);
        section.peak(after);
        let growth = before.zip(after).map(|(was, is)| is.peak.saturating_sub(was.resident) as f64 / 1_024.0);
        section.number("growth_mib", growth);
        run.report.add(section);
        run.tally.add(&fetched.tally);
    }
    run.end(common, common.agents)
}

/// A request for each agent.
fn requests(run: &Run, path: &str) -> Result<Vec<Vec<u8>>, String> {
    let authority = run.authority();
    let request = |agent: &crate::agent::Agent| {
        let key = &agent.identity.as_ref().ok_or("an agent is not enrolled")?.access_api_key;
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: ApiKey {key}\r\nConnection: close\r\n\r\n"
        );
        Ok(text.into_bytes())
    };
    run.crew.agents().map(request).collect()
}

/// Deals the requests out to threads.
fn fetch_all(
    source: &Source,
    mut requests: Vec<Vec<u8>>,
    threads: usize,
    bodies: Bodies,
    deadline: Instant,
) -> Result<Fetched, String> {
    let share = requests.len().div_ceil(threads.max(1)).max(1);
    let mut hands = Vec::new();
    let mut first = 0;
    while !requests.is_empty() {
        let rest = requests.split_off(share.min(requests.len()));
        hands.push((first, std::mem::replace(&mut requests, rest)));
        first += share;
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = hands
            .into_iter()
            .map(|(first, hand)| scope.spawn(move || fetch::fetch(source, hand, first, bodies, deadline)))
            .collect();
        let mut sum = Fetched::default();
        for thread in running {
            let part = thread.join().map_err(|_| "a thread panicked")?.map_err(|error| error.to_string())?;
            sum.tally.add(&part.tally);
            sum.times.append(part.times);
            sum.body_bytes += part.body_bytes;
        }
        Ok(sum)
    })
}
