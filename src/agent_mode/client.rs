//! The thread that talks to the agent: the check-in stream and the actions stream, each opened again when it ends. What is said
//! is made by the pure parts beside it at the moment when the agent can take it, so nothing queues up here. The only place
//! that knows tokio and tonic.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use http::uri::PathAndQuery;
use tokio::runtime;
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::actions::{Actions, Asked, QUESTIONS_OPEN_MAX};
use super::back_off::BackOff;
use super::chunks::Sets;
use super::messages::{ActionRequest, ActionResponse, CheckinExpected, CheckinObserved};
use super::saying::{Saying, timestamp};
use super::seam::{Control, Question, Report, Wire, link};
use super::startup::StartUp;
use super::units::Table;
use crate::reactor::Clock;
use crate::time::{NEVER, Now};

mod connect;

const CHECK_IN: &str = "/proto.ElasticAgent/CheckinV2";
const ACTIONS: &str = "/proto.ElasticAgent/Actions";
/// Diagnostics try the output for 30 s at most.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(45);
/// Names are looked up, and answers are waited for, beside the thread.
const BLOCKING_THREADS_MAX: usize = QUESTIONS_OPEN_MAX + 1;

/// Starts to talk to the agent, and goes on until [`Control::stop`] whatever becomes of the agent.
///
/// # Errors
/// No thread, or nothing to wait for sockets by.
pub fn start(startup: StartUp) -> io::Result<Control> {
    let changed = Arc::new(Notify::new());
    let bell = Arc::clone(&changed);
    let (control, wire) = link(move || bell.notify_one());
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("agent")
        .build()?;
    let talk = Arc::new(Talk::new(startup, wire, changed));
    let run = move || {
        runtime.block_on(talk.run());
        // who waits for an answer of the server is not waited for
        runtime.shutdown_background();
    };
    thread::Builder::new().name("agent".into()).spawn(run)?;
    Ok(control)
}

/// What the streams share. Its locks are held for moments, never while something is waited for.
struct Talk {
    startup: StartUp,
    wire: Wire,
    clock: Clock,
    table: Mutex<Table>,
    actions: Mutex<Actions>,
    /// What the server has said, as far as it was not told yet: each is told.
    reports: Mutex<VecDeque<Report>>,
    /// There may be something to say on the check-in stream.
    changed: Arc<Notify>,
    /// There may be an answer for the actions stream.
    answered: Notify,
}

/// A stream is open as long as this is held: what is sent ends with it, even where the connection has not noticed yet.
type Open = Arc<()>;

impl Talk {
    fn new(startup: StartUp, wire: Wire, changed: Arc<Notify>) -> Self {
        Talk {
            table: Mutex::new(Table::new(startup.agent.clone())),
            actions: Mutex::new(Actions::new(startup.token.expose(), startup.message_bytes_max)),
            reports: Mutex::default(),
            wire,
            clock: Clock::start(),
            changed,
            answered: Notify::new(),
            startup,
        }
    }

    async fn run(self: Arc<Self>) {
        let channel = connect::channel(&self.startup);
        let acting = tokio::spawn(Arc::clone(&self).keep_acting(channel.clone()));
        self.keep_checking_in(channel).await;
        acting.abort();
        self.wire.close();
    }

    async fn keep_checking_in(self: &Arc<Self>, channel: Channel) {
        let mut back_off = BackOff::default();
        while !self.wire.is_stopping() {
            let since = self.clock.now().mono;
            let open = Open::default();
            let saying = Saying::new(&self.startup, std::process::id());
            let mut sets = Sets::default();
            let take = |message| self.expected(sets.take(message));
            let said = self.observed(saying, Arc::downgrade(&open));
            let ended = self.converse(channel.clone(), CHECK_IN, said, take).await;
            drop(open);
            self.changed.notify_waiters();
            self.wait("check-in", ended, back_off.after(self.clock.now().mono.saturating_sub(since))).await;
        }
    }

    async fn keep_acting(self: Arc<Self>, channel: Channel) {
        let mut back_off = BackOff::default();
        loop {
            let since = self.clock.now().mono;
            let open = Open::default();
            let said = self.answers(Arc::downgrade(&open));
            let ended = self.converse(channel.clone(), ACTIONS, said, |request| self.act(request)).await;
            drop(open);
            lock(&self.actions).stream_ended(self.clock.now().mono);
            self.answered.notify_waiters();
            let wait = back_off.after(self.clock.now().mono.saturating_sub(since));
            log::debug!("the actions stream of the agent ended: {}; the next in {wait:?}", reason(ended));
            tokio::time::sleep(wait).await;
        }
    }

    /// Opens a stream, sends what `said` gives, and hands over what comes, until it ends.
    async fn converse<Said, Come>(
        &self,
        channel: Channel,
        path: &'static str,
        said: impl Stream<Item = Said> + Send + 'static,
        mut take: impl FnMut(Come),
    ) -> Result<(), Status>
    where
        Said: prost::Message + 'static,
        Come: prost::Message + Default + 'static,
    {
        let mut client = Grpc::new(channel).max_decoding_message_size(self.startup.message_bytes_max);
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Said, Come>::default();
        let path = PathAndQuery::from_static(path);
        let mut coming = client.streaming(Request::new(said), path, codec).await?.into_inner();
        while let Some(message) = coming.message().await? {
            take(message);
        }
        Ok(())
    }

    /// Waits before a stream is opened again; who stops does not wait.
    async fn wait(&self, stream: &str, ended: Result<(), Status>, wait: Duration) {
        if self.wire.is_stopping() {
            return;
        }
        log::warn!("the {stream} stream of the agent ended: {}; the next in {wait:?}", reason(ended));
        let until = self.clock.now().mono + wait;
        loop {
            let left = until.saturating_sub(self.clock.now().mono);
            let is_over = timeout(left, self.changed.notified()).await.is_err();
            if is_over || self.wire.is_stopping() {
                return;
            }
        }
    }

    fn expected(&self, whole: Option<CheckinExpected>) {
        let Some(whole) = whole else { return };
        if let Some(wish) = lock(&self.table).expected(whole) {
            self.wire.wish(wish);
        }
        // what was received is echoed at once, before any of it is in force
        self.changed.notify_one();
    }

    fn observed(
        self: &Arc<Self>,
        saying: Saying,
        open: Weak<()>,
    ) -> impl Stream<Item = CheckinObserved> + Send + use<> {
        stream::unfold((Arc::clone(self), saying), move |(talk, mut saying)| {
            let open = open.clone();
            async move {
                let message = talk.next_observed(&mut saying, &open).await?;
                Some((message, (talk, saying)))
            }
        })
    }

    async fn next_observed(&self, saying: &mut Saying, open: &Weak<()>) -> Option<CheckinObserved> {
        while open.strong_count() > 0 {
            // looked at first: what was reported before the end is said before it
            let stopping = self.wire.is_stopping();
            let now = self.clock.now();
            let (message, ended) = self.say(saying, now, stopping);
            if message.is_some() || ended {
                return message;
            }
            // it may have passed by now
            let _ = timeout(saying.due().saturating_sub(now.mono), self.changed.notified()).await;
        }
        None
    }

    /// What is to be said now, and whether nothing follows.
    fn say(&self, saying: &mut Saying, now: Now, stopping: bool) -> (Option<CheckinObserved>, bool) {
        let mut table = lock(&self.table);
        let mut message = saying.next(&table, now);
        let mut reports = lock(&self.reports);
        if reports.is_empty() {
            reports.extend(self.wire.reports());
        }
        while message.is_none()
            && let Some(report) = reports.pop_front()
        {
            table.report(report);
            message = saying.next(&table, now);
        }
        if message.is_some() || !stopping {
            return (message, false);
        }
        table.end();
        let message = saying.next(&table, now);
        let ended = message.is_none();
        (message, ended)
    }

    fn answers(self: &Arc<Self>, open: Weak<()>) -> impl Stream<Item = ActionResponse> + Send + use<> {
        let first = lock(&self.actions).first();
        stream::unfold((Arc::clone(self), Some(first)), move |(talk, first)| {
            let open = open.clone();
            async move {
                let message = match first {
                    Some(first) => first,
                    None => talk.next_answer(&open).await?,
                };
                Some((message, (talk, None)))
            }
        })
    }

    async fn next_answer(&self, open: &Weak<()>) -> Option<ActionResponse> {
        while open.strong_count() > 0 {
            let now = self.clock.now().mono;
            let (answer, wait) = {
                let mut actions = lock(&self.actions);
                (actions.next(now), actions.wait())
            };
            if answer.is_some() {
                return answer;
            }
            // it may have passed by now
            let _ = timeout(wait.unwrap_or(NEVER), self.answered.notified()).await;
        }
        None
    }

    fn act(self: &Arc<Self>, request: ActionRequest) {
        let known = lock(&self.table).has(&request.unit_id, request.unit_type);
        match lock(&self.actions).request(request, known) {
            Some(asked) => drop(tokio::spawn(Arc::clone(self).ask(asked))),
            None => self.answered.notify_one(),
        }
    }

    /// Asks the server, and waits for it beside everything else.
    async fn ask(self: Arc<Self>, asked: Asked) {
        let (answer, answers) = sync_channel(1);
        self.wire.ask(Question { connection: asked.connection, answer });
        let wait = move || answers.recv_timeout(ANSWER_WAIT_MAX).ok();
        let files = tokio::task::spawn_blocking(wait).await.ok().flatten();
        let now = timestamp(self.clock.now().wall);
        lock(&self.actions).answered(&asked.id, files, now);
        self.answered.notify_one();
    }
}

fn reason(ended: Result<(), Status>) -> String {
    match ended {
        Ok(()) => "the agent has closed it".to_owned(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
