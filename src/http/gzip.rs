//! Compresses a whole small response body. Shared policy prefixes are not made here.

use flate2::{Compress, Compression, FlushCompress, Status};

/// A compressor to be used again and again: its tables cost more than a small body's compression.
/// One belongs to the loop, never to a connection.
pub struct Gzip {
    compress: Compress,
}

impl Gzip {
    /// `level` 1 (fast) to 9 (small); what is above 9 counts as 9.
    pub fn new(level: u32) -> Self {
        Self { compress: Compress::new_gzip(Compression::new(level.min(9)), WINDOW_BITS) }
    }

    /// `body` as one gzip member.
    pub fn compress(&mut self, body: &[u8]) -> Vec<u8> {
        self.compress.reset();
        let mut out = Vec::with_capacity(body.len() / 2 + OVERHEAD_BYTES);
        loop {
            let taken = usize::try_from(self.compress.total_in()).unwrap_or(body.len());
            let status = self
                .compress
                .compress_vec(&body[taken..], &mut out, FlushCompress::Finish)
                .expect("a compressor reset above takes any bytes");
            if status == Status::StreamEnd {
                return out;
            }
            // deflate never grows a body by more than this, so the second round is the last
            out.reserve(body.len() + OVERHEAD_BYTES);
        }
    }
}

/// The largest window, 32 KiB: what every reader supports.
const WINDOW_BITS: u8 = 15;
/// Header, trailer and the frames of stored blocks of a small body.
const OVERHEAD_BYTES: usize = 64;
