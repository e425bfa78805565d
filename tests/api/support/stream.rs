//! The bytes below a connection: plain, TLS or the operator's Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{PATIENCE, Pair};

/// A stream to a server, blocking, with the watchdog's time for each read and write.
pub(crate) trait Stream: Read + Write + Send {
    /// The server sees the end of what is sent; reading goes on.
    fn end_sending(&mut self) -> io::Result<()>;
    /// The end without a word of good-bye: the server sees a broken connection.
    fn break_off(&mut self);
    /// What the TLS session came to, if there is one.
    fn session(&self) -> Option<&ClientConnection> {
        None
    }
}

impl Stream for TcpStream {
    fn end_sending(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn break_off(&mut self) {
        // closing it sends a reset then
        socket2::SockRef::from(&*self).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Stream for UnixStream {
    fn end_sending(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn break_off(&mut self) {}
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn end_sending(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()
    }

    fn break_off(&mut self) {
        self.sock.break_off();
    }

    fn session(&self) -> Option<&ClientConnection> {
        Some(&self.conn)
    }
}

/// Connects without TLS.
pub(crate) fn tcp(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to a Unix socket: the operator's, or that of the metrics.
pub(crate) fn unix(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Connects with TLS and shakes hands. An error where the handshake fails.
pub(crate) fn tls(
    port: u16,
    config: Arc<ClientConfig>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut socket = tcp(port)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(session, socket))
}

/// A client that trusts the CA in `authority` and shows `pair`, if given.
pub(crate) fn client_config(authority: &Path, pair: Option<&Pair>) -> Arc<ClientConfig> {
    let config = ClientConfig::builder().with_root_certificates(roots(authority));
    let Some(pair) = pair else { return Arc::new(config.with_no_client_auth()) };
    let chain = CertificateDer::pem_file_iter(&pair.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    Arc::new(config.with_client_auth_cert(chain, key).unwrap())
}

/// The CAs in a file.
pub(crate) fn roots(authority: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}
