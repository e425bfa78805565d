//! A stream of either family.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// An accepted connection's socket, non-blocking.
#[derive(Debug)]
pub(super) enum Socket {
    /// Agents.
    Tcp(TcpStream),
    /// The operator.
    Unix(UnixStream),
}

/// What came of reading or writing without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// So many bytes; at least one.
    Bytes(usize),
    /// The socket is empty or full.
    WouldBlock,
    /// The peer has ended its side.
    End,
    /// The connection is broken.
    Broken,
}

impl Socket {
    /// Registers for edges in both directions.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Socket::Tcp(stream) => stream.register(registry, token, both),
            Socket::Unix(stream) => stream.register(registry, token, both),
        }
    }

    /// Who is at the other end, where it has an address.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(stream) => stream.peer_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Reads into `buffer`, which is not empty.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Moved {
        again(|| match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
        })
    }

    /// Writes what the socket takes of `bytes`, which are not empty.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Moved {
        again(|| match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        })
    }

    /// Writes what the socket takes of `slices`, which are not empty.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Moved {
        again(|| match self {
            Socket::Tcp(stream) => stream.write_vectored(slices),
            Socket::Unix(stream) => stream.write_vectored(slices),
        })
    }

    /// Looks at what could be read, at most `N` bytes, without taking it.
    pub(super) fn peek<const N: usize>(&self) -> Moved {
        let mut buffer = [MaybeUninit::uninit(); N];
        again(|| match self {
            Socket::Tcp(stream) => SockRef::from(stream).peek(&mut buffer),
            Socket::Unix(stream) => SockRef::from(stream).peek(&mut buffer),
        })
    }

    /// How many bytes a read would find.
    pub(super) fn unread_bytes(&self) -> usize {
        let bytes = match self {
            Socket::Tcp(stream) => rustix::io::ioctl_fionread(stream),
            Socket::Unix(stream) => rustix::io::ioctl_fionread(stream),
        };
        // where it cannot be told, there may be many
        bytes.ok().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX / 2)
    }

    /// Ends our sending side.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

fn again(mut operation: impl FnMut() -> io::Result<usize>) -> Moved {
    loop {
        return match operation() {
            Ok(0) => Moved::End,
            Ok(bytes) => Moved::Bytes(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Moved::WouldBlock,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => Moved::Broken,
        };
    }
}
