//! Whether files have changed since they were read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes when one of a section's files does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Option<Stamp>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_seconds: i64,
    modified_nanos: i64,
}

impl Stamps {
    /// As the files are now; one that is missing has a stamp too.
    pub(crate) fn take<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        let stamp = |path| {
            let found = fs::metadata(path).ok()?;
            Some(Stamp {
                inode: found.ino(),
                bytes: found.size(),
                modified_seconds: found.mtime(),
                modified_nanos: found.mtime_nsec(),
            })
        };
        Stamps(paths.map(stamp).collect())
    }
}
