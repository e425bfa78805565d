//! Finds the end of a request head and refuses line ends and control bytes that RFC 9112 forbids but
//! parsers tolerate. Knows lines, not their meaning.

use super::bad::BadRequest;

/// The index after the empty line that ends the head in `bytes`, if it is there. The first `from`
/// bytes were scanned before.
pub(super) fn head_end(bytes: &[u8], from: usize) -> Result<Option<usize>, BadRequest> {
    // the last byte once more: a CR there could not be judged without its successor
    let mut at = from.saturating_sub(1);
    while let Some(found) = next_control(bytes, at) {
        match bytes[found] {
            b'\t' => {}
            b'\r' if bytes.get(found + 1).is_none_or(|next| *next == b'\n') => {}
            b'\n' if found > 0 && bytes[found - 1] == b'\r' => match found {
                1 => return Err(BadRequest::RequestLine),
                _ if bytes[found - 2] == b'\n' => return Ok(Some(found + 1)),
                _ => {}
            },
            b'\r' | b'\n' => return Err(BadRequest::BareLineEnd),
            _ => return Err(BadRequest::ControlByte),
        }
        at = found + 1;
    }
    Ok(None)
}

/// The index of the first byte below 0x20, from `at` on. Eight bytes a step: heads are short lines
/// of printable text, and every request passes here.
fn next_control(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(word) = bytes.get(at..at + 8) {
        let word: [u8; 8] = word.try_into().expect("a slice of eight bytes");
        if has_control(u64::from_le_bytes(word)) {
            break;
        }
        at += 8;
    }
    bytes.get(at..)?.iter().position(|byte| *byte < 0x20).map(|offset| at + offset)
}

/// Whether any of the eight bytes is below 0x20: the subtraction borrows into the high bit of such a
/// byte, and of bytes above 0x9f, which the second factor takes out again.
fn has_control(word: u64) -> bool {
    word.wrapping_sub(u64::from_ne_bytes([0x20; 8])) & !word & u64::from_ne_bytes([0x80; 8]) != 0
}
