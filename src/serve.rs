//! Builds the parts from a configuration and runs them: the only place that knows them all.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::config::{Config, Errors, Loaded, Metrics, PemSource, Tls};
use crate::connection::Listener;
use crate::log::{LOG_LINES_QUEUED_MAX, LogHandle};
use crate::metrics::{Figures, Queue};
use crate::model::EnrollmentToken;
use crate::reactor::tls::own::{Names, OwnCertificates, OwnError};
use crate::reactor::{Address, Bounds, Jobs, MetricsDoor, Reactor, ReactorError, Run, Sender, Settings};
use crate::server::{BatchId, Event, Server, WorkId};
use crate::store::embedded::OpenError;
use crate::store::pool::{Pool, PoolEvent};
use crate::store::{DirectoryError, Elastic, ElasticError, Lane, Operation, Store, Watch};
use crate::time::Now;

mod diagnostics;
mod output_test;
mod reload;
mod signals;
mod stores;
mod supervised;
mod told;
mod under_agent;
mod wishes;

use reload::Process;
use stores::OpenStore;
pub use under_agent::serve_under_agent;
pub use wishes::Load;

/// Why the server does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory or the store in it.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The data directory, where the store is elsewhere.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The settings of the cluster.
    #[error(transparent)]
    Elasticsearch(#[from] ElasticError),
    /// Our own CA or certificate.
    #[error(transparent)]
    Certificates(#[from] OwnError),
    /// Listeners, certificates, or the event loop.
    #[error(transparent)]
    Reactor(#[from] ReactorError),
    /// What the command line says, where an agent configures the rest.
    #[error(transparent)]
    Configuration(#[from] Errors),
    /// Threads, the log, or the system's entropy.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Admin socket in the data directory.
pub(crate) const ADMIN_SOCKET: &str = "admin.sock";
/// What fits everywhere: 103 bytes on macOS, 107 on Linux.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// The log's own queue gets so long at the end.
const LOG_FLUSH_MAX: Duration = Duration::from_secs(1);

/// Reads the configuration anew.
pub type Read<'a> = Box<dyn Fn() -> Result<Loaded, Errors> + 'a>;

/// Serves until a signal says stop. `read` is for when the configuration may have changed.
pub fn serve(loaded: &Loaded, read: Read<'_>) -> Result<(), ServeError> {
    let log = Arc::new(start_log(loaded)?);
    reload::warn(loaded);
    let result = run(loaded, read, &log);
    if let Err(error) = &result {
        ::log::error!("{error}");
    }
    log.flush(LOG_FLUSH_MAX);
    result
}

fn start_log(loaded: &Loaded) -> Result<LogHandle, ServeError> {
    let terminal = io::stderr().is_terminal();
    crate::log::start(&loaded.config.logging, terminal, is_alone(loaded))
        .map_err(|source| ServeError::System { what: "the log cannot be started", source })
}

/// Whether nobody configures the server: then it writes for people.
fn is_alone(loaded: &Loaded) -> bool {
    loaded.source.is_none() && !loaded.config.under_agent
}

fn run(loaded: &Loaded, read: Read<'_>, log: &Arc<LogHandle>) -> Result<(), ServeError> {
    let (Parts { reactor, mut server, mut workers, mut process }, close) = Parts::build(loaded, read, log)?;
    let result = reactor.run(&mut server, &mut workers, &mut process);
    close();
    result?;
    ::log::info!("stopped");
    Ok(())
}

/// All that a server is, ready to run.
struct Parts<'a> {
    reactor: Reactor,
    server: Server,
    workers: Workers,
    process: Process<'a>,
}

/// Ends the store's waits, and gives the data directory back.
type Close = Box<dyn FnOnce()>;

impl<'a> Parts<'a> {
    fn build(loaded: &Loaded, read: Read<'a>, log: &Arc<LogHandle>) -> Result<(Self, Close), ServeError> {
        let config = &loaded.config;
        let clock = crate::reactor::Clock::start();
        let mut open = OpenStore::open(config, clock.now().wall)?;
        let elastic = open.elastic();
        let close = Box::new(open.closer());
        match Self::around(open, elastic, clock.now(), loaded, read, log) {
            Ok(parts) => Ok((parts, close)),
            Err(error) => {
                // under an agent it is tried again: what waits for a cluster must not outlive this try
                close();
                Err(error)
            }
        }
    }

    /// All parts around an open store, which is closed by somebody else.
    fn around(
        open: OpenStore,
        elastic: Option<Arc<Elastic>>,
        now: Now,
        loaded: &Loaded,
        read: Read<'a>,
        log: &Arc<LogHandle>,
    ) -> Result<Self, ServeError> {
        let config = &loaded.config;
        let OpenStore { store, watch, first_token, .. } = open;
        let own = own_certificates(config, now)?;
        let mut reactor = Reactor::new(settings(config, own.as_ref()))?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| ServeError::System { what: "no entropy", source: io::Error::other(error) })?;
        let server = Server::new(Arc::new(config.clone()), &*store, seed, reactor.now());
        let pool = start_pool(store, reactor.sender())?;
        start_watch(watch, reactor.sender())?;
        if let Some((token, store)) = first_token {
            greet(config, &mut reactor, own.as_ref(), &token);
            if let Err(error) = store.has_greeted() {
                ::log::warn!("the next start will print the token again: {error}");
            }
        }
        let workers = Workers { pool, log: Arc::clone(log), elastic: elastic.clone() };
        let process = Process::new(loaded, read, own, elastic, Arc::clone(log));
        Ok(Parts { reactor, server, workers, process })
    }
}

fn own_certificates(config: &Config, now: Now) -> Result<Option<OwnCertificates>, OwnError> {
    if !config.server.own_certificate {
        return Ok(None);
    }
    let names = Names::of_machine(&config.server.host_names);
    Ok(Some(OwnCertificates::ensure(&config.data_directory, &names, now.wall)?))
}

/// What new connections are encrypted by, if they are.
fn tls(config: &Config, own: Option<&OwnCertificates>) -> Option<Tls> {
    let own_tls = |own: &OwnCertificates| {
        Tls::new(PemSource::File(own.certificate.clone()), PemSource::File(own.key.clone()))
    };
    own.map(own_tls).or_else(|| config.server.tls.clone())
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        connections_max: config.server.limits.connections_max,
        ..handshake_bounds(config.server.timeouts.read_header)
    }
}

/// Where agents are listened for.
fn addresses(config: &Config) -> impl Iterator<Item = Address> {
    std::iter::once(external(config)).chain(internal(config))
}

fn external(config: &Config) -> Address {
    Address { host: config.server.host.clone(), port: config.server.port }
}

fn internal(config: &Config) -> Option<Address> {
    let server = &config.server;
    (!server.listens_once()).then(|| Address { host: "localhost".into(), port: server.internal_port })
}

fn settings(config: &Config, own: Option<&OwnCertificates>) -> Settings {
    Settings {
        external: external(config),
        internal: internal(config),
        admin_socket: admin_socket(config),
        metrics: metrics_door(config),
        tls: tls(config, own),
        bounds: bounds(config),
        // under an agent they are caught for the whole of its life, also while nothing is served
        signals: !config.under_agent,
    }
}

/// The operator's socket. An agent chooses the data directory, maybe too deep for the address of a socket: then the server
/// serves without, since nobody could give it another one.
fn admin_socket(config: &Config) -> Option<PathBuf> {
    let path = config.data_directory.join(ADMIN_SOCKET);
    if config.under_agent && path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        ::log::warn!(
            "{} is too long for the address of a socket: there is none for operators",
            path.display()
        );
        return None;
    }
    Some(path)
}

fn metrics_door(config: &Config) -> Option<MetricsDoor> {
    let Metrics { enabled, endpoint, by_default } = config.metrics.clone();
    enabled.then_some(MetricsDoor { endpoint, by_default })
}

/// A handshake gets as long as a request head; where that has no limit, as long as by default.
fn handshake_bounds(read_header: Duration) -> Bounds {
    let bounds = Bounds::default();
    let handshake_time_max = if read_header.is_zero() { bounds.handshake_time_max } else { read_header };
    Bounds { handshake_time_max, ..bounds }
}

fn start_pool(store: Arc<dyn Store>, sender: Sender) -> Result<Pool, ServeError> {
    let post = move |event| {
        sender.post(match event {
            PoolEvent::Answered { batch, answers } => Event::Answered { batch, answers },
            PoolEvent::Worked { work, result } => Event::Worked { work, result },
        });
    };
    Pool::start(store, Arc::new(post))
        .map_err(|source| ServeError::System { what: "worker threads cannot be started", source })
}

/// The watch blocks on a thread of its own, which ends with the store.
fn start_watch(mut watch: Box<dyn Watch>, sender: Sender) -> Result<(), ServeError> {
    /// It decodes JSON and little else.
    const STACK_BYTES: usize = 512 * 1024;
    let follow = move || {
        while let Some(changes) = watch.next() {
            sender.post(Event::Changed(changes));
        }
    };
    thread::Builder::new()
        .name("watch".into())
        .stack_size(STACK_BYTES)
        .spawn(follow)
        .map(drop)
        .map_err(|source| ServeError::System { what: "the watch cannot be started", source })
}

/// What an operator needs to know once, on standard output and never in the log.
fn greet(config: &Config, reactor: &mut Reactor, own: Option<&OwnCertificates>, token: &EnrollmentToken) {
    let url = url(config, reactor);
    let mut text =
        format!("\nFleet Server is ready.\n\n  address      {url}\n  token        {}\n", token.api_key);
    let mut enroll = format!("elastic-agent enroll --url={url} --enrollment-token={}", token.api_key);
    if url.starts_with("http:") {
        // the agent refuses to send its token in the clear unless it is told to
        enroll += " --insecure";
    }
    if let Some(own) = own {
        let authority = absolute(&own.ca);
        text += &format!("  CA           {authority}\n  fingerprint  {}\n", own.fingerprint);
        enroll += &format!(" --certificate-authorities={authority}");
    }
    text += &format!("\nEnrol an agent:\n\n  {enroll}\n\n");
    // nobody reads it: the server serves all the same, `token show` has it
    let _ = io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Where agents reach us: a name given by `--host`, else this machine's own.
fn url(config: &Config, reactor: &Reactor) -> String {
    let server = &config.server;
    let scheme = if server.own_certificate || server.tls.is_some() { "https" } else { "http" };
    let bound = reactor.addresses().find(|(listener, _)| *listener == Listener::External);
    let port = bound.and_then(|(_, address)| address.rsplit(':').next()?.parse().ok()).unwrap_or(server.port);
    let host = server.host_names.first().map_or("localhost", String::as_str);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{scheme}://{host}:{port}")
}

/// The pool as the loop sees it.
struct Workers {
    pool: Pool,
    log: Arc<LogHandle>,
    elastic: Option<Arc<Elastic>>,
}

impl Jobs for Workers {
    fn store(&mut self, lane: Lane, batch: BatchId, operations: Vec<Operation>) {
        self.pool.submit(lane, batch, operations);
    }

    fn work(&mut self, work: WorkId, run: Run) {
        self.pool.work(work, run);
    }

    fn errand(&mut self, work: WorkId, run: Run) {
        self.pool.errand(work, run);
    }

    fn measure(&self, figures: &mut Figures) {
        figures.log_lines_dropped = self.log.dropped();
        figures.queues.push(Queue::bounded("log_lines", self.log.queued(), LOG_LINES_QUEUED_MAX));
        figures.elasticsearch = self.elastic.iter().flat_map(|elastic| elastic.requests()).collect();
    }
}
