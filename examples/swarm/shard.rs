//! The event loop of some of the agents: sockets, pauses, and the script that says what comes next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{io, mem};

use indicatif::ProgressBar;
use mio::{Events, Poll, Token};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustls::{ClientConfig, pki_types::ServerName};

use crate::agent::{Agent, Call};
use crate::failure::Failure;
use crate::message::Messages;
use crate::script::{Exchange, Next, Script};
use crate::session::{Session, Visit};
use crate::tally::Tally;
use crate::{answer, transport::Transport};

/// A real agent returns so long after an answer.
const PAUSE_MILLISECONDS: std::ops::Range<u64> = 1_000..1_500;
/// A failed call that may be retried waits so long.
const RETRY_MILLISECONDS: std::ops::Range<u64> = 500..1_500;
/// Agents started before the sockets are looked at again.
const STARTS_PER_TURN_MAX: usize = 64;
/// The loop looks at the clock and at the stop flag at least so often.
const WAIT_MAX: Duration = Duration::from_millis(50);
const EVENTS_MAX: usize = 1_024;
const SCRATCH_BYTES: usize = 64 * 1024;

/// What all agents share.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    /// None: plain HTTP.
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(crate) messages: Messages,
    /// Ends every loop early.
    pub(crate) stop: AtomicBool,
}

/// When a loop ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    pub(crate) deadline: Instant,
    /// Also when every agent is settled.
    pub(crate) settled: bool,
}

/// How a phase goes about its agents.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Agents that have begun and are not settled.
    pub(crate) at_once_max: usize,
    /// Failed calls that one agent repeats.
    pub(crate) retries_max: u32,
    /// Moves with each settled agent.
    pub(crate) progress: ProgressBar,
}

struct Member {
    agent: Agent,
    session: Option<Session>,
    /// Due when its timer fires.
    planned: Option<Call>,
    begun: bool,
    settled: bool,
    /// Stands in the ready queue.
    ready: bool,
    retries: u32,
}

/// Some agents and their loop.
pub(crate) struct Shard {
    world: Arc<World>,
    poll: Poll,
    members: Vec<Member>,
    ready: VecDeque<usize>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    random: StdRng,
    scratch: Vec<u8>,
    pace: Pace,
    next_start: usize,
    settled: usize,
    tally: Tally,
}

impl Shard {
    /// `number` seeds the pauses.
    pub(crate) fn new(world: Arc<World>, agents: Vec<Agent>, number: u64) -> io::Result<Self> {
        let member = |agent| Member {
            agent,
            session: None,
            planned: None,
            begun: false,
            settled: false,
            ready: false,
            retries: 0,
        };
        Ok(Self {
            world,
            poll: Poll::new()?,
            members: agents.into_iter().map(member).collect(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            random: StdRng::seed_from_u64(number),
            scratch: vec![0; SCRATCH_BYTES],
            pace: Pace { at_once_max: 0, retries_max: 0, progress: ProgressBar::hidden() },
            next_start: 0,
            settled: 0,
            tally: Tally::default(),
        })
    }

    /// Prepares a phase: every agent is to begin. Connections stay as they are.
    pub(crate) fn begin(&mut self, pace: Pace) {
        self.pace = pace;
        (self.next_start, self.settled) = (0, 0);
        for member in &mut self.members {
            (member.begun, member.settled, member.retries) = (false, false, 0);
        }
    }

    /// Runs the loop; goes on where the last run of the phase ended.
    pub(crate) fn run(&mut self, script: &mut dyn Script, until: Until) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.start(script);
            self.fire();
            self.visit_ready(script);
            let now = Instant::now();
            let done = until.settled && self.settled == self.members.len();
            if done || now >= until.deadline || self.world.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.wait(&mut events, until.deadline.saturating_duration_since(now), now)?;
        }
    }

    /// Closes every connection without a word, as when the network goes.
    pub(crate) fn drop_connections(&mut self) {
        for member in &mut self.members {
            (member.session, member.planned) = (None, None);
        }
        self.timers.clear();
    }

    /// The agents, to save or to look at.
    pub(crate) fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.members.iter().map(|member| &member.agent)
    }

    /// Agents of the phase that are not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.members.len() - self.settled
    }

    /// The counts since the last time.
    pub(crate) fn take_tally(&mut self) -> Tally {
        mem::take(&mut self.tally)
    }

    fn start(&mut self, script: &mut dyn Script) {
        for _ in 0..STARTS_PER_TURN_MAX {
            let active = self.next_start - self.settled;
            if self.next_start == self.members.len() || active >= self.pace.at_once_max {
                return;
            }
            let index = self.next_start;
            self.next_start += 1;
            self.members[index].begun = true;
            let next = script.begin(&self.members[index].agent);
            self.follow(index, next);
        }
    }

    fn fire(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((due, index))) = self.timers.peek() {
            if due > now {
                return;
            }
            self.timers.pop();
            if let Some(call) = self.members[index].planned.take() {
                self.follow(index, Next::Call(call));
            }
        }
    }

    /// Visits whom the last wait or the last steps made ready; what these make ready comes next turn.
    fn visit_ready(&mut self, script: &mut dyn Script) {
        for _ in 0..self.ready.len() {
            if let Some(index) = self.ready.pop_front() {
                self.members[index].ready = false;
                self.visit(index, script);
            }
        }
    }

    fn wait(&mut self, events: &mut Events, left: Duration, now: Instant) -> io::Result<()> {
        let starting =
            self.next_start < self.members.len() && self.next_start - self.settled < self.pace.at_once_max;
        let timer = self.timers.peek().map(|Reverse((due, _))| due.saturating_duration_since(now));
        let wait = match (starting || !self.ready.is_empty(), timer) {
            (true, _) => Duration::ZERO,
            (false, timer) => timer.unwrap_or(WAIT_MAX).min(WAIT_MAX).min(left),
        };
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter() {
            self.make_ready(event.token().0);
        }
        Ok(())
    }

    fn make_ready(&mut self, index: usize) {
        if !mem::replace(&mut self.members[index].ready, true) {
            self.ready.push_back(index);
        }
    }

    fn visit(&mut self, index: usize, script: &mut dyn Script) {
        let Some(session) = &mut self.members[index].session else { return };
        match session.visit(&mut self.scratch) {
            Ok(visit) => self.heed(index, visit, script),
            Err(failure) => {
                let call = session.call().cloned();
                self.members[index].session = None;
                self.fail(index, &failure, call);
            }
        }
    }

    fn heed(&mut self, index: usize, visit: Visit, script: &mut dyn Script) {
        let now = Instant::now();
        if visit.over {
            self.members[index].session = None;
        }
        let member = &self.members[index];
        if visit.sent
            && visit.answered.is_none()
            && let Some(call) = member.session.as_ref().and_then(Session::call)
        {
            let next = script.sent(&member.agent, call, now);
            self.follow(index, next);
        }
        let Some((in_flight, response)) = visit.answered else { return };
        self.tally.answers += 1;
        self.tally.response_bytes += response.body.len() as u64;
        let call = in_flight.call;
        let agent = &mut self.members[index].agent;
        match answer::read(agent, &call, &response) {
            Ok(answer) => {
                agent.absorb(&call, &answer);
                let next = script.answered(&Exchange { answer, since: in_flight.since, now });
                self.follow(index, next);
            }
            Err(failure) => self.fail(index, &failure, Some(call)),
        }
    }

    fn follow(&mut self, index: usize, next: Next) {
        match next {
            Next::Keep => {}
            Next::Call(call) => {
                if let Err(failure) = self.call(index, call.clone()) {
                    self.members[index].session = None;
                    self.fail(index, &failure, Some(call));
                }
            }
            Next::CallAfterPause(call) => self.plan(index, call, PAUSE_MILLISECONDS),
            Next::Settle => self.settle(index),
            Next::HangUp => {
                if let Some(session) = self.members[index].session.take() {
                    session.close();
                }
                self.settle(index);
            }
        }
    }

    fn call(&mut self, index: usize, call: Call) -> Result<(), Failure> {
        let now = Instant::now();
        let member = &mut self.members[index];
        let request = self.world.messages.request(&member.agent, &call)?;
        self.tally.calls += 1;
        self.tally.request_bytes += request.len() as u64;
        let mut session = match member.session.take() {
            Some(session) => session,
            None => {
                let tls = self.world.tls.as_ref().map(|(config, name)| (config, name));
                let opened = Transport::open(self.world.address, member.agent.index, tls);
                opened
                    .and_then(|transport| Session::new(transport, self.poll.registry(), Token(index), now))
                    .map_err(|error| Failure::connection(&error))?
            }
        };
        session.send(call, request, now)?;
        member.session = Some(session);
        self.make_ready(index);
        Ok(())
    }

    fn fail(&mut self, index: usize, failure: &Failure, call: Option<Call>) {
        self.tally.failed(failure);
        let member = &mut self.members[index];
        match call {
            Some(call) if member.retries < self.pace.retries_max => {
                member.retries += 1;
                self.plan(index, call, RETRY_MILLISECONDS);
            }
            _ => {
                self.tally.lost += 1;
                self.settle(index);
            }
        }
    }

    fn plan(&mut self, index: usize, call: Call, milliseconds: std::ops::Range<u64>) {
        let wait = Duration::from_millis(self.random.random_range(milliseconds));
        self.members[index].planned = Some(call);
        self.timers.push(Reverse((Instant::now() + wait, index)));
    }

    fn settle(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.begun && !mem::replace(&mut member.settled, true) {
            self.settled += 1;
            self.pace.progress.inc(1);
        }
    }
}
