//! What every scenario begins with (agents that are enrolled and have their policy) and ends with.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::json;

use crate::agent::Agent;
use crate::args::Options;
use crate::client::Client;
use crate::crew::Crew;
use crate::floor::{self, Shape};
use crate::greeting::greet;
use crate::message::Messages;
use crate::proc::Process;
use crate::report::{Report, Section};
use crate::scenarios::enroll::Join;
use crate::script::Script;
use crate::shard::{Pace, Until, World};
use crate::tally::Tally;
use crate::target::Target;
use crate::{state, tls};

/// Descriptors beside the agents' sockets.
const OTHER_DESCRIPTORS: u64 = 200;
const AT_ONCE_DEFAULT: u64 = 200;
/// A blocking client gives an answer up after so long.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(120);
/// Enough for the floor's CPU seconds, which come in steps of 10 ms.
const FLOOR_CONNECTIONS: usize = 10_000;
/// More at a time only fill the backlog.
const FLOOR_AT_ONCE_MAX: usize = 2_000;

/// A scenario under way.
pub(crate) struct Run {
    pub(crate) crew: Crew,
    pub(crate) world: Arc<World>,
    pub(crate) server: Process,
    pub(crate) report: Report,
    pub(crate) tally: Tally,
    unfinished: usize,
    target: Target,
    tls: Option<Arc<ClientConfig>>,
}

impl Run {
    /// Checks what was asked for, greets the server, loads agents.
    pub(crate) fn new(scenario: &'static str, options: &Options) -> Result<Self, String> {
        let target = Target::parse(&options.url)?;
        let address = loopback(&target)?;
        raise_descriptors(options.agents + OTHER_DESCRIPTORS)?;
        let tls = tls::for_target(&target, options.ca.as_deref(), options.insecure, options.key_exchange)?;
        let named = match &tls {
            Some(config) => {
                let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
                Some((Arc::clone(config), name))
            }
            None => None,
        };
        let mut report = Report::new(scenario);
        let mut section = Section::new("setting");
        section.set("url", json!(options.url));
        section.set("tls", json!(greet(address, named.as_ref())?));
        section.set("agents", json!(options.agents));
        report.add(section);
        let messages = Messages::new(target.authority(), options.token.clone(), options.gzip_requests);
        let world = Arc::new(World { address, tls: named, messages, stop: AtomicBool::new(false) });
        let agents = agents(options)?;
        let crew = Crew::new(&world, agents, usize::try_from(options.threads).unwrap_or(1))
            .map_err(|error| error.to_string())?;
        let server = Process { id: options.server_pid };
        if server.id.is_some() && server.memory().is_none() {
            return Err("--server-pid: no such process, or not ours to look at".to_owned());
        }
        Ok(Self { crew, world, server, report, tally: Tally::default(), unfinished: 0, target, tls })
    }

    /// Enrols who is not enrolled, lets everybody take up the policy and closes the connections, so that what
    /// follows measures what it is about.
    pub(crate) fn prepare(&mut self, options: &Options) -> Result<(), String> {
        let mut section = Section::new("preparation");
        section.memory("start", self.server.memory());
        let ready = |agent: &Agent| agent.identity.is_some() && agent.revision > 0;
        let missing = self.crew.agents().filter(|agent| !ready(agent)).count();
        if missing > 0 {
            let pace = pace(options, AT_ONCE_DEFAULT, 0, "preparing");
            let mut scripts = self.crew.begin(&pace, || Join::new(true));
            let started = Instant::now();
            self.finish_phase(&mut scripts, options)?;
            pace.progress.finish_and_clear();
            section.number("seconds", started.elapsed().as_secs_f64());
        }
        section.set("agents_prepared", json!(missing));
        self.save(options)?;
        self.report.add(section);
        self.tally.forget_sizes();
        if !self.is_good() {
            self.report.add_failures(&self.tally, self.unfinished);
            self.report.print(options.json).map_err(|error| error.to_string())?;
            return Err("not all agents could be enrolled and given their policy".to_owned());
        }
        Ok(())
    }

    /// Runs a phase until all agents are settled or the deadline is over.
    pub(crate) fn finish_phase<S: Script>(
        &mut self,
        scripts: &mut [S],
        options: &Options,
    ) -> Result<(), String> {
        self.settled_within(scripts, Duration::from_secs(options.deadline_seconds)).map(drop)
    }

    /// Runs a phase for some time.
    pub(crate) fn run_for<S: Script>(&mut self, scripts: &mut [S], time: Duration) -> Result<(), String> {
        let until = Until { deadline: Instant::now() + time, settled: false };
        self.crew.run(scripts, until).map_err(|error| error.to_string())?;
        self.gather();
        Ok(())
    }

    /// Runs a phase for some time or until all are settled; returns how many are not.
    pub(crate) fn settled_within<S: Script>(
        &mut self,
        scripts: &mut [S],
        time: Duration,
    ) -> Result<usize, String> {
        let until = Until { deadline: Instant::now() + time, settled: true };
        self.crew.run(scripts, until).map_err(|error| error.to_string())?;
        self.unfinished = self.crew.unsettled();
        self.gather();
        Ok(self.unfinished)
    }

    /// Whether every agent did so far what it was to do.
    pub(crate) fn is_good(&self) -> bool {
        self.tally.lost == 0 && self.unfinished == 0
    }

    /// A blocking client to the same server.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.target.clone(), self.tls.clone(), ANSWER_WAIT_MAX)
    }

    /// The `Host` to name in requests.
    pub(crate) fn authority(&self) -> String {
        self.target.authority()
    }

    /// Saves the agents if they are to be kept.
    pub(crate) fn save(&self, options: &Options) -> Result<(), String> {
        match &options.state {
            Some(path) => state::save(path, self.crew.agents()),
            None => Ok(()),
        }
    }

    /// Measures the machine alone at the sizes of this run, prints; true if no agent failed.
    pub(crate) fn end(mut self, options: &Options, at_once: u64) -> Result<bool, String> {
        self.save(options)?;
        self.report.add_failures(&self.tally, self.unfinished);
        drop(self.crew);
        if !options.no_floor {
            let (request_bytes, response_bytes) = self.tally.mean_sizes();
            let at_once = usize::try_from(at_once).unwrap_or(FLOOR_AT_ONCE_MAX).min(FLOOR_AT_ONCE_MAX);
            let shape = Shape { request_bytes, response_bytes, connections: FLOOR_CONNECTIONS, at_once };
            self.report.add(floor::measure(&shape)?);
        }
        self.report.print(options.json).map_err(|error| error.to_string())?;
        Ok(self.report.is_good())
    }

    fn gather(&mut self) {
        let tally = self.crew.take_tally();
        self.tally.add(&tally);
    }
}

/// How fast a phase goes, and its progress bar (on a terminal only).
pub(crate) fn pace(
    options: &Options,
    at_once_default: u64,
    retries_default: u32,
    label: &'static str,
) -> Pace {
    let at_once = options.concurrency.unwrap_or(at_once_default);
    let progress = ProgressBar::new(options.agents).with_message(label);
    if let Ok(style) = ProgressStyle::with_template("{msg:>12} {wide_bar} {pos}/{len} {elapsed}") {
        progress.set_style(style);
    }
    Pace {
        at_once_max: usize::try_from(at_once).unwrap_or(usize::MAX),
        retries_max: options.retries.unwrap_or(retries_default),
        progress,
    }
}

fn agents(options: &Options) -> Result<Vec<Agent>, String> {
    let count = usize::try_from(options.agents).map_err(|error| error.to_string())?;
    let mut agents = match &options.state {
        Some(path) => state::load(path, count)?,
        None => Vec::new(),
    };
    agents.extend((agents.len()..count).map(Agent::new));
    Ok(agents)
}

/// The swarm is for measuring on one machine, never for loading somebody's server.
pub(crate) fn loopback(target: &Target) -> Result<SocketAddr, String> {
    let addresses = target.addresses()?;
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        Some(address) => Err(format!(
            "{} is {}: the swarm only loads servers on this machine's loopback addresses",
            target.host,
            IpAddr::to_canonical(&address.ip())
        )),
        None => addresses.first().copied().ok_or_else(|| format!("{}: no address", target.host)),
    }
}

fn raise_descriptors(needed: u64) -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(format!("{needed} open files are needed, the hard limit is {:?}", limit.maximum));
    }
    let raised = rustix::process::Rlimit { current: Some(needed), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|error| format!("open files: {error}"))
}
