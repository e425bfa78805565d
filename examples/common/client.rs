//! A blocking connection to a Fleet Server: one request at a time, plain or over TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::{sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::response::{Response, ResponseReader};
use crate::target::Target;

const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// Sends requests, connects when there is no connection.
pub(crate) struct Client {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    answer_wait_max: Duration,
    connection: Option<Connection>,
}

enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    /// `tls` is there when the target is secure. Connects at the first request; a server that sends nothing
    /// for `answer_wait_max` is given up.
    pub(crate) fn new(target: Target, tls: Option<Arc<ClientConfig>>, answer_wait_max: Duration) -> Self {
        Self { target, tls, answer_wait_max, connection: None }
    }

    /// The `Host` to name in requests.
    pub(crate) fn authority(&self) -> String {
        self.target.authority()
    }

    /// Closes the connection; the next request opens a new one.
    pub(crate) fn disconnect(&mut self) {
        if let Some(Connection::Tls(stream)) = &mut self.connection {
            stream.conn.send_close_notify();
            // The server may be gone already, which is what a goodbye is for.
            let _ = stream.flush();
        }
        self.connection = None;
    }

    /// One request, one response. Any failure drops the connection.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Response, String> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let (response, connection) = exchange_on(connection, request)?;
        self.connection = (!response.close).then_some(connection);
        Ok(response)
    }

    fn connect(&self) -> Result<Connection, String> {
        let mut failure = String::new();
        for address in self.target.addresses()? {
            match TcpStream::connect_timeout(&address, CONNECT_WAIT_MAX) {
                Ok(socket) => return self.secure(socket),
                Err(error) => failure = format!("{address}: {error}"),
            }
        }
        Err(failure)
    }

    fn secure(&self, socket: TcpStream) -> Result<Connection, String> {
        let said = |error: std::io::Error| error.to_string();
        socket.set_nodelay(true).map_err(said)?;
        socket.set_read_timeout(Some(self.answer_wait_max)).map_err(said)?;
        let Some(config) = &self.tls else { return Ok(Connection::Plain(socket)) };
        let name = ServerName::try_from(self.target.host.clone()).map_err(|error| error.to_string())?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(|error| error.to_string())?;
        Ok(Connection::Tls(Box::new(StreamOwned::new(tls, socket))))
    }
}

fn exchange_on(mut connection: Connection, request: &[u8]) -> Result<(Response, Connection), String> {
    let stream: &mut dyn ReadWrite = match &mut connection {
        Connection::Plain(socket) => socket,
        Connection::Tls(stream) => &mut **stream,
    };
    let said = |error: std::io::Error| error.to_string();
    stream.write_all(request).map_err(said)?;
    stream.flush().map_err(said)?;
    let mut reader = ResponseReader::default();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut chunk).map_err(said)? {
            0 => return Err("the server closed the connection".to_owned()),
            count => reader.sink().extend_from_slice(&chunk[..count]),
        }
        if let Some(response) = reader.take()? {
            return Ok((response, connection));
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}
