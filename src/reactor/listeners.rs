//! The doors: the external and internal TCP listeners, the operator's Unix socket, and where metrics are shown.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as Raw, TcpKeepalive, Type};

use super::error::ReactorError;
use super::socket::Socket;
use super::{Address, MetricsDoor, Settings};
use crate::config::Endpoint;
use crate::server::Listener;

/// Connections that the kernel holds for us; its own bound (`net.core.somaxconn`) is usually the same.
const BACKLOG: i32 = 4_096;
/// Silence after which the kernel asks whether the peer is still there, and between the asking.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long sent bytes may stay unacknowledged.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// The operator's socket is for the owner only.
const ADMIN_MODE: u32 = 0o600;
/// The group may look at metrics (config.md, "http").
const METRICS_MODE: u32 = 0o740;
/// The first token of the doors; they count downwards from here.
const TOKEN: usize = usize::MAX - 16;

/// All doors.
pub(super) struct Doors {
    pub(super) doors: Vec<Door>,
    /// Unix sockets that are ours.
    paths: Vec<PathBuf>,
}

/// One bound socket.
pub(super) struct Door {
    socket: Bound,
    pub(super) listener: Listener,
    address: String,
    /// It may have connections: it has not said WouldBlock since the last edge.
    pub(super) ready: bool,
}

enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Doors {
    /// Binds all that `settings` names, tells the log, and registers for edges.
    pub(super) fn open(settings: &Settings, registry: &Registry) -> Result<Self, ReactorError> {
        let mut doors = Doors { doors: Vec::new(), paths: Vec::new() };
        doors.bind_all(&settings.external, Listener::External)?;
        if let Some(internal) = settings.internal.as_ref().filter(|address| **address != settings.external) {
            doors.bind_all(internal, Listener::Internal)?;
        }
        if let Some(path) = &settings.admin_socket {
            // whoever holds the data directory's lock may remove a stale one
            doors.bind_path(path, Listener::Admin, ADMIN_MODE)?;
        }
        if let Some(metrics) = &settings.metrics {
            doors.bind_metrics(metrics)?;
        }
        for (index, door) in doors.doors.iter_mut().enumerate() {
            door.register(registry, Token(TOKEN - index)).map_err(ReactorError::Poll)?;
            log::info!("server.address" = door.address, "listener" = door.listener.name(); "listening");
        }
        Ok(doors)
    }

    /// The door of a token.
    pub(super) fn of(&mut self, token: Token) -> Option<&mut Door> {
        self.doors.get_mut(TOKEN.checked_sub(token.0)?)
    }

    /// Where we listen.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (Listener, &str)> {
        self.doors.iter().map(|door| (door.listener, door.address.as_str()))
    }

    /// Binds every address that a host has. One is enough, but one in use is an error.
    fn bind_all(&mut self, address: &Address, listener: Listener) -> Result<(), ReactorError> {
        let mut port = address.port;
        let mut failed = None;
        let before = self.doors.len();
        for ip in resolve(address)? {
            match bind_tcp(SocketAddr::new(ip, port), address.host.is_empty()) {
                Ok(bound) => {
                    let local = bound.local_addr().map_err(ReactorError::Poll)?;
                    // a port that the system chose serves all addresses of the host
                    port = local.port();
                    self.add(Bound::Tcp(bound), listener, local.to_string());
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(ReactorError::InUse(SocketAddr::new(ip, port).to_string()));
                }
                Err(error) => failed = Some((SocketAddr::new(ip, port), error)),
            }
        }
        match failed {
            Some((address, source)) if self.doors.len() == before => {
                Err(ReactorError::Bind { address: address.to_string(), source })
            }
            Some((address, error)) => {
                log::warn!("not listening on {address}: {error}");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn bind_path(&mut self, path: &Path, listener: Listener, mode: u32) -> Result<(), ReactorError> {
        let socket = bind_unix(path, mode)?;
        self.paths.push(path.to_owned());
        self.add(Bound::Unix(socket), listener, path.display().to_string());
        Ok(())
    }

    /// Where metrics are shown. Where nobody asked for that, the server serves without.
    fn bind_metrics(&mut self, metrics: &MetricsDoor) -> Result<(), ReactorError> {
        let bound = match &metrics.endpoint {
            Endpoint::Tcp { host, port } => {
                self.bind_all(&Address { host: host.clone(), port: *port }, Listener::Metrics)
            }
            Endpoint::Unix(path) if is_answered(path) => Err(ReactorError::InUse(path.display().to_string())),
            Endpoint::Unix(path) => self.bind_path(path, Listener::Metrics, METRICS_MODE),
        };
        match bound {
            Err(error) if metrics.by_default => {
                log::warn!("metrics are not shown: {error}; http.port chooses another port");
                Ok(())
            }
            bound => bound,
        }
    }

    fn add(&mut self, socket: Bound, listener: Listener, address: String) {
        self.doors.push(Door { socket, listener, address, ready: false });
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        for path in &self.paths {
            // left behind, it would only be removed at the next start
            let _ = fs::remove_file(path);
        }
    }
}

impl Door {
    /// The next connection that waits.
    pub(super) fn accept(&self) -> io::Result<Socket> {
        match &self.socket {
            Bound::Tcp(bound) => {
                let (stream, _) = bound.accept()?;
                // Linux hands the listener's options down
                if cfg!(not(target_os = "linux")) {
                    set_options(&SockRef::from(&stream))?;
                }
                Ok(Socket::Tcp(stream))
            }
            Bound::Unix(bound) => Ok(Socket::Unix(bound.accept()?.0)),
        }
    }

    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Bound::Tcp(bound) => registry.register(bound, token, Interest::READABLE),
            Bound::Unix(bound) => registry.register(bound, token, Interest::READABLE),
        }
    }
}

/// The addresses of a host, each once; all of the machine for an empty host.
fn resolve(address: &Address) -> Result<Vec<IpAddr>, ReactorError> {
    if address.host.is_empty() {
        return Ok(vec![IpAddr::from([0u16; 8])]);
    }
    let failed = |source| ReactorError::Resolve { host: address.host.clone(), source };
    let found = (address.host.as_str(), address.port).to_socket_addrs().map_err(failed)?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in found.map(|found| found.ip()) {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    if addresses.is_empty() {
        return Err(failed(io::Error::from(io::ErrorKind::NotFound)));
    }
    Ok(addresses)
}

/// Whether somebody else listens at an address, as far as that can be found out at once: a name is not asked for.
pub(super) fn check_free(address: &Address) -> Result<(), ReactorError> {
    let host = address.host.as_str();
    if !host.is_empty() && host != "localhost" && host.parse::<IpAddr>().is_err() {
        return Ok(());
    }
    for ip in resolve(address)? {
        let place = SocketAddr::new(ip, address.port);
        match bind_tcp(place, host.is_empty()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(ReactorError::InUse(place.to_string()));
            }
            // what else there may be is told when it is really opened
            _ => {}
        }
    }
    Ok(())
}

fn bind_tcp(address: SocketAddr, all: bool) -> io::Result<TcpListener> {
    let socket = Raw::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // the unspecified address means both families, as in Go
        socket.set_only_v6(!all && !address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    set_options(&SockRef::from(&socket))?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_nodelay(true)
}

/// Whether somebody listens behind a path.
fn is_answered(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}

/// A Unix socket; one that was left behind is removed.
fn bind_unix(path: &Path, mode: u32) -> Result<UnixListener, ReactorError> {
    let failed = |source| ReactorError::Bind { address: path.display().to_string(), source };
    if SockAddr::unix(path).is_err() {
        return Err(ReactorError::PathTooLong(path.to_owned()));
    }
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path).map_err(failed)?;
    }
    let bound = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(bound)
}
