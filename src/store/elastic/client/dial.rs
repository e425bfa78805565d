//! How a connection is made: directly or through a proxy, plain or encrypted. Everything here happens before the request
//! is sent, so its errors mean that nothing is done.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout, Transport};

use super::clock::Clock;
use super::encrypted::{Encrypted, within};
use super::error::cause;
use super::forwarded::Forwarded;
use super::gathered::Gathered;
use super::proxy::{Proxies, ProxyServer, bare};
use super::security::Security;
use super::socket::Socket;
use super::tunnel;

/// For the addresses of a name.
const RESOLVE_WAIT_MAX: Duration = Duration::from_secs(10);
/// For a connection to one of them.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// For a proxy to say whether there is a way.
const PROXY_WAIT_MAX: Duration = Duration::from_secs(10);
/// For a handshake, from the first byte to the last.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The name has no address, or nobody says which.
    #[error("{0} has no address")]
    Unresolved(String),
    /// Nobody listens, or nothing comes through.
    #[error("{0}")]
    Unconnected(String),
    /// No common version, or a certificate that is not good.
    #[error("TLS: {0}")]
    Handshake(String),
    /// The proxy is the trouble.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// Without user name and password.
        proxy: String,
        /// Why.
        reason: String,
    },
}

/// The head of an answer, where another host can be asked instead.
const OTHER_HOST_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// [`RESOLVE_WAIT_MAX`]
    pub(super) resolve: Duration,
    /// [`CONNECT_WAIT_MAX`]
    pub(super) connect: Duration,
    /// [`PROXY_WAIT_MAX`]
    pub(super) proxy: Duration,
    /// [`HANDSHAKE_WAIT_MAX`]
    pub(super) handshake: Duration,
    /// [`OTHER_HOST_WAIT_MAX`]
    pub(super) other_host: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Waits {
            resolve: RESOLVE_WAIT_MAX,
            connect: CONNECT_WAIT_MAX,
            proxy: PROXY_WAIT_MAX,
            handshake: HANDSHAKE_WAIT_MAX,
            other_host: OTHER_HOST_WAIT_MAX,
        }
    }
}

/// Makes connections.
pub(super) struct Dialer {
    /// Which requests leave through a proxy.
    pub(super) proxies: Proxies,
    /// `None`: neither host nor proxy is reached over TLS.
    pub(super) security: Option<Security>,
    /// When the files of TLS are looked at again.
    pub(super) clock: Clock,
    /// How long each step may take.
    pub(super) waits: Waits,
}

impl Dialer {
    fn dial(&self, details: &ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> {
        match self.proxies.of(details.uri) {
            None => {
                let socket = self.socket(details.uri, details)?;
                self.to_target(socket, details)
            }
            Some(proxy) => {
                let via = |error| via(proxy, error);
                let mut socket = self.socket(proxy.uri(), details).map_err(via)?;
                if proxy.is_https() {
                    socket = self.encrypt(socket, proxy.host(), details).map_err(via)?;
                }
                self.through(socket, proxy, details)
            }
        }
    }

    /// What goes over a connection to a proxy.
    fn through(
        &self,
        socket: Box<dyn Transport>,
        proxy: &ProxyServer,
        details: &ConnectionDetails<'_>,
    ) -> Result<Box<dyn Transport>, Error> {
        let target = authority(details.uri);
        if !details.needs_tls() {
            let authorization = proxy.authorization().cloned();
            return Ok(Box::new(Forwarded::new(socket, format!("http://{target}"), authorization)));
        }
        let question = tunnel::question(&target, proxy, &self.proxies.headers);
        let tunnel = tunnel::open(socket, &question, self.waits.proxy, details);
        let tunnel = tunnel.map_err(|error| {
            Error::from(DialError::Proxy { proxy: proxy.shown(), reason: error.to_string() })
        })?;
        self.to_target(tunnel, details)
    }

    fn to_target(
        &self,
        inner: Box<dyn Transport>,
        details: &ConnectionDetails<'_>,
    ) -> Result<Box<dyn Transport>, Error> {
        if details.needs_tls() {
            self.encrypt(inner, bare(details.uri.host().unwrap_or_default()), details)
        } else {
            Ok(inner)
        }
    }

    fn socket(&self, to: &Uri, details: &ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> {
        let unresolved = |_| DialError::Unresolved(to.host().unwrap_or_default().to_owned());
        let resolved = DefaultResolver::default().resolve(to, details.config, within(self.waits.resolve));
        let addresses: &[SocketAddr] = &resolved.map_err(unresolved)?;
        let socket = Socket::connect(addresses, self.waits.connect);
        let socket = socket.map_err(|error| DialError::Unconnected(cause(&error)))?;
        // fails when the client is closed
        (details.register_shutdown)(socket.shutdown_handle())?;
        Ok(Box::new(socket))
    }

    fn encrypt(
        &self,
        inner: Box<dyn Transport>,
        host: &str,
        details: &ConnectionDetails<'_>,
    ) -> Result<Box<dyn Transport>, Error> {
        let Some(security) = &self.security else {
            return Err(DialError::Handshake("there are no settings".to_owned()).into());
        };
        let config = security.current((self.clock)());
        match Encrypted::handshake(inner, host, config, self.waits.handshake, details) {
            Ok(encrypted) => Ok(Box::new(encrypted)),
            Err(error) => Err(DialError::Handshake(cause(&error)).into()),
        }
    }
}

/// An error on the way to a proxy.
fn via(proxy: &ProxyServer, error: Error) -> Error {
    match error {
        Error::Other(reason) => DialError::Proxy { proxy: proxy.shown(), reason: reason.to_string() }.into(),
        other => other,
    }
}

/// `HOST:PORT`
fn authority(uri: &Uri) -> String {
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default))
}

impl Connector for Dialer {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let ready = self.dial(details)?;
        Ok(Some(Box::new(Gathered::new(ready))))
    }
}

impl From<DialError> for Error {
    fn from(error: DialError) -> Self {
        Error::Other(Box::new(error))
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// Resolves nothing: ureq would ask for the addresses before each request, also when a connection is open already.
#[derive(Debug)]
pub(super) struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}
