//! Where the log thread writes: a stream, or files that are rotated.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};

use crate::config::LogFiles;

/// Where lines go.
pub(super) enum Sink {
    Stream(Box<dyn Write + Send>),
    Files(Box<RotatingFile>),
}

impl Sink {
    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8], now: SystemTime) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(lines),
            Self::Files(file) => file.write(lines, now),
        }
    }
}

/// A log file with its older ones, `NAME.1` the newest of them. When to rotate is decided here, so
/// that no line is cut; renaming and removing is the crate's.
pub(super) struct RotatingFile {
    path: PathBuf,
    options: OpenOptions,
    rotate: FileRotate<AppendCount>,
    rotate_bytes: u64,
    interval: Duration,
    bytes: u64,
    /// The multiple of the interval in which the last line was written.
    period: u128,
}

impl RotatingFile {
    /// Opens or creates the file; one that is not empty is rotated first if so configured.
    pub(super) fn open(files: &LogFiles, now: SystemTime) -> io::Result<Self> {
        let path = files.path.join(&files.name);
        let mut options = OpenOptions::new();
        options.read(true).create(true).append(true).mode(files.permissions);
        // The crate panics or stays silent where these fail.
        fs::create_dir_all(&files.path)?;
        fs::read_dir(&files.path)?;
        let metadata = options.open(&path)?.metadata()?;
        let keep = usize::try_from(files.keep_files).unwrap_or(usize::MAX);
        let rotate = FileRotate::new(
            &path,
            AppendCount::new(keep),
            ContentLimit::None,
            Compression::None,
            Some(options.clone()),
        );
        let period = period(metadata.modified().unwrap_or(now), files.interval);
        let (rotate_bytes, interval) = (files.rotate_bytes, files.interval);
        let bytes = metadata.len();
        let mut file = Self { path, options, rotate, rotate_bytes, interval, bytes, period };
        if files.rotate_on_startup && bytes > 0 {
            file.rotate()?;
        }
        Ok(file)
    }

    /// Writes lines, as many at once as the file takes.
    fn write(&mut self, lines: &[u8], now: SystemTime) -> io::Result<()> {
        let period = period(now, self.interval);
        if period != self.period && self.bytes > 0 {
            self.rotate()?;
        }
        self.period = period;
        let mut start = 0;
        let mut end = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let before = self.bytes + (end - start) as u64;
            if before > 0 && before + line.len() as u64 > self.rotate_bytes {
                self.append(&lines[start..end])?;
                self.rotate()?;
                start = end;
            }
            end += line.len();
        }
        self.append(&lines[start..end])
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.rotate.write_all(lines)?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        // The crate relies on a file that is there to rename, and is silent if it cannot open the
        // next one.
        self.options.open(&self.path)?;
        self.rotate.rotate()?;
        self.bytes = 0;
        self.options.open(&self.path).map(drop)
    }
}

/// Which multiple of the interval a time falls into; always the same without an interval.
fn period(time: SystemTime, interval: Duration) -> u128 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().checked_div(interval.as_nanos()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
