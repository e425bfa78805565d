//! One agent's connection: at most one call at a time, from connect to the complete response.

use std::{io, time::Instant};

use mio::{Interest, Registry, Token};

use crate::agent::Call;
use crate::failure::Failure;
use crate::response::{Response, ResponseReader};
use crate::transport::{Peer, Transport};

/// A connection and the call on it.
pub(crate) struct Session {
    transport: Transport,
    reader: ResponseReader,
    stage: Stage,
    /// When the connection was begun, for its first call only.
    opened: Option<Instant>,
}

enum Stage {
    Idle,
    /// The request is on its way out, the handshake before it included.
    Sending(InFlight),
    /// The whole request was given to the socket.
    Awaiting(InFlight),
}

/// A call without its answer.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) call: Call,
    /// Connect (first call of a connection) or send (later ones).
    pub(crate) since: Instant,
}

/// What happened in one visit.
pub(crate) struct Visit {
    /// The request's last byte went out in this visit.
    pub(crate) sent: bool,
    /// The complete response, and what it answers.
    pub(crate) answered: Option<(InFlight, Response)>,
    /// The connection is of no more use.
    pub(crate) over: bool,
}

impl Session {
    /// Registers a connection that was begun at `now`.
    pub(crate) fn new(
        mut transport: Transport,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> io::Result<Self> {
        registry.register(transport.socket(), token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { transport, reader: ResponseReader::default(), stage: Stage::Idle, opened: Some(now) })
    }

    /// Begins a call. The caller visits the session next.
    pub(crate) fn send(&mut self, call: Call, request: Vec<u8>, now: Instant) -> Result<(), Failure> {
        if !matches!(self.stage, Stage::Idle) {
            return Err(Failure::call("another call is in flight"));
        }
        let since = self.opened.take().unwrap_or(now);
        self.stage = Stage::Sending(InFlight { call, since });
        self.transport.queue(request).map_err(|error| Failure::connection(&error))
    }

    /// Sends and receives what is possible now.
    pub(crate) fn visit(&mut self, scratch: &mut [u8]) -> Result<Visit, Failure> {
        let failed = |error: io::Error| Failure::connection(&error);
        let mut visit = Visit { sent: self.flush()?, answered: None, over: false };
        let peer = self.transport.receive(scratch, self.reader.sink()).map_err(failed)?;
        // What was received may have finished the handshake, which lets the request go.
        visit.sent |= self.flush()?;
        if let Some(response) = self.reader.take().map_err(|message| Failure::answer(&message))? {
            visit.over = response.close;
            match std::mem::replace(&mut self.stage, Stage::Idle) {
                Stage::Sending(call) | Stage::Awaiting(call) => visit.answered = Some((call, response)),
                Stage::Idle => return Err(Failure::answer("a response that nobody asked for")),
            }
        }
        if peer == Peer::Closed {
            visit.over = true;
            if !matches!(self.stage, Stage::Idle) {
                return Err(Failure::closed());
            }
        }
        Ok(visit)
    }

    /// The call whose answer is missing.
    pub(crate) fn call(&self) -> Option<&Call> {
        match &self.stage {
            Stage::Idle => None,
            Stage::Sending(in_flight) | Stage::Awaiting(in_flight) => Some(&in_flight.call),
        }
    }

    /// Ends the connection politely.
    pub(crate) fn close(self) {
        self.transport.close();
    }

    /// True when the request's last byte went out just now.
    fn flush(&mut self) -> Result<bool, Failure> {
        let all = self.transport.flush().map_err(|error| Failure::connection(&error))?;
        if !all || !matches!(self.stage, Stage::Sending(_)) {
            return Ok(false);
        }
        if let Stage::Sending(call) = std::mem::replace(&mut self.stage, Stage::Idle) {
            self.stage = Stage::Awaiting(call);
        }
        Ok(true)
    }
}
