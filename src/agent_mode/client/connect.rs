//! The connection under gRPC: TCP or a Unix socket, and mutual TLS over it.

use std::future::Future;
use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::super::startup::{Address, StartUp};

/// From the first step to the end of the handshake: the agent is on the same machine.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Goes into the requests; who the agent is, is seen by its certificate.
const ORIGIN: &str = "https://agent";

/// What TLS runs on.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A channel to the agent: connects when it is first used, and again when the connection is gone.
pub(super) fn channel(startup: &StartUp) -> Channel {
    let startup = startup.clone();
    let connector = tower::service_fn(move |_: Uri| connect(startup.clone()));
    // the scheme would have tonic bring TLS of its own
    Endpoint::from_static("http://agent")
        .origin(Uri::from_static(ORIGIN))
        .connect_with_connector_lazy(connector)
}

fn connect(startup: StartUp) -> impl Future<Output = io::Result<TokioIo<TlsStream<Box<dyn Socket>>>>> {
    let connected = async move {
        let socket: Box<dyn Socket> = match &startup.address {
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address.as_str()).await?;
                socket.set_nodelay(true)?;
                Box::new(socket)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        TlsConnector::from(startup.tls).connect(startup.server_name, socket).await
    };
    async {
        let connected = tokio::time::timeout(CONNECT_WAIT_MAX, connected).await;
        connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TokioIo::new)
    }
}
