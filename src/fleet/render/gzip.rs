//! A gzip stream in two parts: a prefix that all deliveries share and that ends on a byte border, and what is an agent's
//! own behind it, as one stored block where that is small.

use flate2::{Compress, Compression, FlushCompress, Status};

/// A gzip header without name or time (RFC 1952, 2.3): deflate, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Once per revision: worth the best compression.
const PREFIX_LEVEL: u32 = 9;
/// Once per agent.
const TAIL_LEVEL: u32 = 3;
/// An agent's own bytes above this are deflated. A stored block's length has 16 bits (RFC 1951, 3.2.4).
const STORED_BYTES_MAX: usize = 16 * 1024;

/// What the end of a stream depends on: its prefix, before it was deflated.
#[derive(Clone, Copy)]
pub(super) struct Checksum {
    /// CRC-32 of the plain bytes.
    crc: u32,
    /// How many those are.
    bytes: u64,
}

/// A gzip stream that is not ended: header, and `plain` deflated up to a byte border; and what its end depends on.
pub(super) fn prefix(plain: &[u8]) -> Option<(Vec<u8>, Checksum)> {
    let mut out = GZIP_HEADER.to_vec();
    deflate(plain, PREFIX_LEVEL, FlushCompress::Full, &mut out)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(plain);
    Some((out, Checksum { crc: crc.finalize(), bytes: plain.len() as u64 }))
}

/// The rest of the stream, and its end. `None` if it cannot be deflated.
pub(super) fn tail(prefix: Checksum, own: &[u8]) -> Option<Vec<u8>> {
    let mut tail = Vec::with_capacity(own.len().min(STORED_BYTES_MAX) + 13);
    if own.len() <= STORED_BYTES_MAX {
        stored_block(own, &mut tail);
    } else {
        // the prefix ended in a full flush: nothing of it is referred to
        deflate(own, TAIL_LEVEL, FlushCompress::Finish, &mut tail)?;
    }
    let mut crc = crc32fast::Hasher::new_with_initial_len(prefix.crc, prefix.bytes);
    crc.update(own);
    tail.extend_from_slice(&crc.finalize().to_le_bytes());
    // RFC 1952: the length modulo 2^32
    tail.extend_from_slice(&((prefix.bytes + own.len() as u64) as u32).to_le_bytes());
    Some(tail)
}

fn deflate(plain: &[u8], level: u32, flush: FlushCompress, out: &mut Vec<u8>) -> Option<()> {
    let mut compress = Compress::new(Compression::new(level), false);
    loop {
        out.reserve(plain.len() / 4 + 1_024);
        let taken = usize::try_from(compress.total_in()).ok()?;
        let before = compress.total_out();
        let status = compress.compress_vec(&plain[taken..], out, flush).ok()?;
        if status == Status::StreamEnd {
            return Some(());
        }
        let room_left = out.len() < out.capacity();
        let all_taken = compress.total_in() == plain.len() as u64;
        if all_taken && room_left && !matches!(flush, FlushCompress::Finish) {
            return Some(());
        }
        if compress.total_out() == before {
            return None;
        }
    }
}

/// The last block of a deflate stream: `bytes` as they are (RFC 1951, 3.2.4).
fn stored_block(bytes: &[u8], out: &mut Vec<u8>) {
    let length = bytes.len() as u16;
    out.push(1);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_tail_of_any_length_completes_the_stream() {
        let plain = b"constant ".repeat(500);
        let (deflated, checksum) = prefix(&plain).unwrap();
        for length in [0, 1, STORED_BYTES_MAX, STORED_BYTES_MAX + 1, 65_535, 65_536, 400_000] {
            let own: Vec<u8> = (0..length).map(|n: usize| (n * n % 251) as u8).collect();
            let stream = [deflated.clone(), tail(checksum, &own).unwrap()].concat();
            let mut inflated = Vec::new();
            flate2::read::GzDecoder::new(&stream[..]).read_to_end(&mut inflated).unwrap();
            assert!(inflated == [plain.clone(), own].concat(), "{length}");
        }
    }
}
