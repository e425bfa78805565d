//! The data directory (interface.md, "The data directory"): made private, and held by one process at a time.
//! Knows nothing of what is kept in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// Only the owner may enter.
const DIRECTORY_MODE: u32 = 0o700;
/// Only the owner may read and write.
const FILE_MODE: u32 = 0o600;

/// Holds a data directory as long as it lives; the lock ends with the process, however that ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process has it.
    #[error(
        "the data directory {0} is in use by another process: stop that one, or choose another path.data"
    )]
    InUse(PathBuf),
    /// It cannot be made, entered or written.
    #[error(
        "the data directory {path} cannot be used: {source}: it must be a directory this user may write to"
    )]
    Unusable {
        /// The directory, or the file in it that could not be opened.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DirectoryLock {
    /// Makes `directory` (mode 0700) where it is missing, and takes the file `lock` in it. The mode of a directory that
    /// was there is its owner's business, who may keep other things in it too: others are told of, not shut out.
    pub fn take(directory: &Path) -> Result<Self, DirectoryError> {
        let unusable = |source| DirectoryError::Unusable { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(unusable)?;
        let mode = fs::metadata(directory).map_err(unusable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            log::warn!(
                "other users may enter the data directory {} (mode {mode:04o}): 0700 keeps them out; the files in it are \
                 ours alone",
                directory.display()
            );
        }
        // a parent that may be entered but not listed cannot be synced, and need not be ours
        let _ = sync_names(directory);
        let file = open_private(&directory.join("lock")).map_err(unusable)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(DirectoryError::InUse(directory.to_owned())),
            Err(errno) => Err(unusable(errno.into())),
        }
    }
}

/// Opens `path` for reading and writing, makes it where it is missing, and takes everyone else's access away.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
    }
    Ok(file)
}

/// Makes the file `path`, which must not be there.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Makes the names in the directory of `path` survive a power loss.
pub(super) fn sync_names(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
