//! One WebSocket: which frame is being received, what of a message is there, what is to be written, and how it ends.

use std::collections::VecDeque;
use std::io::{Cursor, IoSlice};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::http::Segment;

/// Bytes of the longest header of a frame.
const HEADER_BYTES_MAX: usize = 14;
/// Payload of a control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;
/// Frames of one message.
pub const FRAGMENTS_MAX: u32 = 1_024;
/// Control frames between two calls of [`WebSocket::refill`]: more are a flood.
pub const CONTROL_FRAMES_MAX: u8 = 60;
/// Bytes that wait to be written from which on nothing is read: whoever does not take answers gets no more of them.
pub const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// The server's side of one WebSocket. Owns bytes only while a frame or message is partial, or the socket is full.
pub struct WebSocket {
    header: PartialHeader,
    frame: Option<Frame>,
    /// Payload of the message that is being received.
    message: Vec<u8>,
    /// Frames of that message so far; 0: none has begun.
    fragments: u32,
    control_frames_left: u8,
    /// We have said that it ends; whatever comes is dropped.
    is_closing: bool,
    sending: VecDeque<Segment>,
    /// Bytes of the first segment that are out.
    offset: usize,
}

/// What [`WebSocket::receive`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing more for now.
    Pending,
    /// A whole message.
    Message(Vec<u8>),
}

/// The bytes of a header that is not whole yet.
#[derive(Default)]
struct PartialHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    count: usize,
}

/// A frame whose payload is being received.
struct Frame {
    kind: Kind,
    is_final: bool,
    mask: [u8; 4],
    /// Where in the mask the next byte stands.
    mask_at: usize,
    bytes_left: u64,
}

enum Kind {
    Data,
    /// With its payload so far.
    Control(Control, Vec<u8>),
}

impl WebSocket {
    /// A new one, whose first output is `head`, the answer that ends the HTTP on this connection.
    pub fn new(head: Vec<u8>) -> Self {
        WebSocket {
            header: PartialHeader::default(),
            frame: None,
            message: Vec::new(),
            fragments: 0,
            control_frames_left: CONTROL_FRAMES_MAX,
            is_closing: false,
            sending: VecDeque::from([Segment::Owned(head)]),
            offset: 0,
        }
    }

    /// Takes from `input` up to the end of a message of at most `message_bytes_max`; call again until [`Received::Pending`]. What
    /// breaks the protocol closes it.
    pub fn receive(&mut self, input: &mut &[u8], message_bytes_max: u64) -> Received {
        match self.take(input, message_bytes_max) {
            Ok(Some(message)) => Received::Message(message),
            Ok(None) => Received::Pending,
            Err(code) => {
                self.close(code);
                *input = &[];
                Received::Pending
            }
        }
    }

    /// Queues a message of these segments.
    pub fn send(&mut self, segments: impl IntoIterator<Item = Segment>) {
        let segments: Vec<Segment> = segments.into_iter().collect();
        let bytes: usize = segments.iter().map(Segment::len).sum();
        self.queue_header(OpCode::Data(Data::Binary), bytes);
        self.sending.extend(segments);
    }

    /// Says that it ends, and why; nothing is sent or received after that.
    pub fn close(&mut self, code: CloseCode) {
        if !std::mem::replace(&mut self.is_closing, true) {
            self.queue_control(Control::Close, u16::from(code).to_be_bytes().to_vec());
        }
        (self.message, self.frame) = (Vec::new(), None);
    }

    /// Another [`CONTROL_FRAMES_MAX`] may come.
    pub fn refill(&mut self) {
        self.control_frames_left = CONTROL_FRAMES_MAX;
    }

    /// Whether it ends.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Whether no message has begun, nor a frame.
    pub fn is_idle(&self) -> bool {
        self.fragments == 0 && self.frame.is_none() && self.header.count == 0
    }

    /// Whether what comes can be taken: not while the peer leaves what we said untaken.
    pub fn wants_input(&self) -> bool {
        self.is_closing || self.unsent_bytes() < UNSENT_BYTES_MAX
    }

    /// Bytes given and not yet written.
    pub fn unsent_bytes(&self) -> usize {
        self.sending.iter().map(Segment::len).sum::<usize>() - self.offset
    }

    /// Bytes of the message that is being received.
    pub fn held_bytes(&self) -> usize {
        self.message.len()
    }

    /// Sets up to `slices.len()` slices to what is to be written next; how many were set. 0: nothing.
    pub fn output<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.sending) {
            let skip = if count == 0 { self.offset } else { 0 };
            *slice = IoSlice::new(&segment.as_bytes()[skip..]);
            count += 1;
        }
        count
    }

    /// Counts `bytes` of the output as written.
    pub fn sent(&mut self, bytes: usize) {
        let mut written = self.offset + bytes;
        while let Some(front) = self.sending.front()
            && front.len() <= written
        {
            written -= front.len();
            self.sending.pop_front();
        }
        self.offset = written;
        if self.sending.is_empty() {
            (self.sending, self.offset) = (VecDeque::new(), 0);
        }
    }
}

impl WebSocket {
    fn take(&mut self, input: &mut &[u8], message_bytes_max: u64) -> Result<Option<Vec<u8>>, CloseCode> {
        loop {
            if self.is_closing {
                *input = &[];
                return Ok(None);
            }
            if self.frame.is_none() {
                let Some((header, length)) = self.header.read(input)? else { return Ok(None) };
                self.frame = Some(self.begin(&header, length, message_bytes_max)?);
            }
            let Some(frame) = self.take_payload(input) else { return Ok(None) };
            match frame.kind {
                Kind::Control(control, payload) => self.obey(control, payload)?,
                Kind::Data if frame.is_final => {
                    self.fragments = 0;
                    return Ok(Some(std::mem::take(&mut self.message)));
                }
                Kind::Data => {}
            }
        }
    }

    /// Whether a frame may come now.
    fn begin(
        &mut self,
        header: &FrameHeader,
        length: u64,
        message_bytes_max: u64,
    ) -> Result<Frame, CloseCode> {
        let mask = header.mask.filter(|_| !(header.rsv1 || header.rsv2 || header.rsv3));
        let mask = mask.ok_or(CloseCode::Protocol)?;
        let kind = match header.opcode {
            OpCode::Control(control) => {
                if !header.is_final || length > CONTROL_BYTES_MAX {
                    return Err(CloseCode::Protocol);
                }
                self.control_frames_left =
                    self.control_frames_left.checked_sub(1).ok_or(CloseCode::Policy)?;
                Kind::Control(control, Vec::new())
            }
            OpCode::Data(data) => {
                let continues = data == Data::Continue;
                if continues != (self.fragments > 0) {
                    return Err(CloseCode::Protocol);
                }
                if data == Data::Text {
                    return Err(CloseCode::Unsupported);
                }
                if (self.message.len() as u64).saturating_add(length) > message_bytes_max {
                    return Err(CloseCode::Size);
                }
                self.fragments += 1;
                if self.fragments > FRAGMENTS_MAX {
                    return Err(CloseCode::Policy);
                }
                Kind::Data
            }
        };
        Ok(Frame { kind, is_final: header.is_final, mask, mask_at: 0, bytes_left: length })
    }

    /// Takes payload of the frame; the frame itself once it is whole.
    fn take_payload(&mut self, input: &mut &[u8]) -> Option<Frame> {
        let frame = self.frame.as_mut()?;
        let count = usize::try_from(frame.bytes_left).map_or(input.len(), |left| left.min(input.len()));
        let (part, rest) = input.split_at(count);
        *input = rest;
        let into = match &mut frame.kind {
            Kind::Data => &mut self.message,
            Kind::Control(_, payload) => payload,
        };
        let mask = frame.mask.iter().cycle().skip(frame.mask_at);
        into.extend(part.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        frame.mask_at = (frame.mask_at + count) % frame.mask.len();
        frame.bytes_left -= count as u64;
        if frame.bytes_left == 0 { self.frame.take() } else { None }
    }

    fn obey(&mut self, control: Control, payload: Vec<u8>) -> Result<(), CloseCode> {
        match control {
            Control::Ping => self.queue_control(Control::Pong, payload),
            Control::Close => {
                self.close(close_code(&payload)?);
            }
            Control::Pong | Control::Reserved(_) => {}
        }
        Ok(())
    }

    fn queue_control(&mut self, control: Control, payload: Vec<u8>) {
        self.queue_header(OpCode::Control(control), payload.len());
        self.sending.push_back(Segment::Owned(payload));
    }

    fn queue_header(&mut self, opcode: OpCode, bytes: usize) {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let mut formatted = Vec::with_capacity(HEADER_BYTES_MAX);
        header.format(bytes as u64, &mut formatted).expect("a vector takes all bytes");
        self.sending.push_back(Segment::Owned(formatted));
    }
}

impl PartialHeader {
    /// Takes bytes up to the end of a header; the header and its payload's length once it is whole.
    fn read(&mut self, input: &mut &[u8]) -> Result<Option<(FrameHeader, u64)>, CloseCode> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.bytes[self.count] = *byte;
            self.count += 1;
            let header = FrameHeader::parse(&mut Cursor::new(&self.bytes[..self.count]));
            match header.map_err(|_| CloseCode::Protocol)? {
                // the longest header is whole by now
                None if self.count == HEADER_BYTES_MAX => return Err(CloseCode::Protocol),
                None => {}
                Some(header) => {
                    self.count = 0;
                    return Ok(Some(header));
                }
            }
        }
        Ok(None)
    }
}

/// The code that answers a peer's close: its own, if that is one that may be sent.
fn close_code(payload: &[u8]) -> Result<CloseCode, CloseCode> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(CloseCode::Normal) } else { Err(CloseCode::Protocol) };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_allowed() {
        return Err(CloseCode::Protocol);
    }
    if std::str::from_utf8(reason).is_err() { Err(CloseCode::Invalid) } else { Ok(code) }
}
