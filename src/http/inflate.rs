//! Streaming gunzip of request bodies (RFC 1952) under a cap on the inflated size and with a budget per
//! call, so that a bomb neither fills the memory nor holds up the loop.

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;

use super::gzip_header::HeaderReader;
use super::scan::take;

/// Members of one body. Concatenated members are one body, as in Go, where their number has no bound.
pub const MEMBERS_MAX: u32 = 1024;

/// A gzip body being inflated. Holds about 45 KiB while in use; drop it with the body.
pub struct Inflate {
    state: State,
    /// One for all members.
    decompress: Decompress,
    inflated_bytes: usize,
    inflated_bytes_max: usize,
    members: u32,
}

/// Why [`Inflate::push`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The piece is used up.
    NeedsInput,
    /// As many bytes as allowed for this call are out; call again, even with an empty piece.
    BudgetSpent,
}

/// Why a body cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InflateError {
    /// More than the cap comes out.
    #[error("the inflated body exceeds the maximum allowed size")]
    TooLarge,
    /// Not gzip, or a checksum or length does not match.
    #[error("the body is not valid gzip")]
    Corrupt,
    /// The body ends before its last member does.
    #[error("the gzip body is cut off")]
    Truncated,
}

enum State {
    Header(HeaderReader),
    /// Checksum and length of the member so far.
    Data(Hasher, u32),
    Trailer(Trailer),
}

impl Inflate {
    /// At most `inflated_bytes_max` bytes may come out; the limit itself is fine.
    pub fn new(inflated_bytes_max: usize) -> Self {
        Self {
            state: State::Header(HeaderReader::default()),
            decompress: Decompress::new(false),
            inflated_bytes: 0,
            inflated_bytes_max,
            members: 0,
        }
    }

    /// Inflates from `piece`, taking what it uses, and appends at most `budget_bytes` (above 0) to `out`.
    ///
    /// # Errors
    /// Over the cap, or not gzip. What `out` holds then is of no use.
    pub fn push(
        &mut self,
        piece: &mut &[u8],
        out: &mut Vec<u8>,
        budget_bytes: usize,
    ) -> Result<Progress, InflateError> {
        let end = out.len().saturating_add(budget_bytes);
        loop {
            match &mut self.state {
                State::Header(header) => {
                    if !header.read(piece)? {
                        return Ok(Progress::NeedsInput);
                    }
                    self.begin_member()?;
                }
                State::Data(..) => {
                    if let Some(progress) = self.inflate(piece, out, end)? {
                        return Ok(progress);
                    }
                }
                State::Trailer(trailer) => {
                    if !trailer.read(piece)? {
                        return Ok(Progress::NeedsInput);
                    }
                    self.state = State::Header(HeaderReader::default());
                }
            }
        }
    }

    /// The body has ended.
    ///
    /// # Errors
    /// It was cut off within a member, or had none.
    pub fn finish(self) -> Result<(), InflateError> {
        match self.state {
            State::Header(header) if self.members > 0 && !header.has_begun() => Ok(()),
            _ => Err(InflateError::Truncated),
        }
    }

    fn begin_member(&mut self) -> Result<(), InflateError> {
        self.members += 1;
        if self.members > MEMBERS_MAX {
            return Err(InflateError::Corrupt);
        }
        self.decompress.reset(false);
        self.state = State::Data(Hasher::new(), 0);
        Ok(())
    }

    /// One step; `None` when there is more to do at once.
    fn inflate(
        &mut self,
        piece: &mut &[u8],
        out: &mut Vec<u8>,
        end: usize,
    ) -> Result<Option<Progress>, InflateError> {
        let State::Data(checksum, length) = &mut self.state else { return Ok(None) };
        // one byte beyond the cap tells a body of exactly that size from a larger one
        let allowed = self.inflated_bytes_max.saturating_sub(self.inflated_bytes).saturating_add(1);
        let room = (end - out.len()).min(allowed).min(STEP_BYTES);
        if room == 0 {
            return Ok(Some(Progress::BudgetSpent));
        }
        let start = out.len();
        grow(out, room, allowed);
        let (read, written) = (self.decompress.total_in(), self.decompress.total_out());
        let status = self.decompress.decompress(piece, &mut out[start..], FlushDecompress::None);
        let read = (self.decompress.total_in() - read) as usize;
        let written = (self.decompress.total_out() - written) as usize;
        out.truncate(start + written);
        take(piece, read);
        checksum.update(&out[start..]);
        // the trailer holds the length modulo 2^32 (RFC 1952, 2.3.1)
        *length = length.wrapping_add(written as u32);
        self.inflated_bytes += written;
        if self.inflated_bytes > self.inflated_bytes_max {
            return Err(InflateError::TooLarge);
        }
        match status {
            Err(_) => Err(InflateError::Corrupt),
            Ok(Status::StreamEnd) => {
                let (checksum, length) = (std::mem::take(checksum).finalize(), *length);
                self.state = State::Trailer(Trailer::expecting(checksum, length));
                Ok(None)
            }
            Ok(_) if written == room => Ok(None),
            Ok(_) if piece.is_empty() => Ok(Some(Progress::NeedsInput)),
            Ok(_) if read == 0 && written == 0 => Err(InflateError::Corrupt),
            Ok(_) => Ok(None),
        }
    }
}

/// Inflated at a time, between two looks at budget and cap.
const STEP_BYTES: usize = 16 * 1024;

/// Makes `out` longer by `room` bytes. Grows by doubling, but never for more than `allowed` bytes.
fn grow(out: &mut Vec<u8>, room: usize, allowed: usize) {
    if out.capacity() - out.len() < room {
        out.reserve_exact(out.len().min(allowed).max(room));
    }
    out.resize(out.len() + room, 0);
}

/// The eight bytes after a member: checksum and length, little-endian.
struct Trailer {
    expected: [u8; 8],
    matched: u8,
}

impl Trailer {
    fn expecting(checksum: u32, length: u32) -> Self {
        let expected = u64::from(length) << 32 | u64::from(checksum);
        Self { expected: expected.to_le_bytes(), matched: 0 }
    }

    /// Whether the trailer is complete.
    fn read(&mut self, piece: &mut &[u8]) -> Result<bool, InflateError> {
        while let Some(expected) = self.expected.get(usize::from(self.matched)) {
            let Some(byte) = piece.split_off_first() else { return Ok(false) };
            if byte != expected {
                return Err(InflateError::Corrupt);
            }
            self.matched += 1;
        }
        Ok(true)
    }
}
