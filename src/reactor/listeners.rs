//! The doors: the external and internal TCP listeners and the operator's Unix socket.

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
use super::{Address, Settings};
use crate::server::Listener;

/// Connections that the kernel holds for us; its own bound (`net.core.somaxconn`) is usually the same.
const BACKLOG: i32 = 4_096;
/// Silence after which the kernel asks whether the peer is still there, and between the asking.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long sent bytes may stay unacknowledged.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// The first token of the doors; they count downwards from here.
const TOKEN: usize = usize::MAX - 16;

/// All doors.
pub(super) struct Doors {
    pub(super) doors: Vec<Door>,
    admin: Option<PathBuf>,
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
        let mut doors = Doors { doors: Vec::new(), admin: None };
        doors.bind_all(&settings.external, Listener::External)?;
        if let Some(internal) = settings.internal.as_ref().filter(|address| **address != settings.external) {
            doors.bind_all(internal, Listener::Internal)?;
        }
        if let Some(path) = &settings.admin_socket {
            let socket = Bound::Unix(bind_unix(path)?);
            doors.admin = Some(path.clone());
            doors.add(socket, Listener::Admin, path.display().to_string());
        }
        for (index, door) in doors.doors.iter_mut().enumerate() {
            door.register(registry, Token(TOKEN - index)).map_err(ReactorError::Poll)?;
            log::info!("server.address" = door.address, "listener" = name(door.listener); "listening");
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

    fn add(&mut self, socket: Bound, listener: Listener, address: String) {
        self.doors.push(Door { socket, listener, address, ready: false });
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        if let Some(path) = &self.admin {
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

/// The operator's socket, for the owner only. Whoever holds the data directory's lock may remove a stale one.
fn bind_unix(path: &Path) -> Result<UnixListener, ReactorError> {
    let failed = |source| ReactorError::Bind { address: path.display().to_string(), source };
    if SockAddr::unix(path).is_err() {
        return Err(ReactorError::PathTooLong(path.to_owned()));
    }
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path).map_err(failed)?;
    }
    let bound = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(bound)
}

/// As the log names a listener.
fn name(listener: Listener) -> &'static str {
    match listener {
        Listener::External => "external",
        Listener::Internal => "internal",
        Listener::Admin => "admin",
    }
}
