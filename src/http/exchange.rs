//! One connection: which message is being received, which is being sent, and how an exchange ends.

use std::io::IoSlice;

use super::Limits;
use super::bad::BadRequest;
use super::body::{BodyReader, Piece};
use super::content::Segment;
use super::events::{Done, Phase, Received, Sent};
use super::head::RequestHead;
use super::head_reader::HeadReader;
use super::response::Response;
use super::scan::take;
use super::sending::{Asker, Sending};

/// How much of a request body is read and dropped after an early response to keep the connection.
pub const DRAIN_BYTES_MAX: u32 = 256 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// One connection, the server's side. Owns bytes only while a message is partial: nothing is on the
/// heap when it is idle, nor while a request is being handled.
pub struct HttpConnection {
    receiving: Receiving,
    sending: Option<Box<Sending>>,
    exchange: Exchange,
}

enum Receiving {
    Head(HeadReader),
    Body(BodyReader),
    /// The request is complete.
    Complete,
    /// The request was refused; whatever comes is dropped. With the X-Request-Id that its head had.
    Refused(Option<Box<str>>),
    /// Nothing will be received any more; whatever comes is dropped.
    Closed,
}

/// Facts about the open exchange.
#[derive(Clone, Copy, Default)]
struct Exchange {
    open: bool,
    answered: bool,
    keep_alive: bool,
    head_only: bool,
    /// The client waits for `100 Continue`, and no byte of the body has come.
    awaits_continue: bool,
    minor_version: u8,
    /// Bytes of an interim response that are not out.
    interim_left: u8,
    /// Bytes of the body that may still be dropped, once answered.
    drain_left: u32,
}

impl Default for HttpConnection {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpConnection {
    /// An idle connection.
    pub fn new() -> Self {
        let exchange = Exchange::default();
        Self { receiving: Receiving::Head(HeadReader::default()), sending: None, exchange }
    }

    /// Takes what it can from `input`; call again until [`Received::Pending`]. A partial head is kept
    /// inside, up to [`Limits::head_bytes_max`]. Once a request is complete nothing is taken until its
    /// response is out: the caller keeps what follows (bounded) and stops reading.
    pub fn receive<'a>(&mut self, input: &mut &'a [u8], limits: &Limits) -> Received<'a> {
        if let Receiving::Body(_) = self.receiving {
            if !self.exchange.answered {
                return self.receive_body(input);
            }
            if let Some(received) = self.drain(input) {
                return received;
            }
        }
        match &mut self.receiving {
            Receiving::Head(reader) => match reader.read(input, limits) {
                Ok(None) => Received::Pending,
                Ok(Some(head)) => self.open(head),
                Err(bad) => self.refuse(bad, input),
            },
            Receiving::Body(_) | Receiving::Complete => Received::Pending,
            Receiving::Refused(_) | Receiving::Closed => {
                take(input, usize::MAX);
                Received::Pending
            }
        }
    }

    /// The X-Request-Id of a head that is not complete or was refused, if it has one that can be told.
    pub fn request_id(&self) -> Option<&str> {
        match &self.receiving {
            Receiving::Head(reader) => reader.request_id(),
            Receiving::Refused(request_id) => request_id.as_deref(),
            Receiving::Body(_) | Receiving::Complete | Receiving::Closed => None,
        }
    }

    /// What the connection waits for.
    pub fn phase(&self) -> Phase {
        match &self.receiving {
            _ if self.sending.is_some() => Phase::Sending,
            Receiving::Head(reader) if reader.has_begun() => Phase::Head,
            Receiving::Head(_) => Phase::Idle,
            Receiving::Body(_) if self.exchange.answered => Phase::Draining,
            Receiving::Body(_) => Phase::Body,
            Receiving::Complete | Receiving::Refused(_) => Phase::Awaiting,
            Receiving::Closed => Phase::Closed,
        }
    }

    /// The body is wanted: queues `100 Continue` if the client waits for it and no byte of the body
    /// has come yet.
    pub fn send_continue(&mut self) {
        if self.exchange.awaits_continue && !self.exchange.answered {
            self.exchange.awaits_continue = false;
            self.exchange.interim_left = CONTINUE.len() as u8;
        }
    }

    /// Gives the response of the open exchange. Before the body is complete (401, 413): up to
    /// [`DRAIN_BYTES_MAX`] of the rest are dropped to keep the connection; where more is announced, or
    /// the client was never told to continue, the response says `Connection: close`. Without an open
    /// exchange (408, 429): closes too. A second response to one request is dropped; that a late one does
    /// not meet the next request is the caller's to see to.
    pub fn respond(&mut self, response: Response) {
        if self.exchange.answered || self.phase() == Phase::Closed {
            return;
        }
        let close = !self.can_persist();
        let asker = Asker {
            // without a parsed head the newest version that we speak
            minor_version: if self.exchange.open { self.exchange.minor_version } else { 1 },
            head_only: self.exchange.head_only,
            close,
        };
        let sending = Sending::new(response, asker);
        if sending.closes() && !matches!(self.receiving, Receiving::Complete) {
            self.receiving = Receiving::Closed;
        }
        self.exchange.answered = true;
        self.exchange.drain_left = DRAIN_BYTES_MAX;
        self.sending = Some(Box::new(sending));
    }

    /// Appends to the body of a response given with [`super::Body::streamed`] or
    /// [`super::Body::chunked`]. Bound what waits with [`Self::unsent_bytes`].
    pub fn push(&mut self, segment: Segment) {
        if let Some(sending) = &mut self.sending {
            sending.push(segment);
        }
    }

    /// Ends a streamed body. Needed after [`super::Body::chunked`]; after [`super::Body::streamed`]
    /// only to give up early, which closes the connection. The answer is that of [`Self::sent`]: with
    /// everything written the response may be done right here.
    pub fn finish(&mut self) -> Sent {
        if let Some(sending) = &mut self.sending {
            sending.finish();
        }
        self.sent(0)
    }

    /// Bytes given and not yet written.
    pub fn unsent_bytes(&self) -> usize {
        let interim = usize::from(self.exchange.interim_left);
        interim + self.sending.as_ref().map_or(0, |sending| sending.unsent_bytes())
    }

    /// Sets up to `slices.len()` slices to what is to be written next; how many were set. 0: nothing.
    pub fn output<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut rest = slices;
        let mut count = 0;
        let interim = usize::from(self.exchange.interim_left);
        if interim > 0 {
            let Some((first, others)) = rest.split_first_mut() else { return 0 };
            *first = IoSlice::new(&CONTINUE[CONTINUE.len() - interim..]);
            (rest, count) = (others, 1);
        }
        count + self.sending.as_ref().map_or(0, |sending| sending.output(rest))
    }

    /// Counts `bytes` of the output as written.
    pub fn sent(&mut self, bytes: usize) -> Sent {
        let interim = bytes.min(usize::from(self.exchange.interim_left));
        self.exchange.interim_left -= interim as u8;
        let Some(sending) = &mut self.sending else {
            return if self.exchange.interim_left == 0 { Sent::Interim } else { Sent::More };
        };
        sending.advance(bytes - interim);
        if sending.is_done() {
            let closes = sending.closes();
            return Sent::Response(self.complete(closes));
        }
        if sending.is_starved() && self.exchange.interim_left == 0 { Sent::Starved } else { Sent::More }
    }
}

#[cfg(test)]
impl HttpConnection {
    /// Bytes on the heap that belong to this connection, shared segments not counted.
    pub(super) fn held_bytes(&self) -> usize {
        let partial = if let Receiving::Head(reader) = &self.receiving { reader.capacity() } else { 0 };
        partial + self.sending.as_ref().map_or(0, |sending| size_of_val(&**sending) + sending.unsent_bytes())
    }
}

impl HttpConnection {
    fn open(&mut self, head: RequestHead) -> Received<'static> {
        self.exchange = Exchange {
            open: true,
            keep_alive: head.keep_alive(),
            head_only: head.method() == "HEAD",
            awaits_continue: head.expects_continue(),
            minor_version: head.minor_version(),
            ..Exchange::default()
        };
        self.receiving = Receiving::Body(BodyReader::new(head.body()));
        Received::Head(Box::new(head))
    }

    fn receive_body<'a>(&mut self, input: &mut &'a [u8]) -> Received<'a> {
        let Receiving::Body(body) = &mut self.receiving else { return Received::Pending };
        match body.read(input) {
            Ok(Piece::Pending) => Received::Pending,
            Ok(Piece::Data(data)) => {
                self.exchange.awaits_continue = false;
                Received::Body(data)
            }
            Ok(Piece::End) => {
                self.receiving = Receiving::Complete;
                Received::End
            }
            Err(bad) => self.refuse(bad, input),
        }
    }

    /// Drops the rest of a body that was answered already. `None` once it is complete.
    fn drain(&mut self, input: &mut &[u8]) -> Option<Received<'static>> {
        while let Receiving::Body(body) = &mut self.receiving {
            let before = input.len();
            let piece = body.read(input);
            let dropped = u32::try_from(before - input.len()).unwrap_or(u32::MAX);
            let within = self.exchange.drain_left.checked_sub(dropped);
            self.exchange.drain_left = within.unwrap_or(0);
            match (piece, within) {
                (Ok(Piece::End), Some(_)) => self.drained(),
                (Ok(Piece::Data(_)), Some(_)) => {}
                (Ok(Piece::Pending), Some(_)) => return Some(Received::Pending),
                (Err(_), _) | (_, None) => return Some(self.abandon(input)),
            }
        }
        None
    }

    fn drained(&mut self) {
        match self.sending {
            Some(_) => self.receiving = Receiving::Complete,
            None => *self = Self::new(),
        }
    }

    /// The rest cannot be drained: what follows it will never be a request.
    fn abandon(&mut self, input: &mut &[u8]) -> Received<'static> {
        take(input, usize::MAX);
        self.receiving = Receiving::Closed;
        match &mut self.sending {
            Some(sending) => {
                sending.force_close();
                Received::Pending
            }
            None => Received::Close,
        }
    }

    fn refuse(&mut self, bad: BadRequest, input: &mut &[u8]) -> Received<'static> {
        take(input, usize::MAX);
        self.receiving = Receiving::Refused(self.request_id().map(Box::from));
        Received::Bad(bad)
    }

    /// Whether the connection can serve another request after the response given now.
    fn can_persist(&self) -> bool {
        let rest_fits = match &self.receiving {
            Receiving::Complete => true,
            Receiving::Body(body) => {
                !self.exchange.awaits_continue
                    && body.announced_rest().is_none_or(|rest| rest <= u64::from(DRAIN_BYTES_MAX))
            }
            Receiving::Head(_) | Receiving::Refused(_) | Receiving::Closed => false,
        };
        rest_fits && self.exchange.keep_alive
    }

    fn complete(&mut self, closes: bool) -> Done {
        self.sending = None;
        let request_complete = matches!(self.receiving, Receiving::Complete);
        if closes {
            self.receiving = Receiving::Closed;
            return Done::Close { lingering: !request_complete };
        }
        if request_complete {
            *self = Self::new();
        }
        Done::KeepAlive
    }
}

/// A connection is one of very many.
const _: () = assert!(size_of::<HttpConnection>() <= 64);
