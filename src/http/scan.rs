//! Finds the end of a request head and refuses line ends and control bytes that RFC 9112 forbids but
//! parsers tolerate. Knows bytes and lines, not their meaning.

use super::bad::BadRequest;

/// The index after the empty line that ends the head in `bytes`, if it is there. The first `from`
/// bytes were scanned before.
pub(super) fn head_end(bytes: &[u8], from: usize) -> Result<Option<usize>, BadRequest> {
    // a CR at the end of the last piece could not be judged without its successor
    let mut at = from - usize::from(bytes[..from].ends_with(b"\r"));
    while let Some(found) = next_control(bytes, at) {
        at = match (bytes[found], bytes.get(found + 1)) {
            (b'\t', _) => found + 1,
            (b'\r', None) => return Ok(None),
            (b'\r', Some(b'\n')) if found == 0 => return Err(BadRequest::RequestLine),
            (b'\r', Some(b'\n')) if bytes[found - 1] == b'\n' => return Ok(Some(found + 2)),
            (b'\r', Some(b'\n')) => found + 2,
            (b'\r' | b'\n', _) => return Err(BadRequest::BareLineEnd),
            _ => return Err(BadRequest::ControlByte),
        };
    }
    Ok(None)
}

/// The index of the first byte below 0x20, from `at` on. Eight bytes a step: heads are short lines
/// of printable text, and every request passes here.
fn next_control(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(word) = bytes.get(at..at + 8) {
        let word: [u8; 8] = word.try_into().expect("a slice of eight bytes");
        let marks = controls(u64::from_le_bytes(word));
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    bytes.get(at..)?.iter().position(|byte| *byte < 0x20).map(|offset| at + offset)
}

/// Marks the high bit of the lowest byte below 0x20; marks above it may be wrong. The subtraction borrows
/// into the high bit of such a byte, and of bytes above 0x9f, which the second factor takes out again.
fn controls(word: u64) -> u64 {
    word.wrapping_sub(u64::from_ne_bytes([0x20; 8])) & !word & u64::from_ne_bytes([0x80; 8])
}

/// Takes the first `length` bytes off `input`, or all of them.
pub(super) fn take<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    input.split_off(..length.min(input.len())).unwrap_or_default()
}
