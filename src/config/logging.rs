//! `logging`: where log lines go and which (config.md, Keys).

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

/// The `logging` section. `to_stderr` wins over `to_files`; with neither there is no log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// `level`
    pub level: LevelFilter,
    /// `to_stderr`; on by default when there is no configuration at all.
    pub to_stderr: bool,
    /// `to_files`
    pub to_files: bool,
    /// `pretty`: text for people instead of JSON, on standard error only.
    pub pretty: bool,
    /// `files`
    pub files: LogFiles,
}

/// `logging.files`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFiles {
    /// `path`: the directory.
    pub path: PathBuf,
    /// `name` of the file that is written; older ones have a number appended.
    pub name: String,
    /// `rotateeverybytes`: a file does not grow beyond it, at least 1.
    pub rotate_bytes: u64,
    /// `keepfiles`: older files that stay, at most 1024.
    pub keep_files: u32,
    /// `permissions` of the files.
    pub permissions: u32,
    /// `interval`: a new file at each multiple of it; zero: off.
    pub interval: Duration,
    /// `rotateonstartup`: a new file at each start.
    pub rotate_on_startup: bool,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: LevelFilter::Info,
            to_stderr: true,
            to_files: false,
            pretty: false,
            files: LogFiles::default(),
        }
    }
}

impl Default for LogFiles {
    fn default() -> Self {
        Self {
            path: PathBuf::from("."),
            name: "fleet-server.log".to_owned(),
            rotate_bytes: 10 * 1024 * 1024,
            keep_files: 7,
            permissions: 0o600,
            interval: Duration::ZERO,
            rotate_on_startup: true,
        }
    }
}
