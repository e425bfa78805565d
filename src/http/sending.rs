//! A response on its way out: segments with the head in front, given back as they leave.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::content::{Extent, Segment};
use super::response::{Framing, Persistence, Response, sendable, write_head};

/// What of the request decides about the response's form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) minor_version: u8,
    /// The method was HEAD.
    pub(super) head_only: bool,
    /// The connection is closed afterwards, whatever the response says.
    pub(super) close: bool,
}

/// A response being sent.
pub(super) struct Sending {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are out.
    offset: usize,
    rest: Rest,
    close: bool,
}

/// What will still be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    Length(u64),
    Chunks,
    UntilClose,
}

impl Sending {
    pub(super) fn new(mut response: Response, asker: Asker) -> Self {
        let framing = framing_of(&response, asker);
        let close = asker.close || response.close || framing == Framing::UntilClose;
        let persistence = match (close, asker.minor_version) {
            (true, _) => Persistence::Close,
            (false, 0) => Persistence::KeepAlive,
            (false, _) => Persistence::Silent,
        };
        let head = write_head(&response, framing, persistence);
        let silent = asker.head_only || framing == Framing::Absent;
        let rest = match (response.body.extent, framing) {
            _ if silent => Rest::Nothing,
            (Extent::Complete | Extent::Streamed(0), _) => Rest::Nothing,
            (Extent::Streamed(length), _) => Rest::Length(length),
            (Extent::Unknown, Framing::Chunked) => Rest::Chunks,
            (Extent::Unknown, _) => Rest::UntilClose,
        };
        if silent {
            response.body.segments.clear();
        }
        let mut segments = response.body.segments;
        segments.push_front(Segment::Owned(head));
        Self { segments, offset: 0, rest, close }
    }

    /// Appends to a streamed body. Beyond the announced length, or to a body that is not wanted
    /// (HEAD): dropped.
    pub(super) fn push(&mut self, segment: Segment) {
        if segment.is_empty() {
            return;
        }
        match self.rest {
            Rest::Nothing => {}
            Rest::UntilClose => self.segments.push_back(segment),
            Rest::Chunks => {
                let size = format!("{:x}\r\n", segment.len());
                self.segments.push_back(Segment::Owned(size.into_bytes()));
                self.segments.push_back(segment);
                self.segments.push_back(Segment::Static(b"\r\n"));
            }
            Rest::Length(left) => {
                let segment = segment.cut(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - segment.len() as u64;
                self.rest = if left == 0 { Rest::Nothing } else { Rest::Length(left) };
                self.segments.push_back(segment);
            }
        }
    }

    /// Nothing more will be pushed. A body short of its announced length can only be told by closing.
    pub(super) fn finish(&mut self) {
        match self.rest {
            Rest::Nothing | Rest::UntilClose => {}
            Rest::Chunks => self.segments.push_back(Segment::Static(b"0\r\n\r\n")),
            Rest::Length(_) => self.close = true,
        }
        self.rest = Rest::Nothing;
    }

    /// Shows what is to be written next; the number of slices set.
    pub(super) fn output<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            let skip = if count == 0 { self.offset } else { 0 };
            *slice = IoSlice::new(&segment.as_bytes()[skip..]);
            count += 1;
        }
        count
    }

    /// Counts bytes as written and gives back the segments that are out.
    pub(super) fn advance(&mut self, mut bytes: usize) {
        while let Some(front) = self.segments.front() {
            let left = front.len() - self.offset;
            if bytes < left {
                self.offset += bytes;
                return;
            }
            bytes -= left;
            self.offset = 0;
            self.segments.pop_front();
        }
    }

    /// Bytes given and not yet written.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.segments.iter().map(Segment::len).sum::<usize>() - self.offset
    }

    /// Nothing to write at the moment.
    pub(super) fn is_starved(&self) -> bool {
        self.segments.is_empty()
    }

    /// Everything is written.
    pub(super) fn is_done(&self) -> bool {
        self.segments.is_empty() && self.rest == Rest::Nothing
    }

    pub(super) fn closes(&self) -> bool {
        self.close
    }

    pub(super) fn force_close(&mut self) {
        self.close = true;
    }
}

fn framing_of(response: &Response, asker: Asker) -> Framing {
    match (sendable(response.status), response.body.len()) {
        // 204 must not carry a length (RFC 9110, 8.6), 304 would have to carry that of the 200
        (204 | 304, _) => Framing::Absent,
        (_, Some(length)) => Framing::Length(length),
        (_, None) if asker.minor_version >= 1 => Framing::Chunked,
        (_, None) => Framing::UntilClose,
    }
}
