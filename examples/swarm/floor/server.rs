//! The echo: reads a request's bytes, writes a response's bytes, over and over.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 4_096;
const EVENTS_MAX: usize = 1_024;
const SCRATCH_BYTES: usize = 64 * 1024;

struct Connection {
    socket: TcpStream,
    /// Bytes of the current request that have not come yet.
    missing: usize,
    /// Bytes of responses that have not gone yet.
    owed: usize,
}

/// Prints its address, then echoes until it is ended.
#[expect(clippy::print_stdout, reason = "the parent reads the address")]
pub(crate) fn serve(request_bytes: usize, response_bytes: usize) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = listen()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?);
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut connections = Slab::new();
    let mut scratch = vec![0; SCRATCH_BYTES.max(response_bytes)];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter() {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut connections, request_bytes)?;
                continue;
            }
            let Some(connection) = connections.get_mut(event.token().0) else { continue };
            if !connection.echo(&mut scratch, request_bytes, response_bytes).unwrap_or(false) {
                connections.remove(event.token().0);
            }
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn accept(
    poll: &Poll,
    listener: &TcpListener,
    connections: &mut Slab<Connection>,
    request_bytes: usize,
) -> io::Result<()> {
    loop {
        let (mut socket, _) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        socket.set_nodelay(true)?;
        let entry = connections.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, Token(entry.key()), interest)?;
        entry.insert(Connection { socket, missing: request_bytes, owed: 0 });
    }
}

impl Connection {
    /// False when the other end is gone.
    fn echo(&mut self, scratch: &mut [u8], request_bytes: usize, response_bytes: usize) -> io::Result<bool> {
        loop {
            while self.owed > 0 {
                let length = self.owed.min(scratch.len());
                match self.socket.write(&scratch[..length]) {
                    Ok(count) => self.owed -= count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
            match self.socket.read(scratch) {
                Ok(0) => return Ok(false),
                Ok(mut count) => {
                    while count >= self.missing {
                        count -= self.missing;
                        self.missing = request_bytes;
                        self.owed += response_bytes;
                    }
                    self.missing -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}
