//! A request body as the transfer framing delimits it. Content codings pass through untouched.

use super::bad::BadRequest;
use super::chunked::Chunked;
use super::framing::BodyKind;
use super::scan::take;

/// A body in progress.
#[derive(Debug)]
pub(super) enum BodyReader {
    /// So many bytes are missing.
    Length(u64),
    Chunked(Chunked),
}

/// What [`BodyReader::read`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// More input is needed.
    Pending,
    /// At least one byte of the body.
    Data(&'a [u8]),
    /// The body is complete.
    End,
}

impl BodyReader {
    pub(super) fn new(kind: BodyKind) -> Self {
        match kind {
            BodyKind::None => Self::Length(0),
            BodyKind::Length(length) => Self::Length(length),
            BodyKind::Chunked => Self::Chunked(Chunked::new()),
        }
    }

    /// Takes the next piece off `input`.
    pub(super) fn read<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, BadRequest> {
        match self {
            Self::Length(0) => Ok(Piece::End),
            Self::Length(_) if input.is_empty() => Ok(Piece::Pending),
            Self::Length(left) => {
                let data = take(input, usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                Ok(Piece::Data(data))
            }
            Self::Chunked(chunked) => chunked.read(input),
        }
    }

    /// Bytes still to come, where they were announced.
    pub(super) fn announced_rest(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) => None,
        }
    }
}
