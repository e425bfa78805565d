//! Bodies of the fuzz targets; in the library so that they compile with it.

use super::elastic::chunk_content;

/// Any answer of a cluster is a chunk's document or is refused.
pub fn file_chunk(data: &[u8]) {
    let _ = chunk_content(data, None);
}
