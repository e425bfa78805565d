//! The header of a gzip member (RFC 1952, 2.3), byte by byte. Nothing of it is kept.

use crc32fast::Hasher;

use super::inflate::InflateError;

/// Bytes of one header, extra field, name and comment included.
pub(super) const HEADER_BYTES_MAX: u32 = 4096;

const HEADER_CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// A header in progress.
#[derive(Default)]
pub(super) struct HeaderReader {
    part: Part,
    flags: u8,
    bytes: u32,
    checksum: Hasher,
}

#[derive(Clone, Copy)]
enum Part {
    /// The ten bytes that every header has; so many have come.
    Fixed(u8),
    ExtraLow,
    ExtraHigh(u8),
    Extra(u16),
    Name,
    Comment,
    ChecksumLow,
    ChecksumHigh(u8),
    End,
}

impl Default for Part {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl HeaderReader {
    pub(super) fn has_begun(&self) -> bool {
        self.bytes > 0
    }

    /// Takes the header off `piece`; whether it is complete.
    pub(super) fn read(&mut self, piece: &mut &[u8]) -> Result<bool, InflateError> {
        while !matches!(self.part, Part::End) {
            let Some(byte) = piece.split_off_first() else { return Ok(false) };
            if self.bytes == HEADER_BYTES_MAX {
                return Err(InflateError::Corrupt);
            }
            self.bytes += 1;
            self.part = self.step(*byte)?;
            // the checksum covers all that stands before it
            if !matches!(self.part, Part::ChecksumHigh(_) | Part::End) {
                self.checksum.update(&[*byte]);
            }
        }
        Ok(true)
    }

    fn step(&mut self, byte: u8) -> Result<Part, InflateError> {
        Ok(match self.part {
            Part::Fixed(count) => {
                if count == 3 {
                    self.flags = byte;
                }
                match fixed(count, byte)? {
                    Part::End => self.first_of(EXTRA),
                    part => part,
                }
            }
            Part::ExtraLow => Part::ExtraHigh(byte),
            Part::ExtraHigh(low) => match u16::from_le_bytes([low, byte]) {
                0 => self.first_of(NAME),
                length => Part::Extra(length),
            },
            Part::Extra(1) => self.first_of(NAME),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => self.first_of(COMMENT),
            Part::Comment if byte == 0 => self.first_of(HEADER_CHECKSUM),
            Part::ChecksumLow => Part::ChecksumHigh(byte),
            Part::ChecksumHigh(low) => {
                let expected = self.checksum.clone().finalize() as u16;
                if u16::from_le_bytes([low, byte]) != expected {
                    return Err(InflateError::Corrupt);
                }
                Part::End
            }
            part => part,
        })
    }

    /// The first optional part that the flags announce, from `part` on.
    fn first_of(&self, part: u8) -> Part {
        const ORDER: [(u8, Part); 4] = [
            (EXTRA, Part::ExtraLow),
            (NAME, Part::Name),
            (COMMENT, Part::Comment),
            (HEADER_CHECKSUM, Part::ChecksumLow),
        ];
        let mut parts = ORDER.into_iter().skip_while(|(flag, _)| *flag != part);
        parts.find(|(flag, _)| self.flags & flag != 0).map_or(Part::End, |(_, part)| part)
    }
}

/// Byte number `count` of the fixed ten; `End` after the last.
fn fixed(count: u8, byte: u8) -> Result<Part, InflateError> {
    match (count, byte) {
        // the magic number and the only method there is
        (0, 0x1f) | (1, 0x8b) | (2, 8) => Ok(Part::Fixed(count + 1)),
        (3, flags) if flags & RESERVED == 0 => Ok(Part::Fixed(4)),
        // modification time, extra flags, operating system
        (4..=8, _) => Ok(Part::Fixed(count + 1)),
        (9, _) => Ok(Part::End),
        _ => Err(InflateError::Corrupt),
    }
}
