//! A server process with its own data directory. It ends with the test, however that ends.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use tempfile::TempDir;

use super::fleet::{Fleet, Home};
use super::in_process::InProcess;
use super::options::Options;
use super::stream::{self, client_config};
use super::{Connection, Output, Pair, Request, Response, eventually};
use crate::cluster::Cluster;

/// Other tests may take the port that was free a moment ago.
const PORTS_TRIED_MAX: usize = 10;

/// A data directory and how its server is started. No server runs on it.
pub(crate) struct Installation {
    pub(crate) directory: TempDir,
    pub(crate) options: Options,
    /// The enrollment token of the first start, once there was one.
    pub(crate) token: Option<String>,
    /// Where the fleet lives.
    pub(super) home: Home,
}

/// A server that ended by itself.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// A process that begins has a copy of every descriptor of ours, the lock of a store that is open among them, until its
/// program is loaded. So none begins while a store is open.
static BEGINNING: RwLock<()> = RwLock::new(());

/// As long as this is held no process is begun.
pub(super) fn no_process_begins() -> RwLockReadGuard<'static, ()> {
    BEGINNING.read().unwrap_or_else(PoisonError::into_inner)
}

/// A running process, or what stands for one; killed when dropped.
pub(crate) struct Process {
    running: Running,
    /// What it says of itself.
    pub(crate) stderr: Output,
    /// What it prints.
    pub(crate) stdout: Output,
    /// Held, never read.
    _unread: Option<std::process::ChildStderr>,
}

enum Running {
    Child(Child),
    Thread(InProcess),
}

impl Process {
    pub(crate) fn spawn(command: Command, unread: bool) -> Self {
        Process::try_spawn(command, unread).unwrap()
    }

    fn try_spawn(mut command: Command, unread: bool) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = {
            let _alone = BEGINNING.write().unwrap_or_else(PoisonError::into_inner);
            command.spawn()
        };
        let mut child = spawned?;
        let stdout = Output::of(child.stdout.take().unwrap());
        let stderr = child.stderr.take().unwrap();
        let (stderr, unread) =
            if unread { (Output::default(), Some(stderr)) } else { (Output::of(stderr), None) };
        Ok(Process { running: Running::Child(child), stderr, stdout, _unread: unread })
    }

    /// A server on a thread, which says nothing.
    fn of(server: InProcess) -> Self {
        let (stderr, stdout) = (Output::default(), Output::default());
        Process { running: Running::Thread(server), stderr, stdout, _unread: None }
    }

    pub(crate) fn id(&self) -> u32 {
        match &self.running {
            Running::Child(child) => child.id(),
            Running::Thread(_) => std::process::id(),
        }
    }

    /// Sends a signal; to what is no process of its own each means: stop.
    pub(crate) fn signal(&self, signal: Signal) {
        match &self.running {
            Running::Child(child) => {
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
                kill_process(pid, signal).unwrap();
            }
            Running::Thread(server) => server.stop(),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        match &mut self.running {
            Running::Child(child) => child.try_wait().unwrap(),
            Running::Thread(server) => server.ended().then(ExitStatus::default),
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the process ends", || self.ended())
    }
}

/// Runs a program of the system; whether it is there and went well.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments);
    Process::try_spawn(command, false).is_ok_and(|mut process| process.wait().success())
}

impl Drop for Process {
    fn drop(&mut self) {
        // a thread ends by itself
        if let Running::Child(child) = &mut self.running {
            // it may have ended before
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Installation {
    pub(crate) fn new(options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::of_this_program(&options);
        let options = match &home {
            Home::Directory => options,
            Home::Cluster(fleet) => Self::certified(fleet.settings(options), directory.path()),
            Home::Memory(_) => Self::certified(options, directory.path()),
        };
        Installation { directory, options, token: None, home }
    }

    /// Only the embedded store makes a certificate of its own.
    fn certified(options: Options, directory: &Path) -> Options {
        let certified = !options.tls || options.authority.is_some();
        if certified { options } else { Fleet::certificate(options, directory) }
    }

    /// The cluster that the fleet lives in.
    pub(crate) fn cluster(&self) -> Option<&'static Cluster> {
        match &self.home {
            Home::Cluster(fleet) => Some(fleet.cluster),
            _ => None,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.options.data.clone().unwrap_or_else(|| self.directory.path().join("data"))
    }

    /// The server's command line.
    pub(crate) fn command(&self, port: u16) -> Command {
        let options = &self.options;
        let mut words = options.wrapper.iter().map(String::as_str).chain([executable()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(&options.arguments).current_dir(self.directory.path());
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
        for setting in self.settings(port) {
            command.arg("-E").arg(setting);
        }
        command
    }

    /// What follows `-E`.
    fn settings(&self, port: u16) -> Vec<String> {
        let ports = ["port", "internal_port"].map(|key| format!("inputs.0.server.{key}={port}"));
        let ports = ports.into_iter().filter(|_| self.options.sets_ports);
        let data = format!("path.data={}", self.path().display());
        ports.chain([data]).chain(self.options.settings.iter().cloned()).collect()
    }

    /// Starts a server that must come up.
    pub(crate) fn start(mut self) -> Server {
        if !matches!(self.home, Home::Directory) && self.token.is_none() {
            // the first start does not make it there
            drop(self.open());
        }
        match self.try_start() {
            Ok((process, port)) => Server::new(self, process, port),
            Err(failed) => panic!("the server ended with {}:\n{}", failed.status, failed.stderr),
        }
    }

    /// Starts a server that must not come up.
    pub(crate) fn start_in_vain(&mut self) -> Failed {
        match self.try_start() {
            Ok(_) => panic!("the server started"),
            Err(failed) => failed,
        }
    }

    fn try_start(&mut self) -> Result<(Process, u16), Failed> {
        for _ in 0..PORTS_TRIED_MAX {
            let port = self.options.port.unwrap_or_else(free_port);
            match self.try_port(port) {
                Ok(process) => return Ok((process, port)),
                Err(failed)
                    if self.options.port.is_none()
                        && failed.stderr.contains(&format!(":{port} is in use")) => {}
                Err(failed) => return Err(failed),
            }
        }
        panic!("no port is free");
    }

    /// Starts a server and waits until it serves or ends.
    fn try_port(&mut self, port: u16) -> Result<Process, Failed> {
        if let Home::Memory(memory) = &mut self.home {
            let (store, watch) = memory.reopen();
            *memory = Arc::new(store);
            let memory = Arc::clone(memory);
            let started = InProcess::start(self.settings(port), self.directory.path(), memory, watch);
            let failed = |stderr| Failed { status: ExitStatus::default(), stderr };
            return started.map(Process::of).map_err(failed);
        }
        let mut process = Process::spawn(self.command(port), self.options.unread);
        if self.options.unread {
            eventually("it listens", || stream::tcp(port).ok());
        } else if process.stderr.find("listening", |line| line.contains("listening").then_some(())).is_none()
        {
            let status = process.wait();
            return Err(Failed { status, stderr: process.stderr.whole() });
        }
        if self.token.is_none() && matches!(self.home, Home::Directory) {
            self.token = process.stdout.find("with the token", token_in);
        }
        Ok(process)
    }
}

/// The path of the program under test.
pub(crate) fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_fleet-server")
}

/// A port that is likely to be free: below those that the system gives to clients.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    let process = u16::try_from(std::process::id() % 397).unwrap() * 50;
    FIRST + (process + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT
}

fn token_in(line: &str) -> Option<String> {
    line.trim().strip_prefix("token").map(|token| token.trim_start_matches(':').trim().to_owned())
}

/// A server that serves.
pub(crate) struct Server {
    pub(crate) installation: Installation,
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl Server {
    /// A server as most tests want it.
    pub(crate) fn start() -> Self {
        Server::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        Installation::new(options).start()
    }

    fn new(installation: Installation, process: Process, port: u16) -> Self {
        let server = Server { installation, process, port };
        // of the operator's socket, which has no limits
        let status = Request::get("/api/status");
        let is_healthy = || {
            let answer = server.operate_while_it_lives(&status)?;
            (answer.json()["status"] == "HEALTHY").then_some(())
        };
        eventually("the server is healthy", is_healthy);
        server
    }

    /// The first start's enrollment token.
    pub(crate) fn token(&self) -> &str {
        self.installation.token.as_deref().expect("the first start printed a token")
    }

    /// The CA that clients are to trust.
    pub(crate) fn authority(&self) -> PathBuf {
        let own = || self.installation.path().join("tls/ca.crt");
        self.installation.options.authority.clone().unwrap_or_else(own)
    }

    /// So many agents; fewer on Elasticsearch, where each takes several requests of its own.
    pub(crate) fn many(&self, agents: usize) -> usize {
        if self.installation.cluster().is_some() { agents / 5 } else { agents }
    }

    /// A connection as agents make it.
    pub(crate) fn connect(&self) -> Connection {
        self.try_connect().unwrap_or_else(|error| panic!("{error}; the log:\n{}", self.process.stderr.text()))
    }

    pub(crate) fn try_connect(&self) -> io::Result<Connection> {
        self.try_connect_to(self.port)
    }

    /// As [`Server::connect`], to another port of it.
    pub(crate) fn connect_to(&self, port: u16) -> Connection {
        self.try_connect_to(port).unwrap()
    }

    pub(crate) fn try_connect_to(&self, port: u16) -> io::Result<Connection> {
        if self.installation.options.tls {
            let config = client_config(&self.authority(), self.installation.options.shown.as_ref());
            return stream::tls(port, config).map(Connection::new);
        }
        stream::tcp(port).map(Connection::new)
    }

    /// A connection that shows a certificate.
    pub(crate) fn connect_showing(&self, pair: &Pair) -> io::Result<Connection> {
        stream::tls(self.port, client_config(&self.authority(), Some(pair))).map(Connection::new)
    }

    /// A connection below TLS.
    pub(crate) fn connect_plainly(&self) -> Connection {
        Connection::plain(self.port)
    }

    /// A connection to the operator's socket.
    pub(crate) fn connect_as_operator(&self) -> Connection {
        self.try_connect_as_operator().unwrap()
    }

    pub(crate) fn try_connect_as_operator(&self) -> io::Result<Connection> {
        stream::unix(&self.installation.path().join("admin.sock")).map(Connection::new)
    }

    /// A connection of a TLS client of the test's own making.
    pub(crate) fn connect_as(&self, client: ClientConfig) -> io::Result<Connection> {
        stream::tls(self.port, Arc::new(client)).map(Connection::new)
    }

    /// Asks a server that may end at any moment; none if no whole answer came.
    pub(crate) fn ask_while_it_lives(&self, request: &Request) -> Option<Response> {
        let mut connection = self.try_connect().ok()?;
        connection.try_send(request.bytes()).then(|| connection.whole_answer())?
    }

    /// Asks on a connection of its own.
    pub(crate) fn ask(&self, request: &Request) -> Response {
        self.connect().ask(request)
    }

    /// Stops it as an operator does; it has to end well.
    pub(crate) fn stop(mut self) -> Installation {
        self.process.signal(Signal::TERM);
        let status = self.process.wait();
        assert!(status.success(), "{status}; the log:\n{}", self.process.stderr.whole());
        self.installation
    }

    /// Ends it as a power loss does.
    pub(crate) fn kill(mut self) -> Installation {
        self.process.signal(Signal::KILL);
        self.process.wait();
        self.installation
    }
}
