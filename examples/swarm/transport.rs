//! Bytes over a socket that does not block, plain or through TLS.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use rustix::net::RecvFlags;
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use socket2::{Domain, Protocol, Socket, Type};

/// Host parts used of each of the last three bytes of 127.x.y.z.
const HOSTS_PER_BYTE: usize = 254;

/// One connection.
pub(crate) enum Transport {
    Plain { socket: TcpStream, outgoing: Vec<u8>, written: usize },
    Tls { socket: TcpStream, tls: Box<ClientConnection> },
}

/// What a visit to the socket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Open,
    Closed,
}

impl Transport {
    /// Starts to connect from the source address of agent `index`.
    pub(crate) fn open(
        address: SocketAddr,
        index: usize,
        tls: Option<(&Arc<ClientConfig>, &ServerName<'static>)>,
    ) -> io::Result<Self> {
        let socket = connect(address, index)?;
        let Some((config, name)) = tls else {
            return Ok(Self::Plain { socket, outgoing: Vec::new(), written: 0 });
        };
        let tls = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
        Ok(Self::Tls { socket, tls: Box::new(tls) })
    }

    /// The socket, to register it.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain { socket, .. } | Self::Tls { socket, .. } => socket,
        }
    }

    /// Takes bytes to send; `flush` sends them.
    pub(crate) fn queue(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Plain { outgoing, written, .. } => {
                *outgoing = bytes;
                *written = 0;
                Ok(())
            }
            Self::Tls { tls, .. } => tls.writer().write_all(&bytes),
        }
    }

    /// Sends what it can; true when everything queued was sent.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain { socket, outgoing, written } => {
                while *written < outgoing.len() {
                    let Some(count) = unless_blocked(socket.write(&outgoing[*written..]))? else {
                        return Ok(false);
                    };
                    *written += count;
                }
                *outgoing = Vec::new();
                Ok(true)
            }
            Self::Tls { socket, tls } => {
                while tls.wants_write() {
                    if unless_blocked(tls.write_tls(socket))?.is_none() {
                        return Ok(false);
                    }
                }
                Ok(!tls.is_handshaking())
            }
        }
    }

    /// Receives until the socket is empty; `scratch` is one buffer for all connections.
    pub(crate) fn receive(&mut self, scratch: &mut [u8], sink: &mut Vec<u8>) -> io::Result<Peer> {
        loop {
            match self.receive_once(scratch, sink)? {
                None => return Ok(Peer::Open),
                Some(Peer::Closed) => return Ok(Peer::Closed),
                Some(Peer::Open) => {}
            }
        }
    }

    /// Receives at most one `scratch` full; none when the socket is empty.
    pub(crate) fn receive_once(
        &mut self,
        scratch: &mut [u8],
        sink: &mut Vec<u8>,
    ) -> io::Result<Option<Peer>> {
        let count = match unless_blocked(self.socket().read(scratch))? {
            None => return Ok(None),
            Some(0) => return Ok(Some(Peer::Closed)),
            Some(count) => count,
        };
        match self {
            Self::Plain { .. } => sink.extend_from_slice(&scratch[..count]),
            Self::Tls { tls, .. } => decrypt(tls, &scratch[..count], sink)?,
        }
        Ok(Some(Peer::Open))
    }

    /// Lets the kernel drop at most one `scratch` full of what has come, unread; none when there is nothing, 0 at the end.
    pub(crate) fn discard_once(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        let dropped = rustix::net::recv(&*self.socket(), scratch, RecvFlags::TRUNC);
        unless_blocked(dropped.map(|(_, count)| count).map_err(io::Error::from))
    }

    /// Says goodbye as a real client does, as far as the socket takes it.
    pub(crate) fn close(mut self) {
        if let Self::Tls { socket, tls } = &mut self {
            tls.send_close_notify();
            // The server may be gone already, which is what a goodbye is for.
            let _ = tls.write_tls(socket);
        }
    }
}

fn decrypt(tls: &mut ClientConnection, mut received: &[u8], sink: &mut Vec<u8>) -> io::Result<()> {
    while !received.is_empty() {
        tls.read_tls(&mut received)?;
        let state =
            tls.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let mut left = state.plaintext_bytes_to_read();
        while left > 0 {
            let start = sink.len();
            sink.resize(start + left, 0);
            let count = tls.reader().read(&mut sink[start..])?;
            sink.truncate(start + count);
            left = if count == 0 { 0 } else { left - count };
        }
    }
    Ok(())
}

/// None when the socket would block, or is not connected yet.
fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn connect(address: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv4() {
        socket.bind(&SocketAddr::new(source(index), 0).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// An address of 127.0.0.0/8 for each agent: no port range runs out, and the server sees many hosts.
fn source(index: usize) -> IpAddr {
    let host = |position: usize| u8::try_from(1 + position % HOSTS_PER_BYTE).unwrap_or(1);
    let (low, middle) = (index, index / HOSTS_PER_BYTE);
    IpAddr::V4(Ipv4Addr::new(127, host(middle / HOSTS_PER_BYTE), host(middle), host(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_thousand_agents_have_as_many_addresses() {
        let addresses: std::collections::BTreeSet<_> = (0..19_000).map(source).collect();
        assert_eq!(addresses.len(), 19_000);
        assert!(addresses.iter().all(IpAddr::is_loopback));
    }
}
