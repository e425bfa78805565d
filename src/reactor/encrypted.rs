//! Reading and writing of an open TLS connection, record by record through the loop's buffers.

use std::io::IoSlice;

use super::SLICES_MAX;
use super::core::{Core, Jobs};
use super::socket::Moved;
use super::tls::{PLAIN_BYTES_MAX, RECORD_BYTES_MAX, SessionError, Step};
use super::turn::Turn;
use crate::server::{ConnectionId, Event};

/// Records that are encrypted and sent together: a send costs as much as encrypting one of them. What a socket does not take
/// of them is kept, so it is done only while few places for blocked ciphertext are taken.
const RECORDS_PER_SEND: usize = 4;
/// Plain bytes of them.
pub(super) const SEND_PLAIN_BYTES_MAX: usize = RECORDS_PER_SEND * PLAIN_BYTES_MAX;
/// Plain bytes of a record while all places for blocked ciphertext are taken: what is then kept of one that the socket does
/// not take stays below 1 KiB, and nobody waits for a place that a slow reader holds.
const SMALL_PLAIN_BYTES_MAX: usize = 960;

impl<C: Core, J: Jobs> Turn<'_, C, J> {
    /// Encrypts and sends some of what the core shows. Returns the bytes moved.
    pub(super) fn write_encrypted(&mut self, id: ConnectionId) -> usize {
        if !self.network.send_blocked(id) {
            return 0;
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = self.core.output(id, &mut slices);
        let network = &mut *self.network;
        let most = plain_bytes_max(network.counts.blocked, network.bounds.deliveries_blocked_max);
        let plain = gather(&slices[..count.min(SLICES_MAX)], &mut network.buffers.plain[..most]);
        let length = plain.len();
        let Some(connection) = network.connections.get_mut(id) else { return 0 };
        if length == 0 {
            connection.wants_write = false;
            return 0;
        }
        let Some(session) = connection.session.as_mut() else { return 0 };
        // records that rustls has not looked at would be decrypted first, into its own memory
        let unlooked = connection.unsettled;
        let tail = if unlooked { &mut [][..] } else { &mut connection.tail[..] };
        match session.encrypt(tail, plain, &mut network.buffers.outgoing) {
            Ok(0) => {}
            Ok(consumed) => connection.tail = connection.tail[consumed..].into(),
            Err(error) => {
                log::debug!("cannot encrypt: {error}");
                network.buffers.outgoing.clear();
                connection.broken = true;
                return 0;
            }
        }
        self.network.send(id);
        self.tell(Event::Sent { connection: id, bytes: length });
        length
    }

    /// Reads at most one record's worth and hands the plain bytes to the core. Returns the bytes moved.
    pub(super) fn read_encrypted(&mut self, id: ConnectionId) -> usize {
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return 0 };
        // a peer that does not take our bytes is not given the chance to cause more of them
        if !connection.blocked.is_empty() {
            return 0;
        }
        let kept = connection.tail.len();
        network.buffers.read[..kept].copy_from_slice(&connection.tail);
        let mut end = kept;
        if !connection.unsettled {
            if kept >= RECORD_BYTES_MAX {
                connection.broken = true;
                return 0;
            }
            match connection.read(&mut network.buffers.read[kept..RECORD_BYTES_MAX]) {
                Moved::Bytes(bytes) => end += bytes,
                Moved::End => return self.end(id),
                Moved::WouldBlock | Moved::Broken => return 0,
            }
        }
        connection.tail = Box::default();
        self.decrypt(id, end);
        (end - kept).max(1)
    }

    /// Steps through the first `end` bytes of the read buffer; what cannot be consumed goes to the connection.
    fn decrypt(&mut self, id: ConnectionId, end: usize) {
        let mut start = 0;
        let outcome = loop {
            let network = &mut *self.network;
            let Some(connection) = network.connections.get_mut(id) else { return };
            let Some(session) = connection.session.as_mut() else { return };
            let core = &mut *self.core;
            let now = self.now;
            let incoming = &mut network.buffers.read[start..end];
            let (consumed, step) = session.step(incoming, &mut network.buffers.outgoing, |bytes| {
                core.handle(now, Event::Received { connection: id, bytes });
            });
            start += consumed;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Received) => {
                    connection.unsettled = true;
                    self.effects();
                    if self.is_closing(id) || !self.wants_more(id, end - start) {
                        break Ok(());
                    }
                }
                Ok(Step::Settled) => {
                    connection.unsettled = false;
                    break Ok(());
                }
                Ok(Step::PeerClosed) => {
                    self.network.send(id);
                    self.end(id);
                    return;
                }
                Err(error) => {
                    session.alert(&mut network.buffers.outgoing);
                    break Err(error);
                }
            }
        };
        match outcome {
            Ok(()) => self.network.hold(id),
            Err(_) => self.network.send(id),
        }
        self.keep(id, start..end, outcome);
    }

    fn keep(&mut self, id: ConnectionId, left: std::ops::Range<usize>, outcome: Result<(), SessionError>) {
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return };
        match outcome {
            Ok(()) => connection.tail = network.buffers.read[left].into(),
            Err(error) => {
                log::debug!("a TLS connection fails: {error}");
                connection.broken = true;
            }
        }
    }

    /// Whether the core takes more, where `left` bytes of this read are not decrypted yet.
    fn wants_more(&mut self, id: ConnectionId, left: usize) -> bool {
        let Some(connection) = self.network.connections.get(id) else { return false };
        self.core.wants_input(id, || left + connection.unread_bytes())
    }

    fn is_closing(&self, id: ConnectionId) -> bool {
        self.network.connections.get(id).is_none_or(|connection| connection.closing.is_some())
    }

    /// Says close_notify, as far as the socket takes it.
    pub(super) fn say_goodbye(&mut self, id: ConnectionId) {
        let network = &mut *self.network;
        let Some(connection) = network.connections.get_mut(id) else { return };
        let Some(session) = connection.session.as_mut() else { return };
        let tail = if connection.unsettled { &mut [][..] } else { &mut connection.tail[..] };
        if session.close(tail, &mut network.buffers.outgoing).is_ok() && connection.writable {
            network.send(id);
        }
        network.buffers.outgoing.clear();
    }
}

/// How much is encrypted at once while `blocked` of `blocked_max` places are taken. Together the places hold at most two
/// records for each: one that was taken early may hold [`RECORDS_PER_SEND`].
fn plain_bytes_max(blocked: usize, blocked_max: usize) -> usize {
    if blocked < blocked_max / RECORDS_PER_SEND {
        SEND_PLAIN_BYTES_MAX
    } else if blocked < blocked_max {
        PLAIN_BYTES_MAX
    } else {
        SMALL_PLAIN_BYTES_MAX
    }
}

/// As many bytes as fit into `buffer`: where the first slice has them they are taken from there, else
/// they are copied together.
fn gather<'a>(slices: &'a [IoSlice<'a>], buffer: &'a mut [u8]) -> &'a [u8] {
    match slices {
        [] => return &[],
        [first, rest @ ..] if rest.is_empty() || first.len() >= buffer.len() => {
            return &first[..first.len().min(buffer.len())];
        }
        _ => {}
    }
    let mut filled = 0;
    for slice in slices {
        let bytes = slice.len().min(buffer.len() - filled);
        buffer[filled..filled + bytes].copy_from_slice(&slice[..bytes]);
        filled += bytes;
    }
    &buffer[..filled]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_from_where_it_lies_or_copied_together() {
        let mut buffer = [0; 4];
        let mut gathered = |parts: &[&[u8]]| {
            let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
            gather(&slices, &mut buffer).to_vec()
        };
        assert_eq!(gathered(&[]), b"");
        assert_eq!(gathered(&[b"ab"]), b"ab");
        assert_eq!(gathered(&[b"abcdef", b"x"]), b"abcd");
        assert_eq!(gathered(&[b"abcd", b"x"]), b"abcd");
        assert_eq!(gathered(&[b"abc", b"", b"def"]), b"abcd");
        assert_eq!(gathered(&[b"a", b"b"]), b"ab");
    }

    #[test]
    fn fewer_records_go_together_the_more_sockets_are_full() {
        let most: Vec<usize> = [0, 1, 2, 7, 8].map(|blocked| plain_bytes_max(blocked, 8)).into();
        assert_eq!(most, [65_536, 65_536, 16_384, 16_384, 960]);
        assert_eq!((plain_bytes_max(0, 1), plain_bytes_max(1, 1)), (16_384, 960));
    }

    #[test]
    fn a_large_part_is_not_copied() {
        let (large, mut buffer) = ([1; 9], [0; 4]);
        let taken = gather(&[IoSlice::new(&large)], &mut buffer).as_ptr();
        assert_eq!(taken, large.as_ptr());
    }
}
