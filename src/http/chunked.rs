//! The chunked transfer coding of request bodies (RFC 9112, 7.1). Extensions and trailers are
//! checked, bounded and dropped.

use super::bad::BadRequest;
use super::body::Piece;
use super::scan::take;
use super::target::hex_digit;

/// Bytes of all chunk extensions of one body together.
pub(super) const EXTENSION_BYTES_MAX: u16 = 4096;
/// Bytes of all trailers of one body together.
pub(super) const TRAILER_BYTES_MAX: u16 = 4096;
/// Hexadecimal digits of a chunk size: 60 bits are enough for anybody.
const SIZE_DIGITS_MAX: u8 = 15;

/// Where in the coding the next byte falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The digits of a chunk size; so many have come.
    Size(u8),
    /// Space after the size: only an extension may follow.
    SizeSpace,
    Extension,
    /// The CR after size and extensions has come.
    SizeLineFeed,
    Data,
    /// All bytes of the chunk have come.
    DataCarriageReturn,
    DataLineFeed,
    /// After the last chunk: a trailer or the end.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    /// The CR of the empty line has come.
    LastLineFeed,
    End,
}

/// A chunked body in progress.
#[derive(Debug)]
pub(super) struct Chunked {
    /// Bytes missing of the current chunk, or its size as far as read.
    left: u64,
    extension_bytes: u16,
    trailer_bytes: u16,
    state: State,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { left: 0, extension_bytes: 0, trailer_bytes: 0, state: State::Size(0) }
    }

    /// The next piece of data in `input`, never an empty one.
    pub(super) fn read<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, BadRequest> {
        loop {
            match self.state {
                State::End => return Ok(Piece::End),
                _ if input.is_empty() => return Ok(Piece::Pending),
                State::Data => {
                    let data = take(input, usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= data.len() as u64;
                    if self.left == 0 {
                        self.state = State::DataCarriageReturn;
                    }
                    return Ok(Piece::Data(data));
                }
                _ => self.state = self.step(take(input, 1)[0])?,
            }
        }
    }

    /// The state after one byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, BadRequest> {
        match self.state {
            State::Size(digits) => self.size(digits, byte),
            State::SizeSpace => match byte {
                b' ' | b'\t' | b';' => self.extension(byte),
                _ => Err(BadRequest::Chunk),
            },
            State::Extension => self.extension(byte),
            State::SizeLineFeed if byte == b'\n' && self.left == 0 => Ok(State::TrailerStart),
            State::SizeLineFeed if byte == b'\n' => Ok(State::Data),
            State::DataCarriageReturn if byte == b'\r' => Ok(State::DataLineFeed),
            State::DataLineFeed if byte == b'\n' => Ok(State::Size(0)),
            State::TrailerStart if byte == b'\r' => Ok(State::LastLineFeed),
            State::TrailerStart | State::TrailerName => self.trailer_name(byte),
            State::TrailerValue => self.trailer_value(byte),
            State::TrailerLineFeed if byte == b'\n' => Ok(State::TrailerStart),
            State::LastLineFeed if byte == b'\n' => Ok(State::End),
            _ => Err(BadRequest::Chunk),
        }
    }

    fn size(&mut self, digits: u8, byte: u8) -> Result<State, BadRequest> {
        match (byte, hex_digit(byte)) {
            (_, Some(_)) if digits == SIZE_DIGITS_MAX => Err(BadRequest::Chunk),
            (_, Some(digit)) => {
                self.left = self.left << 4 | u64::from(digit);
                Ok(State::Size(digits + 1))
            }
            _ if digits == 0 => Err(BadRequest::Chunk),
            (b'\r', _) => Ok(State::SizeLineFeed),
            (b' ' | b'\t' | b';', _) => self.extension(byte),
            _ => Err(BadRequest::Chunk),
        }
    }

    /// Space, then `;`, then text up to the end of the line.
    fn extension(&mut self, byte: u8) -> Result<State, BadRequest> {
        let begun = self.state == State::Extension;
        if begun && byte == b'\r' {
            return Ok(State::SizeLineFeed);
        }
        if !is_text(byte) || self.extension_bytes == EXTENSION_BYTES_MAX {
            return Err(BadRequest::ChunkExtension);
        }
        self.extension_bytes += 1;
        Ok(if begun || byte == b';' { State::Extension } else { State::SizeSpace })
    }

    fn trailer_name(&mut self, byte: u8) -> Result<State, BadRequest> {
        self.count_trailer()?;
        match byte {
            b':' if self.state == State::TrailerName => Ok(State::TrailerValue),
            _ if is_token(byte) => Ok(State::TrailerName),
            _ => Err(BadRequest::Trailer),
        }
    }

    fn trailer_value(&mut self, byte: u8) -> Result<State, BadRequest> {
        self.count_trailer()?;
        match byte {
            b'\r' => Ok(State::TrailerLineFeed),
            _ if is_text(byte) => Ok(State::TrailerValue),
            _ => Err(BadRequest::Trailer),
        }
    }

    fn count_trailer(&mut self) -> Result<(), BadRequest> {
        if self.trailer_bytes == TRAILER_BYTES_MAX {
            return Err(BadRequest::Trailer);
        }
        self.trailer_bytes += 1;
        Ok(())
    }
}

/// A byte of a field value (RFC 9110, 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

/// A byte of a field name (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
