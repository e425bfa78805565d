//! Collects a request head from pieces, within its limit, and hands it to the parser once.

use super::Limits;
use super::bad::BadRequest;
use super::head::RequestHead;
use super::scan::{self, take};

/// Collects a head. Without memory of its own as long as no part of a head has come, or when a head
/// comes in one piece.
#[derive(Default)]
pub(super) struct HeadReader {
    partial: Vec<u8>,
    leading: Leading,
}

/// The one empty line that a client may send before a request (RFC 9112, 2.2): some end a body
/// with one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Leading {
    #[default]
    None,
    CarriageReturn,
    Skipped,
}

impl HeadReader {
    /// A part of a head is here.
    pub(super) fn has_begun(&self) -> bool {
        !self.partial.is_empty()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.partial.capacity()
    }

    /// Takes a head from `input`, or all of `input` if the head does not end there.
    pub(super) fn read(
        &mut self,
        input: &mut &[u8],
        limits: &Limits,
    ) -> Result<Option<RequestHead>, BadRequest> {
        self.skip_empty_line(input)?;
        let mut bytes = if self.partial.is_empty() {
            let within = &input[..input.len().min(limits.head_bytes_max)];
            match scan::head_end(within, 0).inspect_err(|_| self.partial = within.to_vec())? {
                Some(end) => take(input, end).to_vec(),
                None => return self.keep(input, limits),
            }
        } else {
            let before = self.partial.len();
            let within = input.len().min(limits.head_bytes_max.saturating_sub(before));
            append(&mut self.partial, &input[..within], limits.head_bytes_max);
            match scan::head_end(&self.partial, before)? {
                Some(end) => {
                    take(input, end - before);
                    self.partial.truncate(end);
                    std::mem::take(&mut self.partial)
                }
                None => {
                    take(input, within);
                    return self.pending(limits);
                }
            }
        };
        let head = RequestHead::parse(&mut bytes, limits.headers_max);
        // empty unless it was refused
        self.partial = bytes;
        head.map(Some)
    }

    /// The X-Request-Id of a head that is not complete or was refused, if it has one: the answer to it carries it, too.
    pub(super) fn request_id(&self) -> Option<&str> {
        let whole_lines = self.partial.iter().rposition(|byte| *byte == b'\n')?;
        let lines = self.partial[..whole_lines].split(|byte| *byte == b'\n').skip(1);
        let mut ids = lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            name.eq_ignore_ascii_case(b"x-request-id").then(|| value[1..].trim_ascii())
        });
        match (ids.next(), ids.next()) {
            (Some(id), None) => std::str::from_utf8(id).ok(),
            _ => None,
        }
    }

    fn keep(&mut self, input: &mut &[u8], limits: &Limits) -> Result<Option<RequestHead>, BadRequest> {
        let within = input.len().min(limits.head_bytes_max);
        append(&mut self.partial, take(input, within), limits.head_bytes_max);
        self.pending(limits)
    }

    fn pending(&self, limits: &Limits) -> Result<Option<RequestHead>, BadRequest> {
        if self.partial.len() >= limits.head_bytes_max { Err(BadRequest::HeadTooLarge) } else { Ok(None) }
    }

    fn skip_empty_line(&mut self, input: &mut &[u8]) -> Result<(), BadRequest> {
        if self.leading == Leading::None && !self.has_begun() && input.first() == Some(&b'\r') {
            take(input, 1);
            self.leading = Leading::CarriageReturn;
        }
        if self.leading == Leading::CarriageReturn {
            match input.first() {
                None => {}
                Some(b'\n') => {
                    take(input, 1);
                    self.leading = Leading::Skipped;
                }
                Some(_) => return Err(BadRequest::BareLineEnd),
            }
        }
        Ok(())
    }
}

/// Appends within `bytes_max`, growing by doubling but never beyond it.
fn append(partial: &mut Vec<u8>, piece: &[u8], bytes_max: usize) {
    let needed = partial.len() + piece.len();
    if needed > partial.capacity() {
        let capacity = needed.max(partial.capacity() * 2).min(bytes_max.max(needed));
        partial.reserve_exact(capacity - partial.len());
    }
    partial.extend_from_slice(piece);
}
