//! A server on a thread of the test program, its store in memory: the parts of the program put together as `serve` does, but
//! for signals and the log, which belong to the process.

use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use fleet_server::config::{Arguments, Config, Metrics, load};
use fleet_server::reactor::{Address, Bounds, Jobs, MetricsDoor, Reactor, Run, Sender, Settings};
use fleet_server::server::{BatchId, Event, Server, WorkId};
use fleet_server::store::pool::{Pool, PoolEvent};
use fleet_server::store::{Lane, Lanes, Memory, MemoryWatch, Operation, Store, StoreResult, Watch};

/// The thread; it ends when dropped.
pub(crate) struct InProcess {
    sender: Sender,
    thread: Option<JoinHandle<()>>,
}

/// A store that the test looks into while the server has it.
pub(super) struct Shared(pub(super) Arc<Memory>);

impl Store for Shared {
    fn run(&self, batch: Vec<Operation>) -> Vec<StoreResult> {
        self.0.run(batch)
    }

    fn lanes(&self) -> Lanes {
        self.0.lanes()
    }
}

struct Workers(Pool);

impl Jobs for Workers {
    fn store(&mut self, lane: Lane, batch: BatchId, operations: Vec<Operation>) {
        self.0.submit(lane, batch, operations);
    }

    fn work(&mut self, work: WorkId, run: Run) {
        self.0.work(work, run);
    }

    fn errand(&mut self, work: WorkId, run: Run) {
        self.0.errand(work, run);
    }
}

impl InProcess {
    /// Starts a server with these settings; it listens when this returns.
    pub(super) fn start(
        settings: Vec<String>,
        directory: &Path,
        store: Arc<Memory>,
        watch: MemoryWatch,
    ) -> Result<InProcess, String> {
        let working_directory = directory.to_owned();
        let arguments = Arguments { settings, working_directory, ..Arguments::default() };
        let nothing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let config = load(&arguments, &|_| None, &nothing).map_err(|errors| errors.to_string())?.config;
        std::fs::create_dir_all(&config.data_directory).unwrap();
        let reactor = Reactor::new(reactor_settings(&config)).map_err(|error| error.to_string())?;
        let sender = reactor.sender();
        follow(watch, sender.clone());
        let run = move || run(reactor, config, store);
        let thread = Builder::new().name("server".into()).spawn(run).unwrap();
        Ok(InProcess { sender, thread: Some(thread) })
    }

    /// Tells it to stop.
    pub(super) fn stop(&self) {
        self.sender.post(Event::Stop);
    }

    /// Whether it has ended; a panic of its is one here.
    pub(super) fn ended(&mut self) -> bool {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return false;
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server panicked");
        }
        true
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

fn reactor_settings(config: &Config) -> Settings {
    let server = &config.server;
    Settings {
        external: Address { host: server.host.clone(), port: server.port },
        internal: (!server.listens_once())
            .then(|| Address { host: "localhost".into(), port: server.internal_port }),
        admin_socket: Some(config.data_directory.join("admin.sock")),
        metrics: metrics_door(config),
        tls: server.tls.clone(),
        bounds: Bounds { connections_max: server.limits.connections_max, ..Bounds::default() },
        signals: false,
    }
}

fn metrics_door(config: &Config) -> Option<MetricsDoor> {
    let Metrics { enabled, endpoint, by_default } = config.metrics.clone();
    enabled.then_some(MetricsDoor { endpoint, by_default })
}

fn run(reactor: Reactor, config: Config, store: Arc<Memory>) {
    let sender = reactor.sender();
    let post = move |event| {
        sender.post(match event {
            PoolEvent::Answered { batch, answers } => Event::Answered { batch, answers },
            PoolEvent::Worked { work, result } => Event::Worked { work, result },
        });
    };
    let pool = Pool::start(store.clone(), Arc::new(post)).unwrap();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    let mut server = Server::new(Arc::new(config), &*store, seed, reactor.now());
    reactor.run(&mut server, &mut Workers(pool), &mut ()).unwrap();
}

/// Ends with the store.
fn follow(mut watch: MemoryWatch, sender: Sender) {
    let follow = move || {
        while let Some(changes) = watch.next() {
            sender.post(Event::Changed(changes));
        }
    };
    drop(Builder::new().name("watch".into()).spawn(follow).unwrap());
}
