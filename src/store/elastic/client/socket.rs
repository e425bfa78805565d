//! A TCP connection as ureq's transport: connecting, waits with an end, and a peer that vanished is noticed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use socket2::{SockRef, TcpKeepalive};
use ureq::Error;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, ShutdownHandle, Transport};

/// Of each connection, for what comes. An answer's head must fit.
pub(super) const INPUT_BYTES: usize = 32 * 1024;
/// Of each connection, for what goes.
pub(super) const OUTPUT_BYTES: usize = 16 * 1024;
/// Silence after which the peer is asked whether it is still there, and between such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// What was sent must be acknowledged within this time.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_WAIT_MAX: Duration = Duration::from_secs(30);

/// A wait of so long may be longer by less than a second.
const ROUNDED_FROM: Duration = Duration::from_secs(5);

/// The connection.
#[derive(Debug)]
pub(super) struct Socket {
    /// Shared with ureq's handle that shuts it down.
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    /// What the socket was told last, for reading and for writing: telling it is a system call.
    read_wait: Option<Duration>,
    write_wait: Option<Duration>,
}

impl Socket {
    /// Connects to the first of `addresses` that can be connected to. They share `wait_max` evenly.
    pub(super) fn connect(addresses: &[SocketAddr], wait_max: Duration) -> io::Result<Self> {
        let share = wait_max / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut failed = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(address, share) {
                Ok(stream) => return Socket::new(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        // an answer may take minutes (long polls): without these a peer that lost its power would be waited for in vain
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_INTERVAL).with_interval(KEEPALIVE_INTERVAL);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_WAIT_MAX))?;
        let buffers = LazyBuffers::new(INPUT_BYTES, OUTPUT_BYTES);
        Ok(Socket { stream: Arc::new(stream), buffers, read_wait: None, write_wait: None })
    }

    /// Ends the connection from another thread.
    pub(super) fn shutdown_handle(&self) -> Weak<dyn ShutdownHandle> {
        let handle: Weak<TcpStream> = Arc::downgrade(&self.stream);
        handle
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let wait = wait(timeout)?;
        if self.write_wait != wait {
            self.stream.set_write_timeout(wait)?;
            self.write_wait = wait;
        }
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        (&*self.stream).write_all(output).map_err(|error| in_time(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let wait = wait(timeout)?;
        if self.read_wait != wait {
            self.stream.set_read_timeout(wait)?;
            self.read_wait = wait;
        }
        let input = self.buffers.input_append_buf();
        let count = loop {
            match (&*self.stream).read(input) {
                // a signal: the wait begins anew, which signals are too rare to prolong for long
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result.map_err(|error| in_time(error, timeout))?,
            }
        };
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        // between requests a peer has nothing to say: bytes are as bad as an end
        recv(&*self.stream, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT) == Err(Errno::WOULDBLOCK)
    }
}

/// The time left for an operation; none is an error. Long ones are rounded up to seconds, so that they are mostly the same.
fn wait(timeout: NextTimeout) -> Result<Option<Duration>, Error> {
    if timeout.after.is_not_happening() {
        return Ok(None);
    }
    if timeout.after.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    let wait = *timeout.after;
    let is_long = wait >= ROUNDED_FROM && wait.subsec_nanos() > 0;
    Ok(Some(if is_long { Duration::from_secs(wait.as_secs() + 1) } else { wait }))
}

fn in_time(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use ureq::Timeout;

    use super::*;

    fn waits(after: Duration) -> Option<Duration> {
        wait(NextTimeout { after: after.into(), reason: Timeout::Global, ..NextTimeout::default() }).unwrap()
    }

    #[test]
    fn long_waits_are_whole_seconds_and_short_ones_are_exact() {
        let milliseconds = Duration::from_millis;
        assert_eq!(waits(milliseconds(4_990)), Some(milliseconds(4_990)));
        assert_eq!(waits(milliseconds(5_000)), Some(milliseconds(5_000)));
        assert_eq!([9_001, 9_999].map(|after| waits(milliseconds(after))), [Some(milliseconds(10_000)); 2]);
    }

    #[test]
    fn no_time_left_is_an_error() {
        assert!(wait(NextTimeout { after: Duration::ZERO.into(), ..NextTimeout::default() }).is_err());
    }
}
