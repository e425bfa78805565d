//! The side of the floor that counts: many connections of one thread.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::Shape;
use crate::tally::Times;
use crate::transport::{Peer, Transport};

const EVENTS_MAX: usize = 1_024;
const SCRATCH_BYTES: usize = 64 * 1024;
/// No part of the floor takes longer; a machine that slow is told as what it managed.
const TIME_MAX: Duration = Duration::from_secs(10);
const WAIT_MAX: Duration = Duration::from_millis(50);

/// What was reached.
pub(crate) struct Reached {
    pub(crate) times: Times,
    pub(crate) elapsed: Duration,
}

struct Link {
    transport: Transport,
    since: Instant,
    received: usize,
}

/// `shape.connections` connections with one round trip each, `shape.at_once` at a time.
pub(crate) fn fresh(address: SocketAddr, shape: &Shape) -> io::Result<Reached> {
    Load::new(address, shape, shape.at_once, TIME_MAX)?.run(Some(shape.connections))
}

/// Round trips on `connections` that stay, for `time`.
pub(crate) fn kept(
    address: SocketAddr,
    shape: &Shape,
    connections: usize,
    time: Duration,
) -> io::Result<Reached> {
    Load::new(address, shape, connections, time)?.run(None)
}

struct Load {
    poll: Poll,
    address: SocketAddr,
    request: Vec<u8>,
    response_bytes: usize,
    links: Vec<Option<Link>>,
    begun: usize,
    deadline: Duration,
    started: Instant,
    times: Times,
    received: Vec<u8>,
}

impl Load {
    fn new(address: SocketAddr, shape: &Shape, links: usize, deadline: Duration) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            address,
            request: vec![b'x'; shape.request_bytes],
            response_bytes: shape.response_bytes,
            links: (0..links).map(|_| None).collect(),
            begun: 0,
            deadline,
            started: Instant::now(),
            times: Times::default(),
            received: Vec::new(),
        })
    }

    /// Until `connections` are done, one round trip each; None: until the time is over, on the same ones.
    fn run(mut self, connections: Option<usize>) -> io::Result<Reached> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut scratch = vec![0; SCRATCH_BYTES];
        for place in 0..self.links.len() {
            self.open(place)?;
        }
        while self.started.elapsed() < self.deadline {
            match self.poll.poll(&mut events, Some(WAIT_MAX)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in events.iter() {
                self.visit(event.token().0, &mut scratch, connections)?;
            }
            if connections.is_some_and(|all| self.times.count() >= all as u64) {
                break;
            }
        }
        Ok(Reached { times: self.times, elapsed: self.started.elapsed() })
    }

    fn open(&mut self, place: usize) -> io::Result<()> {
        let mut transport = Transport::open(self.address, self.begun, None)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(transport.socket(), Token(place), interest)?;
        transport.queue(self.request.clone())?;
        self.begun += 1;
        self.links[place] = Some(Link { transport, since: Instant::now(), received: 0 });
        Ok(())
    }

    fn visit(&mut self, place: usize, scratch: &mut [u8], connections: Option<usize>) -> io::Result<()> {
        let Some(link) = self.links.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        link.transport.flush()?;
        let peer = link.transport.receive(scratch, &mut self.received)?;
        link.received += self.received.len();
        self.received.clear();
        if peer == Peer::Closed {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if link.received < self.response_bytes {
            return Ok(());
        }
        let now = Instant::now();
        self.times.note(now - link.since);
        match connections {
            None => {
                (link.since, link.received) = (now, 0);
                link.transport.queue(self.request.clone())?;
                link.transport.flush().map(drop)
            }
            Some(all) if self.begun < all => self.open(place),
            Some(_) => {
                self.links[place] = None;
                Ok(())
            }
        }
    }
}
