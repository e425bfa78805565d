//! An echo core, the loop on a thread of its own, clients, certificates.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::config::{PemSource, Secret, Tls};
use crate::reactor::{Address, Bounds, Core, Hooks, Jobs, Reactor, Run, Sender, Settings};
use crate::server::{BatchId, ConnectionId, Effect, Event, Listener, WorkId};
use crate::store::{Lane, Operation};
use crate::time::Now;

/// No test waits longer for an event that does not come.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Output that the echo holds before it stops reading.
const ECHO_BYTES_MAX: usize = 64 * 1024;

/// What the core was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Opened(ConnectionId, Listener, bool),
    Received(ConnectionId, usize),
    Sent(ConnectionId, usize),
    Ended(ConnectionId),
    Lost(ConnectionId),
}

/// What a test tells the core, through the mailbox.
#[derive(Clone, Copy, Debug)]
pub(super) enum Command {
    /// Take input or not, all connections.
    Listen(bool),
    /// Show so many bytes to each connection.
    Show(usize),
    /// Close this connection.
    Close(ConnectionId, bool),
}

/// Echoes; closes when the peer has ended and everything is echoed.
pub(super) struct Echo {
    seen: std::sync::mpsc::Sender<Seen>,
    connections: BTreeMap<ConnectionId, Output>,
    effects: VecDeque<Effect>,
    listens: bool,
}

#[derive(Default)]
struct Output {
    bytes: VecDeque<u8>,
    /// Bytes of `x` to follow.
    shown: usize,
    held_back: bool,
}

static XS: [u8; 64 * 1024] = [b'x'; 64 * 1024];

impl Echo {
    fn tell(&self, seen: Seen) {
        // a test that has seen enough has dropped its end
        let _ = self.seen.send(seen);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Listen(listens) => {
                self.listens = listens;
                self.effects.extend(self.connections.keys().map(|id| Effect::Read(*id)));
            }
            Command::Show(bytes) => {
                for (id, output) in &mut self.connections {
                    output.shown += bytes;
                    self.effects.push_back(Effect::Write(*id));
                }
            }
            Command::Close(connection, lingering) => {
                self.effects.push_back(Effect::Close { connection, lingering })
            }
        }
    }

    fn sent(&mut self, id: ConnectionId, bytes: usize) {
        let Some(output) = self.connections.get_mut(&id) else { return };
        let echoed = bytes.min(output.bytes.len());
        output.bytes.drain(..echoed);
        output.shown -= bytes - echoed;
        if output.held_back && output.bytes.len() < ECHO_BYTES_MAX {
            output.held_back = false;
            self.effects.push_back(Effect::Read(id));
        }
    }
}

impl Core for Echo {
    fn handle(&mut self, _now: Now, event: Event<'_>) {
        match event {
            Event::Opened { connection, listener, tls, peer: _ } => {
                self.connections.insert(connection, Output::default());
                self.tell(Seen::Opened(connection, listener, tls));
            }
            Event::Received { connection, bytes } => {
                self.tell(Seen::Received(connection, bytes.len()));
                let output = self.connections.get_mut(&connection).expect("opened before");
                output.bytes.extend(bytes);
                output.held_back = output.bytes.len() >= ECHO_BYTES_MAX;
                self.effects.push_back(Effect::Write(connection));
            }
            Event::Sent { connection, bytes } => {
                self.sent(connection, bytes);
                self.tell(Seen::Sent(connection, bytes));
            }
            Event::Ended { connection } => {
                self.tell(Seen::Ended(connection));
                self.effects.push_back(Effect::Close { connection, lingering: false });
            }
            Event::Lost { connection } => {
                assert!(self.connections.remove(&connection).is_some(), "lost once");
                self.tell(Seen::Lost(connection));
            }
            Event::Worked { result, .. } => {
                let command = result.and_then(|result| result.downcast::<Command>().ok()).expect("a command");
                self.command(*command);
            }
            Event::Stop => self.effects.push_back(Effect::Exit),
            Event::Answered { .. } | Event::Changed(_) | Event::Measured(_) | Event::Configured(_) => {}
        }
    }
    fn tick(&mut self, _now: Now) {}
    fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
    fn wake_at(&self) -> Option<Duration> {
        None
    }
    fn wants_input(&mut self, connection: ConnectionId, _: impl FnOnce() -> usize) -> bool {
        self.listens && !self.connections.get(&connection).is_some_and(|output| output.held_back)
    }
    fn output<'a>(&'a self, connection: ConnectionId, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(output) = self.connections.get(&connection) else { return 0 };
        let (first, second) = output.bytes.as_slices();
        let parts = [first, second, &XS[..output.shown.min(XS.len())]];
        let mut count = 0;
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            slices[count] = IoSlice::new(part);
            count += 1;
        }
        count
    }
}

/// No store, no workers.
pub(super) struct NoJobs;

impl Jobs for NoJobs {
    fn store(&mut self, _lane: Lane, _batch: BatchId, _operations: Vec<Operation>) {}
    fn work(&mut self, _work: WorkId, _run: Run) {}
    fn errand(&mut self, _work: WorkId, _run: Run) {}
}

impl Hooks for NoJobs {}

/// The loop on its thread. Stops when dropped.
pub(super) struct Running {
    pub(super) external: SocketAddr,
    pub(super) addresses: Vec<(Listener, String)>,
    pub(super) seen: Receiver<Seen>,
    sender: Sender,
    thread: Option<JoinHandle<()>>,
}

/// Settings for loopback: plain, any port, no signals.
pub(super) fn settings() -> Settings {
    Settings {
        external: Address { host: "127.0.0.1".to_owned(), port: 0 },
        internal: None,
        admin_socket: None,
        metrics: None,
        tls: None,
        bounds: Bounds::default(),
        signals: false,
    }
}

pub(super) fn start(settings: Settings) -> Running {
    let reactor = Reactor::new(settings).unwrap();
    let addresses: Vec<_> = reactor.addresses().map(|(door, address)| (door, address.to_owned())).collect();
    let (seen, receiver) = channel();
    let sender = reactor.sender();
    let run = move || {
        let mut echo = Echo { seen, connections: BTreeMap::new(), effects: VecDeque::new(), listens: true };
        reactor.run(&mut echo, &mut NoJobs, &mut ()).unwrap();
    };
    let thread = Builder::new().name("reactor".to_owned()).spawn(run).unwrap();
    Running {
        external: addresses[0].1.parse().unwrap(),
        addresses,
        seen: receiver,
        sender,
        thread: Some(thread),
    }
}

impl Running {
    /// The next thing that the core is told and that `pick` picks.
    pub(super) fn wait<T>(&self, pick: impl Fn(Seen) -> Option<T>) -> T {
        loop {
            let seen = self.seen.recv_timeout(PATIENCE).expect("the event comes");
            if let Some(picked) = pick(seen) {
                return picked;
            }
        }
    }

    pub(super) fn wait_opened(&self) -> ConnectionId {
        self.wait(|seen| if let Seen::Opened(id, ..) = seen { Some(id) } else { None })
    }

    pub(super) fn wait_lost(&self) -> ConnectionId {
        self.wait(|seen| if let Seen::Lost(id) = seen { Some(id) } else { None })
    }

    pub(super) fn command(&self, command: Command) {
        self.sender.post(Event::Worked { work: 0, result: Some(Box::new(command)) });
    }

    pub(super) fn connect(&self) -> TcpStream {
        connect(self.external)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.sender.post(Event::Stop);
        let result = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            result.unwrap();
        }
    }
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A CA of the test.
pub(super) type Ca = CertifiedIssuer<'static, KeyPair>;

pub(super) fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key, as PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A certificate for localhost; `serial` tells it from others.
pub(super) fn pair(ca: &Ca, serial: u64) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.serial_number = Some(serial.into());
    let certificate = params.signed_by(&key, ca).unwrap();
    Pair { certificate: certificate.pem(), key: key.serialize_pem() }
}

impl Pair {
    pub(super) fn tls(&self) -> Tls {
        let inline = |text: &str| PemSource::Inline(Secret::new(text));
        Tls::new(inline(&self.certificate), inline(&self.key))
    }

    /// Writes both into a directory, as `server.crt` and `server.key`.
    pub(super) fn write(&self, directory: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
        std::fs::write(&certificate, &self.certificate).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        (certificate, key)
    }
}

/// A client that trusts `ca`, shows `identity` and speaks only `version`.
pub(super) fn client_config(
    ca: &Ca,
    identity: Option<&Pair>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(crate::tls::provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
                .collect::<Result<_, _>>()
                .unwrap();
            let key = PrivatePkcs8KeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from(key)).unwrap()
        }
    };
    Arc::new(config)
}

/// A TLS client over a fresh connection.
pub(super) type Client = StreamOwned<ClientConnection, TcpStream>;

pub(super) fn client(address: SocketAddr, config: &Arc<ClientConfig>) -> Client {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), connect(address))
}
